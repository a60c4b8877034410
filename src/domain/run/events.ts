/** What happens during a run, as typed events. Loggers render them; `run --json` prints one a line. */

import * as z from 'zod/mini';
import type { Question } from '../question/questions.ts';
import { type ClassifiedError, ClassifiedErrorSchema } from '../retry/classify.ts';
import type { Reason } from '../schedule/readiness.ts';
import { type FailureReason, TASK_STATES, type TaskState } from '../task/records.ts';
import { SpentSchema } from '../task/spending.ts';
import type { IntegrationPhase } from '../task/states.ts';

export interface OutputTail {
  stdout: string;
  stderr: string;
  /** Its log within the attempt's `logs`. Absent: the worker's own logs. */
  log?: `${string}.log`;
}

export type RunEvent =
  | {
      type: 'run_started';
      run_id: string;
      tasks: number;
      max_parallel: number;
      /** Tasks that the run has begun again. Absent: none. */
      rerun?: readonly string[];
    }
  | {
      type: 'task_started';
      task_id: string;
      title: string;
      attempt_id: string;
      attempt_number: number;
      pid: number | null;
    }
  /** Whole lines, as they come or at the end of the attempt. `cut`: what was before them is in the log only. */
  | {
      type: 'task_output';
      task_id: string;
      attempt_id: string;
      stream: 'stdout' | 'stderr';
      text: string;
      cut: boolean;
    }
  /** A command of `agents.setup` starts: in the worktree of the task, or where its merge is verified. */
  | { type: 'task_setup'; task_id: string; command: string }
  /** A verification command of the attempt starts. */
  | { type: 'task_verifying'; task_id: string; name: string; command: string }
  /** A verified task is being reviewed or merged: an attempt of its own. */
  | { type: 'task_finishing'; task_id: string; phase: IntegrationPhase; attempt_id: string }
  /** The review or merge could not be made, for a reason that is not the task's, and the task waits as before. */
  | {
      type: 'task_held';
      task_id: string;
      phase: IntegrationPhase;
      error: { code: string; message: string; hint: string };
      /** Milliseconds until this run tries again; null: it does not. */
      delay_ms: number | null;
    }
  /** The attempt failed, and the policy retries it. */
  | {
      type: 'task_retry';
      task_id: string;
      attempt_id: string;
      attempts: number;
      error: ClassifiedError;
      next_eligible_at: string | null;
      delay_ms: number;
      duration_ms: number;
      tail: OutputTail;
    }
  /** The attempt ended and no further one follows: shipped, on its way there, or failed. */
  | {
      type: 'task_finished';
      task_id: string;
      attempt_id: string | null;
      /** It was not done again: its outputs are there by what was kept. Default: false. */
      unchanged?: boolean;
      state: TaskState;
      attempts: number;
      duration_ms: number;
      error: ClassifiedError | null;
      failure_reason: FailureReason | null;
      tail: OutputTail;
    }
  /** The attempt was cut short, uncharged: by an interrupt, or because its lease was lost. */
  | {
      type: 'task_interrupted';
      task_id: string;
      attempt_id: string;
      state: TaskState;
      why: string;
      duration_ms: number;
    }
  /** The worker has ended, uncharged: it asked a question and its task waits for the answer, or `waits` says what for; `wake_at`: until when. */
  | {
      type: 'task_parked';
      task_id: string;
      attempt_id: string;
      state: TaskState;
      duration_ms: number;
      waits: string | null;
      wake_at: string | null;
    }
  /** A question of a selected task, from any attempt. `question` is null when its file cannot be read. */
  | {
      type: 'question_opened';
      task_id: string;
      question_id: string;
      decision_key: string;
      expires_at: string;
      question: Question | null;
    }
  | {
      type: 'question_settled';
      task_id: string;
      question_id: string;
      decision_key: string;
      /** Null when it expired. */
      option_id: string | null;
      answered_by: string;
    }
  /** Work that is left when the run ends, and what it waits for. */
  | { type: 'task_blocked'; task_id: string; title: string; reasons: Reason[] }
  /** `line`: what the worker wrote last; null where there is nothing, or it is not wanted. */
  | {
      type: 'still_running';
      tasks: { task_id: string; duration_ms: number; line: string | null }[];
      waiting: number;
    }
  | { type: 'waiting'; for: { task_id: string; reason: string }[] }
  /** What tasks that ended long ago had no use for is removed, by `retention` of the settings. `bytes`: room on the disk. */
  | { type: 'pruned'; tasks: number; runs: number; files: number; bytes: number }
  | { type: 'warning'; message: string }
  | RunFinished;

export const RunFinishedSchema = () =>
  z.strictObject({
    type: z.literal('run_finished'),
    run_id: z.string(),
    /** How many of the selected tasks are in each state; `done` and `dropped` are statuses of the plan, `skipped` those whose conditions can't come true. */
    counts: z.record(z.string(), z.int().check(z.gte(0))),
    /** Selected tasks that have failed, in this run or before, in plan order. */
    failed: z.readonly(
      z.array(
        z.strictObject({
          task_id: z.string(),
          error: z.nullable(ClassifiedErrorSchema()),
          /** Others do all the same, so the run can end well: its `continue_on_error`, or the task that made it has. */
          goes_on: z.boolean(),
        }),
      ),
    ),
    /** What this run has brought as far as a result that counts, where its worker has said something of it or its worktree is there, in plan order. */
    results: z.readonly(
      z.array(
        z.strictObject({
          task_id: z.string(),
          state: z.enum(TASK_STATES),
          branch: z.nullable(z.string()),
          worktree_path: z.nullable(z.string()),
          summary: z.nullable(z.string()),
        }),
      ),
    ),
    exit_code: z.int(),
    duration_ms: z.number(),
    /** By its attempts that have ended. */
    spent: SpentSchema(),
    interrupted: z.boolean(),
  });
export type RunFinished = z.infer<ReturnType<typeof RunFinishedSchema>>;
