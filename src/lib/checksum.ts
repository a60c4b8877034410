/** CRC-32, to tell a file that forge wrote from one that was truncated, corrupted or edited. No defence against forgery. */

// Node's own, in zlib, takes longer to load than a short verb runs.
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let entry = byte;
  for (let bit = 0; bit < 8; bit++) entry = entry & 1 ? (entry >>> 1) ^ 0xedb88320 : entry >>> 1;
  return entry;
});

/** CRC-32 (IEEE 802.3) of the UTF-8 form of `text`, as eight hex digits. */
export function crc32(text: string): string {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] as number);
  return (~crc >>> 0).toString(16).padStart(8, '0');
}
