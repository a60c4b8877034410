/** SHA-256, for what must not be forged. */

/** Hexadecimal SHA-256 of the UTF-8 form of `text`. */
export function sha256(text: string): string {
  // Loaded where it is used: most starts need no more than the ids that they make.
  const { createHash } = process.getBuiltinModule('node:crypto');
  return createHash('sha256').update(text).digest('hex');
}
