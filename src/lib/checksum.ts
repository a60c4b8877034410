/** CRC-32, to tell a file that forge wrote from one that was truncated, corrupted or edited. No defence against forgery. */

/**
 * Characters summed after which Node's own pays, which lies in zlib: to load that takes as long as to sum so many here. It sums twenty times as fast,
 * and is from the start what this becomes only once V8 has compiled it.
 */
const MANY = 32_768;
let summed = 0;
let native: ((text: string) => number) | null = null;

const TABLE = new Int32Array(256);
// The entry of a sum of two bytes is the sum of their entries, so only those of the powers of two are divided out.
for (let power = 128, entry = 1; power > 0; power >>= 1) {
  entry = (entry >>> 1) ^ (entry & 1 ? 0xedb88320 : 0);
  for (let byte = power; byte < 256; byte += 2 * power) TABLE[byte] = entry ^ (TABLE[byte - power] as number);
}

const ENCODER = new TextEncoder();

/** CRC-32 (IEEE 802.3) of the UTF-8 form of `text`, as eight hex digits. */
export function crc32(text: string): string {
  summed += text.length;
  if (summed > MANY) native ??= process.getBuiltinModule('node:zlib').crc32;
  return (native === null ? ownCrc32(text) : native(text)).toString(16).padStart(8, '0');
}

function ownCrc32(text: string): number {
  let crc = -1;
  let at = 0;
  // Most texts are ASCII, whose characters are its bytes.
  for (; at < text.length && text.charCodeAt(at) < 0x80; at++)
    crc = (crc >>> 8) ^ (TABLE[(crc ^ text.charCodeAt(at)) & 0xff] as number);
  if (at < text.length)
    for (const byte of ENCODER.encode(text.slice(at))) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] as number);
  return ~crc >>> 0;
}
