/** `render-worker-prompt`: what the worker of a task is told. */

import * as z from 'zod/mini';
import { agentFor } from '../domain/agents/known.ts';
import type { PlanTask } from '../domain/plan/plan.ts';
import { commandSource } from '../domain/plan/task-command.ts';
import type { WorkerKind } from '../domain/prompt/reporting.ts';
import { workerPrompt } from '../domain/prompt/worker-prompt.ts';
import { masked } from '../domain/secrets.ts';
import { workerLimits } from '../domain/settings/worker-limits.ts';
import { gatherPrompt } from '../engine/attempt/prompt.ts';
import { expectedWorkspace } from '../engine/attempt/workspace.ts';
import { secretsOf } from '../engine/env.ts';
import { ForgeError, orNull } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { requirePlan } from '../project/plan-file.ts';
import { command, ownAttemptField, taskField } from './shared/command.ts';
import { plannedTask } from './shared/planned.ts';
import { openSession, type Session } from './shared/session.ts';

export const renderWorkerPrompt = command({
  changes: false,
  notes: 'Of the next attempt, or of the current one: `run` leaves it in FORGE_PROMPT_FILE.',
  examples: [
    ['render-worker-prompt build', 'what the next worker of build is told'],
    ['render-worker-prompt', 'the task and attempt in FORGE_*'],
    ['render-worker-prompt build --json', 'the same for a script'],
  ],
  input: z.object({
    task: taskField(),
    attempt: ownAttemptField('The current attempt (default: FORGE_ATTEMPT_ID, for its own task)'),
  }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      /** Null for an attempt that is still to come. */
      attempt_number: z.nullable(z.int()),
      /** Markdown; ends with a newline. */
      prompt: z.string(),
    }),
  /** Writes nothing. Throws INVALID_ID, TASK_NOT_FOUND, STALE_ATTEMPT when `attempt` is not the current one. */
  async run(context, options) {
    const session = await openSession(context);
    const loaded = await requirePlan(session);
    const task = plannedTask(loaded, options.task);
    const { record, problem } = await session.store.read(task.id);
    if (problem !== null) context.warn(`${problem}; the prompt is without what came before`);
    const attempt = options.attempt === undefined ? null : requireUuid(options.attempt, '--attempt');
    if (attempt !== null && record?.state.current_attempt_id !== attempt)
      throw new ForgeError('STALE_ATTEMPT', `attempt ${attempt} is not the current attempt of task ${task.id}`);
    const attemptNumber = attempt === null ? null : (record?.state.attempt_count ?? null);
    const workspace = await expectedWorkspace(session, task.id, record);
    const worker = await workerKind(session, task, attempt);
    const facts = await gatherPrompt(session, task, loaded.plan, { record, attemptNumber, workspace, worker });
    return {
      task_id: task.id,
      attempt_number: attemptNumber,
      prompt: masked(workerPrompt(facts), secretsOf(session, task)),
    };
  },
});

/** Who works on the attempt; null: who is to work on the next one, as far as plan and settings say. */
async function workerKind(session: Session, task: PlanTask, attempt: string | null): Promise<WorkerKind> {
  const { agents } = session.settings;
  const manifest =
    attempt === null ? null : await orNull(() => session.store.readDocument('manifest', task.id, attempt));
  const isStarted =
    manifest === null ? attempt === null && commandSource(task, agents) !== null : manifest.worker !== null;
  if (!isStarted) return { kind: 'claims', attemptId: attempt, heartbeatMs: agents.heartbeat_interval_ms };
  const kind = { agent: agentFor(task, agents) !== null, alone: true };
  return { kind: 'started', ...workerLimits(task, agents, kind) };
}
