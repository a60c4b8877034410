/**
 * Finds submodules whose files are not those of their commits. A worker can write to the repositories of submodules in its worktree, and make
 * some: so git is not let into them, and their settings and indexes are not asked.
 */

import fs from 'node:fs';
import { newId } from '../domain/context.ts';
import { CHECKOUT_TIMEOUT_MS, type GitEnv, gitIn, gitNames, gitOk } from './git.ts';
import { lookAtPlace, removeFile } from './worktree-files.ts';

/** For `git status`: else it starts another git in each submodule, with the settings that are there. */
export const NOT_WITHIN = '--ignore-submodules=dirty';

interface Checkout {
  /** Its top. */
  dir: string;
  /** Where the main checkout keeps the repositories of its submodules. Their settings count. */
  modules: string;
  /** The repository whose settings count for a submodule that the main checkout does not have. */
  fallback: string;
  /** A folder for files of a moment. */
  scratch: string;
  /** The options by which git uses its index. */
  index: { options: readonly string[]; indexFile?: string };
}

/** The paths of those submodules in the index, from `dir`. Throws IO_ERROR. */
export async function changedSubmodules(
  env: GitEnv,
  { dir, modules, fallback, scratch, index }: Checkout,
  untrackedFiles: 'all' | 'no',
): Promise<string[]> {
  if (!fs.existsSync(`${dir}/.gitmodules`)) return [];
  const { submodulesIn } = await import('./submodules.ts');
  const changed: string[] = [];
  const { options: asks, ...indexOf } = index;
  for (const { name, path, sha } of await submodulesIn(env, dir, { ...gitIn(env, dir), ...indexOf }, asks)) {
    const there = `${dir}/${path}`;
    const repository = repositoryAt(there);
    if (repository === null) continue;
    const own = `${modules}/${name}`;
    const settings = fs.existsSync(`${own}/HEAD`) ? own : fallback;
    const options = [`--git-dir=${settings}`, `--work-tree=${there}`, '-c', 'core.splitIndex=false'];
    const indexFile = `${scratch}/forge-index-${newId(env.ctx)}`;
    const run = { ...gitIn(env, there), timeoutMs: CHECKOUT_TIMEOUT_MS, indexFile, objects: `${repository}/objects` };
    try {
      await gitOk([...options, 'read-tree', sha], run);
      // It ends with 1 where a file is not as it is in the index.
      const refresh = ['update-index', '--ignore-submodules', '--refresh'];
      let differs = (await gitOk([...options, ...refresh], run, [0, 1])).code === 1;
      if (!differs && untrackedFiles === 'all')
        differs = (await gitNames([...options, 'ls-files', '--others', '--exclude-standard', '-z'], run)).length > 0;
      const deeper = { dir: there, modules: `${own}/modules`, fallback, scratch, index: { options, indexFile } };
      if (differs || (await changedSubmodules(env, deeper, untrackedFiles)).length > 0) changed.push(path);
    } finally {
      removeFile(indexFile);
      removeFile(`${indexFile}.lock`);
    }
  }
  return changed;
}

/** The repository of a filled submodule. */
function repositoryAt(there: string): string | null {
  if (fs.lstatSync(`${there}/.git`, { throwIfNoEntry: false })?.isDirectory() === true) return `${there}/.git`;
  return lookAtPlace(there).gitDir || null;
}
