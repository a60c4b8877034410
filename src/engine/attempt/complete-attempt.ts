/** Ending an attempt: shared by `complete`, `run` and `exec`. */

import { fanOutsOf } from '../../domain/fan-out/fan-outs.ts';
import { unjoinedFault } from '../../domain/fan-out/join.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { isReusable, withReuse } from '../../domain/reuse/reuse.ts';
import { masked } from '../../domain/secrets.ts';
import type { Settings } from '../../domain/settings/settings.ts';
import { type CompleteResult, completeTask, type Outcome } from '../../domain/task/complete-attempt.ts';
import { RECORD_MAX_BYTES, type TaskRecord, type Verdict } from '../../domain/task/records.ts';
import { andThen, type Decision } from '../../domain/task/transition.ts';
import { verifyCommands } from '../../domain/verify/commands.ts';
import { evidenceOf, findingOf, NO_WORKTREE, verifiedEvidence } from '../../domain/verify/evidence.ts';
import { NOTHING_NOTED, writtenTexts } from '../../domain/verify/guardrails.ts';
import { isUnchanged, NO_WORK_FOUND, type Verified, verifiedOf } from '../../domain/verify/verification.ts';
import { isoTime } from '../../lib/time.ts';
import { type Changed, changeTask } from '../../store/change.ts';
import type { NewDocument, StandingDocument } from '../../store/port.ts';
import { doesItself, type Env, instantOf, secretsOf } from '../env.ts';
import { leftResult } from './child-result.ts';
import { type Completion, taskPolicy } from './completion.ts';
import { refuseOtherVerdict, twinDigest, twinOf } from './verdicts.ts';
import type { Settled } from './verification.ts';

/**
 * Ends an attempt. A verdict of `ready_for_review` is verified first; disagreement is a failure, and the policy decides.
 * Returns null when the verification was stopped: the task is unchanged, and its next owner finishes it.
 * Throws STALE_ATTEMPT, LEASE_STOLEN, IO_ERROR.
 */
export async function endAttempt(env: Env, given: Completion): Promise<Changed<CompleteResult> | null> {
  const completion = { ...given, ...(await reuseOfOthers(env, given)), outcome: maskedOutcome(env, given) };
  const commands = verifyCommands(env.settings.verify.commands, completion.task);
  // Most tasks have nothing to be checked, and loading what checks would be felt.
  const { reviewed, shipped } = routeOf(env.settings);
  const isEnd = reviewed && shipped && env.settings.workspace === 'none';
  // What is there unchanged was verified by the same commands when it was made.
  const isChecked = commands.length === 0 || completion.reuse?.unchanged === true;
  if (isChecked && isEnd) return commit(env, completion, NOTHING_TO_CHECK);
  const { settleVerdict } = await import('./verification.ts');
  const settled = await settleVerdict(env, completion, commands);
  if (settled === null) return null;
  const changed = await commit(env, { ...completion, outcome: settled.outcome }, settled);
  const twin = settled.verified && (await twinOf(env, changed.record, completion.attemptId));
  for (const text of twin ? toldTexts(env, completion, twin) : []) env.warn(`task ${completion.taskId}: ${text}`);
  return changed;
}

/** Of a task with `cache` that another program than its own has done: from now on runs compare its inputs too, and its outputs are not kept for others. */
async function reuseOfOthers(env: Env, { task, outcome, reuse }: Completion): Promise<Partial<Completion>> {
  if (reuse || outcome.kind !== 'verdict' || task === null || !isReusable(task, env.settings)) return {};
  const { madeNow, reuseNow } = await import('./reuse.ts');
  return { reuse: await reuseNow(env, task), made: () => madeNow(env, task) };
}

/** What people should know of work that counts. */
function toldTexts({ settings }: Env, { task }: Completion, twin: Verified): string[] {
  // Where neither plan nor settings allow that.
  const isOdd = twin.failure === null && isUnchanged(twin) && (task?.changes ?? settings.changes) !== 'none';
  const unchanged = `nothing was changed: its branch has no change of its own to ${twin.base ?? 'its base'}`;
  return [...(isOdd ? [unchanged] : []), ...writtenTexts(twin)];
}

/** What a worker says in its own words is kept without secrets. */
function maskedOutcome(env: Env, { task, outcome }: Completion): Outcome {
  const text = (words: string) => masked(words, secretsOf(env, task));
  if (outcome.kind === 'failed')
    return { ...outcome, error: { ...outcome.error, message: text(outcome.error.message) } };
  return { ...outcome, verdict: { ...outcome.verdict, summary: text(outcome.verdict.summary) } };
}

