/**
 * What reviews and merges share: which commit they are about, the lease that is held meanwhile, and how the task goes on
 * when they could not be done.
 */

import { newId } from '../../domain/context.ts';
import type { PlanTask } from '../../domain/plan/plan.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { type Finished, noteWorker, passReview, sendBack, shipTask, takeUp } from '../../domain/review/integration.ts';
import { movedError } from '../../domain/review/reviews.ts';
import { manifestOf } from '../../domain/task/attempts.ts';
import type { OwnerIdentity, WorkerIdentity } from '../../domain/task/identity.ts';
import { releaseTask } from '../../domain/task/operations.ts';
import type { TaskRecord, TaskState } from '../../domain/task/records.ts';
import type { Spent } from '../../domain/task/spending.ts';
import type { IntegrationPhase } from '../../domain/task/states.ts';
import { branchFor } from '../../domain/task/workspaces.ts';
import { evidenceOf } from '../../domain/verify/evidence.ts';
import { acceptHint, type SetupDigests } from '../../domain/verify/git-setup.ts';
import { baseOf, branchCommit, commitNamed, headOf, isAncestor } from '../../git/repository.ts';
import { setupChange } from '../../git/setup.ts';
import { type ErrorKind, errorMessage, ForgeError, kindOf } from '../../lib/errors.ts';
import type { Interrupts } from '../../process/interrupts.ts';
import { isThere } from '../../project/user-files.ts';
import { changeTask, noState, readToDecide } from '../../store/change.ts';
import type { NewDocument } from '../../store/port.ts';
import { Commands } from '../attempt/commands.ts';
import { taskPolicy } from '../attempt/completion.ts';
import { keepLease } from '../attempt/lease-keeper.ts';
import { stopFormerWorker } from '../attempt/takeover.ts';
import { workOf } from '../attempt/workspace.ts';
import { doesItself, type Env, instantOf, observerOf } from '../env.ts';
import { CanNotIntegrate } from './can-not-integrate.ts';

export interface IntegrationRequest {
  taskId: string;
  /** As planned; null for one that is not in the plan. */
  task: PlanTask | null;
  runId: string;
  owner: OwnerIdentity;
  /** Throws why it may not be done, as this record says. */
  refuse(record: TaskRecord): void;
  interrupts: Interrupts;
  /** The coding agent that does it, by its preset. Default: none, a command or a person does. */
  agent?: string | null;
  /** Called when it begins, with the attempt that it is. */
  onBegin?(begun: { attemptId: string }): void;
  /** Called when a command of `agents.setup` begins. */
  onSetup?(command: string): void;
  /** Called when another command begins. */
  onCommand?(command: string): void;
  /** Called with what an agent that does it has used. */
  onSpent?(spent: Spent): void;
}

/** How a review or a merge ended. */
export type IntegrationEnd = { attemptId: string; durationMs: number } & (
  | { kind: 'done'; result: Finished }
  /** The task has to be worked on again, or has failed. */
  | { kind: 'sent_back'; result: Finished; error: ClassifiedError }
  /** It could not be done, and the task's work is not to blame: the task waits as before. */
  | { kind: 'deferred'; error: ForgeError }
  /** Stopped; the task waits as before. */
  | { kind: 'released'; state: TaskState }
  /** Another process moved the task. */
  | { kind: 'lost'; why: string; state: TaskState }
);

/** The work that a review or a merge is about. */
export interface Target {
  /** The attempt that did it; null in a tree that does not say. */
  attemptId: string | null;
  /** Where it was done: its worktree, else the project. */
  cwd: string;
  /** Null: the task has none of its own. */
  branch: string | null;
  /** The commit that was verified; null where there is no repository. */
  head: string | null;
  /** The branch that the attempt began for; null where that is not recorded. */
  base: string | null;
  /** The branch, or the worktree, is not at that commit any more. */
  moved: { branch: string; expected: string; found: string | null } | null;
  /** As in its evidence. */
  from_start: readonly string[];
}

/**
 * The result of the task, and whether it is still the verified one. What can't be read is never taken for absent: then this throws
 * IO_ERROR, or SCHEMA_INVALID where only files of an earlier version could say. NOT_READY when the verified commit is gone.
 */
export async function targetOf(env: Env, record: TaskRecord): Promise<Target> {
  const { task_id, current_attempt_id: attemptId } = record.state;
  const { project } = env.paths;
  const work = await workOf(env, task_id, record, attemptId);
  const { worktree_path: place, base_branch: base, git_setup, from_start } = work;
  const target_sha = await verifiedCommit(env, record);
  const there = place !== null && isThere(place);
  if (git_setup !== null) await refuseOtherSetup(env, task_id, there ? place : null, git_setup);
  const expected = target_sha === null ? null : await commitNamed(env, target_sha);
  if (target_sha !== null && expected === null) {
    throw new ForgeError(
      'NOT_READY',
      `the verified commit of task ${task_id}, ${target_sha}, is not in the repository`,
      { hint: 'Bring that commit back, for example with `git fetch`; or cancel the task and retry it.' },
    );
  }
  // What was done in the project itself has a commit, but no branch of its own.
  if (place === null && expected !== null) {
    const moved = await movedCheckout(env, expected);
    return { attemptId, cwd: project, branch: null, head: expected, base, moved, from_start };
  }
  const branch = branchFor(env.settings, task_id);
  const at = await branchCommit(env, branch);
  if (place === null && at === null) {
    return { attemptId, cwd: project, branch: null, head: null, base, moved: null, from_start };
  }
  const head = expected ?? at;
  const checkedOut = there ? ((await headOf(env, place))?.head ?? null) : at;
  const found = [at, checkedOut].find((sha) => sha !== head);
  const moved = head === null || found === undefined ? null : { branch, expected: head, found };
  return { attemptId, cwd: there ? place : project, branch, head, base, moved, from_start };
}

