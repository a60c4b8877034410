/**
 * Workspaces of tasks as far as they are text: the name of a branch, what git says of its worktrees, and which variables
 * would make git look elsewhere.
 */

import { isTaskId } from '../../lib/ids.ts';

/**
 * Variables by which git is told about one repository. A process in another checkout must not inherit them: it would work
 * on the wrong one. Source: `git rev-parse --local-env-vars`, and GIT_NAMESPACE, which leads to other refs.
 */
export const GIT_LOCAL_VARIABLES = [
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_CONFIG',
  'GIT_CONFIG_PARAMETERS',
  'GIT_CONFIG_COUNT',
  'GIT_OBJECT_DIRECTORY',
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_IMPLICIT_WORK_TREE',
  'GIT_GRAFT_FILE',
  'GIT_INDEX_FILE',
  'GIT_NO_REPLACE_OBJECTS',
  'GIT_REPLACE_REF_BASE',
  'GIT_PREFIX',
  'GIT_INTERNAL_SUPER_PREFIX',
  'GIT_SHALLOW_FILE',
  'GIT_COMMON_DIR',
  'GIT_NAMESPACE',
] as const;

const LOCAL: ReadonlySet<string> = new Set(GIT_LOCAL_VARIABLES);

/** An environment in which git finds the repository by the folder that it runs in. */
export function withoutGitLocals<T>(env: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !LOCAL.has(name)));
}

/**
 * What a worker, and a command that checks its result, get of the environment that forge was started in: nothing by which a
 * surrounding forge or git would reach into them. Both get the same, so that a worker may run the checks himself.
 */
export function inherited<T>(env: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(withoutGitLocals(env)).filter(([name]) => !name.startsWith('FORGE_')));
}

/**
 * The branch of a task: `forge/<task>`. Ids may hold dots where names of refs may not (`a..b`, `a.`, `a.lock`); those are
 * written `%2E`. No id holds a `%`, so no two tasks share a branch. Source: git-check-ref-format(1).
 */
export function branchFor(taskId: string): string {
  return `forge/${withoutDots(taskId)}`;
}

function withoutDots(name: string): string {
  return name.replace(/\.(?=\.|$|lock$)/gi, '%2E');
}

/** The task whose branch this is; null when `branchFor` gives no task that name. */
export function taskOfBranch(name: string): string | null {
  const id = name.replace(/^forge\//, '').replaceAll('%2E', '.');
  return isTaskId(id) && branchFor(id) === name ? id : null;
}

/** Whether this is the full name of an object: 40 hexadecimal digits, or 64 in a repository of SHA-256. */
export function isCommitId(name: string): boolean {
  return /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(name);
}

/** Where gc keeps commits that were in no branch any more. Git never deletes below it, and pushes nothing of it by itself. */
export const RESCUE_REFS = 'refs/forge/rescue';

/**
 * The folder of refs that the commits of a task, or of a worktree with that name, are rescued to; with a slash behind it. A
 * person may have called a worktree anything: each byte that a ref might not hold is written as in a URL.
 */
export function rescueFolder(name: string): string {
  const escaped = (char: string) =>
    Array.from(new TextEncoder().encode(char), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`);
  const plain = name.replace(/[^A-Za-z0-9._-]/gu, (char) => escaped(char).join(''));
  return `${RESCUE_REFS}/${withoutDots(plain).replace(/^\./, '%2E')}/`;
}

/** One worktree as `git worktree list` tells of it. */
export interface ListedWorktree {
  path: string;
  /** The commit that is checked out; null in a bare repository. */
  head: string | null;
  /** Without `refs/heads/`; null when HEAD is detached. */
  branch: string | null;
  /** Why it is locked, '' when nobody said why; null when it isn't. */
  locked: string | null;
}

/** Why git locks a worktree while it makes it. One that says so and that nobody works on was left by a git that was killed. */
export const INITIALIZING = 'initializing';

/**
 * Reads what `git worktree list --porcelain` printed, with `-z` or, from a git before 2.36, without. The first is the main
 * checkout.
 */
export function parseWorktrees(text: string): ListedWorktree[] {
  const end = text.includes('\0') ? '\0' : '\n';
  return text.split(end + end).flatMap((record) => {
    const lines = record.split(end).filter((line) => line !== '');
    const value = (key: string) => lines.find((line) => line.startsWith(`${key} `))?.slice(key.length + 1) ?? null;
    const path = value('worktree');
    if (path === null) return [];
    const branch = value('branch')?.replace(/^refs\/heads\//, '') ?? null;
    const locked = value('locked') ?? (lines.includes('locked') ? '' : null);
    return [{ path, head: value('HEAD'), branch, locked }];
  });
}

/** The texts in a list of which each ends with a NUL, as git prints names with `-z`. */
export function nulSeparated(text: string): string[] {
  return text.split('\0').filter((part) => part !== '');
}
