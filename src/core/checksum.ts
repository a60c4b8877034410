/** CRC-32, to tell a file that forge wrote from one that was cut short, rotted or edited. Not a defence against forgery. */

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 (IEEE 802.3) of the UTF-8 form of `text`, as eight hex digits. */
export function crc32(text: string): string {
  let crc = 0xffffffff;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    // Nearly every record is ASCII, where a character is its own UTF-8 form and need not be encoded first.
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
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, '0');
}
