/** What a person makes of a task beside its attempts: begun again from the start, or done elsewhere. Pure. */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import { clearedLedger, closedLedger } from '../question/questions.ts';
import { memoPart, type TaskRecord, type TaskState } from './records.ts';
import { spendingAfterRetry } from './spending.ts';
import { isInFlight, type Move, mayMove } from './states.ts';
import { type Decision, type MoveResult, moved, movedAnew, moveResultOf, refusal, repeated } from './transition.ts';

const RerunSchema = once(() =>
  z.looseObject({
    /** When, the last time; ISO 8601. */
    at: z.string(),
    times: z.int().check(z.gte(1)),
    /** The worktree and the branch of before are still to be removed, before the next attempt's are made. */
    clears: z.boolean(),
    /** It is done whatever is kept of before. Default: what is kept is used. */
    fresh: z.optional(z.boolean()),
  }),
);
export type Rerun = z.infer<ReturnType<typeof RerunSchema>>;

/** Null for a task that was never begun again. */
export function rerunOf({ memo }: Pick<TaskRecord, 'memo'>): Rerun | null {
  return memoPart(RerunSchema, memo.rerun);
}

/** For the commit that opens an attempt: it has its workspace. */
export function rerunBegun(record: TaskRecord): Partial<TaskRecord['memo']> {
  const rerun = rerunOf(record);
  return rerun?.clears === true ? { rerun: { ...rerun, clears: false } } : {};
}

/** What the next attempt would go on with. */
const OF_BEFORE = [
  'journal',
  'fan_outs',
  'evidence',
  'verification',
  'review_hold',
  'held',
  'failures',
  'backoff',
  'definition',
  'agent',
  'done_by_hand',
  'reuse',
  'summary',
  'cancelled_with',
] as const satisfies readonly (keyof TaskRecord['memo'])[];

/** Whether the next attempt would be the first anyway. */
export function isUntouched({ state, memo }: TaskRecord): boolean {
  const isFresh = state.state === 'unclaimed' && state.current_attempt_id === null && state.failure_count === 0;
  return isFresh && OF_BEFORE.every((key) => memo[key] === undefined);
}

function movesOfRerun(state: TaskState): readonly Move[] {
  if (state === 'unclaimed') return [];
  return mayMove(state, 'rerun') ? ['rerun'] : ['cancel', 'rerun'];
}

/** Throws ILLEGAL_TRANSITION where `rerunTask` does. */
export function refuseRerun(record: TaskRecord): void {
  const { task_id, state } = record.state;
  if (movesOfRerun(state)[0] !== 'cancel') return;
  const [what, first] = isInFlight(state)
    ? ['is being worked on', 'Wait for it, or end it first']
    : ['is not over', 'Let it end, or end it first'];
  const hint = `${first} with \`forge orchestrate cancel ${task_id}\`, and repeat the command.`;
  throw refusal('ILLEGAL_TRANSITION', record, `task ${task_id} is ${state}: it ${what}`, { move: 'rerun' }, hint);
}

/**
 * Begins a task again from the start: its steps, its children, its counts and its results are those of before. Attempts stay
 * counted, and the fencing generation stays. `fresh`: what is kept of its outputs is not used. Changes nothing where the next attempt is the first anyway. Throws ILLEGAL_TRANSITION while it is
 * worked on, or waits for something.
 */
export function rerunTask(record: TaskRecord, nowMs: number, fresh = false): Decision<MoveResult> {
  refuseRerun(record);
  if (isUntouched(record) && !fresh) return repeated(moveResultOf(record));
  return begunAgain(record, nowMs, fresh);
}

/** `rerunTask` for a result that is out of date. Changes nothing where it is there no more. */
export function rerunShipped(record: TaskRecord, nowMs: number): Decision<MoveResult> {
  return record.state.state === 'shipped' ? begunAgain(record, nowMs) : repeated(moveResultOf(record));
}

