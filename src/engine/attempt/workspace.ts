/**
 * Where the worker of a task runs: in the project, or in the task's own worktree. Workspaces are loaded only where settings
 * ask for them: most projects have none, and every start would pay for git.
 */

import { installHint } from '../../domain/plan/agent-programs.ts';
import type { TaskCommand } from '../../domain/plan/task-command.ts';
import type { Workspace } from '../../domain/prompt/worker-prompt.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import type { Behind } from '../../domain/task/workspaces.ts';
import { evidenceOf, NO_WORKTREE, type Work } from '../../domain/verify/evidence.ts';
import { setupFault } from '../../domain/verify/git-setup.ts';
import { NO_WORK_FOUND, type WorkFound } from '../../domain/verify/verification.ts';
import { type ErrorCode, ForgeError, orNull } from '../../lib/errors.ts';
import { missingProgram } from '../../process/programs.ts';
import { type Env, looksAtGit } from '../env.ts';

/** The one place that says where a task is worked on unless the caller does. */
export function workspaceOf({ paths }: Pick<Env, 'paths'>): Workspace {
  return { path: paths.project, branch: null };
}

export function hasWorktrees(env: Pick<Env, 'settings'>): boolean {
  return env.settings.workspace === 'worktree';
}

/** Throws SETTINGS_INVALID where settings ask for worktrees and the project is in no repository; IO_ERROR. */
export async function requireWorktrees(env: Env): Promise<void> {
  if (!hasWorktrees(env)) return;
  const { repositoryOf } = await import('../../git/repository.ts');
  await repositoryOf(env);
}

/** The task can't be worked on, and trying again would not help: a person has to look. */
export class CanNotStart extends ForgeError {
  /** Since what is behind it is for a person. `text`: what can't be done. */
  static since(cause: ForgeError, text: string, code: ErrorCode = 'IO_ERROR'): CanNotStart {
    return new CanNotStart(code, `${text}: ${cause.message}`, { hint: cause.hint, cause });
  }
}

/** The error of a verification, as CanNotStart where a person has to look, such as for a base that is gone. */
export function notVerified(taskId: string, error: unknown): unknown {
  if (!(error instanceof ForgeError) || !['SETTINGS_INVALID', 'NOT_READY'].includes(error.code)) return error;
  return CanNotStart.since(error, `the result of task ${taskId} is not verified`, error.code);
}

/** What is said where the agent that is to do the task is not there; null where it is, and where none is asked. */
export function missingAgent(
  { ctx, paths }: Pick<Env, 'ctx' | 'paths'>,
  taskId: string,
  from: TaskCommand['from'],
): CanNotStart | null {
  const missing = missingProgram(from, ctx.env, paths.project);
  if (missing === null) return null;
  return new CanNotStart('SETTINGS_INVALID', `there is no ${missing} on PATH to do task ${taskId}`, {
    hint: `${installHint(missing)}; put it on PATH; or set agents.worker_command.`,
  });
}

/** Whether no worker has been in the worktree of a task. `created`: it is new. */
export function isUntouched(record: TaskRecord, created: boolean): boolean {
  const { current_attempt_id: last } = record.state;
  return created || last === null || evidenceOf(record, last)?.untouched === true;
}

/**
 * What the record of an attempt keeps of its beginning. `cwd`: its worktree; null: it works in the project. `created`: the worktree is
 * new. Throws SETTINGS_INVALID,
 * IO_ERROR, and SCHEMA_INVALID where only the manifest of an earlier version could say what the task was begun for.
 */
export async function workAt(env: Env, record: TaskRecord, cwd: string | null, created = false): Promise<Work> {
  if (!looksAtGit(env)) return NO_WORKTREE;
  const { gitSetup } = await import('../../git/setup.ts');
  const git_setup = (await gitSetup(env, cwd))?.digests ?? null;
  const base_branch = cwd === null ? null : await begunFor(env, record);
  const from_start = cwd === null ? [] : await fromStart(env, record, cwd, created);
  return { worktree_path: cwd, base_branch, git_setup: git_setup && { ...git_setup }, from_start };
}

/** The setup of git that all worktrees share; null where it is not looked at. Throws IO_ERROR. */
export async function setupNow(env: Env): Promise<Work['git_setup']> {
  if (!looksAtGit(env)) return null;
  const { gitSetup } = await import('../../git/setup.ts');
  const setup = await gitSetup(env, null);
  return setup && { ...setup.digests };
}

