/**
 * Starts an attempt for `run` and `exec`. The worker waits behind its gate until the commit that names its process group
 * stands. If this process dies before that, the gate closes by itself.
 */

import { agentFor } from '../../domain/agents/known.ts';
import { newId } from '../../domain/context.ts';
import { definitionOf } from '../../domain/plan/definition.ts';
import type { PlanTask } from '../../domain/plan/plan.ts';
import { workerPrompt } from '../../domain/prompt/worker-prompt.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { isReusable, type Reuse } from '../../domain/reuse/reuse.ts';
import { budgetReasons } from '../../domain/schedule/budgets.ts';
import { isUnchecked } from '../../domain/schedule/overlap.ts';
import { masked } from '../../domain/secrets.ts';
import { workerLimits } from '../../domain/settings/worker-limits.ts';
import { manifestOf } from '../../domain/task/attempts.ts';
import type { WorkerIdentity } from '../../domain/task/identity.ts';
import {
  claimTask,
  type DispatchRequest,
  dispatchTask,
  type HeartbeatResult,
  heartbeatTask,
  releaseTask,
} from '../../domain/task/operations.ts';
import { freshRecord, type TaskRecord } from '../../domain/task/records.ts';
import { sessionToResume } from '../../domain/task/spending.ts';
import { isInFlight } from '../../domain/task/states.ts';
import { andThen, type Decision } from '../../domain/task/transition.ts';
import { NO_WORKTREE, toldOf } from '../../domain/verify/evidence.ts';
import { pendingVerification } from '../../domain/verify/verification.ts';
import { ForgeError, orNull } from '../../lib/errors.ts';
import { isoTime } from '../../lib/time.ts';
import { type GatedWorker, type Spawn, spawnGated, type WorkerCommand } from '../../process/gated-worker.ts';
import { workdirOf } from '../../project/workdir.ts';
import { changeTask, readToDecide } from '../../store/change.ts';
import type { AttemptRef, TaskRead } from '../../store/port.ts';
import { type Env, instantOf, looksAtGit, observerOf, secretsOf } from '../env.ts';
import { checkoutWatch } from './checkout-watch.ts';
import { type CommandFacts, commandEnvironment } from './environment.ts';
import { keepLogs, WORKER_LOGS } from './output.ts';
import { lookForRivals, rivalsFor, settleClaim } from './overlap.ts';
import { gatherPrompt } from './prompt.ts';
import { type AttemptWorkspace, resolveWorkspace } from './resolve-workspace.ts';
import { beforeWork } from './reuse.ts';
import { RunningAttempt, type TaskRequest } from './running-attempt.ts';
import { countLeft } from './session-meter.ts';
import { identityOf, stopFormerWorker } from './takeover.ts';
import { CanNotStart, setupNow, workspaceOf } from './workspace.ts';
import type { SetupHeard } from './worktree-setup.ts';

export interface AttemptRequest extends TaskRequest, SetupHeard {
  /** `session`: of the agent, which goes on with it; null: it begins a new one. */
  command(session: string | null): WorkerCommand;
  /** `logs`: stdin is empty and output goes to the attempt's logs. `inherit`: to this process's. `terminal`: so, in its session. */
  output: 'logs' | 'inherit' | 'terminal';
  /** Default: `spawnGated`. */
  spawn?: Spawn;
}

/** An attempt that is about to be made: its ids, its place, and the record that it is made on. */
interface Draft extends AttemptRef {
  claimId: string;
  number: number;
  generation: number;
  workspace: AttemptWorkspace;
  seen: TaskRecord;
}

/**
 * Claims the task and starts its worker, in one commit unless a former worker has to be stopped first. Returns null when
 * the task was abandoned too often and has failed instead.
 * Throws NOT_READY, OVERLAP_CONFLICT, LEASE_EXISTS, LEASE_NOT_EXPIRED, STATE_VERSION_CONFLICT when another process was first;
 * IO_ERROR.
 */
