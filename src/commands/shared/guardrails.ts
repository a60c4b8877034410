/** Whether files are protected, and whether it was decided that they may be changed. */

import path from 'node:path';
import * as z from 'zod/mini';
import { QUESTION_LIMITS } from '../../domain/question/questions.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { workedBy } from '../../domain/task/transition.ts';
import {
  CHECKED_EVENT,
  DENY_OPTION,
  decisionOn,
  guardrailKey,
  protectingGlob,
} from '../../domain/verify/guardrails.ts';
import { hasWorktrees } from '../../engine/attempt/workspace.ts';
import { ForgeError, invalidArgs } from '../../lib/errors.ts';
import { requireTaskId, requireUuid } from '../../lib/ids.ts';
import { oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import { isFolder } from '../../project/look.ts';
import { requirePlan } from '../../project/plan-file.ts';
import { realPlace } from '../../project/user-files.ts';
import type { AttemptRef } from '../../store/port.ts';
import { textOrNull } from './data.ts';
import { plannedTask } from './planned.ts';
import { requireRecord } from './reads.ts';
import type { Session } from './session.ts';

const rowSchema = () =>
  z.strictObject({
    /** Relative to the project. */
    path: z.string(),
    protected: z.boolean(),
    /** The glob of agents.preflight_globs that protects it; null when none does. */
    glob: textOrNull(),
    /** It may be changed: it is not protected, or that was decided. */
    cleared: z.boolean(),
    /** What was decided, and under which key; where nothing was, the key to ask under. Null when it is not protected. */
    option_id: textOrNull(),
    decision_key: textOrNull(),
  });
type Row = z.infer<ReturnType<typeof rowSchema>>;

/** Longest path that is taken, in characters. */
const PATH_MAX_CHARS = 1000;

export const guardrailsSchema = () =>
  z.strictObject({ task_id: textOrNull(), attempt_id: textOrNull(), paths: z.array(rowSchema()) });
export type Guardrails = z.infer<ReturnType<typeof guardrailsSchema>>;

export interface GuardrailRequest {
  /** Whose decisions count. Without it nothing is decided. */
  task?: string | undefined;
  /** What is not there yet is a file, unless it ends with a slash. */
  path: readonly string[];
  /** Without it nothing is written. */
  attempt?: string | undefined;
}

/**
 * Throws PATH_PROTECTED (with the answer as `data`) unless every path may be changed; INVALID_ARGS, INVALID_ID, TASK_NOT_FOUND;
 * STATE_NOT_FOUND, LEASE_STOLEN and STALE_ATTEMPT for an attempt that is over.
 */
export async function checkGuardrails(
  session: Session,
  { task, path: given, attempt }: GuardrailRequest,
): Promise<Guardrails> {
  if (given.length === 0) throw invalidArgs('say which files: --path <path>, and repeat --path for more');
  const attemptId = attempt === undefined ? null : requireUuid(attempt, '--attempt');
  if (attemptId !== null && task === undefined) throw invalidArgs('--attempt needs the task that it belongs to');
  const record = task === undefined ? null : await recordOf(session, task, attemptId);
  const ref = task === undefined || attemptId === null ? null : { taskId: task, attemptId };
  const roots = await rootsOf(session, ref);
  const paths: Row[] = [];
  for (const each of given) paths.push(rowOf(session, await namedBy(session, roots, each), record));
  if (ref !== null) await note(session, ref, paths);
  const data = { task_id: task ?? null, attempt_id: attemptId, paths };
  const left = paths.filter(({ cleared }) => !cleared);
  if (left.length > 0) throw protectedError(data, left);
  return data;
}

/** Null when nothing has happened to the task, so nothing was decided either. */
async function recordOf(session: Session, task: string, attemptId: string | null): Promise<TaskRecord | null> {
  if (attemptId === null) {
    const { record } = await session.store.read(requireTaskId(task));
    if (record === null) plannedTask(await requirePlan(session), task);
    return record;
  }
  const { record } = await requireRecord(session, task);
  workedBy(record, attemptId);
  return record;
}

function rowOf(session: Session, { name, folder }: Named, record: TaskRecord | null): Row {
  const glob = protectingGlob(name, folder, session.settings.agents.preflight_globs);
  if (glob === null) return { path: name, protected: false, glob, cleared: true, option_id: null, decision_key: null };
  const decision = decisionOn(name, glob, record);
  return {
    path: name,
    protected: true,
    glob,
    cleared: decision !== null && decision.option_id !== DENY_OPTION,
    option_id: decision?.option_id ?? null,
    decision_key: decision?.decision_key ?? guardrailKey(name, glob, QUESTION_LIMITS.key),
  };
}

/** The attempt has asked, whatever the answer: that is what is looked for when its result is verified. */
async function note({ eventLog, now }: Session, attempt: AttemptRef, rows: readonly Row[]): Promise<void> {
  const ts = isoTime(now());
  for (const { path: name, glob, cleared } of rows.filter((row) => row.protected)) {
    const entry = { ts, type: CHECKED_EVENT, data: { path: name, glob, cleared } };
    await eventLog.append({ log: 'events', ...attempt }, entry);
  }
}

function protectedError(data: { task_id: string | null }, left: readonly Row[]): ForgeError {
  const what = left.map(({ path: name, glob }) => `${name} (by ${glob})`).join(', ');
  const denied = left.filter(({ option_id }) => option_id !== null);
  const why =
    denied.length === left.length
      ? 'it was decided that this may not be changed'
      : 'protected, and it was not decided that it may be changed';
  const key = JSON.stringify(left[0]?.decision_key);
  const hint =
    denied.length > 0
      ? `Leave ${denied[0]?.path} as it is, or find another way.`
      : `Ask before you change it: \`forge orchestrate question --decision-key ${key} --question TEXT --options-file FILE\`, with options such as allow and ${DENY_OPTION}.`;
  const details = { task_id: data.task_id, paths: left };
  return new ForgeError('PATH_PROTECTED', oneLine(`${why}: ${what}`, 1000), { details, hint, data });
}

// ---------------------------------------------------------------------------------------------- paths

/** Folders that paths of the project are below: the project itself, and where the attempt was told to work. */
async function rootsOf(session: Session, attempt: AttemptRef | null): Promise<string[]> {
  const manifest = attempt && (await session.store.readDocument('manifest', attempt.taskId, attempt.attemptId));
  const own = manifest?.worktree_path ?? session.paths.project;
  return [...new Set([own, session.paths.project])].map((root) => realPlace(root));
}

/** A path as globs see it, relative to the project. `folder`: it is one, or was written as one. */
interface Named {
  name: string;
  folder: boolean;
}

/** Symlinks are followed: what they lead to is what would change. */
async function namedBy(session: Session, roots: readonly string[], given: string): Promise<Named> {
  const place = realPlace(path.resolve(session.ctx.cwd, given));
  const all = [...roots, ...(await worktreeAround(session, place))];
  const root = all.filter((each) => place.startsWith(`${each}/`)).toSorted((a, b) => b.length - a.length)[0];
  const why = given.trim() === '' ? 'it is empty' : root === undefined ? 'it is not a file below the project' : null;
  if (why !== null || root === undefined || given.length > PATH_MAX_CHARS) {
    throw invalidArgs(
      `--path ${JSON.stringify(oneLine(given, 200))}: ${why ?? 'it is too long'}`,
      'A path is relative to the current folder, and leads to a file or a folder in the project or in a worktree of it.',
    );
  }
  return { name: place.slice(root.length + 1), folder: given.endsWith('/') || isFolder(place) };
}

/** The project's folder in the worktree of a task that the place is in, whosever it is; empty for any other place. */
async function worktreeAround(session: Session, place: string): Promise<string[]> {
  if (!hasWorktrees(session)) return [];
  const worktrees = realPlace(path.resolve(session.paths.project, session.settings.agents.worktree_root));
  if (!place.startsWith(`${worktrees}/`)) return [];
  const { repositoryOf } = await import('../../git/repository.ts');
  const [name = ''] = place.slice(worktrees.length + 1).split('/');
  return [path.join(worktrees, name, (await repositoryOf(session)).prefix).replace(/\/$/, '')];
}
