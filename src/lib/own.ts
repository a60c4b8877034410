/** What `table` has of its own under `name`. A name that every object has, such as `constructor`, is as good as any other. */
export function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
