/** Reviews a task's result: by the settings' command, or by a review that is handed in. */

import { untilMs } from '../../domain/agents/clock-time.ts';
import { NEEDS_PERSON } from '../../domain/agents/events.ts';
import { type Agent, isAgent } from '../../domain/agents/known.ts';
import { adapterOf } from '../../domain/agents/output.ts';
import { installHint } from '../../domain/plan/agent-programs.ts';
import { reviewPrompt } from '../../domain/prompt/review-prompt.ts';
import { type ClassifiedError, classifyError, errorText } from '../../domain/retry/classify.ts';
import { holdReview } from '../../domain/review/review-hold.ts';
import { type ReviewCommand, reviewCommand, reviewIn } from '../../domain/review/reviewer.ts';
import { asksForChanges, changesError, type Review, type Reviewed, ReviewSchema } from '../../domain/review/reviews.ts';
import { LIMIT_MS } from '../../domain/schedule/agent-holds.ts';
import { RECORD_MAX_BYTES } from '../../domain/task/records.ts';
import { spentByReview } from '../../domain/task/spending.ts';
import { repeated } from '../../domain/task/transition.ts';
import { modifiedIn } from '../../git/changes.ts';
import { filesChanged } from '../../git/inspect-worktree.ts';
import { repositoryOf, textAt } from '../../git/repository.ts';
import { errorMessage, ForgeError, orNull } from '../../lib/errors.ts';
import { errorCode, whyUnread } from '../../lib/fs/io-errors.ts';
import { byteLength, oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import { missingProgram } from '../../process/programs.ts';
import { settingLimit } from '../../project/limits.ts';
import { CONVENTION_FILES, type Conventions, conventionsIn, readConventions } from '../../project/user-files.ts';
import { changeTask } from '../../store/change.ts';
import type { AttemptArtifacts, AttemptRef, NewDocument } from '../../store/port.ts';
import { agentFailure, endOf, lastWords, tailOf, WORKER_LOGS } from '../attempt/output.ts';
import { countReview, sessionMeter } from '../attempt/session-meter.ts';
import { parseHandedIn, twinOf } from '../attempt/verdicts.ts';
import type { Env } from '../env.ts';
import {
  type IntegrationEnd,
  type IntegrationLease,
  type IntegrationRequest,
  integrate,
  movedFailure,
  note,
  targetOf,
} from './integration.ts';

export interface ReviewRequest extends IntegrationRequest {
  /** A review that is handed in; null: the settings' command reviews. */
  handedIn: Review | null;
}

/** Most of the conventions that a prompt repeats, characters. */
const CONVENTIONS_MAX_CHARS = 64 * 1024;

/** Most of a reviewer's file, bytes: a record has to have room for it. */
const REVIEW_MAX_BYTES = RECORD_MAX_BYTES - 8 * 1024;

/** Reads what a reviewer says. Throws SCHEMA_INVALID, naming `where`. */
export function parseReview(text: string, where: string): Review {
  return parseHandedIn(ReviewSchema, text, where, {
    what: 'review',
    hint: 'A review is JSON like {"verdict": "changes_requested", "findings": [{"severity": "block", "path": "src/a.ts", "line": 3, "message": "..."}]}; the other verdict is pass.',
  });
}

/** Reviews a task. A review that could not be made holds it where it is. Throws as `integrate` does. */
export function reviewTask(env: Env, request: ReviewRequest): Promise<IntegrationEnd> {
  const reviewer = request.handedIn === null ? reviewCommand(env.settings.review) : null;
  const agent = isAgent(reviewer?.agent) ? reviewer.agent : null;
  return integrate(env, { ...request, agent }, 'review', async (held) => {
    const moved = movedFailure('review', held.target);
    if (moved !== null) return { error: moved };
    const answer = request.handedIn === null ? await askReviewer(held, reviewer) : { review: request.handedIn };
    if (answer === null) return null;
    if ('error' in answer) throw await notReviewed(held, agent, answer);
    // The reviewer saw one commit; the branch may have moved since.
    const since = movedFailure('review', await targetOf(env, held.record));
    const documents = [reviewOf(held, answer.review, since)];
    const error = since ?? (asksForChanges(answer.review) ? changesError(answer.review) : null);
    return { error, documents };
  });
}

/** Notes why there is no review, also what that says of the agent's account. Returns what holds the task. */
async function notReviewed(
  held: IntegrationLease,
  agent: Agent | null,
  { error, until = null }: Unanswered,
): Promise<ForgeError> {
  const { env, request, attemptId } = held;
  const isLimit = error.class === 'rate_limit';
  const needsPerson = NEEDS_PERSON.some((cause) => cause === error.class);
  const untilTime = isLimit ? isoTime(until ?? env.now() + LIMIT_MS) : null;
  const hold = agent !== null && (isLimit || needsPerson) ? { agent, ...error, until: untilTime } : null;
  const documents = [reviewOf(held, null, error)];
  await changeTask(env, request.taskId, (record) => ({
    ...(agent === null ? repeated(null) : holdReview(record, hold, env.now())),
    documents,
  }));
  return new ForgeError(
    'NOT_READY',
    `the review could not be made: ${agent === null ? error.message : errorText(error)}`,
    {
      details: { class: error.class, until: hold?.until ?? null },
      hint: `See its logs: \`forge orchestrate logs ${request.taskId} --attempt ${attemptId}\`.`,
    },
  );
}

/** What came of it, for the commit that moves the task by it. */
function reviewOf(
  { env, target, base, attemptId }: IntegrationLease,
  review: Review | null,
  error: ClassifiedError | null,
): NewDocument {
  const value: Reviewed = {
    version: 1,
    attempt_id: attemptId,
    reviewed_attempt_id: target.attemptId,
    verdict: review?.verdict ?? null,
    summary: review?.summary ?? '',
    findings: review?.findings ?? [],
    head: target.head,
    base,
    error: error && { ...error },
    reviewed_at: isoTime(env.now()),
  };
  return { kind: 'review', attemptId, value };
}

/** `until`: when its agent can go on, milliseconds since the epoch; null: not said. */
interface Unanswered {
  error: ClassifiedError;
  until?: number | null;
}
type Answer = { review: Review } | Unanswered;

/** Throws NOT_READY when files of the worktree are not those of the verified commit, which a reviewer may read there. */
async function requireClean({ env, target: { branch, cwd, from_start } }: IntegrationLease): Promise<void> {
  if (branch === null) return;
  const changed = await modifiedIn(env, cwd, from_start);
  if (changed.length === 0) return;
  throw new ForgeError('NOT_READY', `in ${cwd} ${oneLine(changed.join(', '), 200)} is not as it was verified`, {
    hint: 'Look at what has changed there, and take it back, for example with `git restore`.',
  });
}

/** Runs the reviewer. Null when it was stopped; an error when it gave no answer. Throws NOT_READY without one. */
async function askReviewer(held: IntegrationLease, reviewer: ReviewCommand | null): Promise<Answer | null> {
  const { env, request, target, base, commands } = held;
  const { artifacts } = env;
  const attempt = { taskId: request.taskId, attemptId: held.attemptId };
  if (reviewer === null) {
    throw new ForgeError('NOT_READY', 'there is no review.command and no review.worker in .forge/settings.yaml', {
      hint: `Set one, or hand a review in: \`forge orchestrate review ${request.taskId} --file review.json\`.`,
    });
  }
  const { command, agent } = reviewer;
  const missing = agent && missingProgram(agent, env.ctx.env, env.paths.project);
  if (missing !== null) {
    throw new ForgeError('NOT_READY', `there is no ${missing} on PATH to review task ${request.taskId}`, {
      hint: `${installHint(missing)}; put it on PATH; or set review.command.`,
    });
  }
  await requireClean(held);
  const file = artifacts.placeForDraft(attempt, 'review');
  const promptFile = artifacts.writePrompt(
    attempt,
    await gatherReviewPrompt(held, agent === null ? 'file' : 'message'),
  );
  const logs = artifacts.openLogs(attempt);
  try {
    const end = await commands.run({
      script: { command, shell: null },
      cwd: target.cwd,
      facts: {
        phase: 'review',
        attempt: { ...held, runId: request.runId, number: held.record.state.attempt_count, promptFile },
        review: { base, head: target.head, file },
      },
      output: logs,
      logs: WORKER_LOGS,
      timeoutMs: env.settings.review.timeout_ms,
      note: async (worker) => {
        await note(held, worker);
        request.onCommand?.(command);
      },
    });
    const adapter = adapterOf(agent);
    if (agent !== null && adapter !== null) {
      const session = sessionMeter(artifacts, attempt, { agent, adapter, before: null }).read();
      await countReview(env, attempt, session);
      request.onSpent?.(spentByReview(session));
    }
    if (end === null) return null;
    const said = agentFailure(artifacts, attempt, adapter, { exitCode: end.code, stopped: end.timedOut });
    if (end.code === 0 && !end.timedOut && said === null)
      return readReview(artifacts, attempt, agent === null ? null : () => lastWords(artifacts, attempt, adapter));
    const limit = end.timedOut ? await settingLimit(env, 'review') : null;
    const error = classifyError(endOf(env, end, limit, tailOf(artifacts, attempt, adapter), { said }));
    return { error, until: untilMs(said?.until ?? null, env.now()) };
  } finally {
    logs.close();
  }
}

/** `said`: the last words of an agent, which are its review where it has written no file. */
function readReview(artifacts: AttemptArtifacts, attempt: AttemptRef, said: (() => string) | null): Answer {
  try {
    const text = artifacts.readDraft(attempt, 'review', REVIEW_MAX_BYTES);
    return { review: parseReview(text, artifacts.draftPath(attempt, 'review')) };
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') {
      const why = whyUnread(error, REVIEW_MAX_BYTES);
      return invalid(why === null ? errorMessage(error) : `what is in FORGE_REVIEW_FILE cannot be read: ${why}`);
    }
    if (said === null) return invalid('the reviewer left no review in the file that FORGE_REVIEW_FILE names');
  }
  const words = said();
  const review = reviewIn(words);
  if (review === null) return invalid(`the last message of the reviewer is not a review: ${oneLine(words, 200)}`);
  if (byteLength(review) > REVIEW_MAX_BYTES) return invalid(`the review is longer than ${REVIEW_MAX_BYTES} bytes`);
  try {
    return { review: parseReview(review, 'the last message of the reviewer') };
  } catch (error) {
    return invalid(errorMessage(error));
  }
}

