/** `guardrail-check`: whether a file is protected, and whether it was decided that it may be changed. */

import path from 'node:path';
import * as z from 'zod/mini';
import { QUESTION_LIMITS } from '../domain/question/questions.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { workedBy } from '../domain/task/transition.ts';
import { CHECKED_EVENT, DENY_OPTION, decisionOn, guardrailKey, protectingGlob } from '../domain/verify/guardrails.ts';
import { hasWorktrees } from '../engine/attempt/workspace.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireTaskId, requireUuid } from '../lib/ids.ts';
import { oneLine } from '../lib/text.ts';
import { isoTime } from '../lib/time.ts';
import { isFolder } from '../project/find-project.ts';
import { requirePlan } from '../project/plan-file.ts';
import { realPlace } from '../project/user-files.ts';
import { command, invalidArgs, option, optionalTaskField, ownAttemptField } from './shared/command.ts';
import { textOrNull } from './shared/data.ts';
import { plannedTask, requireRecord } from './shared/reads.ts';
import { openSession, type Session } from './shared/session.ts';

const input = z.object({
  /** Whose decisions count. Without it nothing is decided. */
  task: optionalTaskField(),
  /** What is not there yet is a file, unless it ends with a slash. */
  path: option(z.array(z.string()), 'path', 'A file, or a folder with all that is in it'),
  /** Without it nothing is written. */
  attempt: ownAttemptField('The attempt that asks, which is noted (default: FORGE_ATTEMPT_ID, for its own task)'),
});

const output = () =>
  z.strictObject({
    task_id: textOrNull(),
    attempt_id: textOrNull(),
    paths: z.array(
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
      }),
    ),
  });
export type GuardrailData = z.infer<ReturnType<typeof output>>;
type GuardrailRow = GuardrailData['paths'][number];

export const guardrailCheck = command({
  changes: true,
  notes: 'Exits with 4 for a file of agents.preflight_globs, unless it was decided that it may be changed.',
  examples: [
    ['guardrail-check --path migrations/0007.sql', 'the task and attempt in FORGE_*'],
    ['guardrail-check --path src --path package.json --json', 'several, for a script'],
  ],
  input,
  output,
  /**
   * Throws PATH_PROTECTED (with the answer as `data`) unless every path may be changed; INVALID_ARGS, INVALID_ID, TASK_NOT_FOUND;
   * STATE_NOT_FOUND, LEASE_STOLEN and STALE_ATTEMPT for an attempt that is over.
   */
  async run(context, options) {
    if (options.path.length === 0) throw invalidArgs('say which files: --path <path>, as often as need be');
    const session = await openSession(context);
    const { task, attempt } = options;
    const attemptId = attempt === undefined ? null : requireUuid(attempt, '--attempt');
    if (attemptId !== null && task === undefined) throw invalidArgs('--attempt needs the task that it belongs to');
    const record = task === undefined ? null : await recordOf(session, task, attemptId);
    const roots = await rootsOf(session, task, attemptId);
    const rows: GuardrailRow[] = [];
    for (const given of options.path) rows.push(rowOf(session, await namedBy(session, roots, given), record));
    if (task !== undefined && attemptId !== null) await note(session, task, attemptId, rows);
    const data: GuardrailData = { task_id: task ?? null, attempt_id: attemptId, paths: rows };
    refuseUncleared(data);
    return data;
  },
});

/** Longest path that is taken, in characters. */
const PATH_MAX_CHARS = 1000;

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

function rowOf(session: Session, { name, folder }: Named, record: TaskRecord | null): GuardrailRow {
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
async function note({ eventLog, now }: Session, taskId: string, attemptId: string, rows: readonly GuardrailRow[]) {
  const ts = isoTime(now());
  const asked = rows.filter((row) => row.protected);
  for (const { path: name, glob, cleared } of asked) {
    const entry = { ts, type: CHECKED_EVENT, data: { path: name, glob, cleared } };
    await eventLog.append({ log: 'events', taskId, attemptId }, entry);
  }
}

function refuseUncleared(data: GuardrailData): void {
  const left = data.paths.filter(({ cleared }) => !cleared);
  const [first] = left;
  if (first === undefined) return;
  const what = left.map(({ path: name, glob }) => `${name} (by ${glob})`).join(', ');
  const denied = left.filter(({ option_id }) => option_id !== null);
  const message =
    denied.length === left.length
      ? `it was decided that this is not to be changed: ${what}`
      : `protected, and it was not decided that it may be changed: ${what}`;
  throw new ForgeError('PATH_PROTECTED', oneLine(message, 1000), {
    details: { task_id: data.task_id, paths: left },
    hint:
      denied.length > 0
        ? `Leave ${denied[0]?.path} as it is, or find another way.`
        : `Ask before you change it: \`forge orchestrate question --decision-key ${JSON.stringify(first.decision_key)} --question TEXT --options-file FILE\`, with options such as allow and ${DENY_OPTION}.`,
    data,
  });
}

// ---------------------------------------------------------------------------------------------- paths

/** Folders that paths of the project are below: the project itself, and where the attempt was told to work. */
async function rootsOf(session: Session, task: string | undefined, attemptId: string | null): Promise<string[]> {
  const manifest =
    task === undefined || attemptId === null ? null : await session.store.readDocument('manifest', task, attemptId);
  const own = manifest?.worktree_path ?? null;
  return [...(own === null ? [] : [own]), session.paths.project].map((root) => realPlace(root));
}

/** A path as globs see it. `folder`: it is one, or was written as one. */
interface Named {
  name: string;
  folder: boolean;
}

/** The path as globs see it, relative to the project. Symlinks are followed: what they lead to is what would change. */
async function namedBy(session: Session, roots: readonly string[], given: string): Promise<Named> {
  const place = realPlace(path.resolve(session.ctx.cwd, given));
  const all = [...roots, ...(await worktreeAround(session, place))];
  const root = all.filter((each) => place.startsWith(`${each}/`)).toSorted((a, b) => b.length - a.length)[0];
  const why = given.trim() === '' ? 'it is empty' : root === undefined ? 'it is no file below the project' : null;
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
  const { repositoryOf } = await import('../git/repository.ts');
  const [name = ''] = place.slice(worktrees.length + 1).split('/');
  const { prefix } = await repositoryOf(session);
  return [`${worktrees}/${name}${prefix === '' ? '' : `/${prefix.slice(0, -1)}`}`];
}
