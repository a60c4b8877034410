/** What a command works with: the project and its settings, opened once per command, what it reads there, and its runs. */

import * as z from 'zod/mini';
import { agentFor } from '../../domain/agents/known.ts';
import { type Context, newId } from '../../domain/context.ts';
import { awaitedChildren } from '../../domain/fan-out/join.ts';
import { type Plan, type PlanTask, tasksNamed } from '../../domain/plan/plan.ts';
import { type Reason, reasonsToWait } from '../../domain/schedule/readiness.ts';
import { neededFor, orderedBefore } from '../../domain/schedule/selection.ts';
import type { RunManifest, TaskRecord } from '../../domain/task/records.ts';
import { isTerminal } from '../../domain/task/states.ts';
import type { Decision } from '../../domain/task/transition.ts';
import type { Warning } from '../../domain/warnings.ts';
import { type Env, instantOf, runStanding, schedulingContextOf, secretsOf } from '../../engine/env.ts';
import { ForgeError } from '../../lib/errors.ts';
import { cacheOf } from '../../lib/fs/cache.ts';
import type { Driver } from '../../lib/fs/drivers.ts';
import { requireTaskId, requireUuid } from '../../lib/ids.ts';
import { closest, firstOf } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import { type Interrupts, UNINTERRUPTED } from '../../process/interrupts.ts';
import { BUILD } from '../../project/build.ts';
import { refuseForeign, requireProject } from '../../project/find-project.ts';
import { type LoadedPlan, loadPlan } from '../../project/plan-file.ts';
import { loadSettings } from '../../project/settings-file.ts';
import * as change from '../../store/change.ts';
import { claimHistory, publisher, questionNotices, type Subscriber } from '../../store/events.ts';
import { Journal } from '../../store/journal.ts';
import { maskedArtifacts } from '../../store/masked-artifacts.ts';
import { openStores, type Stores } from '../../store/open.ts';
import type { EndedRun, Snapshot, TaskRead, TaskSummaryRead } from '../../store/port.ts';
import type { TrackerKeeper } from '../../trackers/sync.ts';
import { textOrNull } from './data.ts';

/** How a command is called: the outside, and what holds for every command. */
export interface CommandContext<E = never> {
  ctx: Context;
  /** --dir, else FORGE_DIR. */
  dir?: string | undefined;
  /** Where state is kept. Default: in the project's state tree. */
  stores?: Stores;
  /** Opened for this call before. Default: the command opens it. */
  session?: Session | undefined;
  /** Told what a person should know although nothing failed. */
  warn(message: string): void;
  /** Begins to listen for interruptions of this call; `stop` of what it returns ends that. Default: there are none. */
  interrupts?(options?: { leavesKeys(): boolean }): Interrupts & { stop(): void };
  /** Whether there is a terminal that a command can be given. Default: false. */
  terminal?: boolean;
  /** Told before what may take long, when the program can still read what it may need. Default: nothing is. */
  lasts?(): void;
  /** Aborted when the caller wants no more; for commands that follow what others do. */
  signal?: AbortSignal;
  /** Takes the events of a command that goes on over time, as they happen. `logs` waits for what it returns. */
  emit?(event: E): void | Promise<void>;
  /** Receives notes about slow work. Default: they are dropped. */
  note?(message: string): void;
  /** Told what gc would apply, which is printed whatever form the answer has. Default: it is not printed. */
  say?(warning: Warning): void;
}

export type Session = Env & {
  /** What a person should know of the settings file. */
  settingsWarnings: readonly string[];
  /** As in `CommandContext`. */
  note(message: string): void;
  say(warning: Warning): void;
  interrupts(): Interrupts & { stop(): void };
  /** From here on commits don't wait for the tracker. What this returns waits for the calls under way, as long as for one. */
  background(): () => Promise<void>;
};

