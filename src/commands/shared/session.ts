/** What every verb works with: the project, its settings, the store, and the clocks. Opened once per command. */

import { type Context, newId } from '../../domain/context.ts';
import type { PlanTask } from '../../domain/plan/plan.ts';
import { neededFor, outlook, type Reason, reasonsToWait, type WaitCode } from '../../domain/schedule/readiness.ts';
import { type Decision, refuseHeld } from '../../domain/task/operations.ts';
import type { RunManifest, TaskRecord } from '../../domain/task/records.ts';
import { isInFlight } from '../../domain/task/states.ts';
import type { RecordExcerpt } from '../../domain/task/summary.ts';
import { pendingVerification } from '../../domain/verify/verification.ts';
import type { Warning } from '../../domain/warnings.ts';
import { overlapConflict } from '../../engine/attempt/overlap.ts';
import { type Env, ownIdentity, worldOf, worldWith } from '../../engine/env.ts';
import { ForgeError, kindOf } from '../../lib/errors.ts';
import { cacheOf } from '../../lib/fs/cache.ts';
import type { Driver } from '../../lib/fs/drivers.ts';
import { requireTaskId, requireUuid } from '../../lib/ids.ts';
import { closest } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import { listenToSignals } from '../../process/interrupts.ts';
import { BUILD } from '../../project/build.ts';
import { requireProject } from '../../project/find-project.ts';
import { type LoadedPlan, loadPlan, requirePlan } from '../../project/plan-file.ts';
import { loadSettings } from '../../project/settings-file.ts';
import { type Changed, changeTask, refuseUnreadable, resumeIfSettled } from '../../store/change.ts';
import { FileStore, type TaskRead, type TaskSeen } from '../../store/file/file-store.ts';
import { Journal } from '../../store/journal.ts';
import type { EndedRun, Snapshot } from '../../store/port.ts';
import { foreseen } from '../../store/settle-question.ts';
import type { TrackerKeeper } from '../../trackers/sync.ts';

/** How a verb is called: the outside, and what holds for every verb. */
export interface Call {
  ctx: Context;
  /** --dir, else FORGE_DIR. */
  dir?: string | undefined;
  /** Told what a person should know although nothing failed. */
  warn(message: string): void;
  /** Told what takes its time. Default: nobody is. */
  note?(message: string): void;
  /** Told what gc would apply, which is printed whatever form the answer has. Default: it is not printed. */
  say?(warning: Warning): void;
}

export type Session = Env & {
  /** As in `Call`. */
  note(message: string): void;
  say(warning: Warning): void;
  /** From here on commits don't wait for the tracker; what this returns waits for what is under way then, and not for long. */
  trackBesides(): () => Promise<void>;
};

/** Opens the project that the call is about. Throws PHASES_NOT_FOUND, SETTINGS_INVALID. */
export function openSession(call: Call, driver?: Driver): Session {
  const paths = requireProject(call.ctx.cwd, call.dir);
  const { ctx } = call;
  const cache = cacheOf(paths.project, ctx.env, BUILD);
  const settings = loadSettings(paths, cache);
  const session: Session = {
    ctx,
    paths,
    settings,
    cache,
    store: new FileStore(paths, driver, cache),
    journal: new Journal(paths, ctx.now, settings.agents.log_rotate_max_bytes),
    now: ctx.now,
    newOp: () => newId(ctx),
    warn: call.warn,
    note: (message) => call.note?.(message),
    say: (warning) => call.say?.(warning),
    trackBesides: () => async () => {},
  };
  return settings.tracker.type === 'none' ? session : inStep(session);
}

/** The session with a tracker that is kept in step with what it commits. Nothing is loaded before something moves. */
function inStep(session: Session): Session {
  let keeper: Promise<TrackerKeeper | null> | undefined;
  const load = () => {
    keeper ??= import('../../trackers/sync.ts').then(({ keeperOf }) => keeperOf(session));
    return keeper;
  };
  let besides = false;
  const told = (error: unknown) => session.warn(`the tracker is not in step: ${String(error)}`);
  session.moved = async (change) => {
    const telling = load().then((loaded) => loaded?.moved(change));
    const done = telling.catch(told);
    if (!besides) await done;
  };
  session.trackBesides = () => {
    besides = true;
    return async () => {
      await (await keeper?.catch(() => null))?.settled();
    };
  };
  return session;
}

export function planOf(session: Session): LoadedPlan {
  return requirePlan(session);
}

/** The task of that id in the plan. Throws INVALID_ID, TASK_NOT_FOUND. */
export function plannedTask({ plan, file }: LoadedPlan, taskId: string): PlanTask {
  const task = plan.byId.get(requireTaskId(taskId));
  if (task !== undefined) return task;
  const near = closest(taskId, plan.byId.keys());
  throw new ForgeError('TASK_NOT_FOUND', `there is no task ${taskId} in ${file}`, {
    ...(near === null ? {} : { hint: `Did you mean ${near}?` }),
  });
}

