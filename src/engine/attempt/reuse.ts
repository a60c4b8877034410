/** Tasks that are not done again: what they are known by, and their outputs, kept and put back. */

import path from 'node:path';
import { newId } from '../../domain/context.ts';
import type { PlanTask } from '../../domain/plan/plan.ts';
import { doneBy, lookOf, type Reuse, reuseKey, reuseOf } from '../../domain/reuse/reuse.ts';
import { rerunOf } from '../../domain/task/by-hand.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { errorMessage } from '../../lib/errors.ts';
import { KEPT_MAX_BYTES, KeptFiles } from '../../lib/fs/kept-files.ts';
import { digestOf, type MatchingFile, matchingFiles } from '../../lib/fs/matching-files.ts';
import { fromIso } from '../../lib/time.ts';
import type { AttemptRef } from '../../store/port.ts';
import type { Env } from '../env.ts';

type ReadRecord = (taskId: string) => Promise<TaskRecord | null>;

const readIn =
  ({ store }: Env): ReadRecord =>
  async (id) =>
    (await store.read(id)).record;

/** What the task is known by as its inputs are now; null where that can't be said: a warning says why. Throws SCHEMA_INVALID, IO_ERROR of the store. */
async function keyNow(env: Env, task: PlanTask, read = readIn(env), warn = env.warn): Promise<string | null> {
  const dependencies: [string, string | null][] = [];
  for (const id of task.depends_on) dependencies.push([id, doneBy(await read(id))]);
  const { project } = env.paths;
  try {
    const made = new Set(matchingFiles(project, task.outputs).map((file) => file.path));
    const files = matchingFiles(project, task.inputs).filter((file) => !made.has(file.path));
    if (files.length === 0) {
      warn(`${matchNone(task, 'inputs')}, so it is done every time`);
      return null;
    }
    const inputs = files.map((file) => ({ ...file, digest: digestOf(path.join(project, file.path), file.kind) }));
    const platform = `${process.platform}-${process.arch}`;
    return reuseKey(task, { inputs, verify: env.settings.verify.commands, dependencies, platform });
  } catch (error) {
    warn(`task ${task.id}: its inputs can't be read, so it is done again: ${errorMessage(error)}`);
    return null;
  }
}

function matchNone(task: PlanTask, what: 'inputs' | 'outputs'): string {
  // As `run` sees them they would be there.
  const seen = task.cwd === null ? '' : ` (they are relative to the project, not to ${task.cwd})`;
  return `task ${task.id}: its ${what} (${task[what].join(', ')}) match no file${seen}`;
}

/**
 * Whether a task that has shipped is what it was done for, and its outputs are there as they were then. `read`: a record, as it is known. What is missing now may be
 * made again before its turn, so nothing is warned of. Throws as `keyNow` does.
 */
export async function standsBy(
  env: Env,
  task: PlanTask,
  { state }: TaskRecord,
  { key, made }: Reuse,
  read: ReadRecord,
): Promise<{ isSame: boolean; isPresent: boolean }> {
  const isSame = key !== null && key === (await keyNow(env, task, read, () => {}));
  if (!isSame) return { isSame, isPresent: false };
  const kept = KeptFiles.of(env.ctx.env, env.now);
  const isKept = kept?.isPresent(key, env.paths.project, fromIso(state.updated_at)) ?? null;
  return { isSame, isPresent: isKept ?? (made === null || made === madeNow(env, task)) };
}

const bytesOf = (files: readonly MatchingFile[]) => files.reduce((sum, file) => sum + file.bytes, 0);

/** How the outputs of a task look now, with what is in them unless that is too much; null where that can't be said. */
export function madeNow({ paths: { project } }: Env, task: PlanTask | null): string | null {
  try {
    const files = task === null ? [] : matchingFiles(project, task.outputs);
    const isRead = bytesOf(files) <= KEPT_MAX_BYTES;
    const digest = ({ path: file, kind }: MatchingFile) => (isRead ? digestOf(path.join(project, file), kind) : null);
    return task && lookOf(files.map((file) => ({ ...file, digest: digest(file) })));
  } catch {
    return null;
  }
}

/**
 * Puts back what is missing of the outputs of a task that has shipped and is what it was done for. That is no attempt: its result is the one that is
 * recorded, and no file that is there is replaced. False where they are not kept, or one is there that is another. Throws IO_ERROR.
 */
