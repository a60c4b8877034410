/**
 * What differs from its commit in a checkout. In a new one, line endings, a hook or a filter can make a difference: that
 * is no work.
 */

import fs from 'node:fs';
import { newId } from '../domain/context.ts';
import { sha256 } from '../lib/digest.ts';
import { CHECKOUT_TIMEOUT_MS, type GitEnv, type GitOptions, git, gitIn, gitLines, gitNames, gitOk } from './git.ts';
import { repositoryOf } from './repository.ts';
import { changedSubmodules, NOT_WITHIN } from './submodule-changes.ts';
import { copyIndex, gitDirAround, removeFile, topOf } from './worktree-files.ts';

/**
 * What in the worktree with the top `dir` differs from its commit, as `git status` tells it. The index that is there is not asked: it
 * can say of any file that it has not changed, or should not be looked at. Throws IO_ERROR.
 */
export async function changesIn(env: GitEnv, dir: string, untrackedFiles: 'all' | 'no'): Promise<string[]> {
  const options = { ...gitIn(env, dir), timeoutMs: CHECKOUT_TIMEOUT_MS };
  const status = ['status', '--porcelain', '-z', `--untracked-files=${untrackedFiles}`, '--no-renames', NOT_WITHIN];
  const gitDir = gitDirAround(dir);
  if (gitDir === null) return gitNames(status, options);
  // With the worktree it goes, should this process be killed.
  const indexFile = `${gitDir}/forge-index-${newId(env.ctx)}`;
  const own = { ...options, indexFile };
  try {
    // A sparse index names what is left out of the checkout.
    if ((await isSparse(gitDir, options)) && copyIndex(`${gitDir}/index`, indexFile)) {
      await gitOk(['update-index', '-q', '--really-refresh'], own, [0, 1]);
    } else await gitOk(['-c', 'core.splitIndex=false', 'read-tree', 'HEAD'], own);
    const lines = await gitNames(status, own);
    const names = new Set(lines.map((line) => line.slice(3)));
    if (!fs.existsSync(`${dir}/.gitmodules`)) return lines;
    const { commonDir } = await repositoryOf(env);
    const at = { dir, modules: `${commonDir}/modules`, fallback: commonDir, scratch: gitDir };
    const within = await changedSubmodules(env, { ...at, index: { options: [], indexFile } }, untrackedFiles);
    return [...lines, ...within.filter((name) => !names.has(name)).map((name) => ` M ${name}`)];
  } finally {
    removeFile(indexFile);
    removeFile(`${indexFile}.lock`);
  }
}

async function isSparse(gitDir: string, options: GitOptions): Promise<boolean> {
  if (!fs.existsSync(`${gitDir}/info/sparse-checkout`)) return false;
  return (await git(['config', '--type=bool', '--get', 'core.sparseCheckout'], options)).stdout.trim() === 'true';
}

// --- changes from the start ------------------------------------------------------------------------------------------

/** A record has room for so many. */
const MOST = 1000;

/** Digits of a digest that are kept. */
const DIGITS = 16;

/**
 * A digest for each change in the worktree around `top`, sorted: of what `git status` says of the file, and of its content. `more`: there are
 * more than a record has room for, and none is returned. Throws IO_ERROR.
 */
export async function changesFromStart(env: GitEnv, top: string): Promise<{ digests: string[]; more: number }> {
  const lines = await changesIn(env, top, 'all');
  if (lines.length > MOST) return { digests: [], more: lines.length };
  return { digests: [...(await digestsOf(env, top, lines)).values()].sort(), more: 0 };
}

/** `lines` of `git status` without those that were the same from the start. Throws IO_ERROR. */
export async function sinceStart(
  env: GitEnv,
  top: string,
  lines: readonly string[],
  fromStart: readonly string[],
): Promise<string[]> {
  if (fromStart.length === 0 || lines.length === 0) return [...lines];
  const known = new Set(fromStart);
  const now = await digestsOf(env, top, lines);
  return lines.filter((line) => !known.has(now.get(line) ?? ''));
}

/**
 * Tracked files in the worktree whose project folder is `cwd` that are neither as its commit has them nor as they were from the start, by their
 * names from the top of the repository. Throws SETTINGS_INVALID, IO_ERROR.
 */
export async function modifiedIn(env: GitEnv, cwd: string, fromStart: readonly string[]): Promise<string[]> {
  const top = topOf(cwd, (await repositoryOf(env)).prefix);
  const lines = await sinceStart(env, top, await changesIn(env, top, 'no'), fromStart);
  return lines.map((line) => line.slice(3));
}

async function digestsOf(env: GitEnv, top: string, lines: readonly string[]): Promise<Map<string, string>> {
  const places = new Map(lines.map((line) => [line, `${top}/${line.slice(3)}`]));
  const kinds = new Map([...places].map(([line, place]) => [line, kindOf(place)]));
  // Git reads names from lines.
  const files = lines.filter((line) => kinds.get(line) === 'file' && !line.includes('\n'));
  const options = { ...gitIn(env, top), timeoutMs: CHECKOUT_TIMEOUT_MS };
  const input = files.map((line) => `${places.get(line)}\n`).join('');
  const hash = ['hash-object', '--no-filters', '--stdin-paths'];
  const hashes = files.length === 0 ? [] : await gitLines(hash, { ...options, input });
  const contents = new Map(files.map((line, index) => [line, hashes[index] ?? '']));
  return new Map(
    lines.map((line) => [line, sha256(`${line}\0${contents.get(line) ?? kinds.get(line)}`).slice(0, DIGITS)]),
  );
}

/** `file`, or what else is there; a symlink with where it leads. */
function kindOf(place: string): string {
  const stat = fs.lstatSync(place, { throwIfNoEntry: false });
  if (stat === undefined) return 'nothing';
  if (stat.isSymbolicLink()) return `link to ${fs.readlinkSync(place)}`;
  return stat.isFile() ? 'file' : 'other';
}
