/** Reading JSON that is not trusted. */

import { describe, expect, test } from 'vitest';
import { parseJson } from '../../src/lib/json.ts';
import fc from '../support/properties.ts';

/** Lists within lists, so many levels in all. */
const nested = (levels: number, inside = '') => '['.repeat(levels) + inside + ']'.repeat(levels);

describe('parseJson', () => {
  test('parseJson gives the value of any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.boolean(), (value, spaced) => {
        const text = JSON.stringify(value, null, spaced ? 2 : 0);
        expect(parseJson(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  test('parseJson refuses what is nested more than 100 deep, and nothing else for its brackets', () => {
    expect(parseJson(nested(100))).toEqual(JSON.parse(nested(100)));
    expect(parseJson(nested(101))).toBeUndefined();
    expect(parseJson(`{"a": ${nested(100)}}`)).toBeUndefined();
    expect(parseJson(`[${Array(200).fill('[{}]').join()}]`)).toHaveLength(200);
    for (const text of ['['.repeat(200), `${'\\"['.repeat(200)}`, `${'\\\\'.repeat(3)}`, ']'.repeat(200)]) {
      expect(parseJson(`["${text}"]`)).toEqual(JSON.parse(`["${text}"]`));
      expect(parseJson(nested(101, `"${text}"`))).toBeUndefined();
      expect(parseJson(nested(99, `"${text}", []`))).not.toBeUndefined();
    }
  });

  test('parseJson gives undefined for what is no JSON', () => {
    for (const text of ['', '{', '["a]', '[1}', 'undefined']) expect(parseJson(text)).toBeUndefined();
  });
});
