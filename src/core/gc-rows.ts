/** The rows of the gc table that are about one task: what each finds, and what it leads to for the rows after it. */

import type {
  GcPlanRow,
  GcRowId,
  GcSeverity,
  GcSnapshot,
  OrphanKind,
  SeenAttempt,
  SeenIssue,
  SeenLeaseFile,
  SeenTask,
  TaskIdentity,
} from './gc-plan.ts';
import type { TaskState } from './records.ts';
import { isInFlight, isTerminal } from './task-state.ts';
import { oneLine } from './text.ts';
import { fromIso } from './time.ts';

export interface World {
  snapshot: GcSnapshot;
  nowMs: number;
  /** The issue of each task. */
  issues: ReadonlyMap<string, SeenIssue>;
  planned: ReadonlySet<string> | null;
  known: ReadonlySet<string>;
}

export function worldOf(snapshot: GcSnapshot): World {
  const { plan, tasks, tracker } = snapshot;
  const ids = new Map(
    (plan ?? []).flatMap(({ id, tracker_issue_id }) => (tracker_issue_id === null ? [] : [[tracker_issue_id, id]])),
  );
  const issues = new Map<string, SeenIssue>();
  const listed = tracker.kind === 'up' ? [...tracker.issues].sort((a, b) => compare(b.id, a.id)) : [];
  for (const issue of listed) {
    const taskId = issue.task_id ?? ids.get(issue.id) ?? null;
    if (taskId !== null) issues.set(taskId, issue);
  }
  return {
    snapshot,
    nowMs: fromIso(snapshot.now),
    issues,
    planned: plan === null ? null : new Set(plan.map(({ id }) => id)),
    // A folder in which nothing is yet says nothing about its task.
    known: new Set(tasks.filter(isKnown).map(({ task_id }) => task_id)),
  };
}

function isKnown({ state, problem }: SeenTask): boolean {
  return state !== null || problem !== null;
}

export const isClosed = ({ state }: SeenIssue) => state === 'done' || state === 'cancelled';

export class TaskPlanner {
  readonly rows: GcPlanRow[] = [];
  readonly #seen: SeenTask;
  readonly #world: World;
  readonly #issue: SeenIssue | undefined;
  /** The state and lease that the rows so far lead to. */
  #state: TaskState | null;
  #hasLease: boolean;
  /** Questions that the rows so far have settled, and those that they have moved away. */
  readonly #settled = new Set<string>();
  readonly #archived = new Set<string>();

  constructor(seen: SeenTask, world: World) {
    this.#seen = seen;
    this.#world = world;
    this.#issue = world.issues.get(seen.task_id);
    this.#state = seen.state;
    this.#hasLease = seen.lease !== null;
  }

  get id(): string {
    return this.#seen.task_id;
  }

  get state(): TaskState | null {
    return this.#state;
  }

  plan(): void {
    const { problem, task_id } = this.#seen;
    if (this.#world.planned?.has(task_id) === false && isKnown(this.#seen)) {
      this.#report(4, 'info', 'unplanned_task', `${task_id} is not in the plan; it is kept and can not be claimed`);
    }
    if (problem !== null) {
      this.#report(2, 'error', 'unreadable', `its record can not be read: ${problem}`, { why: problem });
      return;
    }
    this.#row1();
    this.#row2();
    this.#row3();
    this.#row5();
    this.#row6();
    this.#row7();
    this.#row8();
    this.#row11();
    this.#row12();
    this.#row13();
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
    if (this.#hasLease && lease !== null && lease.standing !== 'stale') return;
    const why = lease === null ? 'it has no lease' : `its lease is stale: ${lease.why}`;
    this.#add(2, 'mark_abandoned', 'warning', `it is ${this.#state}, and ${why}`, {
      claim_id: lease?.claim_id ?? null,
      generation: lease?.generation ?? null,
      expires_at: lease?.expires_at ?? null,
    });
    this.#state = abandons + 1 >= this.#world.snapshot.abandon_limit ? 'failed' : 'abandoned';
    this.#hasLease = false;
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

  /** Parked on a question that is settled, or past its deadline. */
  #row5(): void {
    const waits = this.#seen.waits_for;
    if (this.#state !== 'blocked_on_question' || waits === null) return;
    const { question_id, attempt_id } = waits;
    const ids = { question_id, attempt_id };
    const answer = this.#attempt(attempt_id)?.answers.find((each) => each.question_id === question_id);
    if (answer !== undefined && answer.option_id === undefined) return;
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
      return;
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
    this.#settled.add(question_id);
    this.#state = 'awaiting_respawn';
  }

