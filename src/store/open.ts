/** The one place that chooses the backend that state is kept in. */

import type { ProjectPaths } from '../domain/project-paths.ts';
import type { Cache } from '../lib/fs/cache.ts';
import type { Driver } from '../lib/fs/drivers.ts';
import { FileStore } from './file/file-store.ts';
import type { TaskStore } from './port.ts';

/**
 * The state of a project. `driver`: how file system calls are made; default: blocking ones, which suit a process that does
 * one thing. `cache`: what earlier looks at all tasks have kept; default: nothing.
 */
export function openStore(paths: Pick<ProjectPaths, 'project'>, driver?: Driver, cache?: Cache): TaskStore {
  return new FileStore(paths, driver, cache);
}
