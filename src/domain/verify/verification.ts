/**
 * Verification: a worker's result counts only after commands have verified it.
 *
 * A verdict of `ready_for_review` is handed in, then verified, then the task moves on by the result. The record names the running
 * verification, and the result is a create-once file, so after a crash the same attempt or the next claimer finishes it. Pure, like
 * `domain/task/operations.ts`.
 */

import * as z from 'zod/mini';
import { ForgeError } from '../../lib/errors.ts';
import { once } from '../../lib/once.ts';
import { byteLength, firstOf, oneLine } from '../../lib/text.ts';
import { type AgentSession, AgentSessionSchema } from '../agents/session.ts';
import type { PlanTask } from '../plan/plan.ts';
import { commandSource } from '../plan/task-command.ts';
import { type ClassifiedError, overLimit } from '../retry/classify.ts';
import { errorLine } from '../retry/error-line.ts';
import { ReviewFindingSchema } from '../review/findings.ts';
import type { Changes, Settings } from '../settings/settings.ts';
import type { Instant } from '../task/deadlines.ts';
import { OwnerIdentitySchema, WorkerIdentitySchema } from '../task/identity.ts';
import { type LeaseObserver, leaseStanding, renewed } from '../task/leases.ts';
import { type Lease, memoPart, type TaskRecord, type TaskSummary, type Verdict } from '../task/records.ts';
import { isInFlight } from '../task/states.ts';
import { changed, type Decision, heldBy, refusal, starting, workedBy } from '../task/transition.ts';
import type { WrittenNotes } from './guardrails.ts';

// --- what was found --------------------------------------------------------------------------------------------------

const text = z.string();
const textOrNull = z._default(z.nullable(text), null);
const count = z._default(z.nullable(z.int()), null);
const names = z._default(z.nullable(z.array(text)), null);

export const CheckResultSchema = once(() =>
  z.looseObject({
    name: text,
    command: text,
    exit_code: count,
    signal: textOrNull,
    timed_out: z._default(z.boolean(), false),
    /** The time limit that it reached, and where that stands; absent: none. */
    limit: z.optional(text),
    duration_ms: z._default(z.number(), 0),
    output_tail: z._default(text, ''),
  }),
);

export const FailureSchema = once(() =>
  z.looseObject({ class: text, message: text, exit_code: z.optional(z.int()), signal: z.optional(text) }),
);

/** `attempts/<attempt>/verdict.verified.json`, the twin of a verdict. */
export const VerifiedSchema = once(() =>
  z.looseObject({
    version: z.literal(1),
    attempt_id: text,
    /** The verdict that counts: `ready_for_review` when every command succeeded, else `changes_needed`. */
    verdict: z.enum(['ready_for_review', 'changes_needed', 'blocked']),
    summary: z._default(text, ''),
    verified_at: text,
    duration_ms: z._default(z.number(), 0),
    /** Why it is not ready; null when it is. */
    failure: z._default(z.nullable(FailureSchema()), null),
    /** In the order in which they ran. */
    commands: z._default(z.array(CheckResultSchema()), () => []),
    /** Where they ran; null: in the project folder. */
    worktree_path: textOrNull,
    branch: textOrNull,
    /** The verified commit; null where there is no repository. `head` is the same, as it was found there. */
    target_sha: textOrNull,
    head: textOrNull,
    /** The branch that the work is for, and its commit; null without a worktree. */
    base: textOrNull,
    base_sha: textOrNull,
    /** Changed since the merge base, the first of `files_changed_count`. */
    files_changed: names,
    files_changed_count: count,
    /** Files that conflict with the base as it was; null: not known. */
    conflicts: names,
    /** Changed outside of the task's `write_globs`; null: not known, or it has none. */
    outside_globs: names,
    outside_globs_count: count,
    /** Of the coding agent that did the work; null: of another worker, or not known. */
    session: z._default(z.nullable(AgentSessionSchema()), null),
    /** Findings for the reviewer. */
    findings: z._default(z.array(ReviewFindingSchema()), () => []),
    findings_count: z._default(z.int(), 0),
  }),
);
export type Verified = z.infer<ReturnType<typeof VerifiedSchema>>;
export type CheckResult = Verified['commands'][number];

