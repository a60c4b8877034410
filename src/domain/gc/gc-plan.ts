/** What gc looks at, and what it may plan to do, as plain data. `plan-gc.ts` has the table of rules. */

import * as z from 'zod/mini';
import { ID_PATTERN, isTaskId, isUuid } from '../../lib/ids.ts';
import { once } from '../../lib/once.ts';
import type { PlannedTask } from '../plan/plan.ts';
import type { Lease, TaskState } from '../task/records.ts';
import type { TrackerSnapshot } from '../tracker-issues.ts';
import { GC_SEVERITIES, type GcSeverity } from './severities.ts';

// --- snapshot --------------------------------------------------------------------------------------------------------

/** Which record a decision was made on: its committed version (0: a tree written by hand), and what it said. */
export interface TaskIdentity {
  version: number;
  /** Checksum of state and lease, so that an edit by hand counts as a change. */
  digest: string;
}

type LeaseIdentity = Pick<Lease, 'claim_id' | 'generation' | 'owner_run_id' | 'expires_at'>;

export interface GcLease extends LeaseIdentity {
  attempt_id: string | null;
  /** As readiness and `claim` see it. */
  standing: 'live' | 'grace' | 'stale';
  /** Why it is stale; '' when it is not. */
  why: string;
}

/**
 * How plans and `expectedPath` name the task's own lease, which is public. Any other name is that of a stray: the backend
 * gives it, and it alone knows what it stands for.
 */
export const OWN_LEASE = 'lease.json';

/** The task's own lease where there are strays, or a stray: what a person or another tool has put beside it. */
export type GcLeaseFile =
  | ({ kind: 'read'; path: string } & LeaseIdentity)
  | { kind: 'unreadable'; path: string; why: string };

export interface GcQuestion {
  question_id: string;
  /** How the backend names it to people. Plans show it; it is never used to find the question. */
  path: string;
  digest: string;
  /** Null: it can't be read, and `why` says so. */
  status: string | null;
  why: string;
}

export interface GcAnswer {
  question_id: string;
  path: string;
  /** Null: what is there is no file that could be read. */
  digest: string | null;
  /** Undefined: the answer cannot be read. Null: it chooses no option. */
  option_id: string | null | undefined;
  answered_by: string;
}

export interface GcAttempt {
  attempt_id: string;
  /** Null: none was handed in. `unreadable`: it can't be read. `stray`: no attempt, see `strayText`. */
  verdict: 'ready_for_review' | 'changes_needed' | 'blocked' | 'unreadable' | 'stray' | null;
  /** How the backend names the verdict, or the stray folder, to people. */
  verdict_path: string;
  /** Whether there is its twin; false where there is no verdict that matters. */
  verified: boolean;
  questions: readonly GcQuestion[];
  answers: readonly GcAnswer[];
}

export interface GcTask {
  task_id: string;
  identity: TaskIdentity;
  /** Whether there is a committed record; otherwise the tree was written by hand. */
  adopted: boolean;
  /** Why the record can't be read; null when it can. */
  problem: string | null;
  /** Null: nothing has happened to the task, or its record can't be read. */
  state: TaskState | null;
  /** When its record was last changed, in ISO 8601; null like `state`. */
  updated_at: string | null;
  lease: GcLease | null;
  current_attempt_id: string | null;
  /** The attempt whose end the record has last answered for. */
  completed_attempt_id: string | null;
  abandons: number;
  waits_for: {
    question_id: string;
    attempt_id: string;
    expires_at: string;
    late: boolean;
    default_option_id: string | null;
  } | null;
  lease_files: readonly GcLeaseFile[];
  attempts: readonly GcAttempt[];
  /** The commit of the task that is in the base; null when none is, or it was not looked up. */
  merged_sha: string | null;
}

export interface GcBranch {
  /** `forge/<task>`. */
  name: string;
  task_id: string;
  sha: string;
  has_worktree: boolean;
  merged: boolean;
}

export interface GcWorktree {
  path: string;
  /** The task that its folder is named after; its folder's name, where that is not a task's. */
  name: string;
  /** Null: detached. */
  branch: string | null;
  head: string;
  /** False for a folder that git does not know: forge did not make it, so it is only reported. */
  registered: boolean;
}

export interface GcSnapshot {
  /** ISO 8601. */
  now: string;
  /** Abandonments in a row after which a task fails. */
  abandon_limit: number;
  /** Null: the project has no plan, so no task counts as unplanned. */
  plan: readonly PlannedTask[] | null;
  tasks: readonly GcTask[];
  runs: readonly { run_id: string; standing: 'open' | 'ended' | 'dead' }[];
  tracker: TrackerSnapshot;
  branches: readonly GcBranch[];
  worktrees: readonly GcWorktree[];
}

