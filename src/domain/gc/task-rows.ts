/** The rows of the gc table that are about one task: what each finds, and what it leads to for the rows after it. */

import { oneLine } from '../../lib/text.ts';
import { fromIso } from '../../lib/time.ts';
import type { TaskState } from '../task/records.ts';
import { isInFlight, isTerminal } from '../task/states.ts';
import { compare, isClosed, item, named, type World } from './gc-context.ts';
import type {
  GcPlanRow,
  GcRowId,
  GcSeverity,
  OrphanKind,
  SeenAnswer,
  SeenAttempt,
  SeenIssue,
  SeenLease,
  SeenLeaseFile,
  SeenTask,
  TaskIdentity,
} from './gc-plan.ts';

export class TaskPlanner {
  readonly #seen: SeenTask;
  readonly #world: World;
  readonly #rows: GcPlanRow[];
  readonly #issue: SeenIssue | undefined;
  /** The state and lease that the rows so far lead to. */
  #state: TaskState | null;
  #lease: SeenLease | null;

  /** What is found goes to `rows`. */
  constructor(seen: SeenTask, world: World, rows: GcPlanRow[]) {
    this.#seen = seen;
    this.#world = world;
    this.#rows = rows;
    this.#issue = world.issues.get(seen.task_id);
    this.#state = seen.state;
    this.#lease = seen.lease;
  }

  /** A folder in which nothing is yet says nothing about its task. */
  get isKnown(): boolean {
    const { state, problem } = this.#seen;
    return state !== null || problem !== null || this.#isHeld;
  }

  get identity(): TaskIdentity {
    return this.#seen.identity;
  }

  /** Whether it is known that nobody has it. */
  get isUnclaimed(): boolean {
    return this.#state === 'unclaimed' && this.#lease === null && this.#seen.problem === null;
  }

  get isShipped(): boolean {
    return this.#state === 'shipped';
  }

  /** Whether its branch may still be needed: by whoever holds it, claims it, or mends its record. */
  get keepsBranch(): boolean {
    if (this.#state !== null) return !isTerminal(this.#state) || this.#seen.problem !== null;
    return this.isKnown;
  }

  /** Whether nobody but its owner may touch it. Once a task is over its lease counts for nothing. */
  get #isHeld(): boolean {
    return this.#lease !== null && this.#lease.standing !== 'stale';
  }

