/** What simulated workers and people ask of a task's journal, decided by the product's own functions. */

import { afterJoin, joinName, namesOfJoin, unknownFanOut, waitsForJoin } from '../../src/domain/fan-out/join.ts';
import { fanOutStep, sealedIn, sealing } from '../../src/domain/fan-out/seal.ts';
import {
  addingEntries,
  attemptWriter,
  beginJournal,
  parking,
  personWriter,
  signalling,
} from '../../src/domain/steps/changes.ts';
import { type Reading, type ReadJournal, type Step, stepEntry } from '../../src/domain/steps/journal.ts';
import { parkFor, type Sleeper } from '../../src/domain/steps/parking.ts';
import { everySchedule } from '../../src/domain/steps/schedule.ts';
import { afterTick, type Repeat, upcoming } from '../../src/domain/steps/ticks.ts';
import { afterTry, stepPolicy } from '../../src/domain/steps/tries.ts';
import { afterSignalLook, afterWait, type Looker, pendingSignal, type Standing } from '../../src/domain/steps/waits.ts';
import type { TaskRecord } from '../../src/domain/task/records.ts';
import type { Decision } from '../../src/domain/task/transition.ts';
import { isoTime } from '../../src/lib/time.ts';
import { areOver, childrenOf, SETS } from './children.ts';
import type { Random } from './random.ts';
import { type Asker, BOOT, TASK } from './requests.ts';
import type { Focus } from './world.ts';

export const STEP_REQUESTS = [
  'open',
  'step',
  'wait',
  'wait-for',
  'park',
  'signal',
  'reset',
  'repeat',
  'fan-out',
  'join',
] as const;

/** Of a step by `name`, of a signal, or of a fan-out. */
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

const HOLDING_CHILDREN = ['repeat', 'repeat', 'fan-out', 'fan-out', 'join', 'join', 'join', 'step'] as const;
const FREE_OF_CHILDREN = ['reset'] as const;
const CHILDREN_NAMES: typeof NAMES = {
  step: ['build', 'test'],
  reset: ['poll', 'urls', 'files', 'forge.join.urls'],
  repeat: ['poll'],
  'fan-out': ['urls', 'urls', 'files'],
  join: ['urls', 'urls', 'files'],
};

/** A request to the journal. `holding`: of a worker, else of a person. */
export function nextStepRequest(random: Random, focus: Focus | null, holding: boolean, by: string): StepRequest {
  const own = focus === 'fan-outs';
  const kind = own ? random.pick(holding ? HOLDING_CHILDREN : FREE_OF_CHILDREN) : random.pick(holding ? HOLDING : FREE);
  // Some are larger than the tail of a journal.
  const value = `${by}${'.'.repeat(random.pick([0, 0, 0, 60, 1000]))}`;
  const ms = random.pick([20, 60, 200, kind === 'wait' ? 500 : null]);
  const name = random.pick((own ? CHILDREN_NAMES : NAMES)[kind] ?? ['']);
  return { kind, name, id: `id-${random.below(4)}`, value, ms, sleeper: null };
}

/** The key under which a step keeps its value in the context. */
export const keyOf = (step: string) => `of-${step}`;

const POLICY = stepPolicy(undefined, null, { retry: null });

const REPEAT: Repeat = {
  schedule: everySchedule(60),
  startMs: null,
  times: 4,
  timeoutMs: 200,
  failsByTick: false,
  policy: POLICY,
  random: () => 0,
};

/** The name of the step that a request is about. */
export function stepNameOf({ kind, name }: Pick<StepRequest, 'kind' | 'name'>): string {
  return kind === 'join' ? joinName([name]) : name;
}

/** Decides what `request` makes of the journal. Throws as the product does. */
export function* decideSteps(
  record: TaskRecord,
  { kind, name, id, value, ms, sleeper }: StepRequest,
  attemptId: string,
  { op, nowMs, over }: Pick<Asker, 'op' | 'nowMs' | 'over'>,
): Reading<Decision<unknown>> {
  const instant = { nowMs, monoMs: nowMs, bootId: BOOT };
  let ids = 0;
  const writing = { nowMs, newId: () => `${op}-${++ids}` };
  const waiting = (look: (now: ReadJournal, looker: Looker) => Standing) =>
    attemptWriter(record, attemptId, (now, generation) => {
      const { step, entries = [] } = look(now, { name: stepNameOf({ kind, name }), attemptId, generation, instant });
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
    case 'repeat':
      // A tick that is due is done in no time.
      return yield* addingEntries(
        record,
        waiting((now, looker) => {
          const next = upcoming(now, looker, REPEAT);
          return next.due === null || next.entries !== undefined
            ? next
            : afterTick(now, looker, REPEAT, { done: true });
        }),
        writing,
      );
    case 'fan-out': {
      const fanOut = { version: 1 as const, fan_out_id: `${op}-set`, name, children: childrenOf(name, value) };
      const { sealed, also } = sealing(record, attemptId, fanOut);
      const made = { startedAt: isoTime(nowMs), children: sealed.children };
      const writer = attemptWriter(record, attemptId, (now, generation) => [
        { step: fanOutStep(now, { name, attemptId, generation, instant }, made) },
      ]);
      return yield* addingEntries(record, { ...writer, ...also }, writing);
    }
    case 'join': {
      if (sealedIn(record, name) === undefined) throw unknownFanOut(TASK, name, []);
      const children = (SETS[name] ?? []).map(
        (child) => ({ fan_out: name, name: child, state: 'shipped', error: null }) as const,
      );
      return yield* addingEntries(
        record,
        waiting((now, looker) => afterJoin(now, looker, areOver(name, over) ? children : null, false)),
        writing,
      );
    }
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
  const [joined] = namesOfJoin(step);
  return { waitsFor: joined === undefined ? { kind, name } : waitsForJoin([joined]), wake, isThere };
}
