/**
 * What has happened to tasks, as typed events. A commit yields them; subscribers get them once everything local is durable.
 * Subscribers decide nothing: one that fails is a warning, and the answer stays the same.
 */

import { type Answer, openQuestion } from '../domain/question/questions.ts';
import type { TaskRecord, TaskStateRecord } from '../domain/task/records.ts';
import type { Transition } from '../domain/task/states.ts';
import type { Decision, HistoryEntry } from '../domain/task/transition.ts';
import { errorMessage } from '../lib/errors.ts';
import { isTaskId, isUuid } from '../lib/ids.ts';
import { oneLine } from '../lib/text.ts';
import { isoTime } from '../lib/time.ts';
import type { EventLog, TaskStore } from './port.ts';

export type TaskEvent = { task_id: string } & (
  | ({ type: 'transition' } & Transition & TaskStateRecord['updated_by'])
  | { type: 'claim'; entry: HistoryEntry }
  | { type: 'question_opened'; attempt_id: string; question_id: string }
  /** `option_id` is null when the question has expired. */
  | ({ type: 'question_settled'; attempt_id: string } & Pick<Answer, 'question_id' | 'option_id' | 'answered_by'>)
  /** gc has applied a row of its table. `released`: the stray lease that it has removed by that; null for anything else. */
  | { type: 'gc'; row: number; action: string; reason: string; released: HistoryEntry | null }
  /** `gc --prune` has removed files of its attempts; the history has said so before. */
  | { type: 'pruned'; attempts: number; files: number; bytes: number }
  | { type: 'warning'; message: string }
);

export type Subscriber = (events: readonly TaskEvent[]) => Promise<void>;

/** Gives events to each subscriber in turn. What it returns never rejects. */
export function publisher(subscribers: readonly Subscriber[], warn: (message: string) => void): Subscriber {
  return async (events) => {
    if (events.length === 0) return;
    for (const subscriber of subscribers) {
      await subscriber(events).catch((error) => warn(errorMessage(error)));
    }
  };
}

/** What a commit has changed. `answer`: what settled the question that the task was parked on before; null: nothing did. */
export function eventsOf(
  before: TaskRecord,
  after: TaskRecord,
  { history, moves }: Decision<unknown>,
  answer: Answer | null,
  warnings: readonly string[],
): TaskEvent[] {
  const { task_id, updated_by } = after.state;
  const { run_id, claim_id, generation } = updated_by;
  const [was, is] = [openQuestion(before), openQuestion(after)];
  const events: TaskEvent[] = [
    ...history.map((entry) => ({ type: 'claim' as const, task_id, entry })),
    ...moves.map((move) => ({ type: 'transition' as const, task_id, ...move, run_id, claim_id, generation })),
    ...warnings.map((message) => ({ type: 'warning' as const, task_id, message })),
  ];
  if (was !== null && answer !== null) {
    const { question_id, option_id, answered_by } = answer;
    events.push({ type: 'question_settled', task_id, attempt_id: was.attempt_id, question_id, option_id, answered_by });
  }
  if (is !== null && is.question_id !== was?.question_id) {
    events.push({ type: 'question_opened', task_id, attempt_id: is.attempt_id, question_id: is.question_id });
  }
  return events;
}

interface LogEnv {
  store: TaskStore;
  eventLog: EventLog;
  now(): number;
  newOp(): string;
}

/** Writes the owners of tasks, and what gc did to tasks, to their `claim-history.jsonl`. */
export function claimHistory({ store, eventLog, now }: LogEnv): Subscriber {
  return async (events) => {
    const ts = isoTime(now());
    for (const event of events) {
      const { task_id: taskId } = event;
      if (event.type === 'claim') await eventLog.append({ log: 'claim-history', taskId }, { ts, ...event.entry });
      // gc also acts on branches and issues of tasks to which nothing has happened here.
      if (event.type !== 'gc' || !isTaskId(taskId) || (await store.read(taskId)).origin === 'none') continue;
      const { row, action, reason, released } = event;
      const line = released ?? { event: 'gc', row, action, reason: oneLine(reason) };
      await eventLog.append({ log: 'claim-history', taskId }, { ts, ...line });
    }
  };
}

/** Updates the file of a settled question, and notifies its run when it is asked and when it is settled. */
export function questionNotices({ store, eventLog, now, newOp }: LogEnv): Subscriber {
  return async (events) => {
    for (const event of events) {
      if (event.type !== 'question_opened' && event.type !== 'question_settled') continue;
      const { attempt_id, ...line } = event;
      const question = await store.readDocument('question', line.task_id, attempt_id, line.question_id);
      if (question === null) continue;
      if (event.type === 'question_settled') {
        const status = event.option_id === null ? 'expired' : 'answered';
        await store.showQuestion(line.task_id, attempt_id, { ...question, status }, newOp());
      }
      const { run_id: runId } = question;
      if (!isUuid(runId) || (await store.readRun(runId)) === null) continue;
      await eventLog.append({ log: 'notifications', runId }, { ts: isoTime(now()), ...line });
    }
  };
}
