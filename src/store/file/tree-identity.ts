/** Which tree this is, for a plan that is applied later: another copy of it is another tree. */

import fs from 'node:fs';
import type { TreeIdentity } from '../../domain/gc/saved-plan.ts';
import type { Layout } from './layout.ts';

/** Null when there is no tree yet. */
export function treeIdentity({ orchestrator }: Layout): TreeIdentity | null {
  const stat = fs.lstatSync(orchestrator, { throwIfNoEntry: false });
  return stat?.isDirectory() === true ? { path: fs.realpathSync(orchestrator), inode: stat.ino } : null;
}
