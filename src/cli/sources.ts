/** The text of files that errors point into. */

import path from 'node:path';
import { findProject } from '../project/find-project.ts';
import { readUserFile } from '../project/user-files.ts';
import type { Sources } from './errors.ts';

/** Larger files are pointed into without showing the line. */
const MAX_BYTES = 16 * 1024 * 1024;

export function sourceReader(cwd: string, dir: string | undefined): Sources {
  return (file) => {
    try {
      const project = findProject(cwd, dir)?.project ?? cwd;
      return readUserFile(path.resolve(project, file), 'file', MAX_BYTES);
    } catch {
      return null;
    }
  };
}
