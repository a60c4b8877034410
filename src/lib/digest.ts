/** SHA-256, for what must not be forged. */

/** Hexadecimal SHA-256, of a text in its UTF-8 form. */
export function sha256(data: string | Uint8Array): string {
  const digest = newSha256();
  digest.update(data);
  return digest.hex();
}

/** The same of what comes in parts. */
export function newSha256(): { update(data: string | Uint8Array): void; hex(): string } {
  // Loaded where it is used: most starts need no more than the ids that they make.
  const { createHash } = process.getBuiltinModule('node:crypto');
  const hash = createHash('sha256');
  return { update: (data) => void hash.update(data), hex: () => hash.digest('hex') };
}
