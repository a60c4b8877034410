/** Reviews a task's result: by the settings' command, or by a review that is handed in. */

import { reviewPrompt } from '../../domain/prompt/review-prompt.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { asksForChanges, changesError, type Review, type Reviewed, ReviewSchema } from '../../domain/review/reviews.ts';
import { RECORD_MAX_BYTES } from '../../domain/task/records.ts';
import { repeated } from '../../domain/task/transition.ts';
import { changesIn, sinceStart } from '../../git/changes.ts';
import { filesChanged } from '../../git/inspect-worktree.ts';
import { repositoryOf, textAt } from '../../git/repository.ts';
import { topOf } from '../../git/worktree-files.ts';
import { errorMessage, ForgeError, orNull } from '../../lib/errors.ts';
import { errorCode } from '../../lib/fs/io-errors.ts';
import { oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import { CONVENTION_FILES, type Conventions, conventionsIn, readConventions } from '../../project/user-files.ts';
import { changeTask } from '../../store/change.ts';
import type { AttemptArtifacts, AttemptRef, NewDocument } from '../../store/port.ts';
import { failureOf, tailOf, WORKER_LOGS } from '../attempt/output.ts';
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
  return integrate(env, request, 'review', async (held) => {
    const moved = movedFailure('review', held.target);
    if (moved !== null) return { error: moved };
    const answer = request.handedIn === null ? await askReviewer(held) : { review: request.handedIn };
    if (answer === null) return null;
    if ('error' in answer) {
      const { error } = answer;
      const documents = [reviewOf(held, null, error)];
      await changeTask(env, request.taskId, () => ({ ...repeated(null), documents }));
      throw new ForgeError('NOT_READY', `the review could not be made: ${error.message}`, {
        details: { class: error.class },
        hint: `See its logs: \`forge orchestrate logs ${request.taskId} --attempt ${held.attemptId}\`.`,
      });
    }
    // The reviewer saw one commit; the branch may have moved since.
    const since = movedFailure('review', await targetOf(env, held.record));
    const documents = [reviewOf(held, answer.review, since)];
    const error = since ?? (asksForChanges(answer.review) ? changesError(answer.review) : null);
    return { error, documents };
  });
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

type Answer = { review: Review } | { error: ClassifiedError };

/** Throws NOT_READY when files of the worktree are not those of the verified commit, which a reviewer may read there. */
async function requireClean({ env, target: { branch, cwd, from_start } }: IntegrationLease): Promise<void> {
  if (branch === null) return;
  const { prefix } = await repositoryOf(env);
  const top = topOf(cwd, prefix);
  const lines = await sinceStart(env, top, await changesIn(env, top, 'no'), from_start);
  const changed = lines.map((line) => line.slice(3));
  if (changed.length === 0) return;
  throw new ForgeError('NOT_READY', `in ${cwd} ${oneLine(changed.join(', '), 200)} is not as it was verified`, {
    hint: 'Look at what has changed there, and take it back, for example with `git restore`.',
  });
}

/** Runs the settings' command. Null when it was stopped; an error when it gave no answer. Throws NOT_READY without one. */
async function askReviewer(held: IntegrationLease): Promise<Answer | null> {
  const { env, request, target, base, commands } = held;
  const { artifacts } = env;
  const attempt = { taskId: request.taskId, attemptId: held.attemptId };
  const { command, timeout_ms } = env.settings.review;
  if (command === null) {
    throw new ForgeError('NOT_READY', 'there is no review.command in .forge/settings.yaml', {
      hint: `Set one, or hand a review in: \`forge orchestrate review ${request.taskId} --file review.json\`.`,
    });
  }
  await requireClean(held);
  const file = artifacts.placeForDraft(attempt, 'review');
  const promptFile = artifacts.writePrompt(attempt, await gatherReviewPrompt(held));
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
      timeoutMs: timeout_ms,
      note: async (worker) => {
        await note(held, worker);
        request.onCommand?.(command);
      },
    });
    if (end === null) return null;
    if (end.code === 0 && !end.timedOut) return readReview(artifacts, attempt);
    const limit = end.timedOut ? await commands.limitOf('review') : null;
    return { error: failureOf(env, end, limit, tailOf(artifacts, attempt)) };
  } finally {
    logs.close();
  }
}

function readReview(artifacts: AttemptArtifacts, attempt: AttemptRef): Answer {
  try {
    const text = artifacts.readDraft(attempt, 'review', REVIEW_MAX_BYTES);
    return { review: parseReview(text, artifacts.draftPath(attempt, 'review')) };
  } catch (error) {
    const missing = errorCode(error) === 'ENOENT';
    const why = missing ? 'the reviewer left no review in the file that FORGE_REVIEW_FILE names' : errorMessage(error);
    return { error: { class: 'review.invalid', message: why } };
  }
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
async function gatherReviewPrompt({ env, request, target, base, record }: IntegrationLease): Promise<string> {
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
  });
}
