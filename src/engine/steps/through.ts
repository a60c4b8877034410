/** Goes through a step or a wait: by tries or looks, each recorded, with what the worker sleeps in between. */

import { budgetOf, nextTry } from '../../domain/steps/budget.ts';
import { requireContext } from '../../domain/steps/context.ts';
import { type ReadJournal, type Step, type StepKind, stepEntry, stepKey } from '../../domain/steps/journal.ts';
import { afterTry, type Failed, type StepPolicy } from '../../domain/steps/tries.ts';
import { afterSignalLook, goneOnWith, type Looker, pendingSignal, type Standing } from '../../domain/steps/waits.ts';
import { type Deadline, msLeft } from '../../domain/task/deadlines.ts';
import type { LastError, WaitsFor } from '../../domain/task/records.ts';
import { fromIso, isoTime } from '../../lib/time.ts';
import { type AtWork, Pass } from './pass.ts';
import { told, type WorkerJournal } from './worker-journal.ts';

/** Where a worker is at work. `lost`: aborted when its attempt does not hold its task any more. */
export interface Place {
  journal: WorkerJournal;
  /** The step or the wait that it is at. */
  own: AtWork;
  lost: AbortSignal;
}

/** Does `work` as all that there is of a pass. */
export function alone<T>(journal: WorkerJournal, work: (place: Place) => Promise<T>): Promise<T> {
  const pass = new Pass();
  return pass.during((own) => journal.holding((lost) => work({ journal, own, lost })));
}

/** The outcome of a try. `values`: what it keeps in the context. */
export type Made = { value: unknown; values?: Readonly<Record<string, unknown>> } | Failed;

/**
 * Tries a step until it is done or its policy gives up; each end is in the journal before the next try. Returns the step, and what the last try
 * has come to. Throws what `lost` says, `Parked`, STEP_REPEATED, INVALID_ID, IO_ERROR.
 */
export async function throughTries(
  { journal, own, lost }: Place,
  { name, policy }: { name: string; policy: StepPolicy },
  tryOnce: (scope: { key: string; try: number }) => Promise<Made>,
): Promise<{ step: Step; made: Made }> {
  const sleep = (wake: Deadline) => own.sleep(journal, { waitsFor: { kind: 'step', name }, wake, lost });
  let read = await journal.read();
  let step = read.steps.get(name);
  const before = await failedBefore(journal, name);
  if (before !== null) {
    const { class: name_, message } = before.last_error;
    return { step: before, made: { error: asThrown(before.last_error), told: { class: name_, message } } };
  }
  for (;;) {
    const budget = budgetOf(step, read.journal);
    // A wake that comes early waits for the rest.
    if (budget.started_at !== null && step?.wake !== undefined && msLeft(step.wake, journal.instant()) > 0) {
      await adopted(journal, step);
      await sleep(step.wake);
    }
    const startedAt = isoTime(journal.instant().nowMs);
    const scope = { key: stepKey(read.journal, read, name), try: nextTry(budget) };
    const made = await told(journal, tryText(name, budget.tries + 1, policy), tryOnce(scope));
    lost.throwIfAborted();
    const values = 'value' in made ? { ...made.values } : {};
    let isAgain = false;
    await journal.write((now, generation) => {
      const { attemptId } = journal;
      const at = { instant: journal.instant(), random: journal.random };
      const after = afterTry(now, { name, attemptId, generation, startedAt, policy, end: made, ...at });
      requireContext(now.context, values);
      isAgain = after.delayMs !== null;
      return [stepEntry(after.step, values)];
    });
    read = await journal.read();
    step = read.steps.get(name) as Step;
    if (!isAgain) return { step, made };
  }
}

/**
 * A step or a wait that has failed for good in an earlier attempt, where none has failed since: it fails again as it did, since a script may have
 * gone on by that. Kept as of this attempt, which may fail over it too. Null: it is to be done.
 */
export async function failedBefore(
  journal: WorkerJournal,
  name: string,
): Promise<(Step & { last_error: LastError }) | null> {
  const read = await journal.read();
  const step = read.steps.get(name);
  const { attemptId: attempt_id, failedAtMs } = journal;
  const isOver = step?.status === 'timed_out' || (step?.status === 'failed' && step.wake === undefined);
  if (!isOver || step.attempt_id === attempt_id || budgetOf(step, read.journal).started_at === null) return null;
  const { last_error, ended_at } = step;
  if (last_error === null) return null;
  if (failedAtMs !== null && ended_at !== null && fromIso(ended_at) <= failedAtMs) return null;
  await adopted(journal, step);
  return { ...step, last_error };
}

/** Keeps a step as of this attempt: only so do calls beside it know that it is waited for. */
async function adopted(journal: WorkerJournal, { name, attempt_id: before }: Step): Promise<void> {
  const { attemptId: attempt_id } = journal;
  if (before === attempt_id) return;
  await journal.write(({ steps }, generation) => {
    const step = steps.get(name);
    return step === undefined ? [] : [{ step: { ...step, attempt_id, generation } }];
  });
}

