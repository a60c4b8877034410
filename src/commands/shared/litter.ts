/** Files that killed processes left unfinished, as paths from the project: `doctor` names them, `gc` removes them. */

import type { ProjectPaths } from '../../domain/project-paths.ts';
import { lookUp } from '../../process/processes.ts';
import { initLitter } from '../../project/init.ts';
import type { Snapshot, TaskStore } from '../../store/port.ts';

/** What `init` left. Throws IO_ERROR. */
export function litterOfInit(paths: ProjectPaths, nowMs: number): string[] {
  return initLitter(paths, nowMs, (pid) => lookUp(pid) === 'missing');
}

interface Place {
  paths: ProjectPaths;
  store: TaskStore;
}

/** What `init` left, and what lies in the folders of tasks and runs. Throws IO_ERROR. */
export async function allLitter({ paths, store }: Place, snapshot: Snapshot, nowMs: number): Promise<string[]> {
  return [...litterOfInit(paths, nowMs), ...(await store.gc.litter(snapshot, nowMs))];
}