export async function startAttempt(env: Env, request: AttemptRequest): Promise<RunningAttempt | null> {
  const { task } = request;
  env.lasts();
  const read = await readToDecide(env, task.id);
  let seen = read.record ?? freshRecord(task.id, isoTime(env.now()));
  request.refuse(seen);
  refuseUnverified(seen);
  const [claimId, attemptId] = [newId(env.ctx), newId(env.ctx)];
  // A former worker may have to be stopped, a worktree made, or rivals checked: the claim comes first, to keep others out.
  const former = seen.worker !== null || isInFlight(seen.state.state);
  // Another command than the plan's makes something else.
  const isReused = request.output === 'logs' && isReusable(task, env.settings);
  if (!former && !looksAtGit(env) && !hasRivals(env, request) && !isReused) {
    const place = { ...workspaceOf(env), work: NO_WORKTREE, fault: null, trusted: false };
    return launch(env, request, draftOf({ claimId, attemptId }, seen.memo.generation + 1, place, seen), { read });
  }
  const taken = await changeTask(env, task.id, (record) => {
    request.refuse(record);
    refuseUnverified(record);
    return claimFor(env, request, claimId, record);
  });
  if (taken.result === null) return null;
  seen = taken.record;
  if (isUnchecked(seen)) await lookForRivals(env, request.plan, task, claimId);
  try {
    await stopFormerWorker(env, seen).catch((error: unknown) => {
      // Other tasks may be started although one has processes that can't be stopped.
      const isIo = error instanceof ForgeError && error.code === 'IO_ERROR';
      throw isIo ? CanNotStart.since(error, `task ${task.id} is not started`) : error;
    });
    if (seen.worker !== null)
      await keepLogs(env, { taskId: task.id, attemptId: seen.worker.attempt_id }, task, WORKER_LOGS)();
    seen = await countLeft(env, seen, task, read.record?.lease ?? null);
    const [over] = budgetReasons(
      task,
      { plan: request.plan, recordOf: () => seen, budget: env.settings.budget },
      () => null,
    );
    if (over !== undefined) throw new ForgeError('NOT_READY', `task ${task.id} is not ready: ${over.message}`);
    await request.onGitSetup?.(await setupNow(env));
    const setupMs = env.ctx.monotonicMs();
    const workspace = await resolveWorkspace(env, task, { claimId, attemptId }, seen, request);
    const draft = draftOf({ claimId, attemptId }, seen.memo.generation, workspace, seen);
    await request.onGitSetup?.(workspace.work.git_setup, workspace);
    if (workspace.fault !== null) return await openWithout(env, request, draft, { fault: workspace.fault, setupMs });
    if (!isReused) return await launch(env, request, draft);
    const reuse = await beforeWork(env, task, draft, seen);
    if (reuse.unchanged) return openedAtItsEnd(env, request, draft, { reuse, setupMs });
    return await launch(env, request, draft, { reuse });
  } catch (error) {
    env.artifacts.discard({ taskId: task.id, attemptId });
    await giveBack(env, task.id, claimId);
    throw error;
  }
}

function hasRivals(env: Env, { task, plan }: TaskRequest): boolean {
  return rivalsFor(env, plan, task).length > 0;
}

/** An unverified result is verified before the task is tried again. */
function refuseUnverified(record: TaskRecord): void {
  if (pendingVerification(record) === null) return;
  throw new ForgeError('STATE_VERSION_CONFLICT', `the result of task ${record.state.task_id} is still to be verified`);
}

/**
 * Takes over a task whose last attempt handed in a verdict, and finishes its verification. Returns null when
 * the task was abandoned too often and has failed instead. Throws as `startAttempt` does.
 */
export async function takeOverVerification(env: Env, request: TaskRequest): Promise<RunningAttempt | null> {
  const { task } = request;
  const claimId = newId(env.ctx);
  const { result, record } = await changeTask(env, task.id, (seen) => {
    request.refuse(seen);
    if (pendingVerification(seen) === null) throw new ForgeError('STATE_VERSION_CONFLICT', 'another process was first');
    return claimFor(env, request, claimId, seen);
  });
  const pending = pendingVerification(record);
  if (result === null || pending === null) return null;
  try {
    await settleClaim(env, request.plan, task, record);
    await stopFormerWorker(env, record);
  } catch (error) {
    await giveBack(env, task.id, claimId);
    throw error;
  }
  const { attempt_id: attemptId } = pending;
  const number = record.state.attempt_count;
  return new RunningAttempt(env, request, { claimId, attemptId, number, worker: null, identity: null, record });
}

function draftOf(
  ids: Pick<Draft, 'claimId' | 'attemptId'>,
  generation: number,
  workspace: AttemptWorkspace,
  seen: TaskRecord,
): Draft {
  const { task_id: taskId, attempt_count } = seen.state;
  return { taskId, ...ids, number: attempt_count + 1, generation, workspace, seen };
}