const NOTHING_TO_CHECK = { verified: null, unreadable: false, isHandedIn: false, fault: null };

/** A verdict is created with the commit, once: another one for the same attempt is refused. */
async function commit(
  env: Env,
  completion: Completion,
  { verified, unreadable, isHandedIn, fault }: Omit<Settled, 'outcome'>,
): Promise<Changed<CompleteResult>> {
  const { taskId, attemptId, outcome, task } = completion;
  const left = leftResult(env, { taskId, attemptId }, task);
  const { random } = env.ctx;
  const [policy, route] = [taskPolicy(env.settings, task), routeOf(env.settings)];
  const request = { ...completion, verified, unreadable, fault, policy, route, random };
  return changeTask(env, taskId, async (before, _, standing) => {
    // A repeat finds it begun, and over.
    const begun = before.state.current_attempt_id === attemptId ? null : (completion.begin?.(before) ?? null);
    const record = begun?.record ?? before;
    const decided = await decide(record, standing);
    return begun === null ? decided : andThen(before, begun, () => decided);
  });

  async function decide(record: TaskRecord, standing: StandingDocument | null): Promise<Decision<CompleteResult>> {
    const unfit = (left !== null && 'fault' in left ? left.fault : null) ?? (await unjoined(env, record));
    const completed = completeTask(record, { ...request, unfit, instant: instantOf(env) });
    const decision = reusable(withResult(completed, attemptId, left, standing), completion);
    if (outcome.kind !== 'verdict' || !outcome.written || decision.record === null) return decision;
    refuseOtherVerdict(standing, taskId);
    const verdict = { kind: 'verdict' as const, attemptId, value: outcome.verdict };
    const documents: NewDocument[] = [...(decision.documents ?? []), ...(isHandedIn ? [] : [verdict])];
    if (outcome.verdict.verdict !== 'ready_for_review' || verified !== null) return { ...decision, documents };
    const twin = unchecked(env, completion, outcome.verdict);
    const work = evidenceOf(record, attemptId) ?? NO_WORKTREE;
    Object.assign(decision.record.memo, verifiedEvidence(attemptId, work, findingOf(twin, twinDigest(twin))));
    return { ...decision, documents: [...documents, { kind: 'verified', attemptId, value: twin }] };
  }
}

/** Why a task that has left children to themselves is not done; null for any other. */
async function unjoined(env: Env, record: TaskRecord): Promise<ClassifiedError | null> {
  const sealed = fanOutsOf(record);
  if (sealed.length === 0) return null;
  const { readJournal } = await import('../steps/task-journal.ts');
  return unjoinedFault(sealed, (await readJournal(env, record))?.steps.values() ?? []);
}

/** A child's result is kept with the work that counts, once: one of a commit that was cut off stands. */
function withResult<R>(
  decision: Decision<R>,
  attemptId: string,
  left: ReturnType<typeof leftResult>,
  standing: StandingDocument | null,
): Decision<R> {
  if (left === null || 'fault' in left || decision.record === null) return decision;
  const value = standing?.kind === 'result' ? standing.value : { version: 1, attempt_id: attemptId, value: left.value };
  return { ...decision, documents: [...(decision.documents ?? []), { kind: 'result', attemptId, value }] };
}

/** Keeps with work that counts what it was made of, and how that looks. */
function reusable<R>(decision: Decision<R>, { reuse, made }: Pick<Completion, 'reuse' | 'made'>): Decision<R> {
  if (!reuse || decision.record === null) return decision;
  return { ...decision, record: withReuse(decision.record, () => ({ ...reuse, made: made?.() ?? null })) };
}

/** A verdict that nothing was to be checked of has a twin as well: so one without has not been verified. */
function unchecked(env: Env, { attemptId, session }: Completion, verdict: Verdict): Verified {
  return verifiedOf(
    {
      attemptId,
      verdict,
      found: NO_WORK_FOUND,
      notes: NOTHING_NOTED,
      worktreePath: null,
      checks: [],
      failure: null,
      session,
      verifiedAt: isoTime(env.now()),
      durationMs: 0,
    },
    RECORD_MAX_BYTES,
  );
}

/** How far a verified task goes without a person. */
function routeOf(settings: Settings): { reviewed: boolean; shipped: boolean } {
  const { review, ship } = doesItself(settings);
  return { reviewed: !review, shipped: !ship };
}
