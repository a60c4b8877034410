/**
 * What decides about the work of a task's current attempt, in the task's record. A worker can write to every file of its attempt,
 * so the manifest and the twin there only show people what happened. Pure.
 */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { type AttemptManifest, memoPart, type TaskRecord } from '../task/records.ts';
import { FailureSchema, type Verified } from './verification.ts';

const EvidenceSchema = once(() => {
  const text = z.string();
  const textOrNull = z.nullable(text);
  return z.looseObject({
    attempt_id: text,
    /** As in its manifest. */
    worktree_path: textOrNull,
    base_branch: textOrNull,
    /** The setup of git before the worker began, see `git-setup.ts`; null where it was not looked at. */
    git_setup: z._default(z.nullable(z.record(text, text)), null),
    /** What differed from its commit before the first attempt, as digests; see `git/changes.ts`. */
    from_start: z._default(z.array(text), () => []),
    /** No worker has been in its worktree: nothing has happened there but setups that failed. */
    untouched: z.optional(z.boolean()),
    /** The result of verification; null until then. `digest`: of the twin, hexadecimal SHA-256. */
    verified: z.nullable(
      z.looseObject({ failure: z.nullable(FailureSchema()), target_sha: textOrNull, verified_at: text, digest: text }),
    ),
  });
});

export type Evidence = z.infer<ReturnType<typeof EvidenceSchema>>;
export type Finding = NonNullable<Evidence['verified']>;
/** Where an attempt works and what for, as it began. */
export type Work = Pick<Evidence, 'worktree_path' | 'base_branch' | 'git_setup' | 'from_start' | 'untouched'>;

/** Work in the project itself. */
export const NO_WORKTREE: Work = { worktree_path: null, base_branch: null, git_setup: null, from_start: [] };

/** Null for an attempt that is not the current one, and for one that was started by a version of forge that kept no evidence. */
export function evidenceOf(record: TaskRecord, attemptId: string | null): Evidence | null {
  const evidence = memoPart(EvidenceSchema, record.memo.evidence);
  return evidence?.attempt_id === attemptId ? evidence : null;
}

/** What the manifest of an attempt shows of it. */
export function toldOf({ worktree_path, base_branch }: Work): Pick<AttemptManifest, 'worktree_path' | 'base_branch'> {
  return { worktree_path, ...(base_branch === null ? {} : { base_branch }) };
}

/** For the commit that starts an attempt at the task's own work. */
export function startEvidence(attempt_id: string, work: Work): { evidence: Evidence } {
  return { evidence: { attempt_id, ...work, verified: null } };
}

/** What the twin says that decides. `digest`: of the twin. */
export function findingOf({ failure, target_sha, verified_at }: Verified, digest: string): Finding {
  return { failure: failure && { ...failure }, target_sha, verified_at, digest };
}

/** For the commit that ends a verification. */
export function verifiedEvidence(
  attempt_id: string,
  { worktree_path, base_branch, git_setup, from_start }: Work,
  verified: Finding,
): { evidence: Evidence } {
  return { evidence: { attempt_id, worktree_path, base_branch, git_setup, from_start, verified } };
}
