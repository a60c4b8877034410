import { crc32 as zlibCrc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { crc32 } from '../../src/lib/checksum.ts';
import fc from '../support/properties.ts';

describe('crc32', () => {
  test.each([
    ['', '00000000'],
    // The check value that every catalogue of CRCs gives for CRC-32/ISO-HDLC.
    ['123456789', 'cbf43926'],
    ['a', 'e8b7be43'],
    ['The quick brown fox jumps over the lazy dog', '414fa339'],
  ])('crc32 of %j is %s', (text, sum) => {
    expect(crc32(text)).toBe(sum);
  });

  test("crc32 equals zlib's checksum of the UTF-8 form", () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        expect(crc32(text)).toBe(zlibCrc32(Buffer.from(text, 'utf8')).toString(16).padStart(8, '0'));
      }),
    );
  });

  test('crc32 of a text is the same in a process that has summed little and in one that has summed much', () => {
    const texts = ['', 'ascii', 'né à Köln 🌊', '\ud800 alone', 'x'.repeat(5000)];
    const early = texts.map(crc32);
    crc32('y'.repeat(200_000));
    expect(texts.map(crc32)).toEqual(early);
  });

  test('crc32 changes when any one byte is changed or cut off', () => {
    const text = '{"format":1,"n":1,"state":{"state":"running"}}';
    for (let at = 0; at < text.length; at++) {
      expect(crc32(text.slice(0, at))).not.toBe(crc32(text));
      const other = text[at] === 'x' ? 'y' : 'x';
      expect(crc32(text.slice(0, at) + other + text.slice(at + 1))).not.toBe(crc32(text));
    }
  });
});
