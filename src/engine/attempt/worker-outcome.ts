/** What the end of a worker means for its attempt: its own word, or what its exit says. */

import { untilMs } from '../../domain/agents/clock-time.ts';
import type { Adapter, AgentFailure } from '../../domain/agents/events.ts';
import { waitingPrompt } from '../../domain/agents/waiting-prompt.ts';
import type { PlanTask } from '../../domain/plan/plan.ts';
import { type ClassifiedError, classifyError, reasonText } from '../../domain/retry/classify.ts';
import type { OutputTail } from '../../domain/run/events.ts';
import { OVER_BUDGET } from '../../domain/schedule/budgets.ts';
import type { Step } from '../../domain/steps/journal.ts';
import { unendedFault } from '../../domain/steps/unended.ts';
import type { Outcome } from '../../domain/task/complete-attempt.ts';
import { RECORD_MAX_BYTES, type TaskRecord } from '../../domain/task/records.ts';
import { elsewhereFault } from '../../domain/verify/checkout-changes.ts';
import { evidenceOf } from '../../domain/verify/evidence.ts';
import { errorMessage, orNull } from '../../lib/errors.ts';
import { errorCode, whyUnread } from '../../lib/fs/io-errors.ts';
import { fromIso } from '../../lib/time.ts';
import { codeOf } from '../../process/exit-code.ts';
import type { WorkerExit } from '../../process/gated-worker.ts';
import { settingLimit, taskLimit } from '../../project/limits.ts';
import type { AttemptRef } from '../../store/port.ts';
import type { Env } from '../env.ts';
import { agentFailure, endOf } from './output.ts';
import { toldRetryAfter } from './retry-after.ts';
import { CLEAN_EXIT, parseVerdict } from './verdicts.ts';

export interface EndedWorker {
  task: PlanTask;
  attempt: AttemptRef;
  /** As the attempt began. */
  record: TaskRecord;
  exit: WorkerExit;
  tail: OutputTail;
  /** Whose structured output its stdout is; null: it is text. */
  agent: Adapter | null;
  /** Why forge has stopped it; null where it has ended by itself. */
  stopped: 'timeout' | 'stall' | { overBudget: string } | null;
  /** Files that were changed in the main checkout while it was at work. */
  elsewhere: readonly string[];
  /** Steps that were at work when it ended well. */
  unended: readonly string[];
}

export async function outcomeOf(env: Env, worker: EndedWorker): Promise<Outcome> {
  const { task, attempt, exit, tail, agent, stopped } = worker;
  if (stopped !== null && typeof stopped === 'object') {
    const message = `its budget is used up: ${stopped.overBudget}`;
    return { kind: 'failed', error: { class: OVER_BUDGET, message } };
  }
  const stalled = stopped === 'stall';
  const asked = stalled ? (waitingPrompt(tail.stderr) ?? waitingPrompt(tail.stdout)) : null;
  if (asked !== null)
    return {
      kind: 'failed',
      error: { class: 'timeout.prompt', message: `it waits for an answer, and gets none: ${asked}` },
    };
  const limit = stopped === 'timeout' ? await taskLimit(env, task) : stalled ? await settingLimit(env, 'stall') : null;
  const said = agentFailure(env.artifacts, attempt, agent, { exitCode: exit.code, stopped: limit !== null });
  // An agent may say that it has failed, and exit with 0.
  if (exit.code !== 0 || limit !== null || said !== null) {
    const step = limit === null && said === null ? await stepFault(env, attempt, exit) : null;
    const end = endOf(env, exit, limit, tail, { said, stalled });
    const error = step?.error ?? classifyError(end);
    if (said !== null && limit !== null) error.message += `; it still tried again when it was stopped: ${limit}`;
    // It may have ended as if all were well.
    if (said !== null && exit.code === 0 && (await isEmpty(env, worker))) error.message += '; nothing is committed';
    const until =
      toldRetryAfter(env, { attempt, task, draft: 'retry-after' }, end) ?? saidUntil(env, said) ?? step?.until;
    return { kind: 'failed', error, ...(until === undefined ? {} : { until }) };
  }
  const elsewhere = await onlyElsewhere(env, worker);
  if (elsewhere !== null) return { kind: 'failed', error: elsewhere };
  const unended = await unendedStep(env, attempt, worker.unended);
  if (unended !== null) return { kind: 'failed', error: unended };
  const { artifacts } = env;
  try {
    const text = artifacts.readDraft(attempt, 'verdict', RECORD_MAX_BYTES);
    return { kind: 'verdict', verdict: parseVerdict(text, artifacts.draftPath(attempt, 'verdict')), written: true };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return CLEAN_EXIT;
    const why = whyUnread(error, RECORD_MAX_BYTES);
    const message = why === null ? errorMessage(error) : `what is in FORGE_VERDICT_FILE cannot be read: ${why}`;
    return { kind: 'failed', error: { class: 'verdict.invalid', message } };
  }
}

