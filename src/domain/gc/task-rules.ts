/** The gc rules about one task: what each finds, and what it leads to for the rules after it. `plan-gc.ts` has the table. */

import { compareCodePoints, oneLine } from '../../lib/text.ts';
import { strayText } from '../task/attempts.ts';
import { isInFlight } from '../task/states.ts';
import { isClosed, type TrackerIssue } from '../tracker-issues.ts';
import {
  type GcAnswer,
  type GcLeaseFile,
  type GcQuestion,
  type GcRowId,
  type GcTask,
  type OrphanKind,
  OWN_LEASE,
} from './gc-plan.ts';
import { shortName, type TaskProjection } from './projection.ts';

export type DetectInTask = (task: TaskProjection, row: GcRowId) => void;

export const closedIssue: DetectInTask = (task, row) => {
  const { issue, state } = task;
  if (issue === undefined || state === null || !isInFlight(state)) return;
  if (issue.state === 'cancelled') endAs('cancelled', task, row, issue);
  else if (issue.state === 'done') shipWithProof(task, row, issue, 'tracker_claims_shipped');
};

export const staleLease: DetectInTask = (task, row) => {
  const { lease, abandons } = task.task;
  if (task.state === null || !isInFlight(task.state) || task.isHeld) return;
  const why = lease === null ? 'it has no lease' : `its lease is stale: ${lease.why}`;
  const fails = abandons + 1 >= task.tree.snapshot.abandon_limit;
  const end = fails ? `; abandoned ${abandons + 1} times in a row, it fails` : '';
  task.add(row, 'mark_abandoned', 'warning', `it is ${task.state}, and ${why}${end}`, {
    claim_id: lease?.claim_id ?? null,
    generation: lease?.generation ?? null,
    expires_at: lease?.expires_at ?? null,
  });
  task.state = fails ? 'failed' : 'abandoned';
  task.lease = null;
};

export const unclaimedIssue: DetectInTask = (task, row) => {
  const { issue } = task;
  const { lease } = task.task;
  if (task.state !== 'claimed' || lease === null || issue === undefined) return;
  if (isClosed(issue) || issue.claimed_by !== null) return;
  const { claim_id, owner_run_id } = lease;
  const reason = `run ${owner_run_id} has claimed it, and issue ${issue.id} is not claimed`;
  task.add(row, 'mark_unclaimed', 'warning', reason, { issue_id: issue.id, claim_id, owner_run_id });
};

export const settledQuestion: DetectInTask = (task, row) => {
  const waits = task.waitsFor;
  if (waits === null || task.isHeld) return;
  const ids = { question_id: waits.question_id, attempt_id: waits.attempt_id };
  const answer = firstAnswer(task, waits);
  if (answer?.option_id === null) {
    const reason = 'its question has expired, and the task still waits';
    task.add(row, 'resume_answered', 'warning', reason, { ...ids, option_id: null });
  } else if (answer !== undefined) {
    const { option_id, answered_by } = answer;
    if (option_id === undefined) return;
    const reason = `its question is answered with ${oneLine(option_id, 64)} by ${oneLine(answered_by, 64)}, and the task still waits`;
    task.add(row, 'resume_answered', 'warning', reason, { ...ids, option_id });
  } else if (waits.late && waits.default_option_id !== null) {
    const option_id = waits.default_option_id;
    const reason = `no answer until ${waits.expires_at}; the default is ${oneLine(option_id, 64)}`;
    task.add(row, 'apply_default_answer', 'warning', reason, { ...ids, option_id });
  } else if (waits.late) {
    const reason = `no answer until ${waits.expires_at}, and there is no default`;
    task.add(row, 'expire_question', 'warning', reason, ids);
  } else return;
  task.state = 'awaiting_respawn';
  task.settled = waits;
};