/** The contents of a workspace at the time of verification. */
export interface WorkFound {
  branch: string | null;
  /** Null where there is no repository. */
  head: string | null;
  base: string | null;
  base_sha: string | null;
  /** Null: the workspace is not the task's own, and so says little about its work. */
  files_changed: readonly string[] | null;
  /** The project's folder in the repository, which file names are relative to the top of: '' or a path that ends with a slash. */
  prefix: string;
  conflicts: readonly string[] | null;
  /** What is not in the commit `head`; and which of that git tracks. */
  uncommitted: readonly string[];
  modified: readonly string[];
  /** What forge has copied into the worktree, and a commit of the work has. */
  copied: readonly string[];
  /** The branch by which others get the work, and its commit; null where the task has none. */
  own_branch: { name: string; sha: string | null } | null;
}

export const NO_WORK_FOUND: WorkFound = {
  branch: null,
  head: null,
  base: null,
  base_sha: null,
  files_changed: null,
  prefix: '',
  conflicts: null,
  uncommitted: [],
  modified: [],
  copied: [],
  own_branch: null,
};

/** How many names an error message lists. */
const NAMES_SHOWN = 3;

function fault(what: string, message: string): ClassifiedError {
  return { class: `verify.${what}`, message: oneLine(message, 500) };
}

/** Why verification fails before any command runs; null when commands are to run. */
export function workFault(found: WorkFound, verdict: Verdict, changes: Changes): ClassifiedError | null {
  const { own_branch: own } = found;
  if (found.uncommitted.length > 0) {
    const on = own === null ? 'its branch' : own.name;
    return fault(
      'uncommitted',
      `not committed: ${firstOf(found.uncommitted, NAMES_SHOWN)}; only what is committed to ${on} counts, so commit it, or let git ignore it`,
    );
  }
  if (found.copied.length > 0) {
    const what = `${firstOf(found.copied, NAMES_SHOWN)}, which forge copied into the worktree and git does not track,`;
    return fault('copied-file', `${what} is in a commit; take it out of every commit, since it may hold secrets`);
  }
  // Tasks that depend on this one start from its branch, and would start without the work.
  if (own !== null && own.sha !== found.head) {
    const where = found.branch === null ? 'no branch' : `branch ${found.branch}`;
    const here = `the workspace is at ${found.head ?? 'no commit'} on ${where}`;
    return fault(
      'branch',
      `${here}, and ${own.name} at ${own.sha ?? 'none'}; only what is committed to ${own.name} counts`,
    );
  }
  if (changes === 'required' && isUnchanged(found) && verdict.changes !== 'none') {
    const base = found.base ?? 'its base';
    return fault(
      'unchanged',
      `nothing was changed: ${own?.name ?? 'its branch'} has no change of its own to ${base}. Where nothing had to change, the verdict says \`"changes": "none"\`, or the task \`changes: none\``,
    );
  }
  const named = verdict.target_sha ?? null;
  // In a shared workspace others commit as well, so its head says nothing about this work.
  if (found.files_changed === null || named === null || found.head === null || sameCommit(named, found.head))
    return null;
  return fault('commit', `the verdict is about commit ${oneLine(named, 40)}, and the workspace is at ${found.head}`);
}

/** Whether the work is known to have changed no file. */
export function isUnchanged({ files_changed }: Pick<WorkFound, 'files_changed'>): boolean {
  return files_changed !== null && files_changed.length === 0;
}

/** Whether a task's work must change a file. */
export function changesWanted(task: PlanTask | null, settings: Pick<Settings, 'changes' | 'agents'>): Changes {
  const byCommand = task !== null && commandSource(task, settings.agents) === 'run';
  return task?.changes ?? settings.changes ?? (byCommand ? 'none' : 'required');
}

/**
 * The fault of a commit that no command has verified, because a command or the worker committed; or of a command that changed
 * committed files, so that later commands verified something else.
 */
