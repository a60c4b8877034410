/** What of a task's record tells where the task stands. Whoever looks at a whole tree goes by it, and it is kept for the next look. */

import type { Lease, Memo, TaskState, TaskStateRecord } from './records.ts';

type StatePart = 'task_id' | 'state' | 'attempt_count' | 'current_attempt_id';
type StateRest = 'next_eligible_at' | 'failure_reason' | 'last_error';
type MemoRest = 'questions' | 'verification';

/** Every record is one, too. */
export interface RecordExcerpt {
  state: Pick<TaskStateRecord, StatePart | StateRest> & { updated_by: { run_id: string | null } };
  lease: Lease | null;
  memo: Pick<Memo, 'generation' | 'abandons' | MemoRest> & {
    absorbed: readonly string[];
    completion: { attempt_id: string } | null;
  };
}

/** What most tasks have nothing of, those that are over above all. */
type Rest = Partial<
  Pick<TaskStateRecord, StateRest> & Pick<Memo, 'absorbed' | MemoRest> & Pick<RecordExcerpt, 'lease'>
>;

/** An excerpt as a list, as JSON a third as long and as quickly read. */
export type PackedExcerpt = [
  task_id: string,
  state: TaskState,
  attempt_count: number,
  current_attempt_id: string | null,
  run_id: string | null,
  generation: number,
  abandons: number,
  /** The attempt that was completed last; true: the current one. */
  completed: string | true | null,
  rest?: Rest,
];

/** Of what is not in an excerpt nothing is left. */
export function packExcerpt({ state, lease, memo }: RecordExcerpt): PackedExcerpt {
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
  const packed: PackedExcerpt = [
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

export function unpackExcerpt(packed: PackedExcerpt): RecordExcerpt {
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
