/** A gc plan that was saved to a file. Nothing in it is trusted: every payload is checked before it is used. */

import * as z from 'zod/mini';
import { ID_PATTERN, isUuid } from '../../lib/ids.ts';
import { once } from '../../lib/once.ts';
import type { GcPlanRow } from './gc-plan.ts';
import { GC_ROW_IDS } from './rules.ts';

/** Which tree a plan was made on. */
export interface TreeIdentity {
  /** Absolute path of `.forge/orchestrator`. */
  path: string;
  /** Number of that folder in its file system. */
  inode: number;
}

export interface SavedPlan {
  version: 1;
  made_at: string;
  tree: TreeIdentity;
  rows: GcPlanRow[];
}

const SavedPlanSchema = once(() => {
  const text = z.string().check(z.maxLength(4000));
  const textOrNull = z.nullable(text);
  const uuid = z.string().check(z.refine(isUuid, 'expected a UUID'));
  const task_id = z.string().check(z.regex(ID_PATTERN));
  const base = {
    row: z.literal(GC_ROW_IDS),
    task_id,
    severity: z.enum(['info', 'warning', 'error']),
    reason: text,
    identity: z.nullable(z.looseObject({ version: z.int(), digest: text })),
  };
  // In a tree written by hand it may be any name that a folder may have.
  const attempt_id = z.string().check(z.regex(ID_PATTERN));
  const ids = { question_id: uuid, attempt_id };
  const document = { ...ids, digest: text, path: z.optional(text) };
  // A name that a backend has given, and the backend checks; never a path.
  const leaseName = z.string().check(z.regex(/^[^/\0]+$/));
  const lease = { path: leaseName, claim_id: text, generation: z.int(), owner_run_id: text, expires_at: text };
  const payloads = {
    mark_terminal: { state: z.enum(['cancelled', 'shipped']), issue_id: text, merged_sha: textOrNull },
    mark_abandoned: { claim_id: textOrNull, generation: z.nullable(z.int()), expires_at: textOrNull },
    mark_unclaimed: { issue_id: text, claim_id: text, owner_run_id: text },
    recover: { issue_id: text, run_id: text },
    resume_answered: { ...ids, option_id: textOrNull },
    apply_default_answer: { ...ids, option_id: text },
    expire_question: ids,
    close_tracker_issue: { issue_id: text },
    reverify_verdict: { attempt_id },
    prune_branch: { branch: text, sha: text, merged: z.boolean() },
    remove_worktree: { path: text, branch: textOrNull, head: text },
    archive_question: document,
    archive_answer: document,
    release_lease_admin: lease,
    report_orphan: { kind: text },
  } satisfies Record<GcPlanRow['action'], object>;
  const rows = Object.entries(payloads).map(([action, payload]) =>
    z.looseObject({ ...base, action: z.literal(action), payload: z.looseObject(payload) }),
  );
  const [first, ...more] = rows;
  if (first === undefined) throw new Error('gc knows no action');
  return z.looseObject({
    version: z.literal(1),
    made_at: text,
    tree: z.looseObject({ path: text, inode: z.number() }),
    rows: z.array(z.union([first, ...more])),
  });
});

/** Reads a saved plan; null when `value` is none. */
export function parseSavedPlan(value: unknown): SavedPlan | null {
  const parsed = SavedPlanSchema().safeParse(value);
  return parsed.success ? (parsed.data as unknown as SavedPlan) : null;
}