  plan(): void {
    const { problem, task_id, attempts, lease_files } = this.#seen;
    if (this.#world.planned?.has(task_id) === false && this.isKnown) {
      this.#report(
        4,
        'info',
        'unplanned_task',
        `${named(task_id)} is not in the plan; it is kept and can not be claimed`,
      );
    }
    if (problem !== null) {
      this.#report(2, 'error', 'unreadable', `its record can not be read: ${problem}`, { why: problem });
      return;
    }
    this.#row1();
    this.#row2();
    this.#row3();
    const settled = this.#row5();
    this.#row6();
    this.#row7();
    this.#row8();
    for (const attempt of attempts) {
      const left = this.#row11(attempt, settled);
      if (attempt.answers.length > 0) this.#row12(attempt, left);
    }
    if (lease_files.length > 0) this.#row13();
    this.#row14();
  }

  /** In flight, and the tracker says that it is over. */
  #row1(): void {
    if (this.#issue === undefined || this.#state === null || !isInFlight(this.#state)) return;
    if (this.#issue.state === 'cancelled') this.#terminal(1, 'cancelled', this.#issue);
    else if (this.#issue.state === 'done') this.#shippedBy(1, 'tracker_claims_shipped', this.#issue);
  }

  /** In flight, and nobody works on it. */
  #row2(): void {
    const { lease, abandons } = this.#seen;
    if (this.#state === null || !isInFlight(this.#state)) return;
    if (this.#isHeld) return;
    const why = lease === null ? 'it has no lease' : `its lease is stale: ${lease.why}`;
    const fails = abandons + 1 >= this.#world.snapshot.abandon_limit;
    const end = fails ? `; abandoned ${abandons + 1} times in a row, it fails` : '';
    this.#add(2, 'mark_abandoned', 'warning', `it is ${this.#state}, and ${why}${end}`, {
      claim_id: lease?.claim_id ?? null,
      generation: lease?.generation ?? null,
      expires_at: lease?.expires_at ?? null,
    });
    this.#state = fails ? 'failed' : 'abandoned';
    this.#lease = null;
  }

  /** Claimed here, and not in the tracker. */
  #row3(): void {
    const { lease } = this.#seen;
    const issue = this.#issue;
    if (this.#state !== 'claimed' || lease === null || issue === undefined) return;
    if (isClosed(issue) || issue.claimed_by !== null) return;
    this.#add(
      3,
      'mark_unclaimed',
      'warning',
      `run ${lease.owner_run_id} has claimed it, and issue ${issue.id} is not claimed`,
      {
        issue_id: issue.id,
        claim_id: lease.claim_id,
        owner_run_id: lease.owner_run_id,
      },
    );
  }

  /** Parked on a question that is settled, or past its deadline. Returns the question that is settled now. */
  #row5(): SeenTask['waits_for'] {
    const waits = this.#waitsFor;
    if (waits === null || this.#isHeld) return null;
    const { question_id, attempt_id } = waits;
    const ids = { question_id, attempt_id };
    const answer = firstAnswer(this.#attempt(attempt_id), question_id);
    if (answer !== undefined && answer.option_id === undefined) return null;
    if (answer !== undefined) {
      const { option_id = null, answered_by } = answer;
      const what =
        option_id === null
          ? 'has expired'
          : `is answered with ${oneLine(option_id, 64)} by ${oneLine(answered_by, 64)}`;
      this.#add(5, 'resume_answered', 'warning', `its question ${what}, and the task still waits`, {
        ...ids,
        option_id,
      });
    } else if (!(this.#world.nowMs >= fromIso(waits.expires_at))) {
      return null;
    } else if (waits.default_option_id !== null) {
      const option_id = waits.default_option_id;
      const reason = `nobody answered until ${waits.expires_at}; the default is ${oneLine(option_id, 64)}`;
      this.#add(5, 'apply_default_answer', 'warning', reason, { ...ids, option_id });
    } else {
      this.#add(
        5,
        'expire_question',
        'warning',
        `nobody answered until ${waits.expires_at}, and there is no default`,
        ids,
      );
    }
    this.#state = 'awaiting_respawn';
    return waits;
  }

  /** Waits for a review, and the tracker says that it is done. */
  #row6(): void {
    if (this.#state === 'ready_for_review' && this.#issue?.state === 'done' && !this.#isHeld) {
      this.#shippedBy(6, 'tracker_done_unproven', this.#issue);
    }
  }

  /** Shipped, and the tracker does not know. */
  #row7(): void {
    const issue = this.#issue;
    if (this.#state !== 'shipped' || issue === undefined || issue.state === 'done') return;
    if (issue.state === 'cancelled') {
      this.#report(7, 'warning', 'shipped_not_closed', `it is shipped, and issue ${issue.id} was cancelled`, {
        issue_id: issue.id,
      });
      return;
    }
    this.#add(7, 'close_tracker_issue', 'info', `it is shipped, and issue ${issue.id} is ${issue.state}`, {
      issue_id: issue.id,
    });
  }

  /** Handed in, and nobody has verified it or is about to. */
  #row8(): void {
    const { current_attempt_id, completed_attempt_id, attempts } = this.#seen;
    for (const { attempt_id, verdict } of attempts) {
      if (verdict !== 'unreadable') continue;
      this.#report(8, 'error', 'unreadable', `the verdict of attempt ${attempt_id} can not be read`, {
        path: `attempts/${attempt_id}/verdict.json`,
      });
    }
    if (this.#state === null || isTerminal(this.#state) || this.#isHeld) return;
    const attempt = current_attempt_id === null ? undefined : this.#attempt(current_attempt_id);
    if (attempt?.verdict !== 'ready_for_review' || attempt.verified) return;
    if (completed_attempt_id === attempt.attempt_id && this.#state !== 'ready_for_review') return;
    const { attempt_id } = attempt;
    this.#add(
      8,
      'reverify_verdict',
      'warning',
      `attempt ${attempt_id} has handed in a verdict that nobody has verified`,
      {
        attempt_id,
      },
    );
  }

  /** Open, and nobody waits for it. Returns the questions that stay. */
  #row11({ attempt_id, questions }: SeenAttempt, settled: SeenTask['waits_for']): ReadonlySet<string> {
    if (questions.length === 0) return NOTHING;
    const left = new Set<string>();
    const over = this.#state !== null && isTerminal(this.#state);
    // Nothing is current in a task to which nothing has happened.
    const current = this.#state !== null && attempt_id === this.#seen.current_attempt_id;
    const needed = !over && (current || attempt_id === this.#waitsFor?.attempt_id);
    for (const { question_id, path, digest, status, why } of questions) {
      if (status === null) {
        this.#report(11, 'error', 'unreadable', `question ${question_id} can not be read: ${why}`, { path, why });
      } else if (status === 'open' && !needed && !isThat(settled, attempt_id, question_id)) {
        const end = over ? `the task is ${this.#state}` : 'its attempt is over';
        const reason = `question ${question_id} is open, and ${end}`;
        this.#add(11, 'archive_question', 'info', reason, { question_id, attempt_id, path, digest });
        continue;
      }
      left.add(question_id);
    }
    return left;
  }

  /** An answer without its question. What the task waits for is known from its record, even when the file is gone. */
  #row12({ attempt_id, answers }: SeenAttempt, left: ReadonlySet<string>): void {
    for (const { question_id, path, digest, option_id } of answers) {
      if (!left.has(question_id) && !isThat(this.#waitsFor, attempt_id, question_id)) {
        const reason = `there is an answer to question ${question_id}, and no such question`;
        this.#add(12, 'archive_answer', 'info', reason, { question_id, attempt_id, path, digest });
      } else if (option_id === undefined) {
        this.#report(12, 'error', 'unreadable', `the answer to question ${question_id} can not be read`, { path });
      }
    }
  }

  /** More files that look like leases than one. */
  #row13(): void {
    const { lease_files } = this.#seen;
    const kept = canonicalLease(this.#seen);
    for (const file of lease_files) {
      if (file.kind === 'unreadable') {
        this.#report(13, 'error', 'unreadable', `${named(file.path)} can not be read: ${file.why}`, {
          path: file.path,
          why: file.why,
        });
        continue;
      }
      if (file.path === kept?.path) continue;
      const { kind: _, ...payload } = file;
      this.#add(13, 'release_lease_admin', 'warning', `${named(file.path)} is one lease too many`, payload);
    }
  }

  /** Over, and still leased. */
  #row14(): void {
    const lease = this.#lease;
    if (lease === null || this.#state === null || !isTerminal(this.#state)) return;
    const { claim_id, generation, owner_run_id, expires_at } = lease;
    // Row 13 has made the one that counts the task's own, where another was in its place.
    const taken = this.#seen.lease_files.some((file) => file.path === 'lease.json');
    const path = taken ? 'lease.json' : (canonicalLease(this.#seen)?.path ?? 'lease.json');
    const payload = { path, claim_id, generation, owner_run_id, expires_at };
    this.#add(
      14,
      'release_lease_admin',
      'warning',
      `it is ${this.#state}, and run ${owner_run_id} still has its lease`,
      payload,
    );
    this.#lease = null;
  }

  #shippedBy(row: 1 | 6, kind: OrphanKind, issue: SeenIssue): void {
    if (this.#seen.merged_sha !== null) {
      this.#terminal(row, 'shipped', issue);
      return;
    }
    const reason = `issue ${issue.id} is done, the task is ${this.#state}, and nothing proves that its work was merged`;
    this.#report(row, 'warning', kind, reason, { issue_id: issue.id });
  }

  #terminal(row: 1 | 6, state: 'cancelled' | 'shipped', issue: SeenIssue): void {
    const { merged_sha } = this.#seen;
    const proof = state === 'shipped' ? `, and ${merged_sha} is in the base` : '';
    const reason = `it is ${this.#state}, and issue ${issue.id} is ${issue.state}${proof}`;
    this.#add(row, 'mark_terminal', 'warning', reason, {
      state,
      issue_id: issue.id,
      merged_sha: state === 'shipped' ? merged_sha : null,
    });
    this.#state = state;
    this.#lease = null;
  }

  /** What it is still parked on. */
  get #waitsFor(): SeenTask['waits_for'] {
    return this.#state === 'blocked_on_question' ? this.#seen.waits_for : null;
  }

  #attempt(attemptId: string): SeenAttempt | undefined {
    return this.#seen.attempts.find(({ attempt_id }) => attempt_id === attemptId);
  }

  #add<A extends GcPlanRow['action']>(
    row: GcRowId,
    action: A,
    severity: GcSeverity,
    reason: string,
    payload: Extract<GcPlanRow, { action: A }>['payload'],
  ): void {
    this.#rows.push(item(row, this.#seen.task_id, action, severity, reason, payload, this.#seen.identity));
  }

  #report(row: GcRowId, severity: GcSeverity, kind: OrphanKind, reason: string, more: object = {}): void {
    this.#add(row, 'report_orphan', severity, reason, { kind, ...more });
  }
}

