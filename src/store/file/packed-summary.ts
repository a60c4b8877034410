/** Task summaries as the snapshot cache stores them: as lists, whose JSON is a third as long and as quickly read. */

import type { TaskState } from '../../domain/task/records.ts';
import type { TaskSummary } from '../../domain/task/summary.ts';

/** What most tasks lack, finished ones above all. */
type Rest = Partial<
  Pick<TaskSummary['state'], 'next_eligible_at' | 'failure_reason' | 'last_error'> &
    Pick<TaskSummary['memo'], 'absorbed' | 'questions' | 'verification'> &
    Pick<TaskSummary, 'lease'>
>;

export type PackedSummary = [
  task_id: string,
  state: TaskState,
  attempt_count: number,
  current_attempt_id: string | null,
  run_id: string | null,
  generation: number,
  abandons: number,
  /** The attempt that was completed last; true: the current one; null: none. */
  completed: string | true | null,
  rest?: Rest,
];

/** Drops all fields that are not in a summary. */
export function packSummary({ state, lease, memo }: TaskSummary): PackedSummary {
  const { task_id, attempt_count, current_attempt_id, next_eligible_at, failure_reason, last_error } = state;
  const { generation, abandons, questions, verification } = memo;
  const absorbed = memo.absorbed.length === 0 ? null : memo.absorbed;
  const completed = memo.completion?.attempt_id ?? null;
  const rest = Object.entries({
    next_eligible_at,
    failure_reason,
    last_error,
    lease,
    absorbed,
    questions,
    verification,
  }).filter(([, value]) => value !== null && value !== undefined);
  const packed: PackedSummary = [
    task_id,
    state.state,
    attempt_count,
    current_attempt_id,
    state.updated_by.run_id,
    generation,
    abandons,
    completed !== null && completed === current_attempt_id ? true : completed,
  ];
  if (rest.length > 0) packed[8] = Object.fromEntries(rest) as Rest;
  return packed;
}

const NO_REST: Rest = {};
const NONE: readonly never[] = [];

export function unpackSummary(packed: PackedSummary): TaskSummary {
  const [task_id, state, attempt_count, current_attempt_id, run_id, generation, abandons, last, rest = NO_REST] =
    packed;
  const { next_eligible_at, failure_reason, last_error, lease = null, absorbed = NONE, questions, verification } = rest;
  const completed = last === true ? current_attempt_id : last;
  return {
    state: {
      task_id,
      state,
      attempt_count,
      current_attempt_id,
      next_eligible_at,
      failure_reason,
      last_error,
      updated_by: { run_id },
    },
    lease,
    memo: {
      generation,
      abandons,
      absorbed,
      questions,
      verification,
      completion: completed === null ? null : { attempt_id: completed },
    },
  };
}