/** Opens the project that the call is about. Throws PHASES_NOT_FOUND, FOREIGN_PROJECT, SETTINGS_INVALID. */
export async function openSession(context: CommandContext, driver?: Driver): Promise<Session> {
  if (context.session !== undefined) return context.session;
  const paths = requireProject(context.ctx.cwd, context.dir, context.ctx.env);
  const { ctx } = context;
  const cache = cacheOf(paths.project, ctx.env, BUILD);
  const { settings, warnings: settingsWarnings } = await loadSettings(paths, cache);
  if (settings.plan !== null) refuseForeign(paths, ctx.env, [settings.plan]);
  const stores = context.stores ?? openStores(paths, driver, cache);
  const artifacts = maskedArtifacts(stores.artifacts, secretsOf({ ctx, settings }));
  const env = { ...stores, artifacts, now: ctx.now, instant: () => instantOf({ ctx }), newOp: () => newId(ctx) };
  const journal = new Journal(paths, ctx.now, settings.agents.log_rotate_max_bytes);
  const subscribers = [claimHistory(env), journal.write, questionNotices(env)];
  const session: Session = {
    ctx,
    paths,
    settings,
    settingsWarnings,
    cache,
    ...env,
    publish: publisher(subscribers, context.warn),
    warn: context.warn,
    note: (message) => context.note?.(message),
    say: (warning) => context.say?.(warning),
    lasts: () => context.lasts?.(),
    interrupts: () => context.interrupts?.() ?? UNINTERRUPTED,
    background: () => async () => {},
  };
  if (settings.tracker.type !== 'none') subscribers.push(syncTracker(session));
  return session;
}

/** What `work` makes of it while it is told of interruptions, as the caller has them. */
export async function interruptible<T>(
  { interrupts: open }: Pick<CommandContext, 'interrupts'>,
  work: (interrupts: Interrupts) => Promise<T>,
): Promise<T> {
  const interrupts = open?.() ?? UNINTERRUPTED;
  try {
    return await work(interrupts);
  } finally {
    interrupts.stop();
  }
}

/** Keeps the tracker in step with what is committed. Nothing is loaded before something is. */
function syncTracker(session: Session): Subscriber {
  let keeper: Promise<TrackerKeeper | null> | undefined;
  let waits = true;
  session.background = () => {
    waits = false;
    return async () => {
      await (await keeper?.catch(() => null))?.settled();
    };
  };
  return async (events) => {
    keeper ??= import('../../trackers/sync.ts').then(({ keeperOf }) => keeperOf(session));
    const done = keeper
      .then((loaded) => loaded?.follow(events))
      .catch((error) => session.warn(`the tracker is not in step: ${String(error)}`));
    if (waits) await done;
  };
}

// --- what is read before a decision ----------------------------------------------------------------------------------

/** The task of that id in the plan. Throws INVALID_ID, TASK_NOT_FOUND. */
export function plannedTask({ plan, file }: LoadedPlan, taskId: string): PlanTask {
  const task = plan.byId.get(requireTaskId(taskId));
  if (task !== undefined) return task;
  const made = tasksNamed(plan, taskId).map(({ id }) => id);
  if (made.length > 0) {
    throw new ForgeError('TASK_NOT_FOUND', `${taskId} is ${made.length} tasks, by its matrix: say which`, {
      hint: `Such as ${firstOf(made)}.`,
    });
  }
  throw new ForgeError('TASK_NOT_FOUND', `there is no task ${taskId} in ${file}`, nearest(taskId, plan.byId.keys()));
}

/** The ids of the tasks that `names` mean, in the plan: of a task with a matrix all that it makes. Throws INVALID_ID, TASK_NOT_FOUND. */
export function idsMeant(loaded: LoadedPlan, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const tasks = tasksNamed(loaded.plan, requireTaskId(name));
    return (tasks.length > 0 ? tasks : [plannedTask(loaded, name)]).map(({ id }) => id);
  });
}

/** A hint at what was probably meant; none where nothing is close. */
export function nearest(word: string, known: Iterable<string>): { hint?: string } {
  const near = closest(word, known);
  return near === null ? {} : { hint: `Did you mean ${near}?` };
}