/** Releases a claim that is not used, so that the task need not wait for the lease to expire. */
async function giveBack(env: Env, taskId: string, claimId: string): Promise<void> {
  await orNull(() =>
    changeTask(env, taskId, (record) => releaseTask(record, { claimId, workerGone: false, nowMs: env.now() })),
  );
}

/** The agent whose structured output the worker writes; null for any other worker. */
function agentOf({ settings }: Env, request: TaskRequest & Partial<AttemptRequest>): string | null {
  return request.output === 'logs' ? agentFor(request.task, settings.agents) : null;
}

function claimFor(env: Env, request: TaskRequest & Partial<AttemptRequest>, claimId: string, record: TaskRecord) {
  const { runId, owner } = request;
  return claimTask(record, {
    claimId,
    runId,
    owner,
    ttlMs: env.settings.agents.self_lease_ttl_ms,
    instant: instantOf(env),
    observer: observerOf(env),
    abandonLimit: env.settings.agents.retry_attempts,
    unchecked: hasRivals(env, request),
    // What is only to be verified was done by what the plan said before.
    ...(pendingVerification(record) === null
      ? { definition: definitionOf(request.task), agent: agentOf(env, request) }
      : {}),
  });
}

/** `read`: what the draft is made on, just now. Default: the task is read again. */
async function launch(
  env: Env,
  request: AttemptRequest,
  draft: Draft,
  { reuse, read }: { reuse?: Reuse; read?: TaskRead } = {},
): Promise<RunningAttempt> {
  let worker: GatedWorker | null = null;
  try {
    refuseWithoutFolder(request.task, draft);
    await checkoutWatch(env)?.begin(request.task.id);
    worker = await spawnWorker(env, request, draft);
    const identity = identityOf(env, worker, draft);
    const { record } = await changeTask(env, request.task.id, opening(env, request, draft, identity), { seen: read });
    worker.open();
    const alone = request.output === 'logs';
    return new RunningAttempt(env, request, {
      ...draft,
      worker,
      identity,
      record,
      agent: agentOf(env, request),
      cwd: workdirOf(draft.workspace.path, request.task.cwd).path,
      alone,
      ...(reuse === undefined ? {} : { reuse }),
    });
  } catch (error) {
    worker?.abandon();
    await checkoutWatch(env)?.end(request.task.id, { look: false });
    // Nothing refers to this attempt, so it did not happen.
    env.artifacts.discard(draft);
    throw error;
  }
}

/** Trying again would not help. Throws CanNotStart. */
function refuseWithoutFolder({ id, cwd }: PlanTask, { workspace }: Draft): void {
  const { fault } = workdirOf(workspace.path, cwd);
  if (fault === null) return;
  const where = workspace.branch === null ? 'Make it' : 'Commit it to the base, or have a task before this one do so';
  throw new CanNotStart('IO_ERROR', `task ${id} is not started: ${fault}`, {
    hint: `${where}; or change cwd in the plan.`,
  });
}

/** An attempt that has nothing to do, and whose claim stands: it is opened with the commit that ends it. */
function openedAtItsEnd(env: Env, request: AttemptRequest, draft: Draft, why: { reuse: Reuse; setupMs: number }) {
  const open = opening(env, request, draft, null);
  const begin = (record: TaskRecord) => {
    if (record.lease?.claim_id === draft.claimId) return open(record);
    throw new ForgeError('LEASE_STOLEN', `another process has taken task ${draft.taskId}`);
  };
  return new RunningAttempt(env, request, {
    ...draft,
    worker: null,
    identity: null,
    record: draft.seen,
    ...why,
    begin,
  });
}

/** An attempt without a worker: it has failed before it could start. */
async function openWithout(
  env: Env,
  request: AttemptRequest,
  draft: Draft,
  why: { fault: ClassifiedError; setupMs: number },
): Promise<RunningAttempt> {
  const { record } = await changeTask(env, request.task.id, opening(env, request, draft, null));
  return new RunningAttempt(env, request, { ...draft, worker: null, identity: null, record, ...why });
}

