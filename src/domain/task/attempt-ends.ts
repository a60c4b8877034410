/** How an attempt has ended, and how long it took, put together from what is kept of it. Pure. */

import { oneLine } from '../../lib/text.ts';
import { fromIso } from '../../lib/time.ts';
import type { ClassifiedError } from '../retry/classify.ts';
import type { Reviewed, Shipped } from '../review/reviews.ts';
import type { Verified } from '../verify/verification.ts';
import { failuresOf } from './attempts.ts';
import type { AttemptManifest, TaskRecord } from './records.ts';

/**
 * `passed`: its result counts. `changes_requested`: of a review. `parked`: it waits for something, `asked`: for an answer. `given_back`: by its
 * owner. `cancelled`: by a person, or gc. `lost`: its owner was gone, and another took the task. `ended`: how is not known any more.
 */
export const ATTEMPT_OUTCOMES = [
  'running',
  'passed',
  'failed',
  'changes_requested',
  'asked',
  'parked',
  'interrupted',
  'given_back',
  'cancelled',
  'lost',
  'ended',
] as const;
type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

export interface AttemptEnd {
  outcome: AttemptOutcome;
  /** Class and message of what went wrong, without a message where only the class is kept; null where nothing did, or it is not known any more. */
  error: ClassifiedError | null;
  /** ISO 8601; null while it runs, and where it is not known. */
  ended_at: string | null;
  /** From its start to its end, or until now; null where the end is not known. */
  duration_ms: number | null;
}

/** What is kept of an attempt besides its manifest; null for a document that it has not. */
export interface AttemptTraces {
  /** Null where it can't be read. */
  record: TaskRecord | null;
  /** The lines of the task's `claim-history.jsonl`. */
  history: readonly Readonly<Record<string, unknown>>[];
  verified: Verified | null;
  review: Reviewed | null;
  ship: Shipped | null;
  nowMs: number;
}

export function attemptEndOf(manifest: AttemptManifest, traces: AttemptTraces): AttemptEnd {
  const { record, history, nowMs } = traces;
  const { claim_id, generation, dispatched_at } = manifest;
  const took = (untilMs: number) => Math.max(0, untilMs - fromIso(dispatched_at));
  if (record?.lease?.claim_id === claim_id)
    return { outcome: 'running', error: null, ended_at: null, duration_ms: took(nowMs) };
  const end = history.findLast(
    (line) =>
      (line['claim_id'] === claim_id && (line['event'] === 'released' || line['event'] === 'admin_released')) ||
      (line['event'] === 'stolen' && line['from_generation'] === generation),
  );
  const at = typeof end?.['ts'] === 'string' && !Number.isNaN(fromIso(end['ts'])) ? end['ts'] : null;
  return { ...outcomeIn(manifest, traces, end), ended_at: at, duration_ms: at === null ? null : took(fromIso(at)) };
}

function outcomeIn(
  { attempt_id, phase }: AttemptManifest,
  { record, verified, review, ship }: AttemptTraces,
  end: Readonly<Record<string, unknown>> | undefined,
): Pick<AttemptEnd, 'outcome' | 'error'> {
  const failed = ({ class: name, message }: Pick<ClassifiedError, 'class' | 'message'>) =>
    ({ outcome: 'failed', error: { class: name, message } }) as const;
  const is = (outcome: AttemptOutcome) => ({ outcome, error: null });
  if (phase === 'review' && review !== null)
    return review.error ? failed(review.error) : is(review.verdict === 'pass' ? 'passed' : 'changes_requested');
  if (phase === 'ship' && ship !== null) return ship.error ? failed(ship.error) : is('passed');
  if (phase === 'implement') {
    const failure = record && failuresOf(record).find((each) => each.attempt_id === attempt_id);
    if (failure) return failed(failure);
    const done = record?.memo.completion;
    if (done?.attempt_id === attempt_id) {
      const error = record?.state.last_error;
      const isBack = done.state === 'failed' || done.state === 'awaiting_respawn';
      return isBack && error ? failed(error) : is(isBack ? 'failed' : 'passed');
    }
    if (verified !== null) return verified.failure === null ? is('passed') : failed(verified.failure);
    if (end?.['outcome'] === 'passed') return is('passed');
    if (end?.['outcome'] === 'failed') return failed({ class: oneLine(String(end['class']), 100), message: '' });
  }
  if (end?.['event'] === 'stolen') return is('lost');
  if (end?.['event'] === 'admin_released') return is('cancelled');
  const reason = end?.['reason'];
  if (typeof reason !== 'string') return is('ended');
  return is(BY_REASON.get(reason) ?? 'given_back');
}

/** What the history says of a claim that its owner has ended without a result. */
const BY_REASON: ReadonlyMap<string, AttemptOutcome> = new Map([
  ['it asked a question', 'asked'],
  ['it waits', 'parked'],
  ['interrupted', 'interrupted'],
]);
