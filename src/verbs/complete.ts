/** `complete`: end an attempt, by the worker's verdict or as a failure. */

import { type ClassifiedError, errorClassSchema } from '../core/classify.ts';
import { ForgeError } from '../core/errors.ts';
import { requireUuid } from '../core/ids.ts';
import { RECORD_MAX_BYTES } from '../core/records.ts';
import type { CompleteResult, Outcome } from '../core/task-ops.ts';
import { oneLine } from '../core/text.ts';
import { commitCompletion, parseVerdict, taskPolicy } from '../runner/completion.ts';
import { readUserFile } from '../store/user-files.ts';
import { type Call, openSession, plannedOrNull, requireRecord } from './session.ts';

export interface CompleteOptions {
  task: string;
  attempt: string;
  /** Path of a verdict, relative to the current folder. */
  verdictFile?: string | undefined;
  failed?: boolean | undefined;
  errorClass?: string | undefined;
  message?: string | undefined;
  exitCode?: number | undefined;
}

/** Throws INVALID_ARGS, SCHEMA_INVALID (the verdict), LEASE_STOLEN, STALE_ATTEMPT, STATE_NOT_FOUND, TASK_NOT_FOUND. */
export async function complete(call: Call, options: CompleteOptions): Promise<CompleteResult> {
  const attemptId = requireUuid(options.attempt, '--attempt');
  const outcome = outcomeOf(options);
  const session = openSession(call);
  await requireRecord(session, options.task);
  const { result } = await commitCompletion(
    { ...session, random: session.ctx.random },
    {
      taskId: options.task,
      attemptId,
      outcome,
      policy: taskPolicy(session.settings, plannedOrNull(session, options.task)),
      workerGone: false,
    },
  );
  return result;
}

function outcomeOf(options: CompleteOptions): Outcome {
  if (options.failed === true) {
    if (options.errorClass === undefined) {
      throw new ForgeError('INVALID_ARGS', '--failed needs --error-class', {
        hint: 'For example: --failed --error-class tests.flaky --message "..."',
      });
    }
    return { kind: 'failed', error: failureOf(options.errorClass, options) };
  }
  if (options.verdictFile === undefined) {
    throw new ForgeError(
      'INVALID_ARGS',
      'say how the attempt ended: --verdict-file FILE, or --failed --error-class CLASS',
    );
  }
  const text = readUserFile(options.verdictFile, '--verdict-file', RECORD_MAX_BYTES);
  return { kind: 'verdict', verdict: parseVerdict(text, options.verdictFile), written: true };
}

function failureOf(errorClass: string, { message, exitCode }: CompleteOptions): ClassifiedError {
  if (!errorClassSchema().safeParse(errorClass).success) {
    throw new ForgeError('INVALID_ARGS', `--error-class ${JSON.stringify(errorClass)} is not an error class`, {
      hint: 'A class is words joined by dots, such as network.timeout.',
    });
  }
  return {
    class: errorClass,
    message: oneLine(message ?? `the worker reported ${errorClass}`, 2000),
    ...(exitCode === undefined ? {} : { exit_code: exitCode }),
  };
}
