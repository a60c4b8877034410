/** What kept an agent from reviewing a task, kept in the task's record: it counts for all that the agent is to do. Pure. */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { isTime } from '../../lib/time.ts';
import { memoPart, type TaskRecord, type TaskSummary } from '../task/records.ts';
import { changed, type Decision } from '../task/transition.ts';

const ReviewHoldSchema = once(() =>
  z.looseObject({
    /** The agent, by its preset. */
    agent: z.string(),
    class: z.string(),
    message: z.string(),
    /** When it can go on, in ISO 8601; null: when a person has mended it. */
    until: z.nullable(z.string().check(z.refine(isTime))),
  }),
);
export type ReviewHold = z.infer<ReturnType<typeof ReviewHoldSchema>>;

export function reviewHoldOf({ memo }: Pick<TaskSummary, 'memo'>): ReviewHold | null {
  return memoPart(ReviewHoldSchema, memo.review_hold);
}

/** Notes what kept it from being reviewed; null: nothing that counts for others. The lease stays as it is. */
export function holdReview(record: TaskRecord, hold: ReviewHold | null, nowMs: number): Decision<null> {
  const { lease } = record;
  return changed(record, null, { moves: [], lease, memo: { review_hold: hold }, by: lease, nowMs });
}
