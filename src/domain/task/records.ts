/**
 * The records of the state tree as data. `spec/STATE.md` describes each field.
 *
 * Objects are loose: fields that this version does not know are kept when a record is written again.
 */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { issueText, WITHOUT_WORDS } from '../../lib/schema-issues.ts';
import { isTime } from '../../lib/time.ts';
import { DeadlineClockSchema } from './deadlines.ts';
import { MachineIdentitySchema, OwnerIdentitySchema, WorkerIdentitySchema } from './identity.ts';

/** Largest record that is read, in bytes. Everything on disk is untrusted. */
export const RECORD_MAX_BYTES = 64 * 1024;

export const TASK_STATES = [
  'unclaimed',
  'claimed',
  'dispatched',
  'running',
  'blocked_on_question',
  'waiting',
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

// Shared parts. Building the objects that are made of them costs time at start, so each is built at its first use.
const version = z.literal(1);
const text = z.string();
const time = z.string().check(z.refine(isTime, 'expected an ISO 8601 time'));
const count = z.int().check(z.gte(0));
const state = z.enum(TASK_STATES);
const reason = z.nullable(z.enum(FAILURE_REASONS));
const nullableText = z.nullable(text);
const nullableTime = z.nullable(time);
const textOrNull = z._default(nullableText, null);
const countOrZero = z._default(count, 0);
const optionalText = z.optional(nullableText);
const optionalTime = z.optional(nullableTime);
const optionalCount = z.optional(count);
const optionalFlag = z.optional(z.boolean());
/** Parsed by who asks for it. */
const unread = z.optional(z.unknown());

/** Failures that were not charged, as `Waits` of `retry/next-try.ts`; null or absent: there are none since the last that was. */
export const WaitedSchema = once(() => z.optional(z.nullable(z.record(text, z.looseObject({ count, since: time })))));

export const LastErrorSchema = once(() =>
  z.looseObject({
    class: text,
    message: text,
    exit_code: z.optional(z.nullable(z.int())),
    signal: optionalText,
  }),
);
export type LastError = z.infer<ReturnType<typeof LastErrorSchema>>;

/** Without how a process ended, and what else is kept. */
export function errorInfo(error: LastError | null | undefined): Pick<LastError, 'class' | 'message'> | null {
  return error ? { class: error.class, message: error.message } : null;
}

/** What a parked task waits for: one of its steps, by its name. `wait-for`: that is the name of the signal. */
const WaitsForSchema = once(() => z.looseObject({ kind: text, name: text }));
export type WaitsFor = z.infer<ReturnType<typeof WaitsForSchema>>;

/** `state.json`. A tree written by hand may omit what has a default here. */
export const TaskStateSchema = once(() => {
  const updatedBy = z.looseObject({ run_id: textOrNull, claim_id: textOrNull, generation: countOrZero });
  return z.looseObject({
    version,
    task_id: text,
    state,
    state_version: countOrZero,
    attempt_count: countOrZero,
    current_attempt_id: textOrNull,
    failure_count: countOrZero,
    retry_counts: z.optional(z.record(text, count)),
    waited: WaitedSchema(),
    failure_reason: z.optional(reason),
    last_error: z.optional(z.nullable(LastErrorSchema())),
    last_failed_at: optionalTime,
    next_eligible_at: optionalTime,
    /** Of a parked task: when it goes on; null: as soon as what it waits for is there. */
    wake_at: optionalTime,
    waits_for: z.optional(z.array(WaitsForSchema())),
    updated_at: z._default(time, '1970-01-01T00:00:00.000Z'),
    updated_by: z._default(updatedBy, () => ({ run_id: null, claim_id: null, generation: 0 })),
  });
});
export type TaskStateRecord = z.infer<ReturnType<typeof TaskStateSchema>>;

/** `lease.json`. */
export const LeaseSchema = once(() => {
  return z.looseObject({
    version,
    claim_id: text,
    task_id: text,
    attempt_id: textOrNull,
    owner_run_id: text,
    generation: count,
    acquired_at: time,
    expires_at: time,
    last_heartbeat_at: z._default(nullableTime, null),
    /** The process that renews the lease by itself: `run`, `exec`, `claim --owner-pid`. */
    owner: z.optional(z.nullable(OwnerIdentitySchema())),
    /** Of `expires_at`. */
    clock: z.optional(z.nullable(DeadlineClockSchema())),
    /** How long a heartbeat renews the lease for, milliseconds. */
    ttl_ms: z.optional(z.nullable(z.number().check(z.positive()))),
    spec_revision: optionalText,
    /** The overlap check is still to be made: another claim at the same moment may write the same files. */
    overlap_unchecked: z.optional(z.boolean()),
    state_version: countOrZero,
  });
});
export type Lease = z.infer<ReturnType<typeof LeaseSchema>>;

const MemoSchema = once(() => {
  const endedClaim = z.looseObject({ claim_id: text, how: text, state });
  /** The answer of `complete`, kept for repeats of the same call. */
  const completion = z.looseObject({
    attempt_id: text,
    outcome: text,
    state,
    next_eligible_at: nullableText,
    failure_reason: reason,
  });
  return z.looseObject({
    /** The largest fencing generation ever seen on this task. */
    generation: count,
    /** Abandonments in a row, without a completion or a charged failure in between. */
    abandons: count,
    /** The claim that ended last, to recognize its late repeats. */
    ended_claim: z._default(z.nullable(endedClaim), null),
    completion: z._default(z.nullable(completion), null),
    /** Checksums of the hand-written files that have become part of this record. */
    absorbed: z._default(z.array(text), () => []),
    /** The task's questions; parsed by `questions.ts`, since most tasks have none. */
    questions: unread,
    /** The twin of `next_eligible_at`, of a parked task that of `wake_at`. */
    backoff: z.optional(z.nullable(DeadlineClockSchema())),
    /** The last few failures; parsed by `attempts.ts`. */
    failures: unread,
    /** The running verification; parsed by `verification.ts`. */
    verification: unread,
    /** That of the attempt that began last, by the store; its file is a view of it. */
    manifest: unread,
    /** What decides about the current attempt's work; parsed by `evidence.ts`. */
    evidence: unread,
    /** What the plan said of the task when its work was last given out, see `plan/definition.ts`. */
    definition: optionalText,
    /** The coding agent, by its preset, that it was given out to then; null or absent: another worker. */
    agent: optionalText,
    /** What kept an agent from reviewing it, until the task moves on; parsed by `review-hold.ts`. */
    review_hold: unread,
    /** Its steps and its context; parsed by `steps/journal.ts`. */
    journal: unread,
    /** The sets of children that it has made; parsed by `fan-out/fan-outs.ts`. */
    fan_outs: unread,
    /** What its worker said of the result that counts; null or absent: nothing. */
    summary: optionalText,
    /** What its attempts have used; parsed by `spending.ts`. */
    spending: unread,
    /** Why a run has given the task up, until it moves on; parsed by `held.ts`. */
    held: unread,
    /** That it was begun again from the start; parsed by `by-hand.ts`. */
    rerun: unread,
    /** What it was done for, where its outputs are kept; parsed by `reuse/reuse.ts`. */
    reuse: unread,
    /** That a person said that it is done; parsed by `by-hand.ts`. */
    done_by_hand: unread,
    /** Of a child that was cancelled with a task above it: that task. Null or absent: it was not. */
    cancelled_with: optionalText,
  });
});
export type Memo = z.infer<ReturnType<typeof MemoSchema>>;

/** State and lease of a task, committed together. `worker` is the last process group that was started and not yet seen to end. */
export const TaskRecordSchema = once(() =>
  z.looseObject({
    state: TaskStateSchema(),
    lease: z.nullable(LeaseSchema()),
    worker: z.nullable(WorkerIdentitySchema()),
    memo: MemoSchema(),
  }),
);
export type TaskRecord = z.infer<ReturnType<typeof TaskRecordSchema>>;

/** `attempts/<attempt>/manifest.json`. */
export const AttemptManifestSchema = once(() => {
  const pid = z.int();
  return z.looseObject({
    version,
    attempt_id: text,
    task_id: text,
    run_id: text,
    claim_id: text,
    generation: count,
    phase: z.enum(PHASES_OF_WORK),
    worktree_path: nullableText,
    dispatched_at: time,
    attempt_number: optionalCount,
    worker: z.optional(z.nullable(z.looseObject({ pid, pgid: pid, started_at: text }))),
    /** The range of a review or a merge: the verified commit, and the base. Null outside of a repository. */
    review_target_sha: optionalText,
    review_base_sha: optionalText,
    /** The branch that the work is for; null without a worktree, or where HEAD was detached. */
    base_branch: optionalText,
    /** The attempt whose work is reviewed or merged. */
    target_attempt_id: optionalText,
    /** The coding agent whose structured output its stdout is. Absent: it is text. */
    agent: optionalText,
    /** The machine it was started on. */
    machine: z.optional(z.nullable(MachineIdentitySchema())),
  });
});
export type AttemptManifest = z.infer<ReturnType<typeof AttemptManifestSchema>>;

/** `runs/<run>/manifest.json`. */
export const RunManifestSchema = once(() =>
  z.looseObject({
    version,
    run_id: text,
    started_at: time,
    name: textOrNull,
    host: text,
    owner: z.optional(z.nullable(OwnerIdentitySchema())),
    ended_at: optionalTime,
    /** Scripts of several lines end at the first line that fails. Runs of earlier versions do not say so. */
    stops_at_failure: z.optional(z.boolean()),
    /** The claims of the workers that have started it, the innermost first. Absent: none has. */
    within: z.optional(z.array(text)),
  }),
);
export type RunManifest = z.infer<ReturnType<typeof RunManifestSchema>>;

/** A worker's verdict, `attempts/<attempt>/verdict.json`. */
export const VerdictSchema = once(() => {
  const tests = z.looseObject({
    ran: optionalFlag,
    passed: optionalCount,
    failed: optionalCount,
    skipped: optionalCount,
    duration_ms: z.optional(z.number()),
    output_excerpt: optionalText,
  });
  const lint = z.looseObject({
    ran: optionalFlag,
    clean: optionalFlag,
    violations: optionalCount,
    output_excerpt: optionalText,
  });
  return z.looseObject({
    version: z._default(version, 1),
    verdict: z.enum(['ready_for_review', 'changes_needed', 'blocked']),
    summary: z._default(text, ''),
    tests: z.optional(tests),
    lint: z.optional(lint),
    branch: optionalText,
    save_point: optionalText,
    target_sha: optionalText,
    /** `none`: nothing had to change. Anything else says nothing; agents list there what they have changed. */
    changes: unread,
  });
});
export type Verdict = z.infer<ReturnType<typeof VerdictSchema>>;

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

/**
 * What of a task's record says where the task stands: all that a look at a whole tree reads, and keeps for the next one.
 * Every record is one, too.
 */
export interface TaskSummary {
  state: Pick<TaskStateRecord, 'task_id' | 'state' | 'attempt_count' | 'current_attempt_id' | 'updated_at'> &
    Pick<TaskStateRecord, 'next_eligible_at' | 'wake_at' | 'waits_for' | 'failure_reason' | 'last_error'> & {
      updated_by: { run_id: string | null };
    };
  lease: Lease | null;
  memo: Pick<
    Memo,
    | 'generation'
    | 'abandons'
    | 'questions'
    | 'backoff'
    | 'verification'
    | 'definition'
    | 'agent'
    | 'spending'
    | 'review_hold'
    | 'fan_outs'
    | 'reuse'
    | 'held'
    | 'summary'
  > & {
    absorbed: readonly string[];
    completion: { attempt_id: string } | null;
  };
}

/** What is known of the record of a task. Null: nothing has happened to it; `unreadable`: it is there, and can't be read. */
export type SeenRecord = TaskSummary | null | 'unreadable';

/** The record, where it can be read. */
export function readable(record: SeenRecord | undefined): TaskSummary | null {
  return record === undefined || record === 'unreadable' ? null : record;
}

export function seenState(record: SeenRecord): TaskState | 'unreadable' {
  return record === 'unreadable' ? record : (record?.state.state ?? 'unclaimed');
}

/** The documents of an attempt. `verified`: the result of verifying the verdict. Those of which an attempt has several carry the id that they are found by. */
export type DocumentKind =
  | 'manifest'
  | 'question'
  | 'answer'
  | 'verdict'
  | 'verified'
  | 'review'
  | 'ship'
  | 'session'
  | 'steps'
  | 'fan-out'
  | 'result';

/** A document that a decision creates, once, with the commit that refers to it. */
export interface NewDocument {
  kind: DocumentKind;
  attemptId: string;
  value: object;
}

/** A part of a record's memo as its schema has it; null where there is none, or it is damaged. */
export function memoPart<T>(schemaOf: () => z.ZodMiniType<T>, part: unknown): T | null {
  if (part === undefined) return null;
  const parsed = schemaOf().safeParse(part);
  return parsed.success ? parsed.data : null;
}

/** Reads what people and other tools write too: `value`, undefined for what is not JSON, by the schema that `schemaOf` gives; a mismatch comes back as one sentence that names the field. */
export function parseRecord<T>(
  schemaOf: () => z.ZodMiniType<T>,
  value: unknown,
): { ok: true; value: T } | { ok: false; why: string } {
  if (value === undefined) return { ok: false, why: 'it is not JSON; it may have been cut short' };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const found = Array.isArray(value) ? 'a list' : value === null ? 'null' : `a ${typeof value}`;
    return { ok: false, why: `expected an object, found ${found}` };
  }
  const version = (value as { version?: unknown }).version;
  if (typeof version === 'number' && version > 1) {
    return { ok: false, why: `version ${version} was written by a newer forge; this one knows version 1` };
  }
  const parsed = schemaOf().safeParse(value, WITHOUT_WORDS);
  return parsed.success ? { ok: true, value: parsed.data } : { ok: false, why: issueText(parsed.error.issues, value) };
}