/** `rerunTask` for a child of a task that is begun again, wherever it stands: what it did belongs to a set that is gone. */
export function restartChild(record: TaskRecord, nowMs: number): Decision<MoveResult> {
  return isUntouched(record) && record.lease === null ? repeated(moveResultOf(record)) : begunAgain(record, nowMs);
}

function begunAgain(record: TaskRecord, nowMs: number, fresh = false): Decision<MoveResult> {
  const { state } = record.state;
  const ends = { how: 'rerun', reason: 'begun again from the start' };
  const next = movedAnew(record, {
    moves: movesOfRerun(state),
    state: { current_attempt_id: null },
    memo: {
      ...clearedLedger(record),
      ...withoutSession(record),
      rerun: { at: isoTime(nowMs), times: (rerunOf(record)?.times ?? 0) + 1, clears: true, fresh } satisfies Rerun,
    },
    ends,
    nowMs,
  });
  for (const key of OF_BEFORE) delete next.record.memo[key];
  const entry = { event: 'rerun', generation: record.memo.generation } as const;
  return { ...next, history: [...next.history, entry] };
}

/** What was used stays counted as before; no agent goes on with the session of before. */
function withoutSession(record: TaskRecord): Pick<TaskRecord['memo'], 'spending'> {
  const { spending = record.memo.spending } = spendingAfterRetry(record);
  return spending === undefined ? {} : { spending: { ...(spending as object), session: null } };
}

// --- done elsewhere --------------------------------------------------------------------------------------------------

const DoneByHandSchema = once(() =>
  z.looseObject({
    /** ISO 8601. */
    at: z.string(),
    /** What the person said of it; null: nothing. */
    note: z.nullable(z.string()),
  }),
);
export type DoneByHand = z.infer<ReturnType<typeof DoneByHandSchema>>;

/** Null for a task that has shipped by its own work, or has not. */
export function doneByHandOf({ memo, state }: TaskRecord): DoneByHand | null {
  return state.state === 'shipped' ? memoPart(DoneByHandSchema, memo.done_by_hand) : null;
}

/** Longest note, characters. */
export const NOTE_MAX_CHARS = 1000;

/**
 * Ends a task as shipped because a person says that it is done; nothing is verified, and nothing claims that it was. Changes nothing where
 * it has shipped. Throws ILLEGAL_TRANSITION while it is worked on, and for one that was cancelled.
 */
export function doneTask(
  record: TaskRecord,
  { note, nowMs }: { note: string | null; nowMs: number },
): Decision<MoveResult> {
  const { task_id, state } = record.state;
  if (state === 'shipped') return repeated(moveResultOf(record));
  if (record.lease !== null || isInFlight(state)) {
    const message = `task ${task_id} is ${state}: it is being worked on`;
    const hint = `Wait for it, or end it first with \`forge orchestrate cancel ${task_id}\`, then \`retry ${task_id}\` and \`done ${task_id}\`.`;
    throw refusal('ILLEGAL_TRANSITION', record, message, { move: 'done_by_hand' }, hint);
  }
  if (state === 'cancelled') {
    const hint = `Take that back first with \`forge orchestrate retry ${task_id}\`.`;
    throw refusal('ILLEGAL_TRANSITION', record, `task ${task_id} was cancelled`, { move: 'done_by_hand' }, hint);
  }
  const said = note === null ? null : oneLine(note, NOTE_MAX_CHARS);
  const next = moved(record, {
    moves: ['done_by_hand'],
    lease: null,
    state: { failure_reason: null, next_eligible_at: null },
    memo: {
      abandons: 0,
      ...closedLedger(record),
      // What was given out is not what was done.
      definition: undefined,
      done_by_hand: { at: isoTime(nowMs), note: said } satisfies DoneByHand,
    },
    by: null,
    nowMs,
  });
  const reason = said === null ? {} : { reason: said };
  const entry = { event: 'done_by_hand', generation: record.memo.generation, ...reason } as const;
  return { ...next, history: [...next.history, entry] };
}
