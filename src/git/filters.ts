/** Filters that git runs on files as it checks them out, above all git-lfs, which has to be installed. Changes nothing. */

import { ForgeError } from '../lib/errors.ts';
import { oneLine } from '../lib/text.ts';
import { findProgram } from '../process/programs.ts';
import { type GitEnv, type GitResult, git, gitIn, gitNames, lastWords } from './git.ts';
import { repositoryOf } from './repository.ts';

export const LFS_HINT =
  'Install git-lfs and run `git lfs install`; or leave pointers in place of the files: `git config filter.lfs.required false`.';

/** The error of a checkout that a filter has stopped; null for any other. It does not get better by itself, so it is NOT_READY. */
export function filterFailed(what: string, result: GitResult): ForgeError | null {
  const [, name] = /smudge filter '?([^\s']+)'? failed/.exec(result.stderr) ?? [];
  if (name === undefined) return null;
  const hint =
    name === 'lfs' ? LFS_HINT : `See what filter.${name}.smudge runs, with \`git config --get-regexp filter.${name}\`.`;
  const of = name === 'lfs' ? 'git-lfs' : oneLine(name, 60);
  return new ForgeError('NOT_READY', `${what}: ${lastWords(result)}; the filter ${of} can't run here`, { hint });
}

/** What is wrong with files that are stored by LFS; null where there are none, or all is well. Throws IO_ERROR. */
export async function lfsFault(env: GitEnv): Promise<{ message: string; fails: boolean } | null> {
  const { root } = await repositoryOf(env);
  if (root === null) return null;
  const [first, ...more] = await gitNames(['ls-files', '-z', '--', ':(top,attr:filter=lfs)'], gitIn(env, root));
  if (first === undefined) return null;
  const files = `${oneLine(first, 100)}${more.length === 0 ? ' is' : ` and ${more.length} more are`} stored by LFS`;
  const setting = async (key: string) =>
    (await git(['config', '--get', `filter.lfs.${key}`], gitIn(env))).stdout.trim();
  const [smudge, running] = [await setting('smudge'), await setting('process')];
  if (smudge === '' && running === '')
    return {
      message: `${files}, and git has no filter for that, so worktrees have pointers in their place`,
      fails: false,
    };
  // A filter is a line for the shell.
  const [program = ''] = (running === '' ? smudge : running).split(/\s/);
  if (program.includes('/') || findProgram(program, env.ctx.env, env.paths.project) !== null) return null;
  const required = (await setting('required')) === 'true';
  const then = required ? 'no worktree can be made' : 'worktrees have pointers in their place';
  return { message: `${files}, and there is no ${oneLine(program, 60)} on PATH, so ${then}`, fails: required };
}
