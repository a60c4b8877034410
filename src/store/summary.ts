/** Tasks without what only a change of them needs: a whole record takes three times as much memory, and a large tree has many. */

import type { TaskSummary } from '../domain/task/records.ts';
import type { TaskRead, TaskSummaryRead } from './port.ts';

export function summarized({ task_id, version, origin, record, problem, warnings }: TaskRead): TaskSummaryRead {
  return { task_id, version, origin, record: record && summaryOf(record), problem, warnings };
}

export function summaryOf({ state, lease, memo }: TaskSummary): TaskSummary {
  const { task_id, attempt_count, current_attempt_id, next_eligible_at, failure_reason, last_error, updated_at } =
    state;
  const { wake_at, waits_for } = state;
  const { generation, abandons, absorbed, questions, backoff, verification, definition, agent, completion } = memo;
  const { spending, review_hold, held, summary, fan_outs, reuse } = memo;
  const updated_by = { run_id: state.updated_by.run_id };
  const completed = completion && { attempt_id: completion.attempt_id };
  return {
    state: {
      task_id,
      state: state.state,
      attempt_count,
      current_attempt_id,
      next_eligible_at,
      wake_at,
      waits_for,
      failure_reason,
      last_error,
      updated_at,
      updated_by,
    },
    lease,
    memo: {
      generation,
      abandons,
      absorbed,
      questions,
      backoff,
      verification,
      definition,
      agent,
      spending,
      review_hold,
      held,
      summary,
      fan_outs,
      reuse,
      completion: completed,
    },
  };
}
