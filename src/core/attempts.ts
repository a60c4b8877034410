/** Which attempts happened. A manifest is written before the commit that refers to it, so it alone proves nothing. */

import type { AttemptManifest, TaskStateRecord } from './records.ts';

/**
 * The manifests of attempts that a record has counted, oldest first. Attempts are numbered, and a number is counted once:
 * one beyond the count was never committed, and of those that share a number only the last can have been, since the
 * number goes on with the commit. Without a number it can't be told, and it is believed.
 */
export function attemptsThatHappened(
  manifests: readonly AttemptManifest[],
  { attempt_count, current_attempt_id }: Pick<TaskStateRecord, 'attempt_count' | 'current_attempt_id'>,
): AttemptManifest[] {
  const isCurrent = (manifest: AttemptManifest) => manifest.attempt_id === current_attempt_id;
  const counted = new Map<number, AttemptManifest>();
  for (const manifest of manifests) {
    const number = manifest.attempt_number ?? null;
    if (number === null || (number > attempt_count && !isCurrent(manifest))) continue;
    const before = counted.get(number);
    if (before === undefined || isCurrent(manifest) || (!isCurrent(before) && isLater(manifest, before)))
      counted.set(number, manifest);
  }
  return manifests.filter((manifest) => {
    const number = manifest.attempt_number ?? null;
    return number === null || counted.get(number) === manifest;
  });
}

/** Ids sort by time. */
function isLater(a: AttemptManifest, b: AttemptManifest): boolean {
  return a.generation === b.generation ? a.attempt_id > b.attempt_id : a.generation > b.generation;
}