/** A plan that is being edited must not keep a worker from its task: then the settings decide alone. */
export async function plannedOrNull(session: Session, taskId: string): Promise<PlanTask | null> {
  return (await planUnlessInvalid(session, 'the settings decide alone'))?.byId.get(taskId) ?? null;
}

/** Null when there is no plan, or it can't be read: then with a warning that ends in `then`. */
export async function planUnlessInvalid(session: Session, then: string): Promise<Plan | null> {
  try {
    return (await loadPlan(session))?.plan ?? null;
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    session.warn(`${error.message}; ${then}`);
    return null;
  }
}

/** The records that a question about `task` may need, and no others. What it waits for may wait for others that have failed. */
export async function readFor(session: Session, { plan }: LoadedPlan, task: PlanTask): Promise<Map<string, TaskRead>> {
  const reads = new Map<string, TaskRead>();
  const needed = new Set(neededFor(task, plan, session.settings.agents, session.settings.limits));
  const before = new Set(orderedBefore(task, plan));
  let there: Set<string> | null = null;
  for (const id of needed) {
    // Of many most may be still to come, and a list tells that of all of them.
    if (needed.size > 10) there ??= new Set(await session.store.list());
    if (there?.has(id) ?? true) reads.set(id, await session.store.read(id));
    const record = id === task.id ? reads.get(id)?.record : null;
    // One that is parked goes on when its children are over.
    for (const child of record ? awaitedChildren(id, record, plan).flat() : []) needed.add(child.id);
    const planned = plan.byId.get(id);
    const state = reads.get(id)?.record?.state.state ?? 'unclaimed';
    if (planned === undefined || planned.status === 'done' || isTerminal(state) || !before.has(id)) continue;
    for (const other of orderedBefore(planned, plan)) {
      before.add(other);
      needed.add(other);
    }
  }
  return reads;
}

/** Everything in the tree at one look, the tasks by their ids. */
export type AllRead = Omit<Snapshot, 'tasks'> & { reads: Map<string, TaskSummaryRead> };

export async function readAll(session: Session): Promise<AllRead> {
  const { tasks, ...rest } = await session.store.snapshot();
  const reads = new Map<string, TaskSummaryRead>();
  for (const read of tasks) reads.set(read.task_id, read);
  return { reads, ...rest };
}

/** Moves the tasks on whose questions are settled, as every command does that may give them out. Updates `reads`. */
export async function resumeSettled(session: Session, reads: Map<string, TaskSummaryRead>): Promise<void> {
  for (const [id, read] of reads) {
    const resumed = await unlessDamaged(session, () => change.resumeIfSettled(session, read));
    if (resumed !== null) reads.set(id, await session.store.read(id));
  }
}

/** `reads` as `resumeSettled` would leave them, for those who only look: what they show is what the next claim sees. */
export async function withSettledQuestions(
  session: Session,
  reads: ReadonlyMap<string, TaskSummaryRead>,
): Promise<ReadonlyMap<string, TaskSummaryRead>> {
  const parked = [...reads.values()].filter(({ record }) => record?.state.state === 'blocked_on_question');
  if (parked.length === 0) return reads;
  const next = new Map(reads);
  for (const { task_id: id } of parked) {
    const read = await session.store.read(id);
    const { record, problem } = read;
    if (record === null || problem !== null) continue;
    const seen = await unlessDamaged(session, () => change.withSettledQuestion(session, record));
    if (seen !== null) next.set(id, { ...read, record: seen });
  }
  return next;
}

/** Every reason why a task can't start now; none when it can. */
export async function reasonsFor(session: Session, loaded: LoadedPlan, task: PlanTask) {
  return (await waitsOf(session, loaded, task)).map(({ code, message }) => ({ code, message }));
}

