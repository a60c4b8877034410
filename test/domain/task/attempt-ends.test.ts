/** How attempts have ended, from what is kept of them. */

import { expect, test } from 'vitest';
import { type AttemptTraces, attemptEndOf } from '../../../src/domain/task/attempt-ends.ts';
import type { AttemptManifest, TaskRecord } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { id, lease, record, T0 } from '../../support/domain/tasks.ts';

const MANIFEST = {
  attempt_id: id(11),
  claim_id: id(1),
  generation: 1,
  phase: 'implement',
  dispatched_at: isoTime(T0),
} as AttemptManifest;

const ended = (more: object = {}) => ({ event: 'released', claim_id: id(1), ts: isoTime(T0 + 2000), ...more });

function traces(more: Partial<AttemptTraces> = {}): AttemptTraces {
  return { record: record(), history: [], verified: null, review: null, ship: null, nowMs: T0 + 5000, ...more };
}

function withMemo(memo: Partial<TaskRecord['memo']>, error?: { class: string; message: string }): TaskRecord {
  const made = record('failed');
  if (error !== undefined) made.state.last_error = error;
  return { ...made, memo: { ...made.memo, ...memo } };
}

const COMPLETION = { attempt_id: id(11), outcome: 'x', next_eligible_at: null, failure_reason: null };
const NO = { class: 'exit.1', message: 'no' };

test.each<[what: string, more: Partial<AttemptTraces>, manifest: Partial<AttemptManifest>, expected: object]>([
  [
    'at work',
    { record: { ...record('running'), lease: lease() } },
    {},
    { outcome: 'running', ended_at: null, duration_ms: 5000 },
  ],
  [
    'with a failure that is kept',
    { record: withMemo({ failures: [{ attempt_id: id(11), attempt_number: 1, ...NO, at: isoTime(T0) }] }) },
    {},
    { outcome: 'failed', error: NO },
  ],
  [
    'that was the last, and failed',
    { record: withMemo({ completion: { ...COMPLETION, state: 'failed' } }, NO) },
    {},
    { outcome: 'failed', error: NO },
  ],
  [
    'that was the last, and counts',
    { record: withMemo({ completion: { ...COMPLETION, state: 'shipped' } }) },
    {},
    { outcome: 'passed', error: null },
  ],
  [
    'whose failure is kept in the history alone',
    { history: [ended({ outcome: 'failed', class: 'exit.1' })] },
    {},
    { outcome: 'failed', error: { class: 'exit.1', message: '' }, duration_ms: 2000 },
  ],
  ['that counted, by the history', { history: [ended({ outcome: 'passed' })] }, {}, { outcome: 'passed', error: null }],
  ['whose verification failed', { verified: { failure: NO } as never }, {}, { outcome: 'failed', error: NO }],
  ['whose verification passed', { verified: { failure: null } as never }, {}, { outcome: 'passed' }],
  ['that asked', { history: [ended({ reason: 'it asked a question' })] }, {}, { outcome: 'asked', duration_ms: 2000 }],
  ['that was parked', { history: [ended({ reason: 'it waits' })] }, {}, { outcome: 'parked' }],
  ['that was interrupted', { history: [ended({ reason: 'interrupted' })] }, {}, { outcome: 'interrupted' }],
  ['that was given back', { history: [ended({ reason: 'not my kind of task' })] }, {}, { outcome: 'given_back' }],
  [
    'given back for a reason that every object has by name',
    { history: [ended({ reason: 'constructor' })] },
    {},
    { outcome: 'given_back' },
  ],
  [
    'that was cancelled',
    { history: [ended({ event: 'admin_released', reason: 'cancelled' })] },
    {},
    { outcome: 'cancelled' },
  ],
  [
    'whose task was taken over',
    { history: [{ event: 'stolen', claim_id: id(2), from_generation: 1, ts: isoTime(T0 + 9) }] },
    {},
    { outcome: 'lost', duration_ms: 9 },
  ],
  ['of which nothing is kept', {}, {}, { outcome: 'ended', error: null, ended_at: null, duration_ms: null }],
  [
    'at a review that passes',
    { review: { verdict: 'pass', error: null } as never, history: [ended()] },
    { phase: 'review' },
    { outcome: 'passed', duration_ms: 2000 },
  ],
  [
    'at a review that wants changes',
    { review: { verdict: 'changes_requested', error: null } as never },
    { phase: 'review' },
    { outcome: 'changes_requested' },
  ],
  [
    'at a review that could not be made',
    { review: { verdict: null, error: NO } as never },
    { phase: 'review' },
    { outcome: 'failed', error: NO },
  ],
  ['at a merge', { ship: { error: null } as never }, { phase: 'ship' }, { outcome: 'passed' }],
])('an attempt %s', (_what, more, manifest, expected) => {
  expect(attemptEndOf({ ...MANIFEST, ...manifest }, traces(more))).toMatchObject(expected);
});
