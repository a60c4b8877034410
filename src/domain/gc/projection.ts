/** A tree and its tasks as the gc rules that have looked at them so far would leave them, and the items that they have planned. */

import { oneLine } from '../../lib/text.ts';
import { fromIso } from '../../lib/time.ts';
import type { TaskState } from '../task/records.ts';
import { isTerminal } from '../task/states.ts';
import { issuesByTask, type TrackerIssue } from '../tracker-issues.ts';
import type {
  GcAction,
  GcAttempt,
  GcLease,
  GcPayload,
  GcPlanRow,
  GcRowId,
  GcSnapshot,
  GcTask,
  OrphanKind,
} from './gc-plan.ts';
import type { GcSeverity } from './severities.ts';

export interface GcOptions {
  /** Worktrees without a task are removed instead of only reported. Default: false. */
  removeOrphanWorktrees?: boolean;
  /** Worktrees of tasks that were shipped so long ago, milliseconds, are removed. Null: they stay. Default: null. */
  removeShippedAfterMs?: number | null;
}

export class TreeProjection {
  readonly snapshot: GcSnapshot;
  readonly options: GcOptions;
  readonly nowMs: number;
  readonly issues: ReadonlyMap<string, TrackerIssue>;
  /** Null: the project has no plan. */
  readonly planned: ReadonlySet<string> | null;
  readonly tasks: ReadonlyMap<string, TaskProjection>;
  /** Branches of worktrees that are removed. */
  readonly freed = new Set<string>();
  readonly rows: GcPlanRow[] = [];

  constructor(snapshot: GcSnapshot, options: GcOptions) {
    this.snapshot = snapshot;
    this.options = options;
    this.nowMs = fromIso(snapshot.now);
    this.issues = issuesOf(snapshot);
    this.planned = snapshot.plan === null ? null : new Set(snapshot.plan.map(({ id }) => id));
    this.tasks = new Map(snapshot.tasks.map((task) => [task.task_id, new TaskProjection(task, this)]));
  }

  add<A extends GcAction>(
    row: GcRowId,
    task_id: string,
    action: A,
    severity: GcSeverity,
    reason: string,
    payload: GcPayload<A>,
  ): void {
    const identity = this.tasks.get(task_id)?.task.identity ?? null;
    this.rows.push({ row, task_id, action, severity, reason: oneLine(reason, 400), payload, identity } as GcPlanRow);
  }
}

export function issuesOf({ plan, tracker }: Pick<GcSnapshot, 'plan' | 'tracker'>): TreeProjection['issues'] {
  return issuesByTask(plan ?? [], tracker.kind === 'up' ? tracker.issues : []);
}

export class TaskProjection {
  /** As it was read. */
  readonly task: GcTask;
  readonly tree: TreeProjection;
  readonly issue: TrackerIssue | undefined;
  state: TaskState | null;
  lease: GcLease | null;
  /** The question that row 5 settles; null: none. */
  settled: GcTask['waits_for'] = null;

  constructor(task: GcTask, tree: TreeProjection) {
    this.task = task;
    this.tree = tree;
    this.issue = tree.issues.get(task.task_id);
    this.state = task.state;
    this.lease = task.lease;
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
    this.tree.add(row, this.task.task_id, action, severity, reason, payload);
  }

  report(row: GcRowId, severity: GcSeverity, kind: OrphanKind, reason: string, more: object = {}): void {
    this.add(row, 'report_orphan', severity, reason, { kind, ...more });
  }
}

/** A name in a reason, cut so that the reason stays readable. */
export function shortName(text: string): string {
  return oneLine(text, 120);
}
