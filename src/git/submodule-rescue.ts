/**
 * Rescues what submodules of a worktree have alone: their repositories are in the worktree's own git folder, and go with it. Their
 * commits and files are kept in the repositories of the main checkout's submodules, by the rules and the refs of `rescue.ts`.
 */

import fs from 'node:fs';
import { realPath } from '../lib/fs/folders.ts';
import { whileDoing } from '../lib/fs/io-errors.ts';
import { type GitEnv, gitIn, gitLines, gitOk, gitText } from './git.ts';
import { commitOf, type Repository } from './repository.ts';
import { ignoredFilesText, rescueCommit, rescueWork, type WorktreeFiles } from './rescue.ts';
import { lookAtPlace, modulesBelow } from './worktree-files.ts';

/** A submodule of a worktree, and that of the main checkout. */
interface Twin {
  /** From the top of the checkouts. */
  path: string;
  /** Where the main checkout has it. */
  checkout: string;
  /** Its repository in the worktree's git folder. */
  own: string;
  /** The repository that keeps what is rescued. */
  kept: string;
}

type Worktree = Pick<WorktreeFiles, 'place' | 'files' | 'gitDir'>;

/**
 * The submodules of a worktree, outer ones first; or why the repositories within it are in its way: one that is not a submodule, one that
 * the main checkout does not have, one without files. Throws IO_ERROR.
 */
export function submoduleTwins(repository: Repository, { place, files, gitDir }: Worktree): Twin[] | string {
  const modules = `${realPath(gitDir)}/modules/`;
  const twins: Twin[] = [];
  for (const path of repositoriesWithin(files)) {
    const own = realPath(lookAtPlace(`${files}/${path}`, `${place}/${path}`).gitDir ?? '');
    if (!own.startsWith(modules)) return `${place}/${path} is a repository of its own`;
    const kept = `${repository.commonDir}/modules/${own.slice(modules.length)}`;
    const checkout = `${repository.root}/${path}`;
    const main = repository.root === null ? null : lookAtPlace(checkout).gitDir;
    if (main === null || realPath(main) !== kept || !fs.existsSync(`${kept}/HEAD`))
      return `the main checkout has no submodule ${path} that could keep the work of ${place}/${path}`;
    twins.push({ path, checkout, own, kept });
  }
  const known = new Set(twins.map(({ own }) => own));
  const lost = modulesBelow(modules.slice(0, -1)).find((own) => !known.has(own));
  return lost === undefined ? twins : `${lost} is the repository of a submodule without files`;
}

/**
 * Nested repositories within a folder, relative to it: anything further down with a `.git`. Symlinks are not followed. Outer ones
 * come first. Throws IO_ERROR.
 */
function repositoriesWithin(dir: string): string[] {
  const found: string[] = [];
  const waiting = [''];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const place = `${dir}/${at}`;
    const entries = whileDoing(`looking at ${place}`, () => fs.readdirSync(place, { withFileTypes: true }));
    if (at !== '' && entries.some(({ name }) => name === '.git')) found.push(at.slice(0, -1));
    for (const entry of entries) {
      if (entry.isDirectory() && entry.name !== '.git') waiting.push(`${at}${entry.name}/`);
    }
  }
  return found;
}

/** What came of it: `refs` lead to what was rescued, by the submodule; `why` it could not be. */
interface SubmoduleRescue {
  refs: string[];
  why: string | null;
  /** The submodules directly in the worktree, by their paths, with the commits that they are at. */
  submodules: ReadonlyMap<string, string>;
}

/**
 * Makes sure that refs of the main checkout's submodules lead to the commits and the files of a worktree's. A repeat without changes
 * makes nothing. The caller has exclusive use of the worktree. Throws IO_ERROR; then nothing may be removed.
 */
export async function rescueSubmodules(
  env: GitEnv,
  repository: Repository,
  name: string,
  at: Worktree,
): Promise<SubmoduleRescue> {
  const twins = submoduleTwins(repository, at);
  if (typeof twins === 'string') return { refs: [], why: twins, submodules: new Map() };
  const heads = new Map<string, string>();
  for (const twin of twins) {
    const verify = ['rev-parse', '--verify', 'HEAD^{commit}'];
    heads.set(twin.path, await gitText([...itself(at, twin), ...verify], gitIn(env)));
  }
  const refs: string[] = [];
  for (const twin of twins) {
    const { path, checkout, own, kept } = twin;
    const head = heads.get(path) ?? '';
    const within: GitEnv = { ...env, paths: { ...env.paths, project: checkout } };
    const list = ['for-each-ref', '--format=%(objectname)', 'refs/heads', 'refs/tags', 'refs/stash'];
    const tips = await gitLines([...itself(at, twin), ...list], gitIn(env));
    const found: (string | null)[] = [];
    for (const sha of new Set([head, ...tips])) {
      if ((await commitOf(within, sha)) === null) await fetchCommit(within, own, sha);
      found.push(await rescueCommit(within, name, sha));
    }
    const files = { place: at.place, files: `${at.files}/${path}`, gitDir: kept, index: `${own}/index`, head };
    const work = { ...files, submodules: directlyIn(heads, `${path}/`) };
    const { ref, left } = await rescueWork(within, { root: checkout, prefix: '', commonDir: kept }, name, work);
    if (left.length > 0)
      return { refs, why: ignoredFilesText(`${at.place}/${path}`, left), submodules: directlyIn(heads, '') };
    const made = new Set([...found, ref].filter((each) => each !== null));
    refs.push(...[...made].map((each) => `${each} in the submodule ${path}`));
  }
  return { refs, why: null, submodules: directlyIn(heads, '') };
}

/** Options by which git looks at a submodule of a worktree: its own settings name the place that it may have been moved from. */
function itself({ files }: Worktree, { own, path }: Twin): string[] {
  return [`--git-dir=${own}`, `--work-tree=${files}/${path}`];
}

/** The submodules below a prefix, but for those that are within another of them, by their paths from there. */
function directlyIn(heads: ReadonlyMap<string, string>, prefix: string): ReadonlyMap<string, string> {
  const below = [...heads].filter(([path]) => path.startsWith(prefix));
  const direct = below.filter(([path]) => !below.some(([outer]) => path.startsWith(`${outer}/`)));
  return new Map(direct.map(([path, head]) => [path.slice(prefix.length), head]));
}

/** Fetches a commit from a repository on this disk; no hook runs. Throws IO_ERROR. */
export async function fetchCommit(env: GitEnv, from: string, sha: string): Promise<void> {
  const options = ['-c', 'core.hooksPath=/dev/null', '-c', 'protocol.file.allow=always'];
  const quiet = ['--quiet', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules', '--no-auto-maintenance'];
  await gitOk([...options, 'fetch', ...quiet, from, sha], { ...gitIn(env), acts: true });
}
