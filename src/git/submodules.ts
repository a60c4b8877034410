/** Submodules in worktrees: filled as those of the main checkout are, from what it has already, so that no network is needed as a rule. */

import fs from 'node:fs';
import { nulSeparated } from '../domain/task/workspaces.ts';
import { orNull } from '../lib/errors.ts';
import { ifThere, NO_PATH } from '../lib/fs/io-errors.ts';
import { type GitEnv, type GitOptions, type GitResult, git, gitIn, gitNames, lastWords } from './git.ts';
import { commitOf, type Repository, repositoryOf } from './repository.ts';
import { rescueCommit } from './rescue.ts';
import { fetchCommit } from './submodule-rescue.ts';

/** A checkout that has a submodule already, and where its own submodules are kept. */
interface Source {
  checkout: string;
  modules: string;
  /** The same of the worktrees, by their names. */
  worktrees: ReadonlyMap<string, string>;
}

/** The main checkout, as the source of submodules. Beside a bare repository there may be none, and nothing is found in it. */
export function sourceOf({ root, commonDir }: Repository): Source {
  const own = ifThere('listing worktrees', () => fs.readdirSync(`${commonDir}/worktrees`), NO_PATH) ?? [];
  const worktrees = new Map(own.map((name) => [name, `${commonDir}/worktrees/${name}/modules`]));
  return { checkout: root ?? commonDir, modules: `${commonDir}/modules`, worktrees };
}

/**
 * Fills the submodules of the checkout `dir`, with those within them. One that the main checkout has left empty stays empty; one that is
 * there already stays as it is, unless `again`. `run`: the options that git runs with. Returns what could not be filled, and why.
 * Throws IO_ERROR.
 */
export async function fillSubmodules(
  env: GitEnv,
  dir: string,
  source: Source,
  { run, again = false }: { run: GitOptions; again?: boolean },
): Promise<string[]> {
  if (!fs.existsSync(`${dir}/.gitmodules`)) return [];
  const failed: string[] = [];
  for (const { name, path, sha } of await submodulesIn(env, dir)) {
    const [there, inMain] = [`${dir}/${path}`, `${source.checkout}/${path}`];
    const isEmptyInMain = fs.existsSync(inMain) && !fs.existsSync(`${inMain}/.git`);
    if (isEmptyInMain || (!again && fs.existsSync(`${there}/.git`))) continue;
    const local = [`${source.modules}/${name}`, `${inMain}/.git`].find((place) => fs.existsSync(`${place}/HEAD`));
    const own = new Map([...source.worktrees].map(([worktree, modules]) => [worktree, `${modules}/${name}`]));
    if (fs.existsSync(`${inMain}/.git`)) await bring(env, inMain, own, sha);
    const result = await fill(env, { ...run, cwd: dir }, { name, path, sha, local });
    if (result.code !== 0) failed.push(`${path}: ${lastWords(result)}`);
    else {
      const worktrees = new Map([...own].map(([worktree, module]) => [worktree, `${module}/modules`]));
      const within = { checkout: inMain, modules: `${local ?? source.modules}/modules`, worktrees };
      failed.push(...(await fillSubmodules(env, there, within, { run, again })).map((each) => `${path}/${each}`));
    }
  }
  return failed;
}

/** How many submodules the main checkout has, and which it has left empty; null for none. Throws IO_ERROR. */
export async function submodulesOf(env: GitEnv): Promise<{ all: number; empty: string[] } | null> {
  const { root } = await repositoryOf(env);
  if (root === null || !fs.existsSync(`${root}/.gitmodules`)) return null;
  const paths = (await submodulesIn(env, root)).map(({ path }) => path);
  return paths.length === 0
    ? null
    : { all: paths.length, empty: paths.filter((each) => !fs.existsSync(`${root}/${each}/.git`)) };
}

interface Submodule {
  name: string;
  path: string;
  /** The commit that its checkout is to be at. */
  sha: string;
}

/** Of the index of a checkout, or another, by the names that `.gitmodules` has for them. */
export async function submodulesIn(env: GitEnv, dir: string, run = gitIn(env, dir), options: readonly string[] = []) {
  const links = (await gitNames([...options, 'ls-files', '--stage', '-z'], run)).flatMap((line) =>
    line.startsWith('160000 ') ? [{ sha: line.split(' ')[1] ?? '', path: line.slice(line.indexOf('\t') + 1) }] : [],
  );
  if (links.length === 0) return [];
  const list = ['config', '--file', `${dir}/.gitmodules`, '-z', '--get-regexp', '^submodule\\..*\\.path$'];
  const names = new Map<string, string>();
  for (const entry of nulSeparated((await git(list, gitIn(env, dir))).stdout)) {
    const [key = '', path = ''] = entry.split('\n');
    const name = key.replace(/^submodule\.|\.path$/g, '');
    // It becomes part of a path.
    if (!name.split('/').includes('..')) names.set(path, name);
  }
  return links.flatMap((link) => {
    const name = names.get(link.path);
    return name === undefined ? [] : [{ name, ...link } satisfies Submodule];
  });
}

/**
 * Brings a commit that a worker made in a submodule, and that is in its worktree alone, into the main checkout's, under the ref that would
 * keep it once the worktree is removed. `own`: the repositories of the submodule, by worktrees. Throws IO_ERROR.
 */
async function bring(env: GitEnv, inMain: string, own: ReadonlyMap<string, string>, sha: string): Promise<void> {
  if ((await commitOf(env, sha, inMain)) !== null) return;
  const main: GitEnv = { ...env, paths: { ...env.paths, project: inMain } };
  for (const [worktree, repository] of own) {
    if (!fs.existsSync(`${repository}/HEAD`)) continue;
    await orNull(() => fetchCommit(main, repository, sha));
    if ((await commitOf(env, sha, inMain)) === null) continue;
    await rescueCommit(main, worktree, sha);
    return;
  }
}

/** From `local`, a repository on this disk, while its remote stays the one that the project names; else, and where that lacks the commit, from there. */
async function fill(
  env: GitEnv,
  run: GitOptions,
  { name, path, sha, local }: Submodule & { local: string | undefined },
): Promise<GitResult> {
  const update = ['submodule', 'update', '--init', '--', path];
  if (local === undefined) return git(update, run);
  const url = (await git(['config', '--file', `${local}/config`, '--get', 'remote.origin.url'], run)).stdout.trim();
  const there = `${run.cwd}/${path}`;
  const onDisk = ['-c', 'protocol.file.allow=always'];
  // It is there already: an update would ask its remote.
  if (fs.existsSync(`${there}/.git`)) await git([...onDisk, 'fetch', '--quiet', local, sha], { ...run, cwd: there });
  const result = await git([...onDisk, '-c', `submodule.${name}.url=${local}`, ...update], run);
  if (url !== '' && fs.existsSync(`${there}/.git`)) await git(['remote', 'set-url', 'origin', url], gitIn(env, there));
  return result.code === 0 ? result : git(update, run);
}
