/** Output that comes in pieces is given as whole lines. */

import { describe, expect, it } from 'vitest';
import { OutputLines } from '../../src/lib/output-lines.ts';
import { outputText } from '../../src/lib/text.ts';
import fc from '../support/properties.ts';

const given = (...pieces: string[]) => {
  const lines = new OutputLines();
  return [...pieces.map((piece) => lines.add(piece)), lines.end()];
};

describe('OutputLines', () => {
  it('gives a line when its end has come, and the rest at the end', () => {
    expect(given('a', 'b\nc', 'd')).toEqual(['', 'ab\n', '', 'cd']);
  });

  it('of a line that is drawn over and over gives what it shows last', () => {
    expect(given('10%\r', '50%\r', '100%\n')).toEqual(['', '', '100%\n', '']);
  });

  it('gives what is there of a line of more than 64 KiB', () => {
    const [first, ...more] = given('x'.repeat(65_537), 'y\n');
    expect([first?.length, ...more]).toEqual([65_537, 'y\n', '']);
  });

  it('the pieces make no difference to what is given', () => {
    const piece = fc.string({ unit: fc.constantFrom('a', ' ', '\n', '\r', '\x1b[31m', 'ü') });
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        expect(given(...pieces).join('')).toBe(outputText(pieces.join('')));
      }),
    );
  });
});
