/** `render-worker-prompt`: what the worker of a task is told. */

import { workerPrompt } from '../domain/prompt/worker-prompt.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { gatherPrompt } from '../engine/attempt/prompt.ts';
import { foreseeWorkspace } from '../engine/attempt/workspace.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { requirePlan } from '../project/plan-file.ts';
import { plannedTask } from './shared/reads.ts';
import { type Call, openSession } from './shared/session.ts';

export interface RenderPromptOptions {
  task: string;
  /** The task's current attempt; the next one when it is not given. */
  attempt?: string | undefined;
}

export interface RenderPromptData {
  task_id: string;
  /** Null for an attempt that is still to come. */
  attempt_number: number | null;
  /** Markdown; ends with a newline. */
  prompt: string;
}

/** Writes nothing. Throws INVALID_ID, TASK_NOT_FOUND, STALE_ATTEMPT when `attempt` is not the current one. */
export async function renderWorkerPrompt(call: Call, options: RenderPromptOptions): Promise<RenderPromptData> {
  const session = openSession(call);
  const loaded = requirePlan(session);
  const task = plannedTask(loaded, options.task);
  const { record, problem } = await session.store.read(task.id);
  if (problem !== null) call.warn(`${problem}; the prompt is without what came before`);
  const attemptNumber = options.attempt === undefined ? null : numberOf(record, task.id, options.attempt);
  const workspace = await foreseeWorkspace(session, task.id);
  const facts = await gatherPrompt(session, task, loaded.plan, { record, attemptNumber, workspace });
  return { task_id: task.id, attempt_number: attemptNumber, prompt: workerPrompt(facts) };
}

function numberOf(record: TaskRecord | null, taskId: string, attempt: string): number {
  const id = requireUuid(attempt, '--attempt');
  if (record?.state.current_attempt_id === id) return record.state.attempt_count;
  throw new ForgeError('STALE_ATTEMPT', `attempt ${id} is not the current attempt of task ${taskId}`);
}
