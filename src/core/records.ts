/**
 * The records of the state tree as data. `spec/STATE.md` describes each field.
 *
 * Objects are loose on purpose: fields that this version does not know are kept when a record is written again.
 */

import * as z from 'zod/mini';
import { OwnerIdentitySchema, WorkerIdentitySchema } from './identity.ts';

/** Largest record that is read, in bytes. Everything on disk is untrusted. */
export const RECORD_MAX_BYTES = 64 * 1024;

export const TASK_STATES = [
  'unclaimed',
  'claimed',
  'dispatched',
  'running',
  'blocked_on_question',
  'awaiting_respawn',
  'abandoned',
  'ready_for_review',
  'reviewed',
  'merge_pending',
  'shipped',
  'cancelled',
  'failed',
] as const;

export type TaskState = (typeof TASK_STATES)[number];

export const FAILURE_REASONS = ['decision_key_budget', 'retries_exhausted', 'fatal'] as const;
export type FailureReason = (typeof FAILURE_REASONS)[number];

export const PHASES_OF_WORK = ['implement', 'review', 'ship'] as const;
export type PhaseOfWork = (typeof PHASES_OF_WORK)[number];

const time = z.string().check(z.refine((text) => !Number.isNaN(Date.parse(text)), 'expected an ISO 8601 time'));
const count = z.int().check(z.gte(0));
const nullable = <T extends z.ZodMiniType>(type: T) => z._default(z.nullable(type), null);

export const LastErrorSchema = z.looseObject({
  class: z.string(),
  message: z.string(),
  exit_code: z.optional(z.nullable(z.int())),
  signal: z.optional(z.nullable(z.string())),
});
export type LastError = z.infer<typeof LastErrorSchema>;

const UpdatedBySchema = z.looseObject({
  run_id: nullable(z.string()),
  claim_id: nullable(z.string()),
  generation: z._default(count, 0),
});

/** `state.json`. A tree written by hand may leave out what has a default here. */
export const TaskStateSchema = z.looseObject({
  version: z.literal(1),
  task_id: z.string(),
  state: z.enum(TASK_STATES),
  state_version: z._default(count, 0),
  attempt_count: z._default(count, 0),
  current_attempt_id: nullable(z.string()),
  failure_count: z._default(count, 0),
  retry_counts: z.optional(z.record(z.string(), count)),
  failure_reason: z.optional(z.nullable(z.enum(FAILURE_REASONS))),
  last_error: z.optional(z.nullable(LastErrorSchema)),
  last_failed_at: z.optional(z.nullable(time)),
  next_eligible_at: z.optional(z.nullable(time)),
  updated_at: z._default(time, '1970-01-01T00:00:00.000Z'),
  updated_by: z._default(UpdatedBySchema, () => ({ run_id: null, claim_id: null, generation: 0 })),
});
export type TaskStateRecord = z.infer<typeof TaskStateSchema>;

/**
 * The monotonic twin of `expires_at`: `mono_ms` on the clock of boot `boot_id`. It counts only while `expires_at` still
 * is what it was written with, so a person who edits `expires_at` is obeyed.
 */
const LeaseClockSchema = z.looseObject({ boot_id: z.string(), mono_ms: z.number(), expires_at: z.string() });

/** `lease.json`. */
export const LeaseSchema = z.looseObject({
  version: z.literal(1),
  claim_id: z.string(),
  task_id: z.string(),
  attempt_id: nullable(z.string()),
  owner_run_id: z.string(),
  generation: count,
  acquired_at: time,
  expires_at: time,
  last_heartbeat_at: z._default(z.nullable(time), null),
  /** Who heartbeats the lease from a process of its own: `run`, `exec`, `claim --owner-pid`. */
  owner: z.optional(z.nullable(OwnerIdentitySchema)),
  clock: z.optional(z.nullable(LeaseClockSchema)),
  /** What a heartbeat renews the lease for, milliseconds. */
  ttl_ms: z.optional(z.nullable(z.number().check(z.positive()))),
  spec_revision: z.optional(z.nullable(z.string())),
  state_version: z._default(count, 0),
});
export type Lease = z.infer<typeof LeaseSchema>;

/** What `complete` answered, kept so that a repeat of the same call gets the same answer. */
const CompletionSchema = z.looseObject({
  attempt_id: z.string(),
  outcome: z.string(),
  state: z.enum(TASK_STATES),
  next_eligible_at: z.nullable(z.string()),
  failure_reason: z.nullable(z.enum(FAILURE_REASONS)),
});