export function movedFault(before: WorkFound, after: WorkFound, who = 'the checks have'): ClassifiedError | null {
  if (before.files_changed === null) return null;
  if (after.modified.length > 0) {
    const what = firstOf(after.modified, NAMES_SHOWN);
    return fault('uncommitted', `${who} changed ${what}, so it is not the commit that is checked`);
  }
  if (before.head === after.head) return null;
  return fault('commit', `it moved from commit ${before.head} to ${after.head ?? 'none'} while it was verified`);
}

/** A verdict may abbreviate its commit. */
function sameCommit(named: string, head: string): boolean {
  return named.length >= 7 && head.startsWith(named.toLowerCase());
}

export function hasFailed({ exit_code, timed_out }: CheckResult): boolean {
  return exit_code !== 0 || timed_out;
}

export function firstFailed(checks: readonly CheckResult[]): CheckResult | undefined {
  return checks.find(hasFailed);
}

/** The failure of the first command that did not succeed; null when all did. */
export function checkFailure(checks: readonly CheckResult[]): ClassifiedError | null {
  const failed = firstFailed(checks);
  if (failed === undefined) return null;
  const { message, ...codes } = endOf(failed);
  return { ...fault(failed.name, message), ...codes };
}

/** How a command that did not succeed has ended, and what it said. */
export function endOf(failed: CheckResult): Omit<ClassifiedError, 'class'> {
  const said = errorLine([failed.output_tail]);
  const how = failed.timed_out
    ? overLimit(failed.limit)
    : failed.signal !== null
      ? `was ended by ${failed.signal}`
      : failed.exit_code === null
        ? 'could not be started'
        : `exited with code ${failed.exit_code}`;
  const what = `${oneLine(failed.command, 120)} ${how}`;
  return {
    message: oneLine(said === '' ? what : `${what}: ${said}`, 500),
    ...(failed.exit_code === null || failed.timed_out ? {} : { exit_code: failed.exit_code }),
    ...(failed.signal === null || failed.timed_out ? {} : { signal: failed.signal }),
  };
}

export interface VerificationOutcome {
  attemptId: string;
  verdict: Verdict;
  found: WorkFound;
  notes: WrittenNotes;
  worktreePath: string | null;
  checks: readonly CheckResult[];
  failure: ClassifiedError | null;
  /** Default: null. */
  session?: AgentSession | null | undefined;
  verifiedAt: string;
  durationMs: number;
}

/** The twin, cut to the limit of a record file: first the outputs, then the names of files are shortened. */
export function verifiedOf(outcome: VerificationOutcome, maxBytes: number): Verified {
  const { found, notes, verdict, failure } = outcome;
  const whole: Verified = {
    version: 1,
    attempt_id: outcome.attemptId,
    verdict: failure === null ? verdict.verdict : 'changes_needed',
    summary: oneLine(verdict.summary, 2000),
    verified_at: outcome.verifiedAt,
    duration_ms: outcome.durationMs,
    failure: failure && { ...failure },
    commands: [...outcome.checks],
    worktree_path: outcome.worktreePath,
    branch: found.branch,
    target_sha: found.head,
    head: found.head,
    base: found.base,
    base_sha: found.base_sha,
    files_changed: found.files_changed && [...found.files_changed],
    files_changed_count: found.files_changed?.length ?? null,
    conflicts: found.conflicts && [...found.conflicts],
    outside_globs: notes.outside && [...notes.outside],
    outside_globs_count: notes.outside?.length ?? null,
    session: outcome.session ?? null,
    findings: [...notes.findings],
    findings_count: notes.findings.length,
  };
  let cut = whole;
  for (let share = 1; byteLength(JSON.stringify(cut, null, 2)) > maxBytes && share < 1 << 20; share *= 2)
    cut = shortened(whole, share);
  return cut;
}

/** Outputs and lists cut to one part in `share`. */
function shortened(whole: Verified, share: number): Verified {
  const some = <T>(list: readonly T[]) => list.slice(0, Math.floor(list.length / share));
  const first = (names: string[] | null) => (names === null ? null : some(names));
  return {
    ...whole,
    commands: whole.commands.map((check) => {
      const kept = Math.floor(check.output_tail.length / share);
      const command = check.command.slice(0, Math.max(200, Math.floor(check.command.length / share)));
      return { ...check, command, output_tail: kept === 0 ? '' : check.output_tail.slice(-kept) };
    }),
    files_changed: first(whole.files_changed),
    conflicts: first(whole.conflicts),
    outside_globs: first(whole.outside_globs),
    findings: some(whole.findings),
  };
}