/** In a tree that was copied together a question may have several answers: the first path counts. */
function firstAnswer(task: TaskProjection, waits: NonNullable<GcTask['waits_for']>): GcAnswer | undefined {
  return task
    .attempt(waits.attempt_id)
    ?.answers.filter(({ question_id }) => question_id === waits.question_id)
    .sort((a, b) => compareCodePoints(a.path, b.path))[0];
}

export const acceptedIssue: DetectInTask = (task, row) => {
  if (task.state !== 'ready_for_review' || task.issue?.state !== 'done' || task.isHeld) return;
  shipWithProof(task, row, task.issue, 'tracker_done_unproven');
};

export const shippedButOpen: DetectInTask = (task, row) => {
  const { issue } = task;
  if (task.state !== 'shipped' || issue === undefined || issue.state === 'done') return;
  const issue_id = issue.id;
  if (issue.state === 'cancelled') {
    const reason = `it is shipped, and issue ${issue_id} was cancelled`;
    task.report(row, 'warning', 'shipped_not_closed', reason, { issue_id });
  } else {
    task.add(row, 'close_tracker_issue', 'info', `it is shipped, and issue ${issue_id} is ${issue.state}`, {
      issue_id,
    });
  }
};

export const unverifiedVerdict: DetectInTask = (task, row) => {
  const { current_attempt_id, completed_attempt_id, attempts } = task.task;
  for (const found of attempts) {
    const isUnreadable = found.verdict === 'unreadable';
    const reason = isUnreadable ? `the verdict of attempt ${found.attempt_id} cannot be read` : strayText(found);
    if (reason !== null) task.report(row, 'error', 'unreadable', reason, { path: found.verdict_path });
  }
  if (task.state === null || task.isOver || task.isHeld) return;
  const attempt = task.attempt(current_attempt_id);
  if (attempt?.verdict !== 'ready_for_review' || attempt.verified) return;
  const { attempt_id } = attempt;
  if (completed_attempt_id === attempt_id && task.state !== 'ready_for_review') return;
  const reason = `attempt ${attempt_id} has handed in a verdict that is not verified`;
  task.add(row, 'reverify_verdict', 'warning', reason, { attempt_id });
};

export const unneededQuestion: DetectInTask = (task, row) => {
  for (const { attempt_id, questions } of task.task.attempts) {
    for (const question of questions) {
      const { question_id, path, digest, status, why } = question;
      if (status === null) {
        const reason = `question ${question_id} cannot be read: ${why}`;
        task.report(row, 'error', 'unreadable', reason, { path, why });
      } else if (isUnneeded(task, attempt_id, question)) {
        const end = task.isOver ? `the task is ${task.state}` : 'its attempt is over';
        const reason = `question ${question_id} is open, and ${end}`;
        task.add(row, 'archive_question', 'info', reason, { question_id, attempt_id, path, digest });
      }
    }
  }
};

/** Whether a question is open although no attempt waits for it, or could ask it again. */
function isUnneeded(task: TaskProjection, attemptId: string, { question_id, status }: GcQuestion): boolean {
  if (status !== 'open' || isThat(task.settled, attemptId, question_id)) return false;
  // A task that nothing has happened to has no current attempt.
  const isCurrent = task.state !== null && attemptId === task.task.current_attempt_id;
  return task.isOver || !(isCurrent || attemptId === task.waitsFor?.attempt_id);
}

/** The question that a task waits for is known from its record, even when its file is gone. */
export const strayAnswer: DetectInTask = (task, row) => {
  for (const { attempt_id, questions, answers } of task.task.attempts) {
    if (answers.length === 0) continue;
    const kept = questions.filter((question) => !isUnneeded(task, attempt_id, question));
    for (const { question_id, path, digest, option_id } of answers) {
      const isAsked = kept.some((question) => question.question_id === question_id);
      if (digest !== null && !isAsked && !isThat(task.waitsFor, attempt_id, question_id)) {
        const reason = `there is an answer to question ${question_id}, and no such question`;
        task.add(row, 'archive_answer', 'info', reason, { question_id, attempt_id, path, digest });
      } else if (option_id === undefined) {
        task.report(row, 'error', 'unreadable', `the answer to question ${question_id} cannot be read`, { path });
      }
    }
  }
};