/** The beginning of an attempt: from the commit of it on the record names its worker. */
function opening(
  env: Env,
  request: AttemptRequest,
  draft: Draft,
  worker: WorkerIdentity | null,
): (record: TaskRecord) => Decision<HeartbeatResult> {
  const { workspace, seen, attemptId } = draft;
  const { work } = workspace;
  const agent = agentOf(env, request);
  const manifest = manifestOf(
    {
      attempt_id: attemptId,
      task_id: request.task.id,
      run_id: request.runId,
      claim_id: draft.claimId,
      generation: draft.generation,
      phase: 'implement',
      ...toldOf(work),
      attempt_number: draft.number,
      ...(agent === null ? {} : { agent }),
      worker,
    },
    env.ctx.machine(),
    env.now(),
  );
  return (current) => {
    const started = startWork(env, request, draft, { worker, work }, current);
    refuseIfMoved(current, seen);
    return { ...started, documents: [{ kind: 'manifest' as const, attemptId, value: manifest }] };
  };
}

async function spawnWorker(env: Env, request: AttemptRequest, draft: Draft): Promise<GatedWorker> {
  const { workspace, seen } = draft;
  const kind = { agent: agentOf(env, request) !== null, alone: request.output === 'logs' };
  const limits = workerLimits(request.task, env.settings.agents, kind);
  const told = {
    record: seen,
    attemptNumber: draft.number,
    workspace,
    worker: { kind: 'started' as const, ...limits },
  };
  const prompt = workerPrompt(await gatherPrompt(env, request.task, request.plan, told));
  const { resume } = env.settings.agents;
  const cwd = workdirOf(workspace.path, request.task.cwd).path;
  const session = resume ? sessionToResume(seen, agentOf(env, request), cwd) : null;
  const logs = request.output === 'logs' ? env.artifacts.openLogs(draft) : null;
  const worker = await (request.spawn ?? spawnGated)({
    ...request.command(session),
    cwd,
    env: commandEnvironment(env, request.task, {
      taskId: request.task.id,
      claimId: draft.claimId,
      phase: 'implement',
      attempt: {
        ...draft,
        runId: request.runId,
        promptFile: env.artifacts.writePrompt(draft, masked(prompt, secretsOf(env, request.task))),
      },
      worker: {
        lastError: seen.state.last_error,
        verdictFile: env.artifacts.placeForDraft(draft, 'verdict'),
        retryAfterFile: env.artifacts.draftPath(draft, 'retry-after'),
      },
      ...childFacts(env, request.task, draft),
    }),
    inTerminal: request.output === 'terminal',
    stdio: logs === null ? { stdin: 'inherit', stdout: 'inherit', stderr: 'inherit' } : { stdin: 'empty', ...logs },
  });
  logs?.close();
  return worker;
}

function childFacts(
  { artifacts }: Env,
  { parent, input }: PlanTask,
  draft: Draft,
): Partial<Pick<CommandFacts, 'child'>> {
  if (parent === null) return {};
  const inputFile = artifacts.writeInput(draft, `${JSON.stringify(input)}\n`);
  return { child: { parent, inputFile, resultFile: artifacts.placeForDraft(draft, 'result') } };
}

/** The worker already has its attempt number and generation, so the record that they came from must not have changed, even where it can be had again. */
function refuseIfMoved(record: TaskRecord, seen: TaskRecord): void {
  if (record.memo.generation === seen.memo.generation && record.state.attempt_count === seen.state.attempt_count)
    return;
  throw new ForgeError('STATE_VERSION_CONFLICT', `another process was first to take task ${record.state.task_id}`);
}

/** Claim (unless it is made already), dispatch and first heartbeat as one decision. */
function startWork(
  env: Env,
  request: AttemptRequest,
  draft: Draft,
  started: Pick<DispatchRequest, 'worker' | 'work'>,
  record: TaskRecord,
): Decision<HeartbeatResult> {
  const instant = instantOf(env);
  const ttlMs = env.settings.agents.self_lease_ttl_ms;
  const { claimId, attemptId } = draft;
  if (record.lease?.claim_id !== claimId) request.refuse(record);
  const claimed = claimFor(env, request, claimId, record);
  const dispatched = andThen(record, claimed, (next) =>
    dispatchTask(next, { claimId, runId: request.runId, attemptId, ...started, ttlMs, instant, looked: true }),
  );
  return andThen(record, dispatched, (next) => heartbeatTask(next, { attemptId, ttlMs, instant }));
}
