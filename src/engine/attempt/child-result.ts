/** What the worker of a child leaves for its parent. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { errorMessage } from '../../lib/errors.ts';
import { errorCode, whyUnread } from '../../lib/fs/io-errors.ts';
import { parseJson } from '../../lib/json.ts';
import type { AttemptRef } from '../../store/port.ts';
import type { Env } from '../env.ts';

/** Bytes. */
const RESULT_MAX_BYTES = 64 * 1024;

/** Null for a task that is not a child, and where nothing was left. `fault`: what is there is no result. */
export function leftResult(
  { artifacts }: Pick<Env, 'artifacts'>,
  attempt: AttemptRef,
  task: PlanTask | null,
): { value: unknown } | { fault: ClassifiedError } | null {
  if (task === null || task.parent === null) return null;
  const fault = (why: string) => ({
    fault: { class: 'result.invalid', message: `what it left in FORGE_RESULT_FILE: ${why}` },
  });
  let text: string;
  try {
    text = artifacts.readDraft(attempt, 'result', RESULT_MAX_BYTES);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    return fault(whyUnread(error, RESULT_MAX_BYTES) ?? errorMessage(error));
  }
  const value = parseJson(text);
  // It is kept one level deeper, and read again by the same limit.
  return value === undefined || parseJson(`[${text}]`) === undefined ? fault('it is not JSON') : { value };
}