export const strayLease: DetectInTask = (task, row) => {
  const { lease_files } = task.task;
  if (lease_files.length === 0) return;
  const kept = canonicalLease(task.task);
  for (const file of lease_files) {
    const { path } = file;
    if (file.kind === 'unreadable') {
      const { why } = file;
      task.report(row, 'error', 'unreadable', `${shortName(path)} cannot be read: ${why}`, { path, why });
    } else if (path !== kept?.path) {
      const { kind: _, ...payload } = file;
      task.add(row, 'release_lease_admin', 'warning', `${shortName(path)} is an extra lease`, payload);
    }
  }
};

export const leaseOfFinishedTask: DetectInTask = (task, row) => {
  const { lease } = task;
  if (lease === null || !task.isOver) return;
  const { claim_id, generation, owner_run_id, expires_at } = lease;
  // Row 13 has made the one that counts the task's own, where another was in its place.
  const isTaken = task.task.lease_files.some(({ path }) => path === OWN_LEASE);
  const path = isTaken ? OWN_LEASE : (canonicalLease(task.task)?.path ?? OWN_LEASE);
  const payload = { path, claim_id, generation, owner_run_id, expires_at };
  const reason = `it is ${task.state}, and run ${owner_run_id} still has its lease`;
  task.add(row, 'release_lease_admin', 'warning', reason, payload);
  task.lease = null;
};

function shipWithProof(task: TaskProjection, row: GcRowId, issue: TrackerIssue, unproven: OrphanKind): void {
  if (task.task.merged_sha !== null) {
    endAs('shipped', task, row, issue);
    return;
  }
  const reason = `issue ${issue.id} is done, the task is ${task.state}, and nothing proves that its work was merged`;
  task.report(row, 'warning', unproven, reason, { issue_id: issue.id });
}

function endAs(state: 'cancelled' | 'shipped', task: TaskProjection, row: GcRowId, issue: TrackerIssue): void {
  const merged_sha = state === 'shipped' ? task.task.merged_sha : null;
  const proof = merged_sha === null ? '' : `, and ${merged_sha} is in the base`;
  const reason = `it is ${task.state}, and issue ${issue.id} is ${issue.state}${proof}`;
  task.add(row, 'mark_terminal', 'warning', reason, { state, issue_id: issue.id, merged_sha });
  task.state = state;
  task.lease = null;
}

function isThat(waits: GcTask['waits_for'], attemptId: string, questionId: string): boolean {
  return waits !== null && waits.attempt_id === attemptId && waits.question_id === questionId;
}

/**
 * Which of several lease files is the lease: with a committed record the view of it, else the highest generation, then the
 * task's own, then the first path. Null when none can be read.
 */
export function canonicalLease({ adopted, lease_files }: Pick<GcTask, 'adopted' | 'lease_files'>): GcLeaseFile | null {
  if (adopted) return lease_files.find(({ path }) => path === OWN_LEASE) ?? null;
  const readable = lease_files.flatMap((file) => (file.kind === 'read' ? [file] : []));
  const rank = (path: string) => (path === OWN_LEASE ? 0 : 1);
  readable.sort(
    (a, b) => b.generation - a.generation || rank(a.path) - rank(b.path) || compareCodePoints(a.path, b.path),
  );
  return readable[0] ?? null;
}

/** In a tree written by hand, the stray that is the lease; null where the task's own is, or none. */
export function strayThatCounts(task: Pick<GcTask, 'adopted' | 'lease_files'>): string | null {
  const path = task.adopted ? OWN_LEASE : (canonicalLease(task)?.path ?? OWN_LEASE);
  return path === OWN_LEASE ? null : path;
}
