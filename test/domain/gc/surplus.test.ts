/** What a task that ended long ago can do without, by its record. */

import { describe, expect, test } from 'vitest';
import { fanOutsOf } from '../../../src/domain/fan-out/fan-outs.ts';
import { allBut, inUseBy, trimmed, withoutOldTicks } from '../../../src/domain/gc/surplus.ts';
import { journalOf } from '../../../src/domain/steps/journal.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { uuidv7 } from '../../../src/lib/ids.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { record, T0 } from '../../support/domain/tasks.ts';

/** Made so many milliseconds after T0. */
const at = (ms: number) => uuidv7(T0 + ms, new Uint8Array(10));

const list = (...ids: string[]) => ({
  chunks: ids.map((chunk_id) => ({ chunk_id, attempt_id: at(1), bytes: 10 })),
  tail: [],
});
const JOURNAL = { key: 'k', epoch: 0, ...list(at(5)) };
const SET = { name: 'files', attempt_id: at(1), fan_out_id: at(2), children: 2 };

function ended(memo: Partial<TaskRecord['memo']> = {}, currentMs = 10): TaskRecord {
  const made = record('shipped');
  const state = { ...made.state, current_attempt_id: at(currentMs), updated_at: isoTime(T0 + 20) };
  return { ...made, state, memo: { ...made.memo, ...memo } };
}

describe('the record of an old task', () => {
  test('the record of an old task loses the ticks of its repeats, and keeps its steps and when it ended', () => {
    const before = ended({ journal: { ...JOURNAL, ticks: list(at(6)) } });
    const after = trimmed(before, []) as TaskRecord;
    expect(journalOf(after)).toEqual(JOURNAL);
    expect(after.state).toEqual(before.state);
    expect(trimmed(after, [])).toBeNull();
  });

  test('the record of an old task says of a set whose children go what they came to, and when they went', () => {
    const removed = { at: isoTime(T0), not_shipped: { b: 'failed' as const } };
    const after = trimmed(ended({ fan_outs: [SET, { ...SET, name: 'more' }] }), [{ name: 'files', ...removed }]);
    expect(fanOutsOf(after as TaskRecord)).toEqual([
      { ...SET, removed },
      { ...SET, name: 'more' },
    ]);
  });

  test.each([
    ['without a journal', {}],
    ['without repeats', { journal: JOURNAL }],
  ])('stays as it is %s', (_, memo) => {
    expect(trimmed(ended(memo), [])).toBeNull();
  });
});

describe('the record of a task whose repeats go on', () => {
  const ticking = (...ids: string[]) => ended({ journal: { ...JOURNAL, ticks: list(...ids) } });

  test('the record of a task whose repeats go on loses ticks of before a time, a part of its journal at a time, and nothing else', () => {
    const before = ticking(at(5), at(6), at(7));
    const found = withoutOldTicks(before, T0 + 7);
    expect(found?.dropped).toEqual([at(5), at(6)]);
    const journal = { ...JOURNAL, ticks: list(at(7)) };
    expect(found?.record).toEqual({ ...before, memo: { ...before.memo, journal } });
    const inUse = allBut(found?.dropped ?? []);
    expect([at(5), at(7), at(99)].map(inUse.chunk)).toEqual([false, true, true]);
    expect(inUse).toMatchObject({ version: 0, history: true });
  });

  test.each([
    ['without a journal', ended()],
    ['without repeats', ended({ journal: JOURNAL })],
    ['of which all are younger', ticking(at(7))],
  ])('stays as it is %s', (_, made) => {
    expect(withoutOldTicks(made, T0 + 7)).toBeNull();
  });
});

describe('the files that an old record has a use for', () => {
  const evidence = (ms: number) => ({ evidence: { attempt_id: at(ms) } });
  test.each<[what: string, memo: Partial<TaskRecord['memo']>, attempt: number, used: boolean]>([
    ['the current attempt', {}, 10, true],
    ['an attempt before the current one', {}, 9, false],
    ['the work that a review as current attempt is about', evidence(8), 8, true],
    ['a review before the one that is current', evidence(8), 9, true],
    ['an attempt before the last work', evidence(8), 7, false],
    ['an attempt that a failure names', { failures: [{ attempt_id: at(3) }] }, 3, true],
    ['an attempt with a part of the journal', { journal: JOURNAL }, 1, true],
    ['an attempt with a fan-out', { fan_outs: [SET] }, 1, true],
  ])('%s', (_, memo, attempt, used) => {
    expect(inUseBy(ended(memo), 1).attempt(at(attempt))).toBe(used);
  });

  test('a record that names no attempt needs all of them', () => {
    const made = ended();
    made.state.current_attempt_id = null;
    expect(inUseBy(made, 1).attempt(at(1))).toBe(true);
  });

  test.each([
    ['that the journal names', 5, true],
    ['that was merged into another', 4, false],
    ['that is younger than the record, since a commit may be about to name it', 21, true],
  ])('a part of a journal %s', (_, chunk, used) => {
    expect(inUseBy(ended({ journal: JOURNAL }), 1).chunk(at(chunk))).toBe(used);
  });
});
