/** Opens the tracker that the settings name, and reads it without ever failing. */

import type { ProjectPaths } from '../domain/project-paths.ts';
import type { Settings } from '../domain/settings/settings.ts';
import type { TrackerSnapshot } from '../domain/tracker-issues.ts';
import { errorMessage, ForgeError } from '../lib/errors.ts';
import type { Tracker } from './port.ts';

/** Time limit of one tracker call, milliseconds. */
export const TRACKER_PATIENCE_MS = 5000;

export interface TrackerEnv {
  paths: ProjectPaths;
  settings: Settings;
  now(): number;
  /** A new id for a change. */
  newOp(): string;
}

/** The tracker of the settings; null when there is none, or it is not supported yet. */
export async function openTracker({ paths, settings, now, newOp }: TrackerEnv): Promise<Tracker | null> {
  if (settings.tracker.type !== 'file') return null;
  const { FileTracker } = await import('./file/file-tracker.ts');
  return new FileTracker({ project: paths.project, file: settings.tracker.path, now, newOp });
}

/** All issues, or why they are unavailable. Never rejects, and takes no longer than a tracker call. */
export async function lookAtTracker(env: TrackerEnv): Promise<TrackerSnapshot> {
  const tracker = await openTracker(env);
  if (tracker === null) return { kind: 'none' };
  try {
    return { kind: 'up', issues: await within(TRACKER_PATIENCE_MS, tracker.list()) };
  } catch (error) {
    return { kind: 'down', why: errorMessage(error) };
  }
}

/** The result of `answer`. Throws TRACKER_ERROR when it takes longer than `patienceMs`; the call itself goes on. */
export async function within<T>(patienceMs: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new ForgeError('TRACKER_ERROR', `the tracker has not answered for ${patienceMs / 1000} s`)),
      patienceMs,
    );
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
    // A later result is discarded.
    answer.catch(() => {});
  }
}
