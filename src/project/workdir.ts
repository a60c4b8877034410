/** The folder of a workspace in which the commands of a task are started. */

import fs from 'node:fs';
import path from 'node:path';
import { ifThere, NO_PATH } from '../lib/fs/io-errors.ts';
import { isFolder } from './look.ts';

/** `cwd`: as the plan has it, relative to `workspace`; null: the workspace itself. `fault`: why nothing can be started there, in words. */
export function workdirOf(workspace: string, cwd: string | null): { path: string; fault: string | null } {
  if (cwd === null) return { path: workspace, fault: null };
  const place = path.join(workspace, cwd);
  const real = (at: string) => ifThere(`looking at ${at}`, () => fs.realpathSync.native(at), NO_PATH);
  const [top, found] = [real(workspace), real(place)];
  if (found === null || top === null)
    return { path: place, fault: `there is no folder ${cwd} in ${workspace}, which is its cwd` };
  if (!isFolder(found)) return { path: place, fault: `${cwd} in ${workspace}, which is its cwd, is not a folder` };
  if (found !== top && !found.startsWith(`${top}${path.sep}`))
    return { path: place, fault: `${cwd} in ${workspace}, which is its cwd, is a link that leads out of it` };
  return { path: place, fault: null };
}
