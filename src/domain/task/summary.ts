/** What of a task's record says where the task stands: all that a look at a whole tree reads, and keeps for the next one. */

import type { Lease, Memo, TaskStateRecord } from './records.ts';

type StatePart =
  | 'task_id'
  | 'state'
  | 'attempt_count'
  | 'current_attempt_id'
  | 'next_eligible_at'
  | 'failure_reason'
  | 'last_error';

/** Every record is one, too. */
export interface TaskSummary {
  state: Pick<TaskStateRecord, StatePart> & { updated_by: { run_id: string | null } };
  lease: Lease | null;
  memo: Pick<Memo, 'generation' | 'abandons' | 'questions' | 'verification'> & {
    absorbed: readonly string[];
    completion: { attempt_id: string } | null;
  };
}