/** A plan that is being edited must not keep a worker from its task: then the settings decide alone. */
export function plannedOrNull(session: Session, taskId: string): PlanTask | null {
  try {
    return loadPlan(session)?.plan.byId.get(taskId) ?? null;
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    session.warn(`${error.message}; the settings decide alone`);
    return null;
  }
}

/** The records that a question about `task` may need, and no others. */
export async function readFor(session: Session, loaded: LoadedPlan, task: PlanTask): Promise<Map<string, TaskRead>> {
  const reads = new Map<string, TaskRead>();
  const needed = neededFor(task, loaded.plan, session.settings.agents);
  // Of many most may be still to come, and a list tells that of all of them.
  const there = needed.length > 10 ? new Set(await session.store.list()) : null;
  for (const id of needed) if (there?.has(id) ?? true) reads.set(id, await session.store.read(id));
  return reads;
}

/** Everything in the tree at one look, the tasks by their ids. */
export type AllRead = Omit<Snapshot, 'tasks'> & { reads: Map<string, TaskSeen> };

export async function readAll(session: Session): Promise<AllRead> {
  const { tasks, ...rest } = await session.store.snapshot();
  const reads = new Map<string, TaskSeen>();
  for (const read of tasks) reads.set(read.task_id, read);
  return { reads, ...rest };
}

/** Moves the tasks on whose questions are settled, as every command does that may give them out. Updates `reads`. */
export async function resumeSettled(session: Session, reads: Map<string, TaskSeen>): Promise<void> {
  for (const [id, read] of reads) {
    const resumed = await unlessDamaged(session, () => resumeIfSettled(session, read));
    if (resumed !== null) reads.set(id, await session.store.read(id));
  }
}

/** `reads` as `resumeSettled` would leave them, for those who only look: what they show is what the next claim sees. */
export async function foresee(
  session: Session,
  reads: ReadonlyMap<string, TaskSeen>,
): Promise<ReadonlyMap<string, TaskSeen>> {
  const parked = [...reads.values()].filter(({ record }) => record?.state.state === 'blocked_on_question');
  if (parked.length === 0) return reads;
  const next = new Map(reads);
  for (const { task_id: id } of parked) {
    const read = await session.store.read(id);
    const { record, problem } = read;
    if (record === null || problem !== null) continue;
    const seen = await unlessDamaged(session, () => foreseen(session, record));
    if (seen !== null) next.set(id, { ...read, record: seen });
  }
  return next;
}

/** A damaged answer stops its own task and no other. Throws IO_ERROR. */
async function unlessDamaged<T>(session: Session, look: () => Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof ForgeError) || error.code === 'IO_ERROR') throw error;
    session.warn(error.message);
    return null;
  }
}

/**
 * The record of a task that something has happened to, with its version. Throws INVALID_ID; STATE_NOT_FOUND when it is
 * planned but untouched, TASK_NOT_FOUND when it is neither planned nor known.
 */
export async function requireRecord(session: Session, taskId: string): Promise<TaskRead & { record: TaskRecord }> {
  const read = await session.store.read(requireTaskId(taskId), { thorough: true });
  refuseUnreadable(read);
  if (read.record !== null) return { ...read, record: read.record };
  throw unknownTask(session, taskId);
}

function unknownTask(session: Session, taskId: string): ForgeError {
  const loaded = loadPlan(session);
  if (loaded === null)
    return new ForgeError('TASK_NOT_FOUND', `there is no task ${taskId} in ${session.store.layout.tasks}`);
  plannedTask(loaded, taskId);
  return new ForgeError('STATE_NOT_FOUND', `nothing has happened to task ${taskId} yet`);
}

/** Changes a task that something has happened to. Throws like `requireRecord`, and what `decide` throws. */
export async function changeKnown<R>(
  session: Session,
  taskId: string,
  decide: (record: TaskRecord) => Decision<R> | Promise<Decision<R>>,
): Promise<Changed<R>> {
  return changeTask(session, requireTaskId(taskId), (record, read) => {
    if (read.record === null) throw unknownTask(session, taskId);
    return decide(record);
  });
}

/** Opens a run. Throws IO_ERROR. */
export async function openRun(session: Session, fields: Partial<RunManifest> = {}): Promise<RunManifest> {
  const manifest: RunManifest = {
    version: 1,
    run_id: newId(session.ctx),
    started_at: isoTime(session.now()),
    name: null,
    host: session.ctx.machine().host,
    ...fields,
  };
  await session.store.createRun(manifest, session.newOp());
  return manifest;
}

/** Notes that a run is over. One that ended before keeps its time. Null when there is no such run. */
export function endRun(session: Session, runId: string): Promise<EndedRun | null> {
  return session.store.endRun(runId, isoTime(session.now()), session.newOp());
}

/**
 * Does `work` under the run that is named, which must exist, else under a new one. A run that was opened for work that was
 * then refused is taken back. Throws RUN_NOT_FOUND, and what `work` throws.
 */
