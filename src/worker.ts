/**
 * Steps for workers that are programs of Node: `import { worker } from 'forge-orchestrate/worker'`. The task and the attempt come from FORGE_TASK_ID
 * and FORGE_ATTEMPT_ID; without them everything is kept in memory, for a program's own tests. spec/STEPS.md has the rules.
 */

import { openSession } from './commands/shared/session.ts';
import type { ClassifiedError } from './domain/retry/classify.ts';
import { unendedFault } from './domain/steps/unended.ts';
import { signalEntries } from './domain/steps/waits.ts';
import { type ChildEnd, type MemoryJournal, type MemoryOptions, memoryJournal } from './engine/steps/memory-journal.ts';
import { noteUnended } from './engine/steps/mistakes.ts';
import { StepWorker } from './engine/steps/worker.ts';
import { attemptJournal, type WorkerJournal } from './engine/steps/worker-journal.ts';
import { EXIT } from './lib/errors.ts';
import { requireUuid } from './lib/ids.ts';
import { once } from './lib/once.ts';
import { isoTime } from './lib/time.ts';
import { refuseGoodEnd } from './process/program-end.ts';
import { systemContext } from './process/system-context.ts';

export type { JoinedChild } from './domain/fan-out/join.ts';
export { type PolicyDeclaration, type RetryDeclaration, RetryPolicy } from './domain/retry/retry.ts';
export { Parked } from './domain/steps/parking.ts';
export type { FanOutChild } from './engine/steps/joining.ts';
export type { ChildEnd, MemoryOptions } from './engine/steps/memory-journal.ts';
export {
  type RepeatOptions,
  type StepOptions,
  type StepScope,
  StepWorker,
  type TickScope,
  type WaitForOptions,
  type WaitLength,
  type WaitUntilOptions,
} from './engine/steps/worker.ts';
export { ForgeError } from './lib/errors.ts';

/** The worker that this process is. */
export const worker: StepWorker = new StepWorker(() =>
  process.env['FORGE_TASK_ID'] ? taskJournal() : Promise.resolve(memoryJournal()),
);

/** A worker whose journal is in memory, as of an attempt that begins. */
export class MemoryWorker extends StepWorker {
  readonly #journal: MemoryJournal;
  #sent = 0;

  constructor(journal: MemoryJournal) {
    super(() => Promise.resolve(journal));
    this.#journal = journal;
  }

  /** The worker of the next attempt: it skips what is done. */
  next(): MemoryWorker {
    this.#journal.begin();
    return new MemoryWorker(this.#journal);
  }

  /** Sets the end of a child, since no worker does it. Throws UNKNOWN_FANOUT, INVALID_ARGS for a child that there is not. */
  settle(fanOut: string, child: string, end: ChildEnd = {}): void {
    this.#journal.settle(fanOut, child, end);
  }

  /** Sends a signal, as `forge orchestrate signal` does. */
  signal(name: string, data: unknown = null): void {
    const at = isoTime(this.#journal.instant().nowMs);
    this.#journal.add((read) => signalEntries(read, { name, id: `memory-${++this.#sent}-${at}`, data, at }));
  }
}

export function memoryWorker(options: MemoryOptions = {}): MemoryWorker {
  return new MemoryWorker(memoryJournal(options));
}

/** Notes what the program ends over; nothing before its journal is open. */
let noted = (_fault: ClassifiedError): void => {};

/** From its first step on the program ends well only once its steps are over. */
const guarded = once(() =>
  refuseGoodEnd(() => {
    const fault = unendedFault(worker.stepsAtWork);
    if (fault !== null) noted(fault);
    return fault?.message ?? null;
  }),
);

/** Throws TASK_NOT_FOUND, LEASE_STOLEN, STALE_ATTEMPT, IO_ERROR. */
async function taskJournal(): Promise<WorkerJournal> {
  guarded();
  const ctx = systemContext();
  const warn = (message: string) => process.emitWarning(message);
  const session = await openSession({ ctx, dir: ctx.env['FORGE_DIR'], warn });
  const taskId = ctx.env['FORGE_TASK_ID'] ?? '';
  const attempt = { taskId, attemptId: requireUuid(ctx.env['FORGE_ATTEMPT_ID'] ?? '', 'FORGE_ATTEMPT_ID') };
  noted = (fault) => void noteUnended(session, attempt, fault, EXIT.failed);
  return attemptJournal(session, attempt, async () => {
    const { plannedOrNull } = await import('./commands/shared/planned.ts');
    return plannedOrNull(session, taskId);
  });
}