/** `reasonsFor`, and what each waits for. */
export async function waitsOf(session: Session, loaded: LoadedPlan, task: PlanTask): Promise<Reason[]> {
  // Any task that an agent does may have met a limit of its account.
  const needsAll = agentFor(task, session.settings.agents) !== null;
  const known = needsAll ? (await readAll(session)).reads : await readFor(session, loaded, task);
  const reads = await withSettledQuestions(session, known);
  return reasonsToWait(task, schedulingContextOf(session, loaded.plan, reads));
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
  change.refuseUnreadable(read);
  if (read.record !== null) return { ...read, record: read.record };
  throw await unknownTask(session, taskId);
}

async function unknownTask(session: Session, taskId: string): Promise<ForgeError> {
  const loaded = await loadPlan(session);
  if (loaded === null) return new ForgeError('TASK_NOT_FOUND', `there is no task ${taskId} in ${session.store.place}`);
  plannedTask(loaded, taskId);
  return new ForgeError(
    'STATE_NOT_FOUND',
    `task ${taskId} has no state: nothing has happened to it yet, or it was removed`,
  );
}

/** Changes a task that something has happened to. Throws like `requireRecord`, and what `decide` throws. */
export async function changeKnown<R>(
  session: Session,
  taskId: string,
  decide: (record: TaskRecord) => Decision<R> | Promise<Decision<R>>,
): Promise<change.Changed<R>> {
  return change.changeTask(session, requireTaskId(taskId), decide, { unknown: () => unknownTask(session, taskId) });
}

/** A planned task that nothing has happened to is known too. */
export async function requireKnown(session: Session, taskId: string): Promise<void> {
  if ((await loadPlan(session))?.plan.byId.has(taskId) === true) return;
  await requireRecord(session, taskId);
}

// --- runs ------------------------------------------------------------------------------------------------------------

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

/** Throws INVALID_ID, RUN_NOT_FOUND. */
export async function requireRun(session: Session, runId: string): Promise<RunManifest> {
  const manifest = await session.store.readRun(requireUuid(runId, '--run'));
  if (manifest === null) throw new ForgeError('RUN_NOT_FOUND', `there is no run ${runId}`);
  return manifest;
}

/** Notes that a run is over. One that ended before keeps its time. Null when there is no such run, or it is gone with its tree. */
export function endRun(session: Session, runId: string): Promise<EndedRun | null> {
  return session.store.endRun(runId, isoTime(session.now()), session.newOp());
}

/**
 * Does `work` under the run that is named, which must exist, else under a new one. A run that was opened for work that was
 * then refused is taken back; after IO_ERROR something may be done under it all the same. Throws RUN_NOT_FOUND, and what `work`
 * throws.
 */
export async function underRun<T>(
  session: Session,
  runId: string | undefined,
  fields: Partial<RunManifest>,
  work: (runId: string) => Promise<T>,
): Promise<T> {
  if (runId !== undefined) return work((await requireRun(session, runId)).run_id);
  const { run_id } = await openRun(session, fields);
  try {
    return await work(run_id);
  } catch (error) {
    if (!(error instanceof ForgeError && error.code === 'IO_ERROR')) await session.store.discardRun(run_id);
    throw error;
  }
}

export const runFields = () => ({ run_id: z.string(), name: textOrNull(), started_at: z.string() });

export const runRowSchema = () =>
  z.strictObject({
    ...runFields(),
    host: z.string(),
    ended_at: textOrNull(),
    standing: z.enum(['open', 'ended', 'dead']),
  });
export type RunRow = z.infer<ReturnType<typeof runRowSchema>>;

export function runRow(session: Session, manifest: RunManifest): RunRow {
  const { run_id, name, host, started_at } = manifest;
  const ended_at = manifest.ended_at ?? null;
  return { run_id, name, host, started_at, ended_at, standing: runStanding(session, manifest) };
}

/** Whether the run works on the task, or touched it last. */
export function isOfRun({ record }: Pick<TaskSummaryRead, 'record'>, runId: string): boolean {
  return record?.lease?.owner_run_id === runId || record?.state.updated_by.run_id === runId;
}
