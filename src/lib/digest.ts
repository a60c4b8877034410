/** SHA-256, for what must not be forged. */

/** Hexadecimal SHA-256, of a text in its UTF-8 form. */
export function sha256(data: string | Uint8Array): string {
  // Loaded where it is used: most starts need no more than the ids that they make.
  const { createHash } = process.getBuiltinModule('node:crypto');
  return createHash('sha256').update(data).digest('hex');
}
