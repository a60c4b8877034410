/** Deadlines that were written while the clock was ahead. They hold no longer than they were made for; people should know all the same. */

import { openQuestion } from '../question/questions.ts';
import { type DeadlineClock, type Instant, msTooFar } from './deadlines.ts';
import type { TaskSummary } from './records.ts';

/** Two machines' clocks may differ by so much, milliseconds. */
const TOLERANCE_MS = 60_000;

/** What is wrong with the task's deadlines, for people; empty where nothing is. */
export function aheadTexts(record: TaskSummary, now: Instant): string[] {
  const { state, lease, memo } = record;
  const question = openQuestion(record);
  const deadlines: [string, string | null | undefined, DeadlineClock | null | undefined][] = [
    ['its next try', state.next_eligible_at, memo.backoff],
    ['its wait', state.wake_at, memo.backoff],
    ['its lease', lease?.expires_at, lease?.clock],
    ['its question', question?.expires_at, question?.clock],
  ];
  return deadlines.flatMap(([what, at, clock]) =>
    at && msTooFar(at, clock, now) > TOLERANCE_MS
      ? [`${what} until ${at} was written while the clock was ahead; it holds for the time that it was made for`]
      : [],
  );
}
