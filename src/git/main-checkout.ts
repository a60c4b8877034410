/** Looks at the checkout that the project is in. Changes nothing. */

import fs from 'node:fs';
import type { CheckoutState } from '../domain/verify/checkout-changes.ts';
import { isReplacement } from '../lib/fs/new-file.ts';
import { landingLock } from './base-branch.ts';
import { CHECKOUT_TIMEOUT_MS, gitIn, gitLines, gitNames } from './git.ts';
import { inTurn } from './in-turn.ts';
import { headOf, repositoryOf, type WorktreeEnv } from './repository.ts';
import { changedSubmodules, NOT_WITHIN } from './submodule-changes.ts';

/** `leaveOut`: paths from the project that are not looked at; a folder ends with a slash. Null where nothing is committed, and beside a bare repository without a checkout of its branch. Throws SETTINGS_INVALID without a repository, IO_ERROR. */
export async function lookAtMainCheckout(env: WorktreeEnv, leaveOut: readonly string[]): Promise<CheckoutState | null> {
  const { root, prefix, commonDir } = await repositoryOf(env);
  if (root === null) return null;
  // A merge that is just landing there would look like changes by a worker.
  return inTurn(env, landingLock(commonDir), async () => {
    const here = await headOf(env, root);
    if (here === null) return null;
    const status = ['status', '--porcelain', '-z', '--no-renames', NOT_WITHIN, '--', ':(top)'];
    const leftOut = leaveOut.map((place) => `:(top,exclude,literal)${prefix}${place}`);
    const shown = await gitNames([...status, ...leftOut], { ...gitIn(env, root), timeoutMs: CHECKOUT_TIMEOUT_MS });
    // The plan and the tracker's file are replaced by copies beside them.
    const lines = shown.filter((line) => !isReplacement(line.slice(3)) && !isPrintedTo(`${root}/${line.slice(3)}`));
    const at = { dir: root, modules: `${commonDir}/modules`, fallback: commonDir, scratch: commonDir };
    const within = await changedSubmodules(env, { ...at, index: { options: [] } }, 'all');
    const files = new Map(
      [...lines, ...within.map((name) => ` M ${name}`)].map((line) => [
        line.slice(3),
        `${line.slice(0, 2)} ${markOf(`${root}/${line.slice(3)}`)}`,
      ]),
    );
    return { ...here, files };
  });
}

/** Whether it is where the output of this process goes, as after `> run.log`. */
function isPrintedTo(file: string): boolean {
  try {
    const { dev, ino } = fs.lstatSync(file);
    return [1, 2].map((fd) => fs.fstatSync(fd)).some((stat) => stat.dev === dev && stat.ino === ino);
  } catch {
    return false;
  }
}

/** What tells a file from an earlier one at the same place. */
function markOf(file: string): string {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  return stat === undefined || stat.isDirectory() ? '' : `${stat.size} ${stat.mtimeMs} ${stat.ino}`;
}

/** The first lines of commits that are on the branch of the checkout since `before`, and are no merges. Throws IO_ERROR. */
export async function plainCommits(env: WorktreeEnv, before: string, now: string): Promise<string[]> {
  if (before === now) return [];
  const log = ['log', '--first-parent', '--no-merges', '--max-count=20', '--format=%h %s', `${before}..${now}`];
  return gitLines(log, gitIn(env));
}
