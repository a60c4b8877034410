/** Which tree this is, for a plan that is applied later: another copy of it is another tree; and whether git may know of it. */

import fs from 'node:fs';
import path from 'node:path';
import type { TreeIdentity } from '../core/gc-plan-schema.ts';
import type { Settings } from '../core/settings.ts';
import type { Layout } from './layout.ts';

/** Null when there is no tree yet. */
export function treeIdentity({ orchestrator }: Layout): TreeIdentity | null {
  const stat = fs.lstatSync(orchestrator, { throwIfNoEntry: false });
  return stat?.isDirectory() === true ? { path: fs.realpathSync(orchestrator), inode: stat.ino } : null;
}

/** Whether the project can have branches and worktrees of tasks; a look at the disk that saves asking git. */
export function mayHaveWorktrees({ project }: Layout, { workspace }: Pick<Settings, 'workspace'>): boolean {
  if (workspace === 'worktree') return true;
  for (let at = project; ; at = path.dirname(at)) {
    if (fs.existsSync(`${at}/.git`)) return true;
    if (at === path.dirname(at)) return false;
  }
}
