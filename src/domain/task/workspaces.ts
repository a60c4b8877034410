/**
 * The text side of workspaces: branch names, the output of `git worktree list`, and variables that would lead git elsewhere.
 */

import { refPart, taskOfRefPart } from '../../lib/ids.ts';
import { plural } from '../../lib/text.ts';
import type { Variables } from '../../lib/variables.ts';
import { SESSION_MARKERS } from '../agents/session-markers.ts';

/**
 * Variables that bind git to one repository. A process in another checkout must not inherit them: it would work on the wrong one.
 * Source: `git rev-parse --local-env-vars`, without SETTINGS; and GIT_NAMESPACE, which leads to other refs.
 */
export const GIT_LOCAL_VARIABLES = [
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_CONFIG',
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

/** By these an environment sets what git's files set: an identity, `safe.directory`, a proxy. So does `git -c`. */
const SETTINGS = /^GIT_CONFIG_(?:PARAMETERS|COUNT|KEY_\d+|VALUE_\d+)$/;

/** A setting that names a repository. */
const NAMES_REPOSITORY = /\bcore\.(?:worktree|bare)\b/i;

/** An environment in which git finds the repository by the folder that it runs in. Of its settings all go where one of them says otherwise. */
export function withoutGitLocals<T>(env: Readonly<Record<string, T>>): Record<string, T> {
  const entries = Object.entries(env).filter(([name]) => !LOCAL.has(name));
  const leads = entries.some(([name, value]) => SETTINGS.test(name) && NAMES_REPOSITORY.test(String(value)));
  return Object.fromEntries(leads ? entries.filter(([name]) => !SETTINGS.test(name)) : entries);
}

/** A worker can write the file of the commit graph, and git believes what it says of any commit. */
export const NO_COMMIT_GRAPH = ['core.commitGraph', 'false'] as const;

/** The variables by which git in `env` has one more setting. Source: git-config(1). */
export function gitSetting(env: Variables, [key, value]: readonly [string, string]): Record<string, string> {
  const count = Number(env['GIT_CONFIG_COUNT'] ?? 0);
  // Git refuses a count that is not a number, and says so.
  if (!Number.isSafeInteger(count)) return {};
  return { GIT_CONFIG_COUNT: `${count + 1}`, [`GIT_CONFIG_KEY_${count}`]: key, [`GIT_CONFIG_VALUE_${count}`]: value };
}

/**
 * What workers and verification commands inherit of forge's environment: nothing that leads to a surrounding forge, git or agent,
 * but whom a person trusts. Both get the same, so that a worker can run the verification itself.
 */
export function inherited<T>(env: Readonly<Record<string, T>>): Record<string, T> {
  const passed = (name: string) =>
    name === 'FORGE_SAFE_DIRECTORY' || !(name.startsWith('FORGE_') || SESSION_MARKERS.has(name));
  return Object.fromEntries(Object.entries(withoutGitLocals(env)).filter(([name]) => passed(name)));
}

/** What everything that runs within a command of a claim has in its FORGE_OUTER_CLAIMS, where a run or an exec is in between. */
export function commandMark(claimId: string, pid: number | string): string {
  return `${claimId}:${pid};`;
}

/** The commands that a process runs within, the innermost first: that of its own claim, and those around it. */
export function commandsAround(env: Variables): string[] {
  const { FORGE_CLAIM_ID: own = '', FORGE_COMMAND_PID: pid = '', FORGE_OUTER_CLAIMS: outer = '' } = env;
  return [...(own === '' ? [] : [commandMark(own, pid)]), ...outer.split(' ').filter((mark) => mark !== '')];
}

/** The claims that a process works under, the innermost first: its own, and those of the runs that it was started within. */
export function claimsAround(env: Variables): string[] {
  return commandsAround(env).map((mark) => mark.replace(/:.*/, ''));
}

/** The part of the settings that names branches: `agents.branch_prefix`. */
export interface BranchSettings {
  agents: { branch_prefix: string };
}

/** The branch of a task: `<branch_prefix>/<task>`, `forge/<task>` by default. */
export function branchFor({ agents }: BranchSettings, taskId: string): string {
  return `${agents.branch_prefix}/${refPart(taskId)}`;
}

/** The task of this branch; null when it is not a task's. */
export function taskOfBranch({ agents }: BranchSettings, name: string): string | null {
  const folder = `${agents.branch_prefix}/`;
  return name.startsWith(folder) ? taskOfRefPart(name.slice(folder.length)) : null;
}

/**
 * Whether branches can be named so: one or more parts with a slash between them, none that git refuses. Source: git-check-ref-format(1).
 */
export function isBranchPrefix(prefix: string): boolean {
  if (prefix.startsWith('-') || /[\0-\x20\x7f~^:?*[\\]|\.\.|@\{/.test(prefix)) return false;
  return prefix.split('/').every((part) => part !== '' && part !== '@' && !/^\.|\.$|\.lock$/.test(part));
}

/** Of the branches `names`, those that git cannot have beside one of `wanted`: one ends where the other has a folder. */
export function branchesInTheWay(wanted: readonly string[], names: readonly string[]): string[] {
  const own = new Set(wanted);
  const above = new Set(wanted.flatMap(foldersOf));
  return names.filter((name) => above.has(name) || foldersOf(name).some((folder) => own.has(folder)));
}

/** `a` and `a/b` of `a/b/c`. */
function foldersOf(branch: string): string[] {
  const parts = branch.split('/');
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
}

/** What is said of a branch that is in the way of a task's; `where`: such as its own name, or `the branches of tasks`. */
export function inTheWayText(inTheWay: string, where: string): { message: string; hint: string } {
  return {
    message: `the branch ${inTheWay} (refs/heads/${inTheWay}) is in the way: git cannot have it beside ${where}`,
    hint: `Rename it, \`git branch -m ${inTheWay} ${inTheWay.replaceAll('/', '-')}-old\`, or set agents.branch_prefix to another name.`,
  };
}

/** The action in the reflog of a task's branch where forge moves it to the base of now. */
export const FOLLOWS = 'forge: follow';

/** Commits of the base that the branch of a task lacks. */
export interface Behind {
  branch: string;
  commits: number;
  /** The branch that it lacks them of, or the beginning of a commit's name. */
  base: string;
}

export function behindText({ branch, commits, base }: Behind): string {
  return `${branch} is ${plural(commits, 'commit')} behind ${base}`;
}

/** Whether this is the full name of an object: 40 hexadecimal digits, or 64 in a repository of SHA-256. */
export function isCommitId(name: string): boolean {
  return /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(name);
}

/** Rescue refs: commits that would be in no branch any more. Git never deletes below it, and pushes nothing of it by default. */
export const RESCUE_REFS = 'refs/forge/rescue';

/**
 * The ref folder, with a final slash, for rescued commits of a task or of a worktree, by the name of its folder. A person may give a worktree
 * any name: each byte that a ref might not have is percent-encoded.
 */
export function rescueFolder(name: string): string {
  const escaped = (char: string) =>
    Array.from(new TextEncoder().encode(char), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`);
  const plain = name.replace(/[^A-Za-z0-9._+-]/gu, (char) => escaped(char).join(''));
  return `${RESCUE_REFS}/${refPart(plain).replace(/^\./, '%2E')}/`;
}

/** One worktree in the output of `git worktree list`. */
export interface ListedWorktree {
  path: string;
  /** The commit that is checked out; null in a bare repository. */
  head: string | null;
  /** Without `refs/heads/`; null when HEAD is detached. */
  branch: string | null;
  /** The reason for its lock, '' without one; null when it is not locked. */
  locked: string | null;
}

/** Git's lock reason while it makes a worktree. An unused worktree with it was left by a killed git. */
export const INITIALIZING = 'initializing';

/**
 * Parses `git worktree list --porcelain`, with `-z` or, for a git before 2.36, without. The first is the main checkout.
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

/** The texts of a list in which each ends with a NUL, as git prints names with `-z`. */
export function nulSeparated(text: string): string[] {
  return text.split('\0').filter((part) => part !== '');
}
