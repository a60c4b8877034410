/**
 * Applies a gc plan, an item at a time. Each item is committed on the version that it was planned on, or on the one that an
 * earlier item of this plan has left; a change by another process wins, and the rest of the task is skipped. Killed
 * anywhere, it can be run again.
 */

import {
  assertNeverGcRow,
  type GcAction,
  type GcPlan,
  type GcPlanRow,
  OWN_LEASE,
  plannedRows,
  type TaskIdentity,
} from '../../domain/gc/gc-plan.ts';
import { turnOf } from '../../domain/gc/plan-gc.ts';
import { adoptTask, letGo, markAbandoned, markTerminal } from '../../domain/gc/record-changes.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { type Decision, repeated } from '../../domain/task/transition.ts';
import { ISSUE_STATES, type IssueState } from '../../domain/tracker-issues.ts';
import { type ErrorCode, ForgeError } from '../../lib/errors.ts';
import { isTaskId } from '../../lib/ids.ts';
import { oneLine } from '../../lib/text.ts';
import { changeTask, readToDecide } from '../../store/change.ts';
import type { TaskEvent } from '../../store/events.ts';
import type { TaskRead } from '../../store/port.ts';
import type { Tracker } from '../../trackers/port.ts';
import { type Env, observerOf } from '../env.ts';
import { adminReleaseLeaseByIdentity, adoptStray, countingStray, type SkipCode, Skipped } from './admin-release.ts';
import { identityOf } from './snapshot.ts';

type RowOf<A extends GcAction> = Extract<GcPlanRow, { action: A }>;

/** What is done beyond the tree. */
export interface GcPorts {
  /** Null: the settings have none. */
  tracker: Tracker | null;
  /** Has the verdict of an attempt checked and its twin written. False when the task was taken meanwhile. */
  reverify(taskId: string, attemptId: string): Promise<boolean>;
}

export type GcItem = Omit<GcPlanRow, 'identity'>;

export interface GcResult {
  applied: GcItem[];
  /** `why` says more than the code, where there is more to say. */
  skipped: (GcItem & { code: SkipCode; why?: string })[];
  failed: (GcItem & { code: ErrorCode; message: string })[];
}

/** What an item has led to. */
interface Applied {
  /** The record that it has left, where it may have changed. */
  identity?: TaskIdentity;
  /** Added to the payload that is shown. */
  more?: object;
}

/** Actions that decide on the record of a task and its lease. */
const ON_RECORDS: readonly GcAction[] = [
  'mark_terminal',
  'mark_abandoned',
  'mark_unclaimed',
  'resume_answered',
  'apply_default_answer',
  'expire_question',
  'reverify_verdict',
];

/** A task that nothing has happened to. */
const UNTOUCHED: TaskIdentity = { version: 0, digest: '' };

const NOT_CLOSED = ISSUE_STATES.filter((state) => state !== 'done' && state !== 'cancelled');

const movedOn = (why?: string) => new Skipped('STATE_VERSION_CONFLICT', why);

/** Applies what is planned, in the order of the rules. */
export async function applyGc(env: Env, plan: GcPlan, ports: GcPorts): Promise<GcResult> {
  const applier = new Applier(env, ports);
  for (const row of plannedRows(plan).sort((a, b) => turnOf(a.row) - turnOf(b.row))) await applier.apply(row);
  return applier.result;
}

/** An item as people and scripts see it. */
export function shownItem({ identity: _, ...item }: GcPlanRow): GcItem {
  return item as GcItem;
}

class Applier {
  readonly result: GcResult = { applied: [], skipped: [], failed: [] };
  readonly #env: Env;
  readonly #ports: GcPorts;
  /** What own items have left of a task; null once another process has changed it. */
  readonly #left = new Map<string, TaskIdentity | null>();
  /** Tasks whose own lease was replaced by the stray that counts. */
  readonly #adopted = new Set<string>();

  constructor(env: Env, ports: GcPorts) {
    this.#env = env;
    this.#ports = ports;
  }

  async apply(row: GcPlanRow): Promise<void> {
    const item = shownItem(row);
    try {
      if (ON_RECORDS.includes(row.action)) await this.#adoptStray(row);
      const { identity, more } = await this.#do(row);
      if (identity !== undefined) this.#left.set(row.task_id, identity);
      this.result.applied.push({ ...item, payload: { ...item.payload, ...more } } as GcItem);
      await this.#env.publish([appliedEvent(row)]);
    } catch (error) {
      if (error instanceof Skipped) {
        const { code, why } = error;
        if (code === 'STATE_VERSION_CONFLICT') this.#left.set(row.task_id, null);
        this.result.skipped.push({ ...item, code, ...(why === undefined ? {} : { why }) });
      } else if (error instanceof ForgeError) {
        this.result.failed.push({ ...item, code: error.code, message: error.message });
      } else throw error;
    }
  }