export async function underRun<T>(
  session: Session,
  runId: string | undefined,
  fields: Partial<RunManifest>,
  work: (runId: string) => Promise<T>,
): Promise<T> {
  if (runId !== undefined) {
    if ((await session.store.readRun(requireUuid(runId, '--run'))) !== null) return work(runId);
    throw new ForgeError('RUN_NOT_FOUND', `there is no run ${runId}`);
  }
  const { run_id } = await openRun(session, fields);
  try {
    return await work(run_id);
  } catch (error) {
    await session.store.discardRun(run_id);
    throw error;
  }
}

/** The tasks that are ready, in order. Throws NOT_READY when there is none. */
export function requireReady(session: Session, loaded: LoadedPlan, reads: ReadonlyMap<string, TaskSeen>): PlanTask[] {
  const { ready, waiting, human } = outlook(worldOf(session, loaded.plan, reads));
  if (ready.length > 0) return ready;
  const left = waiting.length + human.length;
  if (left === 0) {
    const why = loaded.plan.tasks.length === 0 ? `${loaded.file} has none` : 'everything is done';
    throw new ForgeError('NOT_READY', `no task is ready: ${why}`, { hint: 'See `forge orchestrate status`.' });
  }
  throw new ForgeError('NOT_READY', `no task is ready; ${left === 1 ? 'one waits' : `${left} wait`}`, {
    hint: 'See what they wait for with `forge orchestrate phases --ready`.',
  });
}

/**
 * Finishes the verification that the task's last owner left undone: whoever may claim the task does that first. Updates
 * `reads`. Throws what refuses a claim, and INTERRUPTED.
 */
export async function finishVerification(
  session: Session,
  loaded: LoadedPlan,
  task: PlanTask,
  reads: Map<string, TaskSeen>,
  runId: string,
): Promise<void> {
  const record = reads.get(task.id)?.record ?? null;
  if (record === null || pendingVerification(record) === null) return;
  // What starts processes is not loaded for the many claims that start none.
  const { takeOverVerification } = await import('../../engine/attempt/start.ts');
  const interrupts = listenToSignals();
  try {
    const attempt = await takeOverVerification(session, {
      task,
      plan: loaded.plan,
      runId,
      owner: ownIdentity(session),
      refuse: (current) => refuseUnlessReady(session, loaded, task, reads, current),
      onCheck: ({ command }) => session.note(`verifying what task ${task.id} came to: ${command}`),
    });
    const stopListening = interrupts.listen(() => (interrupts.level > 1 ? attempt?.kill() : attempt?.interrupt()));
    const finished = await attempt?.finished;
    stopListening();
    if (finished?.end.kind === 'released') throw new ForgeError('INTERRUPTED', `task ${task.id} is not verified yet`);
  } finally {
    interrupts.stop();
  }
  reads.set(task.id, await session.store.read(task.id));
}

/** Takes the first of `tasks` that can be had; others may be quicker at any of them. Throws NOT_READY when they were at all. */
export async function firstToBeHad<T>(
  tasks: readonly PlanTask[],
  orNext: boolean,
  take: (task: PlanTask) => Promise<T>,
): Promise<T> {
  let refusal: unknown;
  for (const task of tasks) {
    try {
      return await take(task);
    } catch (error) {
      refusal = error;
      if (!orNext || !['contention', 'deferred'].includes(kindOf(error))) throw error;
    }
  }
  throw new ForgeError('NOT_READY', `others were quicker: none of the ${tasks.length} ready tasks is left`, {
    hint: 'See what the others wait for with `forge orchestrate phases --ready`.',
    cause: refusal,
  });
}

export function notReady(taskId: string, reasons: readonly Reason[]): ForgeError {
  return new ForgeError(
    'NOT_READY',
    `task ${taskId} is not ready: ${reasons.map((reason) => reason.message).join('; ')}`,
    {
      details: { task_id: taskId, reasons },
      ...hintFor(reasons[0]?.code),
    },
  );
}

/** What is over waits for nothing that `why` could name. */
function hintFor(code: WaitCode | undefined): { hint?: string } {
  if (code === 'TASK_FINISHED') return { hint: 'Take another: `forge orchestrate claim --next`.' };
  if (code === 'TASK_FAILED' || code === 'TASK_CANCELLED')
    return { hint: 'Have it tried again with `forge orchestrate retry <task>`.' };
  return {};
}

/**
 * Throws unless `record` may be claimed: LEASE_EXISTS and LEASE_NOT_EXPIRED when it is a lease, OVERLAP_CONFLICT when all
 * that it waits for is a task that writes the same files, else NOT_READY with every reason.
 */
export function refuseUnlessReady(
  session: Session,
  loaded: LoadedPlan,
  task: PlanTask,
  reads: ReadonlyMap<string, TaskSeen>,
  record: RecordExcerpt | null,
): void {
  const world = worldWith(worldOf(session, loaded.plan, reads), task.id, record);
  const reasons = reasonsToWait(task, world);
  if (reasons.length === 0) return;
  if (record !== null && isInFlight(record.state.state)) refuseHeld(record, world.observer);
  const [first] = reasons;
  if (first?.on && reasons.every(({ code }) => code === 'OVERLAP_CONFLICT'))
    throw overlapConflict(task.id, first.on, first.message);
  throw notReady(task.id, reasons);
}