const NOTHING: ReadonlySet<string> = new Set();

function isThat(waits: SeenTask['waits_for'], attemptId: string, questionId: string): boolean {
  return waits !== null && waits.attempt_id === attemptId && waits.question_id === questionId;
}

/** Where a tree that was copied together has several, the first path counts. */
function firstAnswer(attempt: SeenAttempt | undefined, questionId: string): SeenAnswer | undefined {
  let first: SeenAnswer | undefined;
  for (const answer of attempt?.answers ?? []) {
    if (answer.question_id !== questionId) continue;
    if (first === undefined || compare(answer.path, first.path) < 0) first = answer;
  }
  return first;
}

/**
 * Which of several lease files is the lease: with a committed record the view of it, else the highest generation, then
 * `lease.json`, then the first path. Null when none can be read.
 */
export function canonicalLease({
  adopted,
  lease_files,
}: Pick<SeenTask, 'adopted' | 'lease_files'>): SeenLeaseFile | null {
  if (adopted) return lease_files.find(({ path }) => path === 'lease.json') ?? null;
  const readable = lease_files.flatMap((file) => (file.kind === 'read' ? [file] : []));
  const isOwn = (path: string) => (path === 'lease.json' ? 0 : 1);
  readable.sort((a, b) => b.generation - a.generation || isOwn(a.path) - isOwn(b.path) || compare(a.path, b.path));
  return readable[0] ?? null;
}