  #do(row: GcPlanRow): Promise<Applied> {
    switch (row.action) {
      case 'mark_terminal':
        return this.#end(row);
      case 'mark_abandoned':
        return this.#abandon(row);
      case 'mark_unclaimed':
        return this.#unclaim(row);
      case 'recover':
        return this.#recover(row);
      case 'resume_answered':
      case 'apply_default_answer':
      case 'expire_question':
        return this.#resume(row);
      case 'close_tracker_issue':
        return this.#closeIssue(row);
      case 'reverify_verdict':
        return this.#reverify(row);
      case 'prune_branch':
      case 'remove_worktree':
        return this.#remove(row);
      case 'archive_question':
        return this.#archive(row, 'questions');
      case 'archive_answer':
        return this.#archive(row, 'answers');
      case 'release_lease_admin':
        return this.#releaseLease(row);
      case 'report_orphan':
        return Promise.reject(new Error('a report has nothing to apply'));
      default:
        return assertNeverGcRow(row);
    }
  }

  /** Throws unless the task still is what the plan, or an own item since, has seen. */
  #refuseMoved(row: GcPlanRow, read: TaskRead): void {
    const left = this.#left.get(row.task_id);
    const expected = left === undefined ? (row.identity ?? UNTOUCHED) : left;
    const { version, digest } = identityOf(read);
    if (version !== expected?.version || digest !== expected.digest) throw movedOn();
  }

  #read(taskId: string): Promise<TaskRead> {
    return this.#env.store.read(taskId, { thorough: true });
  }

  /** The task as it stands, which is what the plan has seen. */
  async #current(row: GcPlanRow): Promise<TaskRead> {
    const read = await readToDecide(this.#env, row.task_id);
    this.#refuseMoved(row, read);
    return read;
  }

  async #change<R>(
    row: GcPlanRow,
    decide: (record: TaskRecord) => Decision<R>,
  ): Promise<Applied & { result: R; record: TaskRecord }> {
    const { record, version, result } = await changeTask(this.#env, row.task_id, (current, read) => {
      this.#refuseMoved(row, read);
      return decide(current);
    });
    return { identity: identityOf({ version, record }), result, record };
  }

  /** In a tree written by hand a stray may be the lease: it becomes the task's own before its record is changed. */
  async #adoptStray(row: GcPlanRow): Promise<void> {
    const name = await countingStray(this.#env, await this.#current(row));
    if (name === null) return;
    const refuseMoved = (_: TaskRecord, __: unknown, read: TaskRead) => this.#refuseMoved(row, read);
    this.#left.set(row.task_id, identityOf(await adoptStray(this.#env, row.task_id, name, refuseMoved)));
    this.#adopted.add(row.task_id);
  }

  /** Every change of a parked task settles what is due first: this one does nothing else. */
  async #resume(row: GcPlanRow): Promise<Applied> {
    const applied = await this.#change(row, () => repeated(null));
    // The question was settled by another process since it was read, so that nothing was due any more.
    if (applied.record.state.state === 'blocked_on_question') throw movedOn();
    return applied;
  }

  async #end(row: RowOf<'mark_terminal'>): Promise<Applied> {
    const { state, issue_id } = row.payload;
    await this.#current(row);
    await this.#refuseMovedIssue(issue_id, [state === 'cancelled' ? 'cancelled' : 'done']);
    return this.#change(row, (record) =>
      markTerminal(record, { state, reason: reasonOf(row), nowMs: this.#env.now() }),
    );
  }

  /** Throws unless the issue is in one of `states`, as planned: an edit since then wins. */
  async #refuseMovedIssue(issueId: string, states: readonly IssueState[]): Promise<void> {
    const issues = (await this.#ports.tracker?.list()) ?? [];
    const state = issues.find(({ id }) => id === issueId)?.state;
    if (state !== undefined && states.includes(state)) return;
    throw movedOn(`issue ${oneLine(issueId, 80)} is ${state === undefined ? 'not there any more' : `${state} by now`}`);
  }

  async #abandon(row: RowOf<'mark_abandoned'>): Promise<Applied> {
    const request = {
      observer: observerOf(this.#env),
      abandonLimit: this.#env.settings.agents.retry_attempts,
      reason: reasonOf(row),
    };
    const applied = await this.#change(row, (record) => markAbandoned(record, request));
    if (!applied.result) throw new Skipped('LEASE_IDENTITY_MISMATCH');
    return applied;
  }

  /** The claim stands here; so the tracker is asked to take it once more before it is given up. */
  async #unclaim(row: RowOf<'mark_unclaimed'>): Promise<Applied> {
    const { tracker } = this.#ports;
    const { issue_id, owner_run_id, claim_id } = row.payload;
    const { record } = await this.#current(row);
    if (record?.lease?.claim_id !== claim_id) throw new Skipped('LEASE_IDENTITY_MISMATCH');
    if (tracker === null) throw new Skipped('LEASE_NOT_FOUND');
    if (await tracker.claim(issue_id, owner_run_id)) {
      const now = await this.#read(row.task_id);
      if (now.record?.lease?.owner_run_id === owner_run_id) throw new Skipped('reclaimed');
      // The task was given up while the tracker was asked: the claim there has no owner any more.
      await tracker.release(issue_id, owner_run_id);
      throw movedOn();
    }
    return this.#change(row, (current) =>
      letGo(current, ['unclaim'], { reason: reasonOf(row), nowMs: this.#env.now() }),
    );
  }

  /** Here first, then in the tracker: should that fail, the next plan finds a task that is unclaimed here and not there. */
  async #recover(row: RowOf<'recover'>): Promise<Applied> {
    const { record, version } = await changeTask(this.#env, row.task_id, (current, read) => {
      if (read.problem !== null) throw movedOn();
      if (read.record === null) return adoptTask(current, null, this.#env.now());
      this.#refuseMoved(row, read);
      return repeated(null);
    });
    const identity = identityOf({ version, record });
    this.#left.set(row.task_id, identity);
    await this.#ports.tracker?.release(row.payload.issue_id, row.payload.run_id);
    return { identity };
  }

  async #closeIssue(row: RowOf<'close_tracker_issue'>): Promise<Applied> {
    const { issue_id } = row.payload;
    const { record } = await this.#current(row);
    if (record?.state.state !== 'shipped') throw movedOn();
    await this.#refuseMovedIssue(issue_id, NOT_CLOSED);
    await this.#ports.tracker?.setState(issue_id, 'done');
    return {};
  }

  async #reverify(row: RowOf<'reverify_verdict'>): Promise<Applied> {
    await this.#current(row);
    if (!(await this.#ports.reverify(row.task_id, row.payload.attempt_id))) throw movedOn();
    return { identity: identityOf(await this.#read(row.task_id)) };
  }

  async #remove(row: RowOf<'prune_branch' | 'remove_worktree'>): Promise<Applied> {
    const { pruneBranch, removeWorktree } = await import('../../git/gc-look.ts');
    // Of a worktree or branch under another name than a task's, none can have changed.
    const refuseUsed = async () => isTaskId(row.task_id) && this.#current(row);
    const removal =
      row.action === 'prune_branch'
        ? await pruneBranch(this.#env, row.payload, refuseUsed)
        : await removeWorktree(this.#env, row.payload, refuseUsed);
    if (removal.kind === 'skipped') throw movedOn(removal.why);
    return { more: { rescued: removal.rescued } };
  }

  async #archive(row: RowOf<'archive_question' | 'archive_answer'>, kind: 'questions' | 'answers'): Promise<Applied> {
    await this.#current(row);
    if (!(await this.#env.store.gc.archive(row.task_id, kind, row.payload))) throw movedOn();
    return {};
  }

  async #releaseLease(row: RowOf<'release_lease_admin'>): Promise<Applied> {
    await this.#current(row);
    const { path, claim_id, generation, owner_run_id, expires_at } = row.payload;
    const done = await adminReleaseLeaseByIdentity(this.#env, {
      taskId: row.task_id,
      expectedPath: path,
      expectedClaimId: claim_id,
      expectedGeneration: generation,
      expectedOwnerRunId: owner_run_id,
      expectedExpiresAt: expires_at,
      requireTerminalState: row.row === 14,
      reason: reasonOf(row),
    });
    const isReplaced = row.row === 13 && path === OWN_LEASE && this.#adopted.has(row.task_id);
    if (done.kind === 'skipped' && !isReplaced) throw new Skipped(done.code);
    return { identity: identityOf(await this.#read(row.task_id)) };
  }
}

/** A lease that was released by a commit has an event of its own; a stray file has this one. */
function appliedEvent(row: GcPlanRow): TaskEvent {
  const { task_id, action, reason } = row;
  const event = { type: 'gc' as const, task_id, row: row.row, action, reason };
  if (row.action !== 'release_lease_admin' || row.row !== 13) return { ...event, released: null };
  const { claim_id, owner_run_id: run_id, generation } = row.payload;
  const released = {
    event: 'admin_released',
    claim_id,
    run_id,
    generation,
    row: row.row,
    reason: reasonOf(row),
  } as const;
  return { ...event, released };
}

/** What the history says of a lease that gc has released. */
function reasonOf({ row, action, reason }: GcPlanRow): string {
  return `gc row ${row} (${action}): ${oneLine(reason)}`;
}