function invalid(message: string): Unanswered {
  return { error: { class: 'review.invalid', message } };
}

/** The rules of the base, and never those of the work that is under review: its worker could have written them. */
async function conventionsOf(env: Env, base: string | null): Promise<Conventions | null> {
  if (base !== null) {
    const { prefix } = await repositoryOf(env);
    for (const file of CONVENTION_FILES) {
      const text = (await textAt(env, base, `${prefix}${file}`)) ?? '';
      const found = conventionsIn(file, text.slice(0, CONVENTIONS_MAX_CHARS));
      if (found !== null) return found;
    }
  }
  return readConventions([env.paths.project]);
}

/** The reviewer's prompt. Unreadable files are left out, not thrown. */
async function gatherReviewPrompt(
  { env, request, target, base, record }: IntegrationLease,
  answer: 'file' | 'message',
): Promise<string> {
  const { taskId, task } = request;
  const { attemptId, cwd: path, branch, head } = target;
  const verified = attemptId === null ? null : await twinOf(env, record, attemptId);
  const verdict = attemptId === null ? null : await orNull(() => env.store.readDocument('verdict', taskId, attemptId));
  return reviewPrompt({
    task: task ?? { id: taskId, title: 'not in the plan any more', description: null, acceptance: [] },
    workspace: { path, branch },
    conventions: await conventionsOf(env, base),
    head,
    base,
    changed: head === null || base === null ? [] : await filesChanged(env, base, head),
    passed: verified?.commands.map(({ command }) => command) ?? [],
    summary: verdict?.summary ?? '',
    findings: verified?.findings ?? [],
    answer,
  });
}
