/**
 * Makes a value on first use and then returns the same one. Schemas are made this way: building all of them takes longer than
 * most verbs, and a verb needs few of them.
 */
export function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