  /** Waits for a review, and the tracker says that it is done. */
  #row6(): void {
    if (this.#state === 'ready_for_review' && this.#issue?.state === 'done') {
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
    const { lease, current_attempt_id, completed_attempt_id, attempts } = this.#seen;
    for (const { attempt_id, verdict } of attempts) {
      if (verdict !== 'unreadable') continue;
      this.#report(8, 'error', 'unreadable', `the verdict of attempt ${attempt_id} can not be read`, {
        path: `attempts/${attempt_id}/verdict.json`,
      });
    }
    if (this.#state === null || isTerminal(this.#state)) return;
    const attempt = current_attempt_id === null ? undefined : this.#attempt(current_attempt_id);
    if (attempt?.verdict !== 'ready_for_review' || attempt.verified) return;
    if (this.#hasLease && lease !== null && lease.standing !== 'stale') return;
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

  /** Open, and nobody waits for it. */
  #row11(): void {
    const { waits_for, current_attempt_id } = this.#seen;
    if (this.#state === null) return;
    for (const { attempt_id, questions } of this.#seen.attempts) {
      for (const { question_id, path, digest, status, why } of questions) {
        if (status === null) {
          this.#report(11, 'error', 'unreadable', `question ${question_id} can not be read: ${why}`, { path, why });
          continue;
        }
        if (status !== 'open' || this.#settled.has(question_id)) continue;
        const over = isTerminal(this.#state);
        if (!over && (attempt_id === current_attempt_id || attempt_id === waits_for?.attempt_id)) continue;
        const reason = over
          ? `question ${question_id} is open, and the task is ${this.#state}`
          : `question ${question_id} is open, and its attempt is over`;
        this.#add(11, 'archive_question', 'info', reason, { question_id, attempt_id, path, digest });
        this.#archived.add(question_id);
      }
    }
  }

  /** An answer without its question. */
  #row12(): void {
    for (const { attempt_id, questions, answers } of this.#seen.attempts) {
      for (const { question_id, path, digest, option_id } of answers) {
        const asked =
          questions.some((question) => question.question_id === question_id) && !this.#archived.has(question_id);
        if (asked && option_id !== undefined) continue;
        if (asked) {
          this.#report(12, 'error', 'unreadable', `the answer to question ${question_id} can not be read`, { path });
          continue;
        }
        const reason = `there is an answer to question ${question_id}, and no such question`;
        this.#add(12, 'archive_answer', 'info', reason, { question_id, attempt_id, path, digest });
      }
    }
  }

  /** More files that look like leases than one. */
  #row13(): void {
    const { lease_files } = this.#seen;
    if (lease_files.length < 2) return;
    const kept = canonicalLease(this.#seen);
    for (const file of lease_files) {
      if (file.path === kept?.path) continue;
      if (file.kind === 'unreadable') {
        this.#report(13, 'error', 'unreadable', `${file.path} can not be read: ${file.why}`, {
          path: file.path,
          why: file.why,
        });
        continue;
      }
      const { kind: _, ...payload } = file;
      this.#add(13, 'release_lease_admin', 'warning', `${file.path} is one lease too many`, payload);
    }
  }

  /** Over, and still leased. */
  #row14(): void {
    const { lease } = this.#seen;
    if (!this.#hasLease || lease === null || this.#state === null || !isTerminal(this.#state)) return;
    const { claim_id, generation, owner_run_id, expires_at } = lease;
    const path = canonicalLease(this.#seen)?.path ?? 'lease.json';
    const payload = { path, claim_id, generation, owner_run_id, expires_at };
    this.#add(
      14,
      'release_lease_admin',
      'warning',
      `it is ${this.#state}, and run ${owner_run_id} still has its lease`,
      payload,
    );
    this.#hasLease = false;
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
    this.#hasLease = false;
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
    this.rows.push(item(row, this.id, action, severity, reason, payload, this.#seen.identity));
  }

  #report(row: GcRowId, severity: GcSeverity, kind: OrphanKind, reason: string, more: object = {}): void {
    this.#add(row, 'report_orphan', severity, reason, { kind, ...more });
  }
}

export function item(
  row: GcRowId,
  task_id: string,
  action: GcPlanRow['action'],
  severity: GcSeverity,
  reason: string,
  payload: GcPlanRow['payload'],
  identity: TaskIdentity | null,
): GcPlanRow {
  return { row, task_id, action, severity, reason: oneLine(reason, 400), payload, identity } as GcPlanRow;
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

/** By code units, which for ids and paths of forge's own making are code points. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
