/** What a command that has failed leaves about its next try. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import { retryAfterIn, type WorkerEnd } from '../../domain/retry/classify.ts';
import { parseRetryAfter, RETRY_AFTER_FORMS } from '../../domain/retry/retry-after.ts';
import { masked } from '../../domain/secrets.ts';
import { errorMessage } from '../../lib/errors.ts';
import { errorCode, whyUnread } from '../../lib/fs/io-errors.ts';
import { oneLine } from '../../lib/text.ts';
import type { AttemptRef, RetryAfterDraft } from '../../store/port.ts';
import { type Env, secretsOf } from '../env.ts';

/** Most that is read of the file, bytes. */
const FILE_MAX_BYTES = 1024;

/**
 * When it is to be tried again, milliseconds since the epoch: by the file that it was given, else by the rule that has classified its end.
 * undefined: it does not say. A warning names what is not a time.
 */
export function toldRetryAfter(
  env: Env,
  { attempt, task, draft }: { attempt: AttemptRef; task: PlanTask | null; draft: RetryAfterDraft },
  end: WorkerEnd,
): number | undefined {
  const told = (text: string | null, what: string): number | undefined => {
    if (text === null || text.trim() === '') return undefined;
    const atMs = parseRetryAfter(text, env.now());
    if (atMs === null) {
      const found = JSON.stringify(oneLine(masked(text, secretsOf(env, task)), 60));
      env.warn(
        `task ${attempt.taskId}: ${what} has ${found}, which is none of ${RETRY_AFTER_FORMS}: its policy decides`,
      );
    }
    return atMs ?? undefined;
  };
  return (
    told(fileText(env, attempt, draft), 'FORGE_RETRY_AFTER_FILE') ??
    told(retryAfterIn(end), 'the group retry_after of a rule in errors:')
  );
}

/** null for none, and for one that can't be read: a warning says so. */
function fileText(env: Env, attempt: AttemptRef, draft: RetryAfterDraft): string | null {
  try {
    return env.artifacts.readDraft(attempt, draft, FILE_MAX_BYTES);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT')
      env.warn(
        `task ${attempt.taskId}: FORGE_RETRY_AFTER_FILE is not read: ${whyUnread(error, FILE_MAX_BYTES) ?? errorMessage(error)}`,
      );
    return null;
  }
}
