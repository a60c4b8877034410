/**
 * Makes a value when it is first asked for, and gives the same one ever after. Schemas are made so: building all of them
 * would take longer than most verbs do, and a verb reads by few of them.
 */
export function once<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
