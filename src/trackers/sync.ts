/**
 * Keeps a tracker in step with the tasks. It works behind the commits: it is told which task has moved, looks where that
 * task stands now, and brings the issue there. Whatever goes wrong is a warning; the commit stands.
 */

import type { PlannedTask } from '../domain/plan/plan.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import type { Move } from '../domain/task/states.ts';
import { issuesByTask, type TrackerIssue } from '../domain/tracker-issues.ts';
import { errorMessage, ForgeError } from '../lib/errors.ts';
import { isUuid, parentOf } from '../lib/ids.ts';
import { oneLine } from '../lib/text.ts';
import { loadPlanned, type PlanEnv } from '../project/plan-file.ts';
import type { ChangeEnv } from '../store/change.ts';
import type { TaskEvent } from '../store/events.ts';
import { openTracker, TRACKER_PATIENCE_MS, type TrackerEnv, within } from './open.ts';
import type { Tracker } from './port.ts';
import { concernsTracker, type TrackerStep, trackerSteps } from './steps.ts';

/** How often an issue is brought to where its task stands while others move that task on. */
const ROUNDS = 5;

export type SyncEnv = ChangeEnv & TrackerEnv & PlanEnv;

export type TrackerKeeper = ReturnType<typeof trackerKeeper>;

/** `patienceMs` bounds each call of the tracker. */
export function trackerKeeper(env: SyncEnv, tracker: Tracker, patienceMs: number = TRACKER_PATIENCE_MS) {
  /** The moves of each task that the tracker does not know yet. */
  const due = new Map<string, Move[]>();
  /** The tasks whose moves are being sent. */
  let sending: readonly string[] = [];
  let working: Promise<void> | null = null;
  /** Whether a call is under way. One that outlasts the patience for it stays so until it ends; until then there is no other. */
  let busy = false;
  /** A run tells every trouble once, however many tasks meet it. */
  const told = new Set<string>();
  let tasks: readonly PlannedTask[] = [];

  /** Resolves when the tracker is in step with these events, or a warning says that it isn't. Never rejects. */
  function follow(events: readonly TaskEvent[]): Promise<void> {
    // Children have no issues.
    const moved = events
      .filter((event) => event.type === 'transition')
      .filter(({ task_id }) => parentOf(task_id) === null);
    if (!concernsTracker(moved.map(({ move }) => move))) return Promise.resolve();
    for (const { task_id, move } of moved) due.set(task_id, [...(due.get(task_id) ?? []), move]);
    working ??= work();
    return working;
  }

  /** Waits for what is under way, as long as for one call. What is left then is told. Never rejects. */
  async function settled(): Promise<void> {
    if (working === null) return;
    try {
      await within(patienceMs, working);
    } catch (error) {
      for (const taskId of new Set([...sending, ...due.keys()])) await tell(taskId, error);
    }
  }

  /** What comes in meanwhile is done in one go: a tracker may be far away, and may count its calls. */
  async function work(): Promise<void> {
    try {
      while (due.size > 0) {
        const batch = [...due];
        due.clear();
        sending = batch.map(([taskId]) => taskId);
        await keepAll(batch);
      }
    } finally {
      // In the same breath as the last look at what is due: nothing can come in between.
      working = null;
    }
  }

  async function keepAll(batch: readonly [taskId: string, moves: readonly Move[]][]): Promise<void> {
    let issues: readonly TrackerIssue[] | undefined;
    for (const [taskId, moves] of batch) {
      try {
        issues ??= await call((tracker) => tracker.list());
        await keep(taskId, moves, issues);
      } catch (error) {
        await tell(taskId, error);
      }
    }
  }

  /** Reads the task again after each change: another process may have moved it and updated the tracker first. */
  async function keep(taskId: string, moves: readonly Move[], known: readonly TrackerIssue[]): Promise<void> {
    let issues = known;
    let before = '';
    for (let round = 0; round < ROUNDS; round++) {
      const { record, problem } = await env.store.read(taskId, { thorough: true });
      if (record === null || problem !== null || standing(record) === before) return;
      if (round > 0) issues = await call((tracker) => tracker.list());
      if (!(await bring(record, round === 0 ? moves : [], issues))) return;
      before = standing(record);
    }
  }

  /** False when there was nothing to do. */
  async function bring(record: TaskRecord, moves: readonly Move[], issues: readonly TrackerIssue[]): Promise<boolean> {
    const { task_id } = record.state;
    const issue = await issueOf(task_id, issues);
    if (issue === null) return false;
    const { steps, conflict } = trackerSteps({ record, moves, issue, ours: await isOurs(issue, record) });
    if (conflict !== null) throw new ForgeError('TRACKER_ERROR', conflict);
    for (const step of steps) await take(step, issue.id);
    return steps.length > 0;
  }

  /** Throws TRACKER_ERROR when the plan names an issue that is not there. */
  async function issueOf(taskId: string, issues: readonly TrackerIssue[]): Promise<TrackerIssue | null> {
    const task = (await plannedNow()).find(({ id }) => id === taskId);
    const planned = task?.tracker_issue_id ?? null;
    const issue = issuesByTask([{ id: taskId, tracker_issue_id: planned }], issues).get(taskId) ?? null;
    if (issue !== null || planned === null) return issue;
    throw new ForgeError('TRACKER_ERROR', `the plan names issue ${oneLine(planned, 80)} for it, which is not there`);
  }

  async function isOurs({ claimed_by }: TrackerIssue, { lease }: TaskRecord): Promise<boolean> {
    if (claimed_by === null) return false;
    if (claimed_by === lease?.owner_run_id) return true;
    return isUuid(claimed_by) && (await env.store.readRun(claimed_by)) !== null;
  }

  async function take(step: TrackerStep, issueId: string): Promise<void> {
    switch (step.call) {
      case 'claim': {
        if (await call((tracker) => tracker.claim(issueId, step.run_id))) return;
        throw new ForgeError(
          'TRACKER_ERROR',
          `issue ${oneLine(issueId, 80)} could not be claimed: another claim was first, or it is closed`,
        );
      }
      case 'release':
        return call((tracker) => tracker.release(issueId, step.run_id));
      case 'set_state':
        return call((tracker) => tracker.setState(issueId, step.state));
      case 'comment':
        return call((tracker) => tracker.comment(issueId, step.text));
    }
  }

  async function call<T>(work: (tracker: Tracker) => Promise<T>): Promise<T> {
    if (busy) throw new ForgeError('TRACKER_ERROR', 'the tracker still has not answered');
    busy = true;
    const answer = work(tracker).finally(() => {
      busy = false;
    });
    return within(patienceMs, answer);
  }

  /** The tasks of the plan; those of before while it is being edited and cannot be read. */
  async function plannedNow(): Promise<readonly PlannedTask[]> {
    try {
      tasks = (await loadPlanned(env))?.plan.tasks ?? [];
    } catch (error) {
      if (!(error instanceof ForgeError)) throw error;
    }
    return tasks;
  }

  async function tell(taskId: string, error: unknown): Promise<void> {
    const why = errorMessage(error);
    await env.publish([{ type: 'warning', task_id: taskId, message: `tracker: ${why}` }]);
    if (told.has(why)) return;
    told.add(why);
    env.warn(`the tracker is not in step with task ${taskId}: ${why}`);
  }

  return { follow, settled };
}

/** What an issue is decided by. */
function standing({ state, lease }: TaskRecord): string {
  return `${state.state} ${lease?.owner_run_id ?? ''}`;
}

/** Null when the settings have no tracker that is supported. */
export async function keeperOf(env: SyncEnv): Promise<TrackerKeeper | null> {
  const tracker = await openTracker(env);
  return tracker === null ? null : trackerKeeper(env, tracker);
}
