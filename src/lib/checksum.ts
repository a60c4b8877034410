/** CRC-32, to tell a file that forge wrote from one that was truncated, corrupted or edited. No defence against forgery. */

const TABLE = table();

/** Built at every start, so in few steps: only powers of 2 are computed, since the entry of `a ^ b` is that of `a` ^ that of `b`. */
function table(): Int32Array {
  const entries = new Int32Array(256);
  let power = 1;
  for (let bit = 128; bit > 0; bit >>>= 1) {
    power = power & 1 ? (power >>> 1) ^ 0xedb88320 : power >>> 1;
    for (let at = 0; at < 256; at += 2 * bit) entries[at + bit] = power ^ (entries[at] as number);
  }
  return entries;
}

/** CRC-32 (IEEE 802.3) of the UTF-8 form of `text`, as eight hex digits. */
export function crc32(text: string): string {
  // All bits set, as a signed number: an unsigned one would make every step of the loop floating point.
  let crc = -1;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    // Nearly every record is ASCII, which needs no UTF-8 encoding.
    if (unit > 0x7f) return hex(over(crc, new TextEncoder().encode(text.slice(at))));
    crc = (crc >>> 8) ^ (TABLE[(crc ^ unit) & 0xff] as number);
  }
  return hex(crc);
}

function over(start: number, bytes: Uint8Array): number {
  let crc = start;
  for (const byte of bytes) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] as number);
  return crc;
}

function hex(crc: number): string {
  return (~crc >>> 0).toString(16).padStart(8, '0');
}