export async function putBack(env: Env, task: PlanTask, { key }: Reuse): Promise<boolean> {
  const kept = KeptFiles.of(env.ctx.env, env.now);
  if (key === null || kept === null) return false;
  const unused = { taskId: task.id, attemptId: newId(env.ctx) };
  try {
    const isBack = await kept.fill(key, env.paths.project, env.artifacts.placeForDraft(unused, 'outputs'));
    // Nothing needs what killed processes have left, nor what others are about to put back.
    if (isBack) env.artifacts.dropOtherDrafts(unused, 'outputs');
    return isBack;
  } finally {
    env.artifacts.discard(unused);
  }
}

/** Whether a task that is ready would ship as `unchanged`, as `beforeWork` has it. `fresh`: nothing that is kept is used. Changes nothing. Throws as `keyNow` does. */
export async function wouldBeUnchanged(env: Env, task: PlanTask, read: ReadRecord, fresh: boolean): Promise<boolean> {
  const record = await read(task.id);
  if (fresh || (record !== null && rerunOf(record)?.fresh === true)) return false;
  const key = await keyNow(env, task, read, () => {});
  return key !== null && (KeptFiles.of(env.ctx.env, env.now)?.canRestore(key, env.paths.project) ?? false);
}

/** Before the work of an attempt that holds its task: `unchanged` when its outputs are there by what was kept. */
export async function beforeWork(env: Env, task: PlanTask, attempt: AttemptRef, record: TaskRecord): Promise<Reuse> {
  env.artifacts.dropOtherDrafts(attempt, 'outputs');
  const key = await keyNow(env, task);
  const isFresh = rerunOf(record)?.fresh === true;
  const kept = key === null || isFresh ? null : KeptFiles.of(env.ctx.env, env.now);
  if (key === null || kept === null) return { key, unchanged: false, made: null };
  const aside = env.artifacts.placeForDraft(attempt, 'outputs');
  return { key, unchanged: await kept.restore(key, env.paths.project, aside), made: null };
}

/** Of work that is done, by whatever has done it. Throws as `keyNow` does. */
export async function reuseNow(env: Env, task: PlanTask): Promise<Reuse> {
  return { key: await keyNow(env, task), unchanged: false, made: null };
}

/** After its work: without a key when what it reads has changed meanwhile. Null where its outputs are not kept. Throws as `keyNow` does. */
export async function afterWork(env: Env, task: PlanTask, before: Reuse | undefined): Promise<Reuse | null> {
  if (before === undefined) return null;
  if (before.unchanged || before.key === null) return before;
  const key = await keyNow(env, task);
  if (key === before.key) return before;
  if (key !== null) env.warn(`task ${task.id}: its inputs have changed while it worked, so its outputs are not kept`);
  return { key: null, unchanged: false, made: null };
}

/** Keeps the outputs of a task that has shipped, where its plan says so. A warning says why where that fails. Never throws. */
export async function keepOutputs(env: Env, task: PlanTask, record: TaskRecord): Promise<void> {
  const { key, unchanged, made } = reuseOf(record) ?? { key: null, unchanged: true, made: null };
  if (key === null || unchanged) return;
  const { project } = env.paths;
  try {
    const files = matchingFiles(project, task.outputs);
    if (files.length === 0 && task.outputs.length > 0) {
      env.warn(`${matchNone(task, 'outputs')}, so nothing is kept`);
      return;
    }
    const bytes = bytesOf(files);
    if (bytes > KEPT_MAX_BYTES) {
      env.warn(`task ${task.id}: its outputs have ${bytes} bytes, and at most ${KEPT_MAX_BYTES} are kept`);
      return;
    }
    // From the moment that it has shipped others may work on these files.
    const isMade = (copies: Parameters<typeof lookOf>[0]) => made === null || made === lookOf(copies);
    const kept = await KeptFiles.of(env.ctx.env, env.now)?.keep(key, project, files, newId(env.ctx), isMade);
    if (kept === false) env.warn(`task ${task.id}: its outputs have changed since it shipped, so they are not kept`);
  } catch (error) {
    env.warn(`task ${task.id}: its outputs are not kept: ${errorMessage(error)}`);
  }
}
