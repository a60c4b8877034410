/** What simulated workers and people ask of a task's journal, decided by the product's own functions. */

import {
  addingEntries,
  attemptWriter,
  beginJournal,
  parking,
  personWriter,
  type ReadJournal,
  signalling,
} from '../../src/domain/steps/changes.ts';
import { type Reading, type Step, stepEntry } from '../../src/domain/steps/journal.ts';
import { parkFor, type Sleeper } from '../../src/domain/steps/parking.ts';
import { afterTry, stepPolicy } from '../../src/domain/steps/tries.ts';
import { afterSignalLook, afterWait, type Looker, pendingSignal, type Standing } from '../../src/domain/steps/waits.ts';
import type { TaskRecord } from '../../src/domain/task/records.ts';
import type { Decision } from '../../src/domain/task/transition.ts';
import { isoTime } from '../../src/lib/time.ts';
import type { Random } from './random.ts';
import { type Asker, BOOT } from './requests.ts';

export const STEP_REQUESTS = ['open', 'step', 'wait', 'wait-for', 'park', 'signal', 'reset'] as const;

/** Of a step by `name`, or of a signal. */
export interface StepRequest {
  kind: (typeof STEP_REQUESTS)[number];
  name: string;
  /** Who sends it: two with one name and one id are one. */
  id: string;
  /** What a step comes to, or a signal brings. */
  value: string;
  /** How long a wait is, milliseconds; null: without end. */
  ms: number | null;
  sleeper: Sleeper | null;
}

const HOLDING = ['step', 'step', 'step', 'step', 'wait', 'wait-for', 'wait-for', 'signal', 'open', 'reset'] as const;
const FREE = ['signal', 'signal', 'reset'] as const;
const NAMES: Partial<Record<StepRequest['kind'], readonly string[]>> = {
  step: ['build', 'test', 'upload', 'deploy'],
  wait: ['soak', 'cool'],
  'wait-for': ['approval', 'window'],
  signal: ['approval', 'window'],
  reset: ['build', 'approval', 'soak'],
};

/** A request to the journal. `holding`: of a worker, else of a person. */
export function nextStepRequest(random: Random, holding: boolean, by: string): StepRequest {
  const kind = random.pick(holding ? HOLDING : FREE);
  // Some are larger than the tail of a journal.
  const value = `${by}${'.'.repeat(random.pick([0, 0, 0, 60, 1000]))}`;
  const ms = random.pick([20, 60, 200, kind === 'wait' ? 500 : null]);
  const name = random.pick(NAMES[kind] ?? ['']);
  return { kind, name, id: `id-${random.below(4)}`, value, ms, sleeper: null };
}

/** The key under which a step keeps its value in the context. */
export const keyOf = (step: string) => `of-${step}`;

const POLICY = stepPolicy(undefined, null, { retry: null });

/** Decides what `request` makes of the journal. Throws as the product does. */
export function* decideSteps(
  record: TaskRecord,
  { kind, name, id, value, ms, sleeper }: StepRequest,
  attemptId: string,
  { op, nowMs }: Pick<Asker, 'op' | 'nowMs'>,
): Reading<Decision<unknown>> {
  const instant = { nowMs, monoMs: nowMs, bootId: BOOT };
  let ids = 0;
  const writing = { nowMs, newId: () => `${op}-${++ids}` };
  const waiting = (look: (now: ReadJournal, looker: Looker) => Standing) =>
    attemptWriter(record, attemptId, (now, generation) => {
      const { step, entries = [] } = look(now, { name, attemptId, generation, instant });
      return [{ step }, ...entries];
    });
  switch (kind) {
    case 'open':
      return beginJournal(record, attemptId, writing);
    case 'step': {
      const writer = attemptWriter(record, attemptId, (now, generation) => {
        const made = { name, attemptId, generation, startedAt: isoTime(nowMs), policy: POLICY, end: { value } };
        return [stepEntry(afterTry(now, { ...made, instant, random: () => 0 }).step, { [keyOf(name)]: value })];
      });
      return yield* addingEntries(record, writer, writing);
    }
    case 'wait':
      return yield* addingEntries(
        record,
        waiting((now, looker) => afterWait(now, looker, ms ?? 0)),
        writing,
      );
    case 'wait-for':
      return yield* addingEntries(
        record,
        waiting((now, looker) => afterSignalLook(now, looker, { timeoutMs: ms, fallback: { value: 'timeout' } })),
        writing,
      );
    case 'park':
      return yield* parking(
        record,
        attemptId,
        (read) => parkFor(sleeper === null ? [] : [sleeper], read, instant),
        writing,
      );
    case 'signal':
      return yield* signalling(record, { name, id, data: value, at: isoTime(nowMs) }, writing);
    case 'reset': {
      const entriesFor = ({ steps }: ReadJournal) => (steps.has(name) ? [{ reset: [name] }] : []);
      return yield* addingEntries(record, { ...personWriter(record, writing), entriesFor }, writing);
    }
  }
}

/** What the worker of a wait that is not over parks for; null where it is. */
export function sleeperOf(step: Step | undefined): Sleeper | null {
  if (step?.status !== 'running') return null;
  const { kind, name, wake = null } = step;
  const isThere: Sleeper['isThere'] = (read) => kind === 'wait-for' && pendingSignal(read, name) !== null;
  return { waitsFor: { kind, name }, wake, isThere };
}
