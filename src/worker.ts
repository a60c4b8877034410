/**
 * Steps for workers that are programs of Node: `import { worker } from 'forge-orchestrate/worker'`. The task and the attempt come from FORGE_TASK_ID
 * and FORGE_ATTEMPT_ID; without them everything is kept in memory, for a program's own tests. spec/STEPS.md has the rules.
 */

import { openSession, plannedOrNull } from './commands/shared/session.ts';
import { type Entry, type Journal, viewOf } from './domain/steps/journal.ts';
import { workedBy } from './domain/task/transition.ts';
import { LeaseKeeper } from './engine/attempt/lease-keeper.ts';
import { addToJournal, openJournal, type ReadJournal, readJournal } from './engine/steps/task-journal.ts';
import { StepWorker, type WorkerJournal } from './engine/steps/worker.ts';
import { ForgeError } from './lib/errors.ts';
import { requireUuid } from './lib/ids.ts';
import { systemContext } from './process/system-context.ts';

export { type PolicyDeclaration, type RetryDeclaration, RetryPolicy } from './domain/retry/retry.ts';
export { type StepOptions, type StepScope, StepWorker } from './engine/steps/worker.ts';
export { ForgeError } from './lib/errors.ts';

/** The worker that this process is. */
export const worker: StepWorker = new StepWorker(() =>
  process.env['FORGE_TASK_ID'] ? taskJournal() : Promise.resolve(memoryJournal()),
);

/** A worker whose journal is in memory, as of an attempt that begins. */
export function memoryWorker(): StepWorker {
  const journal = memoryJournal();
  return new StepWorker(() => Promise.resolve(journal));
}

/** Throws TASK_NOT_FOUND, LEASE_STOLEN, STALE_ATTEMPT, IO_ERROR. */
async function taskJournal(): Promise<WorkerJournal> {
  const ctx = systemContext();
  const warn = (message: string) => process.emitWarning(message);
  const session = await openSession({ ctx, dir: ctx.env['FORGE_DIR'], warn });
  const taskId = ctx.env['FORGE_TASK_ID'] ?? '';
  const attempt = { taskId, attemptId: requireUuid(ctx.env['FORGE_ATTEMPT_ID'] ?? '', 'FORGE_ATTEMPT_ID') };
  const { read: first, record } = await openJournal(session, attempt);
  let read = first;
  const lost = new AbortController();
  return {
    attemptId: attempt.attemptId,
    task: await plannedOrNull(session, taskId),
    settings: session.settings,
    now: () => session.now(),
    random: () => ctx.random(),
    read: async () => read,
    readAgain: async () => {
      const { record } = await session.store.read(taskId);
      if (record === null) return read;
      workedBy(record, attempt.attemptId);
      read = (await readJournal(session, record)) ?? read;
      return read;
    },
    write: async (entriesFor) => {
      const view = await addToJournal(session, attempt, entriesFor);
      read = { ...read, ...view };
      return view;
    },
    async holding(work) {
      lost.signal.throwIfAborted();
      const renewed = record.lease?.owner ? null : record.lease;
      const keeper = new LeaseKeeper(session, { ...attempt, claimId: undefined }, renewed, () =>
        lost.abort(
          new ForgeError('LEASE_STOLEN', `attempt ${attempt.attemptId} does not hold task ${taskId} any more`),
        ),
      );
      try {
        return await work(lost.signal);
      } finally {
        keeper.stop();
      }
    },
  };
}

function memoryJournal(): WorkerJournal {
  const journal: Journal = { key: 'memory', epoch: 0, chunks: [], tail: [] };
  const entries: Entry[] = [];
  const now = (): ReadJournal => ({ journal, ...viewOf(entries) });
  return {
    attemptId: 'memory',
    task: null,
    settings: { retry: null },
    now: () => Date.now(),
    random: () => Math.random(),
    read: async () => now(),
    readAgain: async () => now(),
    write: async (entriesFor) => {
      entries.push(...entriesFor(now(), 1));
      return viewOf(entries);
    },
    holding: (work) => work(new AbortController().signal),
  };
}
