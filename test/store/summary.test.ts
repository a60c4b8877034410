/** The summary of a record: its state, and nothing else. */

import { expect, test } from 'vitest';
import { TASK_STATES, type TaskRecord, type TaskSummary } from '../../src/domain/task/records.ts';
import { summaryOf } from '../../src/store/summary.ts';
import { id, record } from '../support/domain/tasks.ts';
import fc from '../support/properties.ts';

const kept = (whole: TaskSummary): TaskSummary => JSON.parse(JSON.stringify(summaryOf(whole)));

const nothingOr = <T>(value: T) => fc.constantFrom(value, null, undefined);
const attempt = fc.constantFrom(id(11), id(12), null);
const time = '2030-01-01T00:00:30.000Z';

/** Records in every state, with and without each of the things that a record may say beside it. */
const records: fc.Arbitrary<TaskRecord> = fc
  .record({
    made: fc.constantFrom(...TASK_STATES).map((state) => record(state)),
    state: fc.record({
      attempt_count: fc.nat(9),
      current_attempt_id: attempt,
      next_eligible_at: nothingOr(time),
      failure_reason: nothingOr('fatal' as const),
      last_error: nothingOr({ class: 'exit.1', message: 'exited with code 1', exit_code: 1 }),
      updated_by: fc.record({ run_id: fc.constantFrom(id(100), null), claim_id: attempt, generation: fc.nat(9) }),
    }),
    memo: fc.record({
      abandons: fc.nat(3),
      absorbed: fc.constantFrom<string[]>([], ['cafe0001', 'cafe0002']),
      completion: fc.option(
        fc.record({
          attempt_id: fc.constantFrom(id(11), id(12)),
          outcome: fc.constant('verdict:cafe0003'),
          state: fc.constant('shipped' as const),
          next_eligible_at: fc.constant(null),
          failure_reason: fc.constant(null),
        }),
      ),
      questions: fc.constantFrom(undefined, { open: null, settled: [], asked: [] }),
      verification: fc.constantFrom(undefined, { attempt_id: id(11), command: null }),
    }),
  })
  .map(({ made, state, memo }) => ({
    ...made,
    state: { ...made.state, ...state },
    memo: { ...made.memo, ...memo },
  }));

test('a summary has the fields of its record, also after it was cached', () => {
  fc.assert(
    fc.property(records, ({ state, lease, worker, memo }) => {
      const summary = kept({ state, lease, memo, ...{ worker } });
      expect(summary.lease).toEqual(lease);
      for (const part of ['task_id', 'state', 'attempt_count', 'current_attempt_id'] as const) {
        expect(summary.state[part]).toBe(state[part]);
      }
      for (const part of ['next_eligible_at', 'failure_reason', 'last_error'] as const) {
        expect(summary.state[part] ?? null).toEqual(state[part] ?? null);
      }
      expect(summary.state.updated_by).toEqual({ run_id: state.updated_by.run_id });
      expect(summary.state.updated_at).toBe(state.updated_at);
      for (const part of ['generation', 'abandons', 'absorbed', 'questions', 'verification'] as const) {
        expect(summary.memo[part]).toEqual(memo[part]);
      }
      expect(summary.memo.completion?.attempt_id).toBe(memo.completion?.attempt_id);
    }),
  );
});

test('a summary of a summary is the same', () => {
  fc.assert(
    fc.property(records, (whole) => {
      const summary = kept(whole);
      expect(kept(summary)).toEqual(summary);
      expect(JSON.stringify(summary)).not.toMatch(/worker|ended_claim|outcome/);
    }),
  );
});
