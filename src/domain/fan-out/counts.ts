/** How far the children of a fan-out are, in numbers: lists for people show these in place of the children. Pure. */

import { parentOf } from '../../lib/ids.ts';
import type { TaskState } from '../task/records.ts';
import { isInFlight } from '../task/states.ts';

/** What is counted of children; what is in none of these has still to begin. */
const CHILD_COUNTS = ['done', 'failed', 'cancelled', 'asking', 'running'] as const;
export type ChildCount = (typeof CHILD_COUNTS)[number];

export interface ChildrenSum extends Record<ChildCount, number> {
  all: number;
}

export function noChildren(): ChildrenSum {
  return { all: 0, done: 0, failed: 0, cancelled: 0, asking: 0, running: 0 };
}

/** Adds a child to `sum`. */
export function addChild(sum: ChildrenSum, count: ChildCount | null): void {
  sum.all += 1;
  if (count !== null) sum[count] += 1;
}

/** As which a child in a state is counted; null: it has still to begin. */
export function childCountOf(state: TaskState | 'done' | 'dropped' | 'skipped' | 'unreadable'): ChildCount | null {
  if (state === 'shipped' || state === 'done') return 'done';
  if (state === 'failed' || state === 'unreadable') return 'failed';
  if (state === 'cancelled' || state === 'dropped') return 'cancelled';
  if (state === 'blocked_on_question') return 'asking';
  return state !== 'skipped' && isInFlight(state) ? 'running' : null;
}

/** `180 of 200 done, 2 failed, 4 running`. */
export function childrenText({ all, done, ...others }: ChildrenSum): string {
  const more = CHILD_COUNTS.flatMap((count) =>
    count !== 'done' && others[count] > 0 ? `, ${others[count]} ${count}` : [],
  );
  return `${done} of ${all} done${more.join('')}`;
}

/** The fan-out that a child is of, `<parent>/<fan-out>`; null for a task that is not a child. */
export function fanOutOf(taskId: string): string | null {
  return parentOf(taskId) === null ? null : taskId.slice(0, taskId.lastIndexOf('/'));
}
