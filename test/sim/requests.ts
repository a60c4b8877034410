/** What the simulated processes ask for, decided by the product's own functions, with a tally that shows what was lost. */

import { askQuestion, settleQuestion } from '../../src/domain/question/questions.ts';
import { recordReasons } from '../../src/domain/schedule/readiness.ts';
import type { Journal } from '../../src/domain/steps/journal.ts';
import type { LeaseObserver } from '../../src/domain/task/leases.ts';
import { claimTask, dispatchTask, heartbeatTask, releaseTask } from '../../src/domain/task/operations.ts';
import type { TaskRecord } from '../../src/domain/task/records.ts';
import { andThen, type Decision } from '../../src/domain/task/transition.ts';
import { ForgeError } from '../../src/lib/errors.ts';
import { isoTime } from '../../src/lib/time.ts';
import { seenBy } from './children.ts';
import type { StepRequest } from './steps.ts';

export const TASK = 'task-1';

/** How long a lease holds without a heartbeat, milliseconds of simulated time. */
const TTL_MS = 400;
export const BOOT = 'boot';

export type RequestKind =
  | 'count'
  | 'claim'
  | 'heartbeat'
  | 'release'
  | 'answer'
  | 'look'
  | 'ask'
  | 'settle'
  | 'steps'
  /** That a child of the task is over. */
  | 'child';

export interface Request {
  kind: RequestKind;
  /** Counts the requests of one process; a repeat has the same number. */
  number: number;
  claimId: string;
  /** Of a request of kind `steps`. */
  asks: StepRequest | null;
}

/** Kept in the record, where every commit must carry it on. */
export interface Tally {
  /** The commit that wrote it. */
  self: string;
  /** Commits since the beginning. */
  total: number;
  /** The last request of each process that was done. */
  done: Record<string, number>;
  /** The content of the answer file, once a process has moved on by it. */
  answer?: string;
}

/** A change that adds to the journal alone has it in an entry. */
export function tallyOf(record: TaskRecord | null): Tally | null {
  const journal = record?.memo.journal as { tail?: readonly { sim?: Tally }[] } | undefined;
  const all = [(record?.state as { sim?: Tally } | undefined)?.sim, ...(journal?.tail ?? []).map(({ sim }) => sim)];
  return all.reduce<Tally | null>(
    (newest, tally) => (tally && tally.total > (newest?.total ?? -1) ? tally : newest),
    null,
  );
}

/** The decision with the tally in the last of the entries that it adds. */
function tallied(
  { added = [], record }: Decision<unknown>,
  sim: Tally,
): Pick<Decision<unknown>, 'added' | 'record'> | null {
  const journal = record?.memo.journal as Journal | undefined;
  const last = journal?.tail.at(-1);
  if (record === null || journal === undefined || last === undefined || !added.includes(last)) return null;
  const marked = { ...last, sim };
  const memo = { ...record.memo, journal: { ...journal, tail: [...journal.tail.slice(0, -1), marked] } };
  return { added: added.map((entry) => (entry === last ? marked : entry)), record: { ...record, memo } };
}

export type Decided =
  | {
      kind: 'commit';
      record: TaskRecord;
      base: string | null;
      documents: Documents;
      added?: readonly object[] | undefined;
      result: unknown;
    }
  /** Done before: only to be acknowledged. */
  | { kind: 'repeat' }
  /** Done before, by whatever attempt. */
  | { kind: 'passed' }
  | { kind: 'refused' };

export interface Asker {
  name: string;
  op: string;
  nowMs: number;
  /** What the answer file says, for an `answer`. */
  answer: string | null;
  /** The question that a `settle` has found open, and its answer. */
  settles: { question: string; answer: string } | null;
  /** Only a task that is due is claimed, as the product does it. */
  onlyDue: boolean;
  /** The files of the children that are over. */
  over: ReadonlySet<string>;
}

export type Documents = NonNullable<Decision<unknown>['documents']>;

/** Decides `request` on `record`, purely. */
export function decide(record: TaskRecord, request: Request, asker: Asker): Decided {
  const before = tallyOf(record);
  if ((before?.done[asker.name] ?? 0) >= request.number) return { kind: 'repeat' };
  const decision = decideByKind(record, request, asker);
  return decision === null ? { kind: 'refused' } : committing(record, decision, request, asker);
}

/** What is committed of a decision: the record carries the tally on. */
export function committing(record: TaskRecord, decision: Decision<unknown>, request: Request, asker: Asker): Decided {
  if (decision.record === null) return { kind: 'repeat' };
  const before = tallyOf(record);
  const tally: Tally = {
    ...before,
    self: asker.op,
    total: (before?.total ?? 0) + 1,
    done: { ...before?.done, [asker.name]: request.number },
    ...(asker.answer === null ? {} : { answer: asker.answer }),
  };
  const next = decision.record;
  const marked = decision.added && tallied(decision, tally);
  return {
    kind: 'commit',
    record: marked?.record ?? { ...next, state: { ...next.state, sim: tally } },
    base: before?.self ?? null,
    documents: decision.documents ?? [],
    added: marked?.added,
    result: decision.result,
  };
}

function decideByKind(
  record: TaskRecord,
  request: Request,
  { nowMs, name, op, settles, onlyDue, over }: Asker,
): Decision<unknown> | null {
  const { claimId } = request;
  const instant = { nowMs, monoMs: nowMs, bootId: BOOT };
  try {
    switch (request.kind) {
      case 'claim': {
        const observer: LeaseObserver = {
          nowMs,
          monoMs: nowMs,
          machine: { boot_id: BOOT },
          liveness: () => 'unknown',
          graceMs: 50,
        };
        if (
          onlyDue &&
          record.lease?.claim_id !== claimId &&
          recordReasons(record, { observer, ...seenBy(TASK, over) }).length > 0
        )
          return null;
        const claim = { claimId, runId: name, ttlMs: TTL_MS, owner: null, instant, observer, abandonLimit: 1000 };
        const dispatch = { claimId, runId: name, attemptId: claimId, worker: null, ttlMs: TTL_MS, instant };
        return andThen(record, claimTask(record, claim), (next) => dispatchTask(next, dispatch));
      }
      case 'heartbeat':
        return heartbeatTask(record, { attemptId: claimId, ttlMs: TTL_MS, instant });
      case 'release':
        return releaseTask(record, { claimId, workerGone: true, nowMs });
      case 'ask':
        // Every question is another decision, and no budget ends the game.
        return askQuestion(record, {
          attemptId: claimId,
          questionId: op,
          decisionKey: op,
          options: [],
          defaultOptionId: null,
          timeoutMs: 0,
          budget: { perKey: 1, soft: 1000, hard: 1000 },
          instant,
        });
      case 'settle': {
        if (settles === null) return null;
        const answered = { version: 1 as const, answered_at: isoTime(nowMs), answered_by: name };
        return settleQuestion(record, { ...answered, question_id: settles.question, option_id: settles.answer }, nowMs);
      }
      default: {
        const next = { ...record, state: { ...record.state, updated_at: isoTime(nowMs) } };
        return { record: next, moves: [], history: [], result: null };
      }
    }
  } catch (error) {
    if (error instanceof ForgeError) return null;
    throw error;
  }
}
