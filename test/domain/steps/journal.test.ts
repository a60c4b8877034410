/** A journal says the same however its entries are spread over the record and its chunks. */

import { describe, expect, test } from 'vitest';
import { requireContext, VALUE_MAX_BYTES } from '../../../src/domain/steps/context.ts';
import {
  bytesOf,
  type Chunk,
  type Entry,
  entriesOf,
  type Journal,
  type Reading,
  type Step,
  sealedChunk,
  stepKey,
  TAIL_MAX_BYTES,
  viewOf,
  withEntries,
} from '../../../src/domain/steps/journal.ts';
import { requireName } from '../../../src/domain/steps/names.ts';
import { crc32 } from '../../../src/lib/checksum.ts';
import fc from '../../support/properties.ts';

const EMPTY: Journal = { key: 'k', epoch: 0, chunks: [], tail: [] };

function step(name: string, result: unknown, tries = 1): Step {
  return {
    name,
    kind: 'step',
    status: 'completed',
    tries,
    started_at: '2030-01-01T00:00:00.000Z',
    ended_at: '2030-01-01T00:00:01.000Z',
    result,
    last_error: null,
    attempt_id: 'a',
    generation: 1,
    epoch: 0,
  };
}

function answered<T>(files: ReadonlyMap<string, Chunk>, reading: Reading<T>): T {
  let next = reading.next();
  while (next.done !== true) next = reading.next(files.get(next.value.chunk_id)?.entries ?? []);
  return next.value;
}

/** Writes entries one commit after the other, and keeps every chunk that was ever written. */
function written(entries: readonly Entry[]) {
  const files = new Map<string, Chunk>();
  let journal = EMPTY;
  let bytes = 0;
  for (const [i, entry] of entries.entries()) {
    const next = answered(files, withEntries(journal, [entry], { attemptId: 'a', newId: () => `c${i}` }));
    journal = next.journal;
    for (const chunk of next.chunks) {
      files.set(chunk.chunk_id, chunk);
      bytes += bytesOf(chunk.entries);
    }
  }
  const all = [...journal.chunks.flatMap(({ chunk_id }) => files.get(chunk_id)?.entries ?? []), ...journal.tail];
  return { journal, view: viewOf(all), bytes };
}

const plain = ({ steps, context, resets }: ReturnType<typeof viewOf>) => ({
  steps: [...steps.values()].map(({ name, result }) => [name, result]),
  context: { ...context },
  resets: [...resets].sort(),
});

const NAME = fc.constantFrom('a', 'b', 'c', 'd.1', '__proto__');
const ENTRY: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({
    step: fc.tuple(NAME, fc.integer({ min: 0, max: 6000 })).map(([name, size]) => step(name, 'x'.repeat(size))),
  }),
  fc.record({ context: fc.dictionary(NAME, fc.integer({ min: 0, max: 9 })) }),
  fc.record({ reset: fc.array(NAME, { maxLength: 2 }) }),
);

describe('a journal', () => {
  test('a journal says what its entries say, however they are stored', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(ENTRY, { maxLength: 60 }), async (entries) => {
        const { journal, view } = written(entries);
        const expected = plain(viewOf(entries));
        const found = plain(view);
        // Chunks that are merged keep the order of the steps that are left.
        expect({ ...found, steps: found.steps.sort() }).toEqual({ ...expected, steps: expected.steps.sort() });
        expect(bytesOf(journal.tail)).toBeLessThanOrEqual(TAIL_MAX_BYTES);
      }),
    );
  });

  test('a journal of a thousand steps has few chunks, and has written each step a few times', async () => {
    const entries = Array.from({ length: 1000 }, (_, i) => ({ step: step(`s${i}`, 'done') }));
    const { journal, view, bytes } = written(entries);
    expect([...view.steps.keys()]).toEqual(entries.map((entry) => entry.step.name));
    expect(journal.chunks.length).toBeLessThan(8);
    expect(bytes).toBeLessThan(8 * bytesOf(entries));
  });

  test('a journal of a step that is larger than the record has room for is in a chunk at once', async () => {
    const { journal } = written([{ step: step('big', 'x'.repeat(TAIL_MAX_BYTES)) }]);
    expect(journal).toMatchObject({ chunks: [{ chunk_id: 'c0' }], tail: [] });
  });

  test('a journal gives a step another key each time that it is made to run again', () => {
    const keys = [0, 1, 2].map((times) => {
      const view = viewOf(Array.from({ length: times }, () => ({ reset: ['a'] })));
      return stepKey(EMPTY, viewOf(entriesOf(view)), 'a');
    });
    expect(new Set(keys).size).toBe(3);
    expect(stepKey(EMPTY, viewOf([]), 'a')).toBe(keys[0]);
  });
});

describe('names', () => {
  test.each(['a', 'deploy.eu-1:3', '9_9', 'x'.repeat(128)])('%s may name a step', (name) => {
    expect(requireName(name)).toBe(name);
  });

  test.each(['', '-a', '.a', 'a b', 'ä', 'a/b', 'x'.repeat(129), 'forge.', 'forge.input'])('%j may not', (name) => {
    expect(() => requireName(name)).toThrow(expect.objectContaining({ code: 'INVALID_ID' }));
  });
});

describe('the context', () => {
  test('the context takes values up to their limits, as a whole or not at all', () => {
    const large = 'x'.repeat(VALUE_MAX_BYTES - 2);
    expect(() => requireContext({}, { a: large, b: null })).not.toThrow();
    expect(() => requireContext({}, { a: 1, b: `${large}x` })).toThrow(/the value of b has 16385 bytes/);
    expect(() => requireContext({}, { 'a b': 1 })).toThrow(/can't name a value of the context/);
    const full = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`k${i}`, large]));
    expect(() => requireContext(full, { more: large })).toThrow(/the context would have \d+ bytes/);
    expect(() => requireContext(full, { k0: large })).not.toThrow();
  });
});

test.each([
  ['a list', '[{"context":{"a":1}}]', true],
  ['no list', '5', false],
  ['nothing', 'null', false],
])(
  'a part of a journal whose sum is right counts as forge wrote it only where its entries are a list: %s',
  (_, entries, isOwn) => {
    const text = `{"version":1,"chunk_id":"c","sum":"${crc32(entries)}","entries":${entries}}\n`;
    expect(sealedChunk(text) !== null).toBe(isOwn);
  },
);