/** Changes of the worktree that are no work of the attempt: those of a new one, and of one before its first attempt; else as they were then. */
async function fromStart(env: Env, record: TaskRecord, cwd: string, created: boolean): Promise<string[]> {
  const { task_id, current_attempt_id: last } = record.state;
  if (!isUntouched(record, created)) return evidenceOf(record, last)?.from_start ?? [];
  const { changesFromStart } = await import('../../git/changes.ts');
  const { repositoryOf } = await import('../../git/repository.ts');
  const { topOf } = await import('../../git/worktree-files.ts');
  const { digests, more } = await changesFromStart(env, topOf(cwd, (await repositoryOf(env)).prefix));
  if (more > 0)
    env.warn(
      `in the worktree of task ${task_id} ${more} files differ from its commit before the first attempt; commit them first, or have git ignore them`,
    );
  return digests;
}

/** Where an attempt has worked: as the record says, else, in a tree of an earlier version, its manifest. */
export async function workOf(
  { store }: Pick<Env, 'store'>,
  taskId: string,
  record: TaskRecord | null,
  attemptId: string | null,
): Promise<Work> {
  const evidence = record && evidenceOf(record, attemptId);
  if (evidence) return evidence;
  const manifest = attemptId === null ? null : await store.readDocument('manifest', taskId, attemptId);
  const { worktree_path = null, base_branch = null } = manifest ?? {};
  return { ...NO_WORKTREE, worktree_path, base_branch };
}

/** The branch that the task was begun for: that of its last attempt, else the base of now. */
export async function begunFor(env: Env, record: TaskRecord): Promise<string | null> {
  const { task_id, current_attempt_id: last } = record.state;
  const before =
    evidenceOf(record, last) ?? (last === null ? null : await env.store.readDocument('manifest', task_id, last));
  if (before?.base_branch) return before.base_branch;
  const { baseOf } = await import('../../git/repository.ts');
  return (await baseOf(env)).branch;
}

/** The place that a task has, or would get. `record` null: nothing has happened to it. Makes nothing. Throws SETTINGS_INVALID, IO_ERROR. */
export async function expectedWorkspace(env: Env, taskId: string, record: TaskRecord | null): Promise<Workspace> {
  if (!hasWorktrees(env)) return workspaceOf(env);
  const { expectedWorktree } = await import('../../git/worktree.ts');
  return { ...(await expectedWorktree(env, taskId)), behind: await behindNow(env, taskId, record) };
}

/** How far a branch that forge does not move is behind its base; null where it is not, and without worktrees. Throws IO_ERROR. */
export async function behindNow(env: Env, taskId: string, record: TaskRecord | null): Promise<Behind | null> {
  if (!hasWorktrees(env)) return null;
  const { ownBehindBase } = await import('../../git/branch-start.ts');
  return ownBehindBase(env, taskId, record && (await orNull(() => begunFor(env, record))));
}

/** What is wrong with an attempt whose setup of git is not the one that it began on. `own`: as `setupFault` has it. Throws IO_ERROR. */
export async function setupFaultOf(
  env: Env,
  { worktree_path, git_setup }: Pick<Work, 'worktree_path' | 'git_setup'>,
  own: string | null = null,
): Promise<ClassifiedError | null> {
  if (git_setup === null) return null;
  const { setupChange } = await import('../../git/setup.ts');
  const change = await setupChange(env, worktree_path, git_setup);
  return change && setupFault(change.text, own);
}

/**
 * Where an attempt is verified, and what is found there; or why that can't be told. Git is asked nothing about the work when its setup is not
 * the one that the attempt began on. Throws IO_ERROR.
 */
export async function inspectAttempt(
  env: Env,
  taskId: string,
  { worktree_path: worktreePath, base_branch, git_setup, from_start }: Work,
  dependsOn: readonly string[] = [],
): Promise<{ cwd: string; found: WorkFound } | ClassifiedError> {
  const { headOf } = await import('../../git/repository.ts');
  const { project } = env.paths;
  const fault = await setupFaultOf(env, { worktree_path: worktreePath, git_setup });
  if (fault !== null) return fault;
  if (worktreePath !== null) {
    try {
      const { inspectWorkspace } = await import('../../git/inspect-worktree.ts');
      const look = await inspectWorkspace(env, taskId, worktreePath, base_branch, from_start, dependsOn);
      if (look !== null) return { cwd: worktreePath, found: look };
      return noWorkspace(`${worktreePath} is gone, or is not a worktree with a commit any more`);
    } catch (error) {
      // What a worker has broken in its own worktree is its failure, and keeps no other task from going on. Where git does
      // not work in the project either, it is not the worker's.
      const isItsOwn =
        error instanceof ForgeError && error.code === 'IO_ERROR' && (await orNull(() => headOf(env, project))) !== null;
      if (isItsOwn) return noWorkspace(error.message);
      throw error;
    }
  }
  // A folder that is in no repository, or where there is no git at all, is verified as it stands.
  const head = await headOf(env, project);
  return { cwd: project, found: { ...NO_WORK_FOUND, ...head } };
}

function noWorkspace(message: string): ClassifiedError {
  return { class: 'verify.workspace', message };
}