// --- plan ------------------------------------------------------------------------------------------------------------

export const GC_ROW_IDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] as const;
export type GcRowId = (typeof GC_ROW_IDS)[number];

const ORPHAN_KINDS = [
  'tracker_claims_shipped',
  'tracker_claimed_no_local',
  'tracker_done_unproven',
  'shipped_not_closed',
  'worktree',
  'unplanned_task',
  'unreadable',
] as const;
export type OrphanKind = (typeof ORPHAN_KINDS)[number];

const fileName = once(() => z.string().check(z.regex(/^[^/\0]+$/)));

/** What each action is about. A plan may come from a file: ids are checked, since they become part of paths. */
const gcPayloads = once(() => {
  const text = z.string().check(z.maxLength(4000));
  const textOrNull = z.nullable(text);
  // In a tree written by hand it may be any name that a folder may have.
  const attempt_id = z.string().check(z.regex(ID_PATTERN));
  const ids = { question_id: z.string().check(z.refine(isUuid, 'expected a UUID')), attempt_id };
  // `path` is for people: the ids and the digest are what it is found by.
  const document = { ...ids, digest: text, path: z.optional(text) };
  const string = z.optional(z.string());
  return {
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
    release_lease_admin: {
      // `OWN_LEASE`, or the name that the backend gave to a stray: never a path.
      path: fileName(),
      claim_id: text,
      generation: z.int(),
      owner_run_id: text,
      expires_at: text,
    },
    report_orphan: { kind: z.enum(ORPHAN_KINDS), path: string, issue_id: string, run_id: string, why: string },
  };
});

type Payloads = ReturnType<typeof gcPayloads>;
export type GcAction = keyof Payloads;
type PayloadOf = { [A in GcAction]: z.infer<z.ZodMiniObject<Payloads[A], z.core.$strip>> };
export type GcPayload<A extends GcAction> = PayloadOf[A];

interface Item<A extends GcAction> {
  row: GcRowId;
  task_id: string;
  action: A;
  severity: GcSeverity;
  /** One sentence for a person. */
  reason: string;
  payload: GcPayload<A>;
  /** The record that it was planned on; null where no task's record is concerned. */
  identity: TaskIdentity | null;
}

/** One thing to do, or (`report_orphan`) to tell a person. Discriminated by `action`. */
export type GcPlanRow = { [A in GcAction]: Item<A> }[GcAction];

/** In order of row, task (by code points) and path. */
export interface GcPlan {
  version: 1;
  rows: readonly GcPlanRow[];
}

export function plannedRows({ rows }: GcPlan): GcPlanRow[] {
  return rows.filter(({ action }) => action !== 'report_orphan');
}

export function reportedRows({ rows }: GcPlan): GcPlanRow[] {
  return rows.filter(({ action }) => action === 'report_orphan');
}

/** Closes a switch over the actions: one that is not handled becomes a type error here. */
export function assertNeverGcRow(row: never): never {
  throw new Error(`no such gc action: ${JSON.stringify(row)}`);
}

// --- saved plan ------------------------------------------------------------------------------------------------------

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
  const base = {
    row: z.literal(GC_ROW_IDS),
    severity: z.enum(GC_SEVERITIES),
    reason: text,
    identity: z.nullable(z.looseObject({ version: z.int(), digest: text })),
  };
  const id = z.string().check(z.refine(isTaskId, 'expected the id of a task'));
  // The folder of an orphan worktree may have another name.
  const ofFolder = new Set(['remove_worktree', 'report_orphan']);
  const rows = Object.entries(gcPayloads()).map(([action, payload]) => {
    const task_id = ofFolder.has(action) ? fileName() : id;
    return z.looseObject({ ...base, task_id, action: z.literal(action), payload: z.looseObject(payload) });
  });
  return z.looseObject({
    version: z.literal(1),
    made_at: text,
    tree: z.looseObject({ path: text, inode: z.number() }),
    rows: z.array(z.union(rows)),
  });
});

/** Reads a plan from a file, in which nothing is trusted: every payload is checked. Null when `value` is no plan. */
export function parseSavedPlan(value: unknown): SavedPlan | null {
  const parsed = SavedPlanSchema().safeParse(value);
  return parsed.success ? (parsed.data as unknown as SavedPlan) : null;
}
