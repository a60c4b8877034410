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

/** What is there under a key; made, and kept there, where there is nothing. */
export function madeIn<K, V>(
  known: { get(key: K): V | undefined; set(key: K, value: V): unknown },
  key: K,
  make: () => V,
): V {
  const found = known.get(key);
  if (found !== undefined) return found;
  const made = make();
  known.set(key, made);
  return made;
}
