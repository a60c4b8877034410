/** SHA-256, for what must not be forged. */

/** Up to so many bytes are digested here: loading node:crypto takes longer than most verbs do beyond their start. */
const SHORT = 4096;

/** Hexadecimal SHA-256, of a text in its UTF-8 form. */
export function sha256(data: string | Uint8Array): string {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  if (bytes.length <= SHORT) return ofShort(bytes);
  const digest = newSha256();
  digest.update(bytes);
  return digest.hex();
}

/** The same of what comes in parts. */
export function newSha256(): { update(data: string | Uint8Array): void; hex(): string } {
  const { createHash } = process.getBuiltinModule('node:crypto');
  const hash = createHash('sha256');
  return { update: (data) => void hash.update(data), hex: () => hash.digest('hex') };
}

/** Source: FIPS 180-4, sections 4.1.2 and 4.2.2 (functions and constants), 5.1.1 (padding), 5.3.3 and 6.2.2. */
function ofShort(bytes: Uint8Array): string {
  const padded = Buffer.alloc(64 * Math.ceil((bytes.length + 9) / 64));
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  padded.writeUInt32BE(8 * bytes.length, padded.length - 4);
  const primes: number[] = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  const constants = primes.map((prime) => fraction(Math.cbrt(prime)));
  const hash = primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
  const words = new DataView(new ArrayBuffer(256));
  for (let at = 0; at < padded.length; at += 64) {
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = hash;
    for (let i = 0; i < 64; i++) {
      const word = i < 16 ? padded.readInt32BE(at + 4 * i) : mixed(words, 4 * i);
      words.setInt32(4 * i, word);
      const choice = (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g));
      const majority = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      const sum = h + choice + (constants[i] ?? 0) + word;
      h = g;
      g = f;
      f = e;
      e = (d + sum) | 0;
      d = c;
      c = b;
      b = a;
      a = (sum + majority) | 0;
    }
    for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) hash[i] = ((hash[i] ?? 0) + value) | 0;
  }
  return hash.map((value) => (value >>> 0).toString(16).padStart(8, '0')).join('');
}

/** The word at byte `at` of the schedule, from those before it. */
function mixed(words: DataView, at: number): number {
  const [w15, w2] = [words.getInt32(at - 60), words.getInt32(at - 8)];
  const small = turned(w15, 7) ^ turned(w15, 18) ^ (w15 >>> 3);
  const large = turned(w2, 17) ^ turned(w2, 19) ^ (w2 >>> 10);
  return (large + words.getInt32(at - 28) + small + words.getInt32(at - 64)) | 0;
}

/** The first 32 bits behind the point. */
function fraction(value: number): number {
  return ((value % 1) * 2 ** 32) | 0;
}

/** `word`, turned to the right. */
function turned(word: number, by: number): number {
  return (word >>> by) | (word << (32 - by));
}