/** As the record says; else, in a tree of an earlier version, the twin. */
async function verifiedCommit({ store }: Env, record: TaskRecord): Promise<string | null> {
  const { task_id, current_attempt_id: attemptId } = record.state;
  const evidence = evidenceOf(record, attemptId);
  if (evidence !== null) return evidence.verified?.target_sha ?? null;
  const twin = attemptId === null ? null : await store.readDocument('verified', task_id, attemptId);
  return twin?.target_sha ?? null;
}

/** Throws NOT_READY when git would not show, check and merge the work as it did before it was begun. */
async function refuseOtherSetup(env: Env, taskId: string, cwd: string | null, before: SetupDigests): Promise<void> {
  const change = await setupChange(env, cwd, before);
  const hint = change && acceptHint(change.digests, env.ctx.env, env.settings.agents.setup);
  if (change === null || hint === null) return;
  throw new ForgeError('NOT_READY', `git's own files have changed since task ${taskId} was begun: ${change.text}`, {
    hint,
  });
}

/** In the project itself others commit as well; but what was verified has to be in what is checked out there. */
async function movedCheckout(env: Env, expected: string): Promise<Target['moved']> {
  const here = await headOf(env, env.paths.project);
  if (here !== null && (await isAncestor(env, expected, here.head))) return null;
  return { branch: here?.branch ?? 'the checkout', expected, found: here?.head ?? null };
}

/** The failure of a task whose branch has moved since it was verified; null when it hasn't. */
export function movedFailure(phase: IntegrationPhase, { moved }: Target): ClassifiedError | null {
  return moved === null ? null : movedError(phase, moved);
}

/** A review, or a merge, under way. */
export interface IntegrationLease {
  env: Env;
  request: IntegrationRequest;
  phase: IntegrationPhase;
  target: Target;
  /** What the base was at when it began; null where there is none. */
  base: string | null;
  claimId: string;
  attemptId: string;
  generation: number;
  record: TaskRecord;
  commands: Commands;
}

/** The outcome of the work: `error` is null when it is done, else why the task is sent back. `documents` say so. */
export interface StepEnd {
  error: ClassifiedError | null;
  documents?: readonly NewDocument[];
}

/**
 * Takes the lease of a task that waits for `phase`, does `work` under it (null: it was stopped), and sees the task on. What `work` throws as
 * NOT_READY, SETTINGS_INVALID or IO_ERROR holds the task where it is.
 * Throws what refuses to begin: that of `request.refuse`, ILLEGAL_TRANSITION, LEASE_EXISTS, LEASE_NOT_EXPIRED,
 * STATE_VERSION_CONFLICT; IO_ERROR when the tree can't be written.
 */
export async function integrate(
  env: Env,
  request: IntegrationRequest,
  phase: IntegrationPhase,
  work: (held: IntegrationLease) => Promise<StepEnd | null>,
): Promise<IntegrationEnd> {
  const startedMs = env.ctx.monotonicMs();
  const held = await open(env, request, phase);
  const { claimId, attemptId, commands } = held;
  request.onBegin?.({ attemptId });
  let lost = false;
  const keeper = keepLease(env, { taskId: request.taskId, attemptId, claimId }, held.record.lease, () => {
    lost = true;
    commands.stop(0);
  });
  const stopListening = commands.heed(request.interrupts);
  const timing = () => ({ attemptId, durationMs: env.ctx.monotonicMs() - startedMs });
  try {
    await stopFormerWorker(env, held.record);
    const end = await work(held);
    if (end !== null) {
      const result = await settle(held, end);
      if (end.error === null) return { ...timing(), kind: 'done', result };
      return { ...timing(), kind: 'sent_back', error: end.error, result };
    }
    keeper.stop();
    const gone = await release(held, 'interrupted');
    const state = await stateNow(held);
    if (gone !== null || lost) return { ...timing(), kind: 'lost', why: gone ?? 'its lease was lost', state };
    return { ...timing(), kind: 'released', state };
  } catch (error) {
    // A lease that is still ours is released at once. Another owner may have removed the files that were needed here.
    const gone = await release(held, errorMessage(error));
    if (!(error instanceof ForgeError)) throw error;
    if (gone !== null || kindOf(error) === 'lost') {
      return { ...timing(), kind: 'lost', why: gone ?? error.message, state: await stateNow(held) };
    }
    if (!HOLDS.includes(kindOf(error))) throw error;
    return { ...timing(), kind: 'deferred', error };
  } finally {
    keeper.stop();
    stopListening();
  }
}

