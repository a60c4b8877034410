/** Gathers the facts of a worker's prompt. What cannot be read is left out, so that the worker starts all the same. */

import type { Plan, PlanTask } from '../../domain/plan/plan.ts';
import type { WorkerKind } from '../../domain/prompt/reporting.ts';
import type {
  EarlierAttempt,
  NewOnBase,
  PromptFacts,
  SettledDecision,
  Workspace,
} from '../../domain/prompt/worker-prompt.ts';
import { ledgerOf, questionBudget, questionsAsked, type SettledQuestion } from '../../domain/question/questions.ts';
import { asksForChanges, type Reviewed } from '../../domain/review/reviews.ts';
import { attemptsThatHappened, failuresOf } from '../../domain/task/attempts.ts';
import type { AttemptManifest, TaskRecord } from '../../domain/task/records.ts';
import { verifyCommands } from '../../domain/verify/commands.ts';
import { orNull } from '../../lib/errors.ts';
import { OWN_PROGRAM } from '../../process/programs.ts';
import { readConventions } from '../../project/user-files.ts';
import type { Env } from '../env.ts';
import { begunFor, workspaceOf } from './workspace.ts';

export interface PromptRequest {
  /** Null when nothing has happened to the task. */
  record: TaskRecord | null;
  /** The attempt that the prompt is for; null before the claim: then every attempt is an earlier one. */
  attemptNumber: number | null;
  /** Where the work is done; default: the project's folder, on no branch of its own. */
  workspace?: Workspace | undefined;
  worker: WorkerKind;
}

/** Numbers of attempts and of decisions that the prompt repeats: the newest ones. */
const ATTEMPTS_TOLD = 3;
const DECISIONS_TOLD = 10;

/**
 * The facts of a worker's prompt. Without attempts and questions before it, only the file of conventions is looked for.
 * Never throws for what it finds on disk.
 */
export async function gatherPrompt(
  env: Env,
  task: PlanTask,
  plan: Pick<Plan, 'phaseById'>,
  { record, attemptNumber, workspace = workspaceOf(env), worker }: PromptRequest,
): Promise<PromptFacts> {
  const isEarlier = (number: number) => attemptNumber === null || number < attemptNumber;
  const phase = plan.phaseById.get(task.phase_id);
  const earlier = record === null ? [] : ((await orNull(() => earlierAttempts(env, record, isEarlier))) ?? []);
  const { soft, hard } = questionBudget(task.question_budget, env.settings.agents.question_budget);
  return {
    worker,
    cli: OWN_PROGRAM,
    questions: { asked: record === null ? 0 : questionsAsked(record), soft, hard },
    setup: workspace.branch === null ? null : env.settings.agents.setup,
    newOnBase: await orNull(() => newOnBase(env, task.id, record, workspace, earlier.at(-1)?.baseSha ?? null)),
    task,
    phase: { name: phase?.name ?? task.phase_id, goal: phase?.goal ?? null },
    verify: verifyCommands(env.settings.verify.commands, task).map(({ command }) => command),
    attemptNumber,
    workspace,
    conventions: readConventions([...new Set([workspace.path, env.paths.project])]),
    failures: record === null ? [] : failuresOf(record).filter(({ attempt_number }) => isEarlier(attempt_number)),
    attempts: earlier,
    decisions: record === null ? [] : await decisionsOf(env, record),
    protectedGlobs: env.settings.agents.preflight_globs,
  };
}

/** `baseSha`: what its base was at when it was verified; null where it was not. */
interface Earlier extends EarlierAttempt {
  baseSha: string | null;
}

/** Nothing is looked for where the branch has just been made. */
async function newOnBase(
  env: Env,
  taskId: string,
  record: TaskRecord | null,
  { branch, behind = null }: Workspace,
  since: string | null,
): Promise<NewOnBase | null> {
  if (branch === null || (behind === null && since === null)) return null;
  const { baseChanges } = await import('../../git/base-changes.ts');
  return baseChanges(env, taskId, record && (await begunFor(env, record)), since);
}

async function earlierAttempts(
  { store }: Env,
  { state }: TaskRecord,
  isEarlier: (number: number) => boolean,
): Promise<Earlier[]> {
  if (state.attempt_count === 0) return [];
  const { task_id } = state;
  const manifests = attemptsThatHappened(await store.listAttempts(task_id), state);
  const happened = manifests.flatMap(({ attempt_id, attempt_number: number }) =>
    number !== undefined && isEarlier(number) ? [{ attempt_id, number }] : [],
  );
  const entries: Earlier[] = [];
  for (const { attempt_id, number } of happened.slice(-ATTEMPTS_TOLD)) {
    const verdict = await orNull(() => store.readDocument('verdict', task_id, attempt_id));
    const verified = await orNull(() => store.readDocument('verified', task_id, attempt_id));
    entries.push({
      number,
      verdict: verdict?.verdict ?? null,
      summary: verdict?.summary ?? null,
      verification: verified?.commands ?? [],
      review: await reviewOf(store, manifests, attempt_id),
      baseSha: verified?.base_sha ?? null,
    });
  }
  return entries;
}

/** What the last review of an attempt's work asked for; null when there was none, or when it passed. */
async function reviewOf(
  store: Env['store'],
  manifests: readonly AttemptManifest[],
  attemptId: string,
): Promise<Reviewed | null> {
  const last = manifests.findLast(
    ({ phase, target_attempt_id }) => phase === 'review' && target_attempt_id === attemptId,
  );
  if (last === undefined) return null;
  const review = await orNull(() => store.readDocument('review', last.task_id, last.attempt_id));
  return review?.verdict != null && asksForChanges({ ...review, verdict: review.verdict }) ? review : null;
}

async function decisionsOf(env: Env, record: TaskRecord): Promise<SettledDecision[]> {
  const entries: SettledDecision[] = [];
  for (const settled of latestByKey(ledgerOf(record).settled).slice(-DECISIONS_TOLD)) {
    entries.push(await decisionOf(env, record.state.task_id, settled));
  }
  return entries;
}

/** What a decision's key would be answered with now: an answer counts for good, and more than any expiry. */
function latestByKey(settled: readonly SettledQuestion[]): SettledQuestion[] {
  const latest = new Map<string, SettledQuestion>();
  for (const question of settled) {
    const before = latest.get(question.decision_key);
    if (question.option_id !== null || before === undefined || before.option_id === null) {
      latest.set(question.decision_key, question);
    }
  }
  return [...latest.values()];
}

async function decisionOf({ store }: Env, taskId: string, settled: SettledQuestion): Promise<SettledDecision> {
  const { decision_key, option_id, answered_by, attempt_id, question_id } = settled;
  const question = await orNull(() => store.readDocument('question', taskId, attempt_id, question_id));
  const answer = await orNull(() => store.readDocument('answer', taskId, attempt_id, question_id));
  const label = question?.options.find(({ id }) => id === option_id)?.label ?? null;
  return { decision_key, option_id, label, note: answer?.note ?? null, answered_by };
}
