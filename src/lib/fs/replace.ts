/** Replaces text in a file without moving what stands around it. */

import fs from 'node:fs';

/** How much of a file is searched at once, bytes. */
const CHUNK_BYTES = 1024 * 1024;

/**
 * Overwrites every occurrence of each text with its replacement, which must have as many bytes. Others may append meanwhile, and
 * read on from where they were. Only what is there when it begins is searched. Nothing happens to anything but a regular file, and
 * where there is none. `range`: where they are looked for, bytes; default: everywhere. Throws a system error.
 */
export async function replaceInPlace(
  path: string,
  replacements: ReadonlyMap<string, string>,
  range = { start: 0, end: Number.POSITIVE_INFINITY },
): Promise<void> {
  if (replacements.size === 0) return;
  const { O_RDWR, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const file = await fs.promises.open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    if (['ENOENT', 'ELOOP', 'ENXIO', 'EISDIR'].includes(error.code ?? '')) return null;
    throw error;
  });
  if (file === null) return;
  try {
    const stat = await file.stat();
    if (!stat.isFile()) return;
    const pairs = [...replacements].map(([text, other]) => [Buffer.from(text), Buffer.from(other)] as const);
    // An occurrence may begin in one piece and end in the next.
    const overlap = Math.max(...pairs.map(([text]) => text.length)) - 1;
    const size = Math.min(stat.size, range.end);
    const buffer = Buffer.alloc(Math.min(size, CHUNK_BYTES + overlap));
    for (let { start } = range; start < size; start += CHUNK_BYTES) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, size - start), start);
      const piece = buffer.subarray(0, bytesRead);
      for (const [text, other] of pairs) {
        for (let at = piece.indexOf(text); at !== -1; at = piece.indexOf(text, at + text.length)) {
          other.copy(piece, at);
          await file.write(other, 0, other.length, start + at);
        }
      }
    }
  } finally {
    await file.close();
  }
}
