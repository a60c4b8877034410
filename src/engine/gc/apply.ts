/**
 * Applies a gc plan, an item at a time, in its order. Each item is committed on the version that it was planned on, or on the
 * one that an earlier item of this very plan has left; whatever anybody else did to the task in between wins, and the rest of
 * the task is skipped. Killed anywhere, it may be run again.
 */

import type { LeasePayload, TaskIdentity } from '../../domain/gc/gc-plan.ts';
import { assertNeverGcRow, type GcAction, type GcPlan, type GcPlanRow, plannedRows } from '../../domain/gc/plan-gc.ts';
import { markAbandoned, markTerminal, markUnclaimed, recoverTask } from '../../domain/gc/record-changes.ts';
import type { Decision } from '../../domain/task/operations.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { repeated } from '../../domain/task/transition.ts';
import type { Removal } from '../../git/gc-look.ts';
import { type ErrorCode, ForgeError } from '../../lib/errors.ts';
import { oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import { changeTask, refuseUnreadable } from '../../store/change.ts';
import { archiveFile } from '../../store/file/gc-files.ts';
import type { FolderRead, TaskRead } from '../../store/port.ts';
import { ISSUE_STATES, type IssueState, type Tracker } from '../../trackers/port.ts';
import { type Env, observerOf } from '../env.ts';
import { adminReleaseLeaseByIdentity, adoptLeaseIn, leaseElsewhere } from './admin-release.ts';
import { identityOf } from './snapshot.ts';

/** Why an item was not applied: what it was planned on is not so any more. */
export type SkipCode =
  | 'LEASE_IDENTITY_MISMATCH'
  | 'LEASE_STATE_NOT_TERMINAL'
  | 'LEASE_NOT_FOUND'
  | 'STATE_VERSION_CONFLICT'
  /** The tracker took the claim again, so there was nothing to give up. */
  | 'reclaimed';

/** What is done beyond the tree. */
export interface GcPorts {
  /** Null: the settings have none. */
  tracker: Tracker | null;
  pruneBranch(payload: Extract<GcPlanRow, { action: 'prune_branch' }>['payload']): Promise<Removal>;
  removeWorktree(payload: Extract<GcPlanRow, { action: 'remove_worktree' }>['payload']): Promise<Removal>;
  /** Has the verdict of an attempt checked and its twin written. False when it was not, since somebody took the task. */
  reverify(taskId: string, attemptId: string): Promise<boolean>;
}

export type GcItem = Omit<GcPlanRow, 'identity'>;

export interface GcResult {
  applied: GcItem[];
  /** `why` says more than the code, where there is more to say. */
  skipped: (GcItem & { code: SkipCode; why?: string })[];
  failed: (GcItem & { code: ErrorCode; message: string })[];
}

type Outcome =
  | { kind: 'applied'; identity?: TaskIdentity; more?: object }
  | { kind: 'skipped'; code: SkipCode; why?: string };

/** What is decided on the record of a task, and on its lease. */
const ON_RECORDS: readonly GcAction[] = [
  'mark_terminal',
  'mark_abandoned',
  'mark_unclaimed',
  'resume_answered',
  'apply_default_answer',
  'expire_question',
  'reverify_verdict',
];

const NOT_CANCELLED = ISSUE_STATES.filter((state) => state !== 'cancelled');

/** Thrown inside a change when the record is not the one that was planned on. */
class MovedOn extends Error {}

/** Applies what is planned, in order. */
export async function applyGc(env: Env, plan: GcPlan, ports: GcPorts): Promise<GcResult> {
  const applier = new Applier(env, ports);
  for (const row of plannedRows(plan).sort((a, b) => turnOf(a) - turnOf(b))) await applier.apply(row);
  return applier.result;
}

/** In order of row, but that git gives up no branch that is still checked out: a worktree goes before its branch. */
function turnOf({ row, action }: GcPlanRow): number {
  return action === 'prune_branch' ? 10.5 : row;
}

/** An item as people and scripts see it. */
export function shownItem({ identity: _, ...item }: GcPlanRow): GcItem {
  return item as GcItem;
}

class Applier {
  readonly result: GcResult = { applied: [], skipped: [], failed: [] };
  readonly #env: Env;
  readonly #ports: GcPorts;
  /** What own items have left of a task; null once somebody else has changed it. */
  readonly #left = new Map<string, TaskIdentity | null>();
  /** Tasks of which an own item has put the lease that counts in the place of `lease.json`. */
  readonly #adopted = new Set<string>();

  constructor(env: Env, ports: GcPorts) {
    this.#env = env;
    this.#ports = ports;
  }

  async apply(row: GcPlanRow): Promise<void> {
    const item = shownItem(row);
    try {
      const outcome = await this.#outcomeOf(row);
      if (outcome.kind === 'skipped') {
        if (outcome.code === 'STATE_VERSION_CONFLICT') this.#left.set(row.task_id, null);
        const { code, why } = outcome;
        this.result.skipped.push({ ...item, code, ...(why === undefined ? {} : { why }) });
        return;
      }
      if (outcome.identity !== undefined) this.#left.set(row.task_id, outcome.identity);
      this.result.applied.push({ ...item, payload: { ...item.payload, ...outcome.more } } as GcItem);
      await this.#note(row);
    } catch (error) {
      if (!(error instanceof ForgeError)) throw error;
      this.result.failed.push({ ...item, code: error.code, message: error.message });
    }
  }

  async #outcomeOf(row: GcPlanRow): Promise<Outcome> {
    try {
      if (ON_RECORDS.includes(row.action)) await this.#adoptLease(row);
      return await this.#do(row);
    } catch (error) {
      if (error instanceof MovedOn) return { kind: 'skipped', code: 'STATE_VERSION_CONFLICT' };
      throw error;
    }
  }

  #do(row: GcPlanRow): Promise<Outcome> {
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
        return this.#git(this.#ports.pruneBranch(row.payload));
      case 'remove_worktree':
        return this.#git(this.#ports.removeWorktree(row.payload));
      case 'archive_question':
        return this.#archive(row, 'questions');
      case 'archive_answer':
        return this.#archive(row, 'answers');
      case 'release_lease_admin':
        return this.#releaseLease(row);
      case 'report_orphan':
        return Promise.reject(new Error('a report is nothing to apply'));
      default:
        return assertNeverGcRow(row);
    }
  }

  /** Fails unless the task still is what the plan, or an own item since, has seen. */
  #refuseMoved(row: GcPlanRow, read: TaskRead): void {
    const left = this.#left.get(row.task_id);
    const expected = left === undefined ? row.identity : left;
    if (expected === null) throw new MovedOn();
    const { version, digest } = identityOf(read);
    if (version !== expected.version || digest !== expected.digest) throw new MovedOn();
  }

  async #change(
    row: GcPlanRow,
    decide: (record: TaskRecord) => Decision<unknown>,
  ): Promise<Outcome & { result?: unknown; record: TaskRecord }> {
    const { record, version, result } = await changeTask(this.#env, row.task_id, (current, read) => {
      this.#refuseMoved(row, read);
      return decide(current);
    });
    return { kind: 'applied', identity: identityOf({ version, record }), result, record };
  }

  /** Every change of a parked task settles what is due first: this one does nothing else. */
  async #resume(row: GcPlanRow): Promise<Outcome> {
    const outcome = await this.#change(row, () => repeated(null));
    // Somebody else has settled it since it was read, so that there was nothing left to be seen as due.
    if (outcome.record.state.state === 'blocked_on_question') throw new MovedOn();
    return outcome;
  }

  /**
   * In a tree written by hand another file may have the lease that counts. It becomes the task's own before anything else is
   * done to the task, so that its generation outlives it and no file stays behind that nobody planned for.
   */
  async #adoptLease(row: GcPlanRow): Promise<void> {
    const path = leaseElsewhere(this.#env, await this.#current(row));
    if (path === null) return;
    const adopted = await adoptLeaseIn(this.#env, row.task_id, path, (_, read) => this.#refuseMoved(row, read));
    this.#left.set(row.task_id, identityOf(adopted));
    this.#adopted.add(row.task_id);
  }

  /** The task as it stands, which is what the plan has seen. */
  async #current(row: GcPlanRow): Promise<FolderRead> {
    const read = await this.#env.store.read(row.task_id, { thorough: true });
    refuseUnreadable(read);
    this.#refuseMoved(row, read);
    return read;
  }

  async #end(row: Extract<GcPlanRow, { action: 'mark_terminal' }>): Promise<Outcome> {
    const { state, issue_id } = row.payload;
    await this.#current(row);
    const why = await this.#movedIssue(issue_id, [state === 'cancelled' ? 'cancelled' : 'done']);
    if (why !== null) return { kind: 'skipped', code: 'STATE_VERSION_CONFLICT', why };
    return this.#change(row, (record) =>
      markTerminal(record, { state, reason: reasonOf(row), nowMs: this.#env.now() }),
    );
  }

  /** Whoever has edited the issue since the look knows better. Returns why; null when it is one of `states` as planned. */
  async #movedIssue(issueId: string, states: readonly IssueState[]): Promise<string | null> {
    const issues = (await this.#ports.tracker?.list()) ?? [];
    const state = issues.find(({ id }) => id === issueId)?.state;
    if (state !== undefined && states.includes(state)) return null;
    return `issue ${oneLine(issueId, 80)} is ${state === undefined ? 'not there any more' : `${state} by now`}`;
  }

  async #abandon(row: Extract<GcPlanRow, { action: 'mark_abandoned' }>): Promise<Outcome> {
    const request = {
      observer: observerOf(this.#env),
      abandonLimit: this.#env.settings.agents.retry_attempts,
      reason: reasonOf(row),
    };
    const outcome = await this.#change(row, (record) => markAbandoned(record, request));
    return outcome.result === true ? outcome : { kind: 'skipped', code: 'LEASE_IDENTITY_MISMATCH' };
  }

  /** The claim stands here; so the tracker is asked to take it once more before it is given up. */
  async #unclaim(row: Extract<GcPlanRow, { action: 'mark_unclaimed' }>): Promise<Outcome> {
    const { tracker } = this.#ports;
    const { issue_id, owner_run_id } = row.payload;
    const { record } = await this.#current(row);
    if (record?.lease?.claim_id !== row.payload.claim_id) return { kind: 'skipped', code: 'LEASE_IDENTITY_MISMATCH' };
    if (tracker === null) return { kind: 'skipped', code: 'LEASE_NOT_FOUND' };
    if (await tracker.claim(issue_id, owner_run_id)) return this.#reclaimed(row, tracker);
    return this.#change(row, (current) => markUnclaimed(current, { reason: reasonOf(row), nowMs: this.#env.now() }));
  }

  /** The task may have been given up while the tracker was asked: then the claim there is nobody's any more. */
  async #reclaimed(row: Extract<GcPlanRow, { action: 'mark_unclaimed' }>, tracker: Tracker): Promise<Outcome> {
    const { issue_id, owner_run_id } = row.payload;
    const { record } = await this.#env.store.read(row.task_id, { thorough: true });
    if (record?.lease?.owner_run_id === owner_run_id) return { kind: 'skipped', code: 'reclaimed' };
    await tracker.release(issue_id, owner_run_id);
    throw new MovedOn();
  }

  /** Here first, then in the tracker: should that fail, the next plan finds a task that is unclaimed here and not there. */
  async #recover(row: Extract<GcPlanRow, { action: 'recover' }>): Promise<Outcome> {
    const { record, version } = await changeTask(this.#env, row.task_id, (current, read) => {
      if (read.problem !== null) throw new MovedOn();
      if (read.record === null) return recoverTask(current, this.#env.now());
      this.#refuseMoved(row, read);
      return repeated(null);
    });
    const identity = identityOf({ version, record });
    this.#left.set(row.task_id, identity);
    await this.#ports.tracker?.release(row.payload.issue_id, row.payload.run_id);
    return { kind: 'applied', identity };
  }

  async #closeIssue(row: Extract<GcPlanRow, { action: 'close_tracker_issue' }>): Promise<Outcome> {
    const { issue_id } = row.payload;
    const { record } = await this.#current(row);
    if (record?.state.state !== 'shipped') throw new MovedOn();
    const why = await this.#movedIssue(issue_id, NOT_CANCELLED);
    if (why !== null) return { kind: 'skipped', code: 'STATE_VERSION_CONFLICT', why };
    await this.#ports.tracker?.setState(issue_id, 'done');
    return { kind: 'applied' };
  }

  async #reverify(row: Extract<GcPlanRow, { action: 'reverify_verdict' }>): Promise<Outcome> {
    await this.#current(row);
    if (!(await this.#ports.reverify(row.task_id, row.payload.attempt_id))) throw new MovedOn();
    return { kind: 'applied', identity: identityOf(await this.#env.store.read(row.task_id, { thorough: true })) };
  }

  async #git(work: Promise<Removal>): Promise<Outcome> {
    const outcome = await work;
    if (outcome.kind === 'skipped') return { kind: 'skipped', code: 'STATE_VERSION_CONFLICT', why: outcome.why };
    return { kind: 'applied', more: { rescued: outcome.rescued } };
  }

  async #archive(
    row: Extract<GcPlanRow, { action: 'archive_question' | 'archive_answer' }>,
    kind: 'questions' | 'answers',
  ): Promise<Outcome> {
    await this.#current(row);
    const { attempt_id, question_id, digest } = row.payload;
    const done = archiveFile(this.#env.store.layout, row.task_id, { kind, attempt_id, question_id, digest });
    return done === 'archived' ? { kind: 'applied' } : { kind: 'skipped', code: 'STATE_VERSION_CONFLICT' };
  }

  async #releaseLease(row: GcPlanRow & { payload: LeasePayload }): Promise<Outcome> {
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
    const replaced = row.row === 13 && path === 'lease.json' && this.#adopted.has(row.task_id);
    if (done.kind === 'skipped' && !replaced) return done;
    return { kind: 'applied', identity: identityOf(await this.#env.store.read(row.task_id, { thorough: true })) };
  }

  /** Told in the task's history and in the log; neither decides anything. */
  async #note(row: GcPlanRow): Promise<void> {
    const { row: number, action, task_id, reason } = row;
    await this.#env.journal.write([{ type: 'gc', task_id, row: number, action, reason }]);
    try {
      const { origin } = await this.#env.store.read(task_id);
      if (origin === 'none') return;
      await this.#env.eventLog.append(
        { log: 'claim-history', taskId: task_id },
        { ts: isoTime(this.#env.now()), ...historyOf(row) },
      );
    } catch (error) {
      if (!(error instanceof ForgeError)) throw error;
      this.#env.warn(error.message);
    }
  }
}

/** A lease that was released by a commit has its own line already; this one says which row did it. */
function historyOf(row: GcPlanRow): object {
  const { row: number, action, reason } = row;
  if (row.action !== 'release_lease_admin' || number !== 13)
    return { event: 'gc', row: number, action, reason: oneLine(reason) };
  const { claim_id, owner_run_id: run_id, generation } = row.payload;
  return { event: 'admin_released', claim_id, run_id, generation, row: number, reason: reasonOf(row) };
}

/** What the history says of a lease that gc has released. */
function reasonOf({ row, action, reason }: GcPlanRow): string {
  return `gc row ${row} (${action}): ${oneLine(reason)}`;
}
