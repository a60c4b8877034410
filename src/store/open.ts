/** The one place that chooses the backend that state is kept in. */

import type { ProjectPaths } from '../domain/project-paths.ts';
import type { Cache } from '../lib/fs/cache.ts';
import type { Driver } from '../lib/fs/drivers.ts';
import { FileStore } from './file/file-store.ts';
import { FileArtifacts, FileEventLog } from './file/logs.ts';
import { layoutOf, StateTree } from './file/tree.ts';
import type { AttemptArtifacts, EventLog, TaskStore } from './port.ts';

export interface Stores {
  store: TaskStore;
  artifacts: AttemptArtifacts;
  eventLog: EventLog;
}

/**
 * The state of a project. `driver`: how file system calls are made; default: blocking ones, which suit a process that does
 * one thing. `cache`: what earlier looks at all tasks have kept; default: nothing.
 */
export function openStores({ project }: Pick<ProjectPaths, 'project'>, driver?: Driver, cache?: Cache): Stores {
  const tree = new StateTree(layoutOf(project));
  return {
    store: new FileStore(tree, driver, cache),
    artifacts: new FileArtifacts(tree),
    eventLog: new FileEventLog(tree),
  };
}