/** What forge remembers about a task beside its public views. */
export const MemoSchema = z.looseObject({
  /** The largest fencing generation ever seen on this task. */
  generation: count,
  /** Abandonments in a row, without a completion or a charged failure in between. */
  abandons: count,
  /** The claim that ended last, so that its late repeats are told apart from strangers. */
  ended_claim: nullable(z.looseObject({ claim_id: z.string(), how: z.string(), state: z.enum(TASK_STATES) })),
  completion: nullable(CompletionSchema),
  /** Checksums of the hand-written files that have become part of this record. */
  absorbed: z._default(z.array(z.string()), () => []),
});
export type Memo = z.infer<typeof MemoSchema>;

/** State and lease of a task, committed together. `worker` is the last process group that was started and not yet seen gone. */
export const TaskRecordSchema = z.looseObject({
  state: TaskStateSchema,
  lease: z.nullable(LeaseSchema),
  worker: z.nullable(WorkerIdentitySchema),
  memo: MemoSchema,
});
export type TaskRecord = z.infer<typeof TaskRecordSchema>;

/** `attempts/<attempt>/manifest.json`. */
export const AttemptManifestSchema = z.looseObject({
  version: z.literal(1),
  attempt_id: z.string(),
  task_id: z.string(),
  run_id: z.string(),
  claim_id: z.string(),
  generation: count,
  phase: z.enum(PHASES_OF_WORK),
  worktree_path: z.nullable(z.string()),
  dispatched_at: time,
  attempt_number: z.optional(count),
  worker: z.optional(z.nullable(z.looseObject({ pid: z.int(), pgid: z.int(), started_at: z.string() }))),
});
export type AttemptManifest = z.infer<typeof AttemptManifestSchema>;

/** `runs/<run>/manifest.json`. */
export const RunManifestSchema = z.looseObject({
  version: z.literal(1),
  run_id: z.string(),
  started_at: time,
  name: nullable(z.string()),
  host: z.string(),
  owner: z.optional(z.nullable(OwnerIdentitySchema)),
  ended_at: z.optional(z.nullable(time)),
});
export type RunManifest = z.infer<typeof RunManifestSchema>;

const excerpt = z.optional(z.nullable(z.string()));

/** A worker's verdict, `attempts/<attempt>/verdict.json`. */
export const VerdictSchema = z.looseObject({
  version: z._default(z.literal(1), 1),
  verdict: z.enum(['ready_for_review', 'changes_needed', 'blocked']),
  summary: z._default(z.string(), ''),
  tests: z.optional(
    z.looseObject({
      ran: z.optional(z.boolean()),
      passed: z.optional(count),
      failed: z.optional(count),
      skipped: z.optional(count),
      duration_ms: z.optional(z.number()),
      output_excerpt: excerpt,
    }),
  ),
  lint: z.optional(
    z.looseObject({
      ran: z.optional(z.boolean()),
      clean: z.optional(z.boolean()),
      violations: z.optional(count),
      output_excerpt: excerpt,
    }),
  ),
  branch: z.optional(z.nullable(z.string())),
  save_point: z.optional(z.nullable(z.string())),
  target_sha: z.optional(z.nullable(z.string())),
});
export type Verdict = z.infer<typeof VerdictSchema>;

/** A task nobody has touched: what a planned task without a folder counts as. */
export function freshRecord(taskId: string, nowIso: string): TaskRecord {
  return {
    state: {
      version: 1,
      task_id: taskId,
      state: 'unclaimed',
      state_version: 0,
      attempt_count: 0,
      current_attempt_id: null,
      failure_count: 0,
      updated_at: nowIso,
      updated_by: { run_id: null, claim_id: null, generation: 0 },
    },
    lease: null,
    worker: null,
    memo: { generation: 0, abandons: 0, ended_claim: null, completion: null, absorbed: [] },
  };
}

/** Reads `value` by `schema`; a mismatch comes back as one sentence that names the field. */
export function parseRecord<T>(
  schema: z.ZodMiniType<T>,
  value: unknown,
): { ok: true; value: T } | { ok: false; why: string } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return {
      ok: false,
      why: `expected an object, found ${Array.isArray(value) ? 'a list' : value === null ? 'null' : `a ${typeof value}`}`,
    };
  }
  const version = (value as { version?: unknown }).version;
  if (typeof version === 'number' && version > 1) {
    return { ok: false, why: `version ${version} was written by a newer forge; this one knows version 1` };
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return { ok: true, value: parsed.data };
  const issue = parsed.error.issues[0];
  const at = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  return { ok: false, why: `${at}${issue?.message ?? 'invalid'}` };
}