/** The state that another process has moved the task to. */
async function stateNow({ env, request, record }: IntegrationLease): Promise<TaskState> {
  return ((await env.store.read(request.taskId)).record ?? record).state.state;
}

/** What keeps a review or a merge from being done, without being the fault of the task. */
const HOLDS: readonly ErrorKind[] = ['deferred', 'usage', 'io'];

async function open(env: Env, request: IntegrationRequest, phase: IntegrationPhase): Promise<IntegrationLease> {
  const { taskId, runId, owner } = request;
  const { record: seen } = await readToDecide(env, taskId);
  if (seen === null) throw noState(taskId);
  request.refuse(seen);
  const { target, base } = await lookAtWork(env, seen);
  const claimId = newId(env.ctx);
  const attemptId = newId(env.ctx);
  const generation = seen.memo.generation + 1;
  const manifest = manifestOf(
    {
      attempt_id: attemptId,
      task_id: taskId,
      run_id: runId,
      claim_id: claimId,
      generation,
      phase,
      worktree_path: target.branch === null ? null : target.cwd,
      base_branch: target.base,
      review_target_sha: target.head,
      review_base_sha: base,
      target_attempt_id: target.attemptId,
      ...(request.agent == null ? {} : { agent: request.agent }),
      worker: null,
    },
    env.ctx.machine(),
    env.now(),
  );
  try {
    const { record } = await changeTask(env, taskId, (current) => {
      request.refuse(current);
      refuseIfMoved(current, seen);
      const taken = takeUp(current, {
        phase,
        claimId,
        attemptId,
        runId,
        ttlMs: env.settings.agents.self_lease_ttl_ms,
        owner,
        instant: instantOf(env),
        observer: observerOf(env),
      });
      return { ...taken, documents: [{ kind: 'manifest' as const, attemptId, value: manifest }] };
    });
    const commands = new Commands(env, { taskId, task: request.task, attemptId, claimId });
    return { env, request, phase, target, base, claimId, attemptId, generation, record, commands };
  } catch (error) {
    // Nothing refers to this attempt, so it did not happen.
    env.artifacts.discard({ taskId, attemptId });
    throw error;
  }
}

/** Throws CanNotIntegrate where the work, or what it is merged into, can't be had. */
async function lookAtWork(env: Env, record: TaskRecord): Promise<Pick<IntegrationLease, 'target' | 'base'>> {
  try {
    const target = await targetOf(env, record);
    return { target, base: target.head === null ? null : (await baseOf(env, target.base)).sha };
  } catch (error) {
    if (!(error instanceof ForgeError && HOLDS.includes(kindOf(error)))) throw error;
    const { code, message, hint, details } = error;
    throw new CanNotIntegrate(code, message, { hint, details, cause: error });
  }
}

/** The manifest says which work it is about, and under which generation. */
function refuseIfMoved(record: TaskRecord, seen: TaskRecord): void {
  const same =
    record.memo.generation === seen.memo.generation &&
    record.state.current_attempt_id === seen.state.current_attempt_id;
  if (!same)
    throw new ForgeError('STATE_VERSION_CONFLICT', `another process was first at task ${record.state.task_id}`);
}

/** Moves the task by the outcome of the work. */
async function settle(
  { env, request, phase, claimId, target, attemptId }: IntegrationLease,
  { error, documents = [] }: StepEnd,
): Promise<Finished> {
  const { result } = await changeTask(env, request.taskId, (record) => {
    const instant = instantOf(env);
    const { nowMs } = instant;
    if (error === null) {
      const shipped = !doesItself(env.settings).ship;
      const done =
        phase === 'ship' ? shipTask(record, { claimId, nowMs }) : passReview(record, { claimId, shipped, nowMs });
      return { ...done, documents };
    }
    // Whose work it was is what the next attempt is told.
    const whose = target.attemptId ?? attemptId;
    const policy = taskPolicy(env.settings, request.task);
    const charged = sendBack(record, { claimId, error, attemptId: whose, policy, instant, random: env.ctx.random });
    return { ...charged, documents };
  });
  return result;
}

/** Gives the lease back without a move. Returns the message of the error when another owner has the task. */
async function release({ env, request, claimId }: IntegrationLease, reason: string): Promise<string | null> {
  try {
    await changeTask(env, request.taskId, (record) =>
      releaseTask(record, { claimId, reason, workerGone: true, nowMs: env.now() }),
    );
    return null;
  } catch (error) {
    if (kindOf(error) !== 'lost') throw error;
    return errorMessage(error);
  }
}

/** Names in the record the process group that is about to begin. Throws LEASE_STOLEN. */
export async function note({ env, request, claimId }: IntegrationLease, worker: WorkerIdentity | null): Promise<void> {
  const ttlMs = env.settings.agents.self_lease_ttl_ms;
  await changeTask(env, request.taskId, (record) =>
    noteWorker(record, { claimId, worker, ttlMs, instant: instantOf(env) }),
  );
}
