/** The start of an attempt, which attempts happened, and how the last of them failed. */

import * as z from 'zod/mini';
import { ID_PATTERN, isUuid } from '../../lib/ids.ts';
import { once } from '../../lib/once.ts';
import { oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import type { ClassifiedError } from '../retry/classify.ts';
import type { MachineIdentity, WorkerIdentity } from './identity.ts';
import { type AttemptManifest, memoPart, type TaskRecord, type TaskStateRecord, type TaskSummary } from './records.ts';

/** What the caller knows of an attempt that is about to start; `worker` is null where forge does not start it. */
export type AttemptStart = Pick<
  AttemptManifest,
  | 'attempt_id'
  | 'task_id'
  | 'run_id'
  | 'claim_id'
  | 'generation'
  | 'phase'
  | 'worktree_path'
  | 'base_branch'
  | 'attempt_number'
  | 'review_target_sha'
  | 'review_base_sha'
  | 'target_attempt_id'
  | 'agent'
> & { worker: WorkerIdentity | null };

export function manifestOf(
  { worker, ...start }: AttemptStart,
  machine: MachineIdentity,
  nowMs: number,
): AttemptManifest {
  const dispatched_at = isoTime(nowMs);
  if (worker === null) return { version: 1, ...start, dispatched_at, machine };
  const { pid, pgid, started_at } = worker;
  return { version: 1, ...start, dispatched_at, machine, worker: { pid, pgid, started_at } };
}

const FailuresSchema = once(() => {
  const text = z.string();
  /** `commit`: that a coding agent has left its branch at. */
  const commit = z.optional(text);
  return z.array(
    z.looseObject({ attempt_id: text, attempt_number: z.int(), class: text, message: text, at: text, commit }),
  );
});

/** A charged failure. `message` is one line, cut to 400 characters; `at` is ISO 8601. */
export type AttemptFailure = z.infer<ReturnType<typeof FailuresSchema>>[number];

/** A record has room for so many; older ones hardly help the next attempt. */
const FAILURES_KEPT = 5;

/** How the last few attempts failed, oldest first; at most five. */
export function failuresOf(record: TaskRecord): AttemptFailure[] {
  return memoPart(FailuresSchema, record.memo.failures) ?? [];
}

/** As it is kept. */
export function failureMessage({ message }: ClassifiedError): string {
  return oneLine(message, 400);
}

export function withFailure(
  record: TaskRecord,
  attempt_id: string,
  error: ClassifiedError,
  more: Pick<AttemptFailure, 'at' | 'commit'>,
): Partial<TaskRecord['memo']> {
  const { attempt_count: attempt_number } = record.state;
  const failure = { attempt_id, attempt_number, class: error.class, message: failureMessage(error), ...more };
  return { failures: [...failuresOf(record), failure].slice(-FAILURES_KEPT) };
}

/** Whether a folder among a task's attempts is read: those named by a UUID, as forge names them, or by the record. */
export function isAttemptOf(record: TaskSummary | null): (folder: string) => boolean {
  const { state, lease, memo } = record ?? { state: null, lease: null, memo: null };
  const named = [state?.current_attempt_id, lease?.attempt_id, memo?.completion?.attempt_id];
  return (folder) => isUuid(folder) || (ID_PATTERN.test(folder) && named.includes(folder));
}

/** Why what gc has found among the attempts is not read; null for an attempt. Without an id it is no folder. */
export function strayText(found: { verdict: string | null; attempt_id: string; verdict_path: string }): string | null {
  if (found.verdict !== 'stray') return null;
  const why = found.attempt_id === '' ? 'is not a folder' : 'is named by no UUID and by no record';
  return `${oneLine(found.verdict_path, 160)} ${why}, so nothing in it is read`;
}

/**
 * The manifests of attempts that a record has counted, oldest first. An earlier version of forge wrote a manifest before the commit that refers to
 * it, so it proves nothing alone. A number above the count was never committed; of several with one number only the last can have
 * been, since the number increases with the commit. A manifest without a number counts. `state`: none where nothing has happened.
 */
export function attemptsThatHappened(
  manifests: readonly AttemptManifest[],
  state: Pick<TaskStateRecord, 'attempt_count' | 'current_attempt_id'> | undefined,
): AttemptManifest[] {
  const { attempt_count = 0, current_attempt_id = null } = state ?? {};
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
