/** The tracker that the settings name, and one look at it that never fails. */

import type { TrackerSnapshot } from '../domain/gc/gc-plan.ts';
import type { ProjectPaths } from '../domain/project-paths.ts';
import type { Settings } from '../domain/settings/settings.ts';
import { ForgeError } from '../lib/errors.ts';
import type { Tracker } from './port.ts';

/** How long one call of a tracker is waited for, milliseconds. */
export const TRACKER_PATIENCE_MS = 5000;

export interface TrackerEnv {
  paths: ProjectPaths;
  settings: Settings;
  now(): number;
  /** A fresh name for a change. */
  newOp(): string;
}

/** The tracker of the settings; null when they have none, or one that is not supported yet. */
export async function openTracker({ paths, settings, now, newOp }: TrackerEnv): Promise<Tracker | null> {
  if (settings.tracker.type !== 'file') return null;
  const { FileTracker } = await import('./file/file-tracker.ts');
  return new FileTracker({ project: paths.project, file: settings.tracker.path, now, newOp });
}

/** All issues, or why they can't be had. Never rejects, and takes no longer than a tracker is waited for. */
export async function lookAtTracker(env: TrackerEnv): Promise<TrackerSnapshot> {
  const tracker = await openTracker(env);
  if (tracker === null) return { kind: 'none' };
  try {
    return { kind: 'up', issues: await within(TRACKER_PATIENCE_MS, tracker.list()) };
  } catch (error) {
    return { kind: 'down', why: error instanceof Error ? error.message : String(error) };
  }
}

/** What `answer` comes to. Throws TRACKER_ERROR when it takes longer than `patienceMs`; it goes on nevertheless. */
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
    // What comes of it after that is nobody's to hear.
    answer.catch(() => {});
  }
}
