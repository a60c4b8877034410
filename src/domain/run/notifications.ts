/** What people and programs outside of a run get to know of it: on a phone, in a chat. Pure. */

import { oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import { answerCommand } from '../question/questions.ts';
import { classCovers, errorText } from '../retry/classify.ts';
import type { NotifyEvent } from '../settings/settings.ts';
import type { RunEvent } from './events.ts';

/** Those for which a person is needed. */
const NEEDS_PERSON: readonly NotifyEvent[] = ['question', 'failed', 'stalled'];

export interface Notification {
  event: NotifyEvent;
  project: string;
  run_id: string;
  /** Null of the run itself. */
  task_id: string | null;
  title: string | null;
  /** When it happened, ISO 8601. */
  ts: string;
  /** All of it in a sentence. */
  text: string;
  /** Class and message of what went wrong, or null. */
  error: { class: string; message: string } | null;
  /** Of a question: its id, its options and the command that answers it; else null. */
  question: { question_id: string; options: string[]; command: string } | null;
  /** Of a run: how many tasks are in each state, and its exit code; else null. */
  run: { counts: Readonly<Record<string, number>>; exit_code: number } | null;
}

/** The run that an event is of. */
export interface NotifyingRun {
  run_id: string;
  project: string;
  titleOf(taskId: string): string | null;
  nowMs: number;
}

/** A silence that was ended, or an input that is not there. */
const STALLED = ['timeout.stall', 'timeout.prompt'];

/** Which notifications an event of a run makes; the first says most. Empty: none. */
export function notifyEventsOf(event: RunEvent): NotifyEvent[] {
  switch (event.type) {
    case 'question_opened':
      return ['question'];
    case 'task_finished': {
      if (event.state === 'shipped') return ['shipped'];
      return event.state === 'failed' ? ['failed', ...stalledBy(event.error)] : [];
    }
    case 'task_retry':
      return stalledBy(event.error);
    case 'task_held':
      return event.delay_ms === null ? ['stalled'] : [];
    case 'run_finished':
      return ['finished'];
    default:
      return [];
  }
}

function stalledBy(error: { class: string } | null): NotifyEvent[] {
  return error !== null && STALLED.some((name) => classCovers(name, error.class)) ? ['stalled'] : [];
}

/** Whether a person is needed, for a bell. */
export function needsPerson(event: RunEvent): boolean {
  return notifyEventsOf(event).some((each) => NEEDS_PERSON.includes(each));
}

/**
 * The notification that `event` makes as one of `wanted`; null where it makes none. A question is sent by its own run alone: others that wait for the same
 * answer would repeat it.
 */
export function notificationOf(
  event: RunEvent,
  wanted: readonly NotifyEvent[],
  run: NotifyingRun,
): Notification | null {
  const [kind] = notifyEventsOf(event).filter((each) => wanted.includes(each));
  if (kind === undefined) return null;
  const { run_id, project, nowMs } = run;
  const base = { event: kind, project, run_id, ts: isoTime(nowMs), error: null, question: null, run: null };
  const of = (task_id: string) => ({ ...base, task_id, title: run.titleOf(task_id) });
  switch (event.type) {
    case 'question_opened': {
      const { task_id, question_id, question, decision_key } = event;
      if (question !== null && question.run_id !== run_id) return null;
      const options = (question?.options ?? []).map(({ id }) => id);
      const text = `${task_id} asks: ${oneLine(question?.question ?? decision_key, 500)}`;
      return { ...of(task_id), text, question: { question_id, options, command: answerCommand(task_id) } };
    }
    case 'run_finished': {
      const { counts, exit_code } = event;
      const states = Object.entries(counts).map(([state, count]) => `${count} ${state}`);
      const text = `the run of ${project} has ended with ${exit_code}: ${states.join(', ') || 'no tasks'}`;
      return { ...base, task_id: null, title: null, text, run: { counts, exit_code } };
    }
    case 'task_held': {
      const what = event.phase === 'review' ? 'not reviewed' : 'not merged';
      const { code, message } = event.error;
      const text = `${event.task_id} is ${what}: ${oneLine(message, 500)}`;
      return { ...of(event.task_id), text, error: { class: code, message } };
    }
    case 'task_finished':
    case 'task_retry': {
      const { task_id, error } = event;
      const verb = kind === 'shipped' ? 'has shipped' : kind === 'failed' ? 'has failed' : 'stood still';
      const text = `${task_id} ${verb}${error === null ? '' : `: ${errorText(error)}`}`;
      return { ...of(task_id), text, error };
    }
    default:
      return null;
  }
}
