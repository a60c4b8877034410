/** `retry`: try a task again from the start, or all that have failed. */

import * as z from 'zod/mini';
import { JOIN_FAILED } from '../domain/fan-out/join.ts';
import { classCovers } from '../domain/retry/classify.ts';
import { retryTask } from '../domain/task/operations.ts';
import type { TaskRecord, TaskState } from '../domain/task/records.ts';
import { MOVES } from '../domain/task/states.ts';
import { invalidArgs, kindOf } from '../lib/errors.ts';
import { ancestorsOf } from '../lib/ids.ts';
import { type LoadedPlan, loadPlan } from '../project/plan-file.ts';
import { changeTask } from '../store/change.ts';
import { command, flag, operand, optional, optionalTaskField } from './shared/command.ts';
import { moveSchema, stateSchema, textOrNull } from './shared/data.ts';
import { goesOnByPlan } from './shared/planned.ts';
import { idsKnown, orUnknown, readAll } from './shared/reads.ts';
import { openSession, type Session } from './shared/session.ts';

export const retry = command({
  changes: true,
  usage: '<task>...|--failed [options]',
  examples: [
    ['retry build', 'give build a fresh start'],
    ['retry build docs', 'the same for two tasks'],
    ['retry --failed', 'the same for all tasks that have failed'],
    ['retry --failed --class network --json', 'for those that an error of the network has stopped'],
  ],
  input: z.object({
    task: optionalTaskField({ unless: '--failed' }),
    more: operand(z.optional(z.array(z.string())), 'More tasks', { id: 'task' }),
    failed: flag('All tasks that have failed'),
    class: optional.text('class', 'Of these, only those that failed with this error class, or one below it'),
  }),
  output: () =>
    z.strictObject({
      /** The task that was named; null with --failed, and for several. */
      task_id: textOrNull(),
      state: z.nullable(stateSchema()),
      /** All that may be claimed again now. */
      tasks: z.array(moveSchema()),
    }),
  /**
   * Tries a failed or cancelled task again from the start, or one in backoff now. Throws ILLEGAL_TRANSITION, TASK_NOT_FOUND,
   * INVALID_ARGS.
   */
  async run(context, { task, more = [], failed = false, class: only }) {
    if (task === undefined && !failed)
      throw invalidArgs('say which task, or --failed', 'forge orchestrate retry --failed');
    if (task !== undefined && failed)
      throw invalidArgs(`both a task (${task}) and --failed are given`, 'Leave one out.');
    if (only !== undefined && !failed)
      throw invalidArgs('--class goes with --failed', 'forge orchestrate retry --failed');
    const session = await openSession(context);
    if (task === undefined) {
      const tasks = [];
      for (const id of await failedTasks(session, only)) tasks.push(...(await retriedUnlessMoved(session, id)));
      for (const { task_id } of [...tasks]) tasks.push(...(await retriedParents(session, task_id)));
      return { task_id: null, state: null, tasks };
    }
    const loaded = await loadPlan(session);
    const meant = await Promise.all([task, ...more].map((name) => meantBy(session, name)));
    const named = [...new Set(meant.flat())];
    const tasks = [];
    for (const id of named) {
      const children = await retriedChildren(session, loaded, id);
      tasks.push(await retried(session, id), ...children, ...(await retriedParents(session, id)));
    }
    const [first] = named.length === 1 ? tasks : [];
    return { task_id: first?.task_id ?? null, state: first?.state ?? null, tasks };
  },
});

/** Of a task with a matrix those of its combinations that can be tried again; all of them where none can. Throws TASK_NOT_FOUND. */
async function meantBy(session: Session, name: string): Promise<string[]> {
  const ids = await idsKnown(session, name);
  if (ids.length < 2) return ids;
  const reads = await Promise.all(ids.map((id) => session.store.read(id)));
  const stopped = reads.filter(({ record }) => STOPPED.includes(record?.state.state ?? 'unclaimed'));
  return stopped.length === 0 ? ids : stopped.map(({ task_id }) => task_id);
}

const STOPPED: readonly TaskState[] = [...MOVES.reopen.from, 'awaiting_respawn'];

async function failedTasks(session: Session, only: string | undefined): Promise<string[]> {
  const { reads } = await readAll(session);
  const failed = [...reads.values()].flatMap(({ task_id, record }) => {
    const { state, last_error: error } = record?.state ?? {};
    const isMeant = only === undefined || classCovers(only, error?.class ?? '');
    return state === 'failed' && isMeant ? [task_id] : [];
  });
  // A parent that goes on before its children would find them failed.
  return failed.sort((a, b) => ancestorsOf(b).length - ancestorsOf(a).length);
}

async function retried(session: Session, taskId: string) {
  const decide = (record: TaskRecord) => retryTask(record, session.now());
  const { result } = await changeTask(session, taskId, decide, orUnknown(session, taskId));
  await goesOnByPlan(session, taskId);
  return result;
}

/** The children that were cancelled with a task. They are before it: a parent that went on would find them cancelled. */
async function retriedChildren(session: Session, loaded: LoadedPlan | null, taskId: string) {
  const { record } = await session.store.read(taskId);
  if (record?.state.state !== 'cancelled') return [];
  const with_ = [taskId, record.memo.cancelled_with];
  const tasks = [];
  for (const { id } of loaded?.plan.tasks.filter((other) => ancestorsOf(other.id).includes(taskId)) ?? []) {
    const { record: child } = await session.store.read(id);
    const isMeant = child?.state.state === 'cancelled' && with_.includes(child.memo.cancelled_with ?? '');
    if (isMeant) tasks.push(...(await retriedUnlessMoved(session, id)));
  }
  return tasks;
}

/** The tasks above a child that have failed because it had: they go on with it. */
async function retriedParents(session: Session, taskId: string) {
  const tasks = [];
  for (const id of ancestorsOf(taskId)) {
    const { state, last_error } = (await session.store.read(id)).record?.state ?? {};
    if (state !== 'failed' || last_error?.class !== JOIN_FAILED) break;
    tasks.push(...(await retriedUnlessMoved(session, id)));
  }
  return tasks;
}

/** Of many tasks one may have been retried by another meanwhile, and be at work. */
async function retriedUnlessMoved(session: Session, taskId: string) {
  try {
    return [await retried(session, taskId)];
  } catch (error) {
    if (!['contention', 'conflict'].includes(kindOf(error))) throw error;
    return [];
  }
}
