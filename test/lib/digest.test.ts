import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { sha256 } from '../../src/lib/digest.ts';

const nodes = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');

describe('sha256', () => {
  it('is that of node:crypto for bytes of every length up to four blocks', () => {
    for (let length = 0; length <= 256; length++) {
      const bytes = Uint8Array.from({ length }, (_, at) => (at * 7919 + length) & 0xff);
      expect(sha256(bytes)).toBe(nodes(bytes));
    }
  });

  it.each([4095, 4096, 4097, 100_000])('is that of node:crypto for a text of %i characters', (length) => {
    const text = 'é'.repeat(length);
    expect(sha256(text)).toBe(nodes(text));
    expect(sha256('x'.repeat(length))).toBe(nodes('x'.repeat(length)));
  });
});