/** When an agent says that it can go on. That a limit is over counts too; any other time that has passed says nothing. */
function saidUntil(env: Env, said: AgentFailure | null): number | undefined {
  const until = untilMs(said?.until ?? null, env.now());
  const counts = until !== null && (until > env.now() || said?.error.class === 'rate_limit');
  return counts ? until : undefined;
}

interface StepFault {
  error: ClassifiedError;
  /** When it was, milliseconds since the epoch. */
  atMs: number;
  until?: number | undefined;
}

/** What went wrong last with a step of the attempt, where its worker has ended as that says; null for any other end. */
async function stepFault(env: Env, attempt: AttemptRef, exit: WorkerExit): Promise<StepFault | null> {
  const failed = await failedStep(env, attempt, exit);
  const { lastMistake } = await import('../steps/mistakes.ts');
  const mistake = await lastMistake(env, attempt, exit.code);
  return mistake !== null && mistake.atMs >= (failed?.atMs ?? 0) ? mistake : failed;
}

/** The fault of a worker that has left these steps at work, unless they are done by now; null for any other. */
export async function unendedStep(
  env: Env,
  { taskId }: AttemptRef,
  names: readonly string[],
): Promise<ClassifiedError | null> {
  if (names.length === 0) return null;
  const steps = await stepsOf(env, taskId);
  return unendedFault([...new Set(names)].filter((name) => steps.get(name)?.status !== 'completed'));
}

/** Those of its journal; none where that cannot be read. */
async function stepsOf(env: Env, taskId: string): Promise<ReadonlyMap<string, Step>> {
  const { record } = await env.store.read(taskId);
  if (record?.memo.journal === undefined) return new Map();
  const { readJournal } = await import('../steps/task-journal.ts');
  return (await orNull(() => readJournal(env, record)))?.steps ?? new Map();
}

async function failedStep(env: Env, { taskId, attemptId }: AttemptRef, exit: WorkerExit): Promise<StepFault | null> {
  // A step that is still to be tried again has told its script nothing.
  const isOver = ({ status, kind, wake }: Step) =>
    status === 'timed_out' || (status === 'failed' && (kind !== 'step' || wake === undefined));
  const failed = [...(await stepsOf(env, taskId)).values()].filter(
    (step) => isOver(step) && step.attempt_id === attemptId,
  );
  const last = failed.toSorted((one, other) => ((one.ended_at ?? '') < (other.ended_at ?? '') ? -1 : 1)).at(-1);
  const { exit_code: code = null, signal = null, ...error } = last?.last_error ?? { class: '', message: '' };
  if (last === undefined || exit.code !== codeOf({ code, signal })) return null;
  return {
    error: { class: error.class, message: `step ${last.name}: ${reasonText(error)}`, exit_code: exit.code },
    atMs: fromIso(last.ended_at ?? ''),
    until: last.retry_after === undefined ? undefined : fromIso(last.retry_after),
  };
}

/** The fault of a worker that has left its own branch empty while the main checkout was changed; null for any other. */
async function onlyElsewhere(env: Env, worker: EndedWorker): Promise<ClassifiedError | null> {
  // Of a task that is to change nothing an empty branch says nothing.
  const wanted = worker.task.changes ?? env.settings.changes;
  if (worker.elsewhere.length === 0 || wanted === 'none') return null;
  return (await isEmpty(env, worker)) ? elsewhereFault(worker.elsewhere) : null;
}

/** Whether its worktree's branch has no commit of its own; false also where that can't be known. */
async function isEmpty(env: Env, { task, attempt, record }: EndedWorker): Promise<boolean> {
  const work = evidenceOf(record, attempt.attemptId);
  if (work === null || work.worktree_path === null) return false;
  const { hasOwnCommits } = await import('../../git/branch-start.ts');
  return (await orNull(() => hasOwnCommits(env, task.id, work.base_branch))) === false;
}

/** The commit that a worktree is at; undefined where that can't be known. */
export async function commitIn(env: Env, worktree: string): Promise<string | undefined> {
  const { headOf } = await import('../../git/repository.ts');
  return (await orNull(() => headOf(env, worktree)))?.head;
}
