/** A task as the gc rules that have looked at it so far would leave it, and the items that they have planned for it. */

import { oneLine } from '../../lib/text.ts';
import type { TaskState } from '../task/records.ts';
import { isTerminal } from '../task/states.ts';
import type { TrackerIssue } from '../tracker-issues.ts';
import type { GcContext } from './context.ts';
import type {
  GcAction,
  GcAttempt,
  GcLease,
  GcPayload,
  GcPlanRow,
  GcRowId,
  GcSeverity,
  GcTask,
  OrphanKind,
  TaskIdentity,
} from './gc-plan.ts';

export class TaskProjection {
  /** As it was read. */
  readonly task: GcTask;
  readonly context: GcContext;
  readonly issue: TrackerIssue | undefined;
  state: TaskState | null;
  lease: GcLease | null;
  /** The question that row 5 settles; null: none. */
  settled: GcTask['waits_for'] = null;
  readonly #rows: GcPlanRow[];

  /** Items are added to `rows`. */
  constructor(task: GcTask, context: GcContext, rows: GcPlanRow[]) {
    this.task = task;
    this.context = context;
    this.issue = context.issues.get(task.task_id);
    this.state = task.state;
    this.lease = task.lease;
    this.#rows = rows;
  }

  /** Whether only its owner may touch it. The lease of a task that is over counts for nothing. */
  get isHeld(): boolean {
    return this.lease !== null && this.lease.standing !== 'stale';
  }

  /** Whether anything has happened to it; an empty folder says nothing. */
  get isKnown(): boolean {
    return this.task.state !== null || this.task.problem !== null || this.isHeld;
  }

  /** Whether it is certain that it has no owner. */
  get isUnclaimed(): boolean {
    return this.state === 'unclaimed' && this.lease === null && this.task.problem === null;
  }

  get isOver(): boolean {
    return this.state !== null && isTerminal(this.state);
  }

  /** Whether its branch may still be needed: by its owner, its next owner, or the person who repairs its record. */
  get keepsBranch(): boolean {
    return this.state === null ? this.isKnown : !this.isOver || this.task.problem !== null;
  }

  /** The question that it is still parked on. */
  get waitsFor(): GcTask['waits_for'] {
    return this.state === 'blocked_on_question' ? this.task.waits_for : null;
  }

  attempt(attemptId: string | null): GcAttempt | undefined {
    return this.task.attempts.find(({ attempt_id }) => attempt_id === attemptId);
  }

  add<A extends GcAction>(row: GcRowId, action: A, severity: GcSeverity, reason: string, payload: GcPayload<A>): void {
    const { task_id, identity } = this.task;
    this.#rows.push(planRow(row, task_id, action, severity, reason, payload as GcPlanRow['payload'], identity));
  }

  report(row: GcRowId, severity: GcSeverity, kind: OrphanKind, reason: string, more: object = {}): void {
    this.add(row, 'report_orphan', severity, reason, { kind, ...more });
  }
}

export function planRow(
  row: GcRowId,
  task_id: string,
  action: GcAction,
  severity: GcSeverity,
  reason: string,
  payload: GcPlanRow['payload'],
  identity: TaskIdentity | null,
): GcPlanRow {
  return { row, task_id, action, severity, reason: oneLine(reason, 400), payload, identity } as GcPlanRow;
}

/** A name in a reason, cut so that the reason stays readable. */
export function shortName(text: string): string {
  return oneLine(text, 120);
}
