/** Prepares the worktree of an attempt by `agents.setup`, before its beginning is written down. */

import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { SETUP_FAILED } from '../../domain/retry/schema.ts';
import { noteWorker } from '../../domain/review/integration.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { heldBy } from '../../domain/task/transition.ts';
import type { Work } from '../../domain/verify/evidence.ts';
import { hasOwnCommits } from '../../git/branch-start.ts';
import { isSetUp, noteSetUp } from '../../git/setup-mark.ts';
import { ForgeError, orNull } from '../../lib/errors.ts';
import { type Interrupts, UNINTERRUPTED } from '../../process/interrupts.ts';
import { changeTask } from '../../store/change.ts';
import { type Env, instantOf, ttlOf } from '../env.ts';
import { Commands, type CommandsFor, runSetup } from './commands.ts';
import { keepLease } from './lease-keeper.ts';
import { begunFor, isUntouched, setupFaultOf, setupNow, workAt } from './workspace.ts';

export interface SetupHeard {
  /** Stops it. Default: nothing does. */
  interrupts?: Interrupts;
  /** Called when a command begins. */
  onSetup?: ((command: string) => void) | undefined;
  /**
   * Called with the setup of git before anything of the repository is used for the attempt, and again before its worker begins; null where it is not
   * looked at. `prepared`: what was done to its worktree in between. Throws CanNotStart to keep it from that.
   */
  onGitSetup?(setup: Work['git_setup'], prepared?: Pick<Prepared, 'trusted'>): Promise<void>;
}

export interface Prepared {
  work: Work;
  /** Why the attempt can't go on; null: it can. */
  fault: ClassifiedError | null;
  /** It has run, and nothing of a worker was there: what it has changed in the setup of git is the user's. */
  trusted: boolean;
}

/**
 * Prepares the worktree of a task that a claim holds, unless that is done, and renews the lease meanwhile. `record`: the task's before the
 * attempt. `place`: the project's folder in it, and whether it is new. Throws INTERRUPTED, LEASE_STOLEN, IO_ERROR.
 */
export async function prepareWorktree(
  env: Env,
  whom: CommandsFor,
  record: TaskRecord,
  { cwd, created }: { cwd: string; created: boolean },
  heard: SetupHeard,
): Promise<Prepared> {
  const begin = () => workAt(env, record, cwd, created);
  if (await isSetUp(env, cwd)) return { work: await begin(), fault: null, trusted: false };
  const untouched = isUntouched(record, created);
  const trusted = untouched && !(await hasOwnCommits(env, whom.taskId, await begunFor(env, record)));
  const before = trusted ? null : await begin();
  await noteSetUp(env, cwd, false);
  const end = await run(env, whom, record, cwd, heard).catch(async (error: unknown) => {
    // What it has changed before it was stopped is the user's, too.
    if (trusted) await orNull(async () => (await heard.onGitSetup?.(await setupNow(env), { trusted })) ?? null);
    throw error;
  });
  if (end === 'done') await noteSetUp(env, cwd, true);
  const failure = end === 'done' ? null : end;
  const after = { ...(await begin()), ...(failure === null ? {} : { untouched }) };
  if (before === null) return { work: after, fault: failure, trusted };
  // It may have run what a worker has written, so the same is forbidden.
  const isOther = (await setupFaultOf(env, before)) !== null;
  const fault = failure ?? (isOther ? { class: SETUP_FAILED, message: RAN_BRANCH } : null);
  return { work: { ...after, git_setup: before.git_setup }, fault, trusted };
}

const RAN_BRANCH = 'agents.setup has run what its branch says';

async function run(
  env: Env,
  whom: CommandsFor,
  record: TaskRecord,
  cwd: string,
  { interrupts = UNINTERRUPTED, onSetup: onCommand }: SetupHeard,
): Promise<ClassifiedError | 'done'> {
  const { taskId, claimId } = whom;
  const commands = new Commands(env, whom);
  const keeper = keepLease(env, { taskId, attemptId: '', claimId }, record.lease, () => commands.stop(0));
  const stopListening = commands.heed(interrupts);
  const ttlMs = ttlOf(env, record);
  try {
    const end = await runSetup(commands, {
      cwd,
      facts: { phase: 'implement' },
      onCommand,
      note: async (worker) => {
        const noted = { claimId, worker, ttlMs, instant: instantOf(env) };
        await changeTask(env, taskId, (current) => noteWorker(current, noted));
      },
    });
    if (end !== null) return end;
    if (interrupts.level > 0) throw new ForgeError('INTERRUPTED', `the setup for task ${taskId} was stopped`);
    const { record: now } = await env.store.read(taskId, { thorough: true });
    if (now !== null) heldBy(now, claimId);
    throw new ForgeError('LEASE_STOLEN', `the setup for task ${taskId} was stopped: its lease was lost`);
  } finally {
    keeper.stop();
    stopListening();
  }
}