// --- what the record says --------------------------------------------------------------------------------------------

const PendingSchema = once(() =>
  z.looseObject({
    attempt_id: text,
    /** Identifies the verdict, as in `memo.completion`. */
    outcome: text,
    /** Whether `verdict.json` has it; otherwise a clean exit stands for it. */
    written: z.boolean(),
    since: text,
    /** The verifying process. */
    verifier: OwnerIdentitySchema(),
    /** The name of the running command, and its process group. */
    command: textOrNull,
    worker: z._default(z.nullable(WorkerIdentitySchema()), null),
  }),
);

/** A verdict that was handed in and is being verified, or was when its verifier died. */
export type PendingVerification = z.infer<ReturnType<typeof PendingSchema>>;

/** Null when nothing is being verified. */
export function pendingVerification(record: TaskSummary): PendingVerification | null {
  return memoPart(PendingSchema, record.memo.verification);
}

/**
 * The right to end an attempt: of the attempt itself, by its id; or, once its owner is gone, of the claim that finishes what it
 * handed in.
 */
export interface Holder {
  attemptId: string;
  claimId?: string | undefined;
}

/** The lease of that holder. Throws LEASE_STOLEN, STALE_ATTEMPT. */
export function heldFor(record: TaskRecord, { attemptId, claimId }: Holder): Lease {
  if (claimId === undefined) return workedBy(record, attemptId);
  const lease = heldBy(record, claimId);
  if (lease.attempt_id === attemptId || pendingVerification(record)?.attempt_id === attemptId) return lease;
  const message = `attempt ${attemptId} of task ${lease.task_id} has nothing left to be verified`;
  throw refusal('STALE_ATTEMPT', record, message, { attempt_id: attemptId });
}

/**
 * The lease under which an attempt at the task's own work may end. Throws ILLEGAL_TRANSITION for one that only reviews or merges
 * it, and as `heldFor` does.
 */
export function workFor(record: TaskRecord, holder: Holder): Lease {
  const lease = heldFor(record, holder);
  if (isInFlight(record.state.state)) return lease;
  const message = `attempt ${holder.attemptId} does not decide how task ${lease.task_id} ends`;
  const hint = 'A reviewer answers in the file that FORGE_REVIEW_FILE names, and ends.';
  throw refusal('ILLEGAL_TRANSITION', record, message, { attempt_id: holder.attemptId }, hint);
}

/** A process that verifies an attempt's result: its holder, or gc without a lease. `unheld` judges a leftover lease. */
export type Checker = Holder & { unheld?: LeaseObserver };

/** The lease under which a verification runs; null for gc. Throws LEASE_STOLEN, STALE_ATTEMPT, LEASE_EXISTS. */
export function checkedFor(record: TaskRecord, checker: Checker): Lease | null {
  const { unheld, attemptId } = checker;
  if (unheld === undefined) return heldFor(record, checker);
  const { task_id, current_attempt_id } = record.state;
  const details = { task_id, attempt_id: attemptId };
  if (current_attempt_id !== attemptId) {
    throw new ForgeError('STALE_ATTEMPT', `attempt ${attemptId} is not the current attempt of task ${task_id}`, {
      details,
    });
  }
  if (record.lease !== null && leaseStanding(record.lease, unheld).kind !== 'stale') {
    throw new ForgeError('LEASE_EXISTS', `run ${record.lease.owner_run_id} has claimed task ${task_id}`, { details });
  }
  return null;
}

/** Records which command is about to run, and renews the lease. Throws as `checkedFor` does. */
export function beginCheck(
  record: TaskRecord,
  request: { holder: Checker; pending: PendingVerification; ttlMs: number; instant: Instant },
): Decision<null> {
  const held = checkedFor(record, request.holder);
  const moves = held === null ? [] : starting(record);
  const lease = held === null ? record.lease : renewed(held, request.ttlMs, request.instant);
  const memo = { verification: request.pending };
  return changed(record, null, { moves, lease, memo, by: held, nowMs: request.instant.nowMs });
}