/** What a step or a wait has failed with, as a program catches it. */
export function asThrown(told: LastError | null): Error {
  return Object.assign(new Error(told?.message ?? 'the wait has failed'), { class: told?.class ?? 'error' });
}

/** `step deploy, try 2 of 4`; without the 4 where there are more tries: a list counts by policy, and one that failed uncharged has one more. */
function tryText(name: string, number: number, { maxAttempts }: StepPolicy): string {
  const of = maxAttempts === null || number > maxAttempts ? '' : ` of ${maxAttempts}`;
  return `step ${name}${number === 1 ? '' : `, try ${number}${of}`}`;
}

export interface Wait {
  name: string;
  kind: StepKind;
  /** What the task waits for where it is parked. Default: its kind and name. */
  waitsFor?: WaitsFor;
  /** Whether what it waits for is there, before its time. Default: only a look shows it. */
  isThere?(read: ReadJournal): boolean;
  /** The same for what stands in no journal: asked while the task is not parked over it. Default: only a look shows it. */
  arrives?(): Promise<boolean>;
  /** A look costs something, so an early wake waits for the rest first. Default: false. */
  costly?: boolean;
  /** Looks; `before`: how the wait stood that it goes on with. What it returns says how the wait stands in the journal of the commit. */
  look(before: Step | undefined): Promise<(now: ReadJournal, looker: Looker) => Standing>;
}

/** Waits until a look says that it is over. Throws what `lost` says, `Parked`, STEP_REPEATED, INVALID_ID, IO_ERROR. */
export async function throughLooks({ journal, own, lost }: Place, wait: Wait): Promise<Step> {
  const { name, kind, waitsFor = { kind, name }, isThere, arrives, costly = false, look } = wait;
  const sleep = (wake: Deadline | null) =>
    own.sleep(journal, { waitsFor, wake, lost, ...(isThere && { isThere }), ...(arrives && { arrives }) });
  // Children of a join may have been done again since.
  const failed = kind === 'join' ? null : await failedBefore(journal, name);
  if (failed !== null) return failed;
  const read = await journal.read();
  let before = goneOnWith(read.steps.get(name), read.journal, journal.attemptId);
  const rest = costly && before?.status === 'running' ? (before.wake ?? null) : null;
  if (before !== undefined && rest !== null && msLeft(rest, journal.instant()) > 0) {
    await adopted(journal, before);
    await sleep(rest);
  }
  for (;;) {
    const seen = await told(journal, `looks at ${name}`, look(before));
    const { step, over } = await recordStanding({ journal, own, lost }, name, seen);
    if (over) return step;
    before = step;
    await sleep(step.wake ?? null);
  }
}

/** Waits for a signal of this name. Throws what `throughLooks` throws. */
export function throughSignal(place: Place, name: string, asked: Parameters<typeof afterSignalLook>[2]): Promise<Step> {
  return throughLooks(place, {
    name,
    kind: 'wait-for',
    isThere: (read) => pendingSignal(read, name) !== null,
    look: async () => (now, looker) => afterSignalLook(now, looker, asked),
  });
}

/** Keeps how a wait or a repeat stands in the journal of the commit, unless the journal says so. Throws what `lost` says, and what `decide` throws. */
export async function recordStanding<S extends Standing>(
  { journal, lost }: Place,
  name: string,
  decide: (now: ReadJournal, looker: Looker) => S,
): Promise<S> {
  lost.throwIfAborted();
  let standing: S | undefined;
  await journal.write((now, generation) => {
    standing = decide(now, { name, attemptId: journal.attemptId, generation, instant: journal.instant() });
    const { step, over, entries = [] } = standing;
    const isKnown = !over && entries.length === 0 && isAsKept(now.steps.get(name), step, journal);
    return isKnown ? [] : [{ step }, ...entries];
  });
  return standing as unknown as S;
}

/** Whether the journal says the same but for a wake that is waited for here: a look that changes nothing costs no commit. */
function isAsKept(kept: Step | undefined, step: Step, { settings, instant }: WorkerJournal): boolean {
  if (kept?.status !== 'running' || kept.epoch !== step.epoch || kept.tries !== step.tries) return false;
  // As of an attempt before it no call beside it would know of it.
  if (kept.attempt_id !== step.attempt_id) return false;
  if (JSON.stringify(kept.waited) !== JSON.stringify(step.waited)) return false;
  const isShort = msLeft(step.wake, instant()) <= settings.steps.park_after_ms;
  return isShort || JSON.stringify(kept.wake) === JSON.stringify(step.wake);
}

/** The result of `work`, unless `lost` is aborted before. */
export async function unlessLost<T>(work: Promise<T>, lost: AbortSignal): Promise<T> {
  lost.throwIfAborted();
  let give = () => {};
  const over = new Promise<never>((_, reject) => {
    give = () => reject(lost.reason);
    lost.addEventListener('abort', give, { once: true });
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    lost.removeEventListener('abort', give);
  }
}
