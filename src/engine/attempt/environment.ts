/** The environment of every command that works for a task: its worker, its checks, its reviewer. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import type { PhaseOfWork, TaskStateRecord } from '../../domain/task/records.ts';
import { commandsAround, gitSetting, NO_COMMIT_GRAPH } from '../../domain/task/workspaces.ts';
import type { WorkerOptions } from '../../process/gated-worker.ts';
import { workerEnvironment } from '../../process/programs.ts';
import type { Env } from '../env.ts';
import { slotVariables } from './slots.ts';

/** The FORGE_* variables of a command. spec/ORCHESTRATOR.md has the table of the variables that each kind of command gets. */
export interface CommandFacts {
  taskId: string;
  /** By it a process group is recognised once its leader is gone. */
  claimId: string;
  phase?: PhaseOfWork;
  /** Left out for checks: they have no say in the attempt. */
  attempt?: { runId: string; attemptId: string; generation: number; number: number; promptFile: string };
  worker?: { lastError: TaskStateRecord['last_error']; verdictFile: string; retryAfterFile: string };
  /** Of a child. */
  child?: { parent: string; inputFile: string; resultFile: string };
  review?: { base: string | null; head: string | null; file: string };
}

/** `task` is null for one that is not in the plan. */
export function commandEnvironment(
  env: Env,
  task: PlanTask | null,
  { taskId, claimId, phase, attempt, worker, child, review }: CommandFacts,
): WorkerOptions['env'] {
  const { ctx, paths } = env;
  const outer = commandsAround(ctx.env).join(' ');
  const own = { ...workerEnvironment(ctx.env, paths.project), ...task?.env };
  return {
    ...own,
    // Checks and reviewers judge what is committed.
    ...(worker === undefined ? gitSetting(own, NO_COMMIT_GRAPH) : {}),
    ...(outer === '' ? {} : { FORGE_OUTER_CLAIMS: outer }),
    FORGE_DIR: paths.project,
    FORGE_TASK_ID: taskId,
    FORGE_CLAIM_ID: claimId,
    FORGE_PHASE: phase,
    ...slotVariables(env, taskId),
    ...(attempt && {
      FORGE_RUN_ID: attempt.runId,
      FORGE_ATTEMPT_ID: attempt.attemptId,
      FORGE_GENERATION: String(attempt.generation),
      FORGE_ATTEMPT_NUMBER: String(attempt.number),
      FORGE_PROMPT_FILE: attempt.promptFile,
    }),
    ...(worker && {
      FORGE_LAST_ERROR: worker.lastError ? JSON.stringify(worker.lastError) : '',
      FORGE_VERDICT_FILE: worker.verdictFile,
      FORGE_RETRY_AFTER_FILE: worker.retryAfterFile,
    }),
    ...(child && {
      FORGE_PARENT_TASK_ID: child.parent,
      FORGE_INPUT_FILE: child.inputFile,
      FORGE_RESULT_FILE: child.resultFile,
    }),
    ...(review && {
      FORGE_REVIEW_BASE: review.base ?? '',
      FORGE_REVIEW_HEAD: review.head ?? '',
      FORGE_REVIEW_FILE: review.file,
    }),
  };
}
