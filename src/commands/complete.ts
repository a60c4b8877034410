/** `complete`: end an attempt, by the worker's verdict or as a failure. */

import type { PlanTask } from '../domain/plan/plan.ts';
import { type ClassifiedError, errorClassSchema } from '../domain/retry/classify.ts';
import type { CompleteResult, Outcome } from '../domain/task/operations.ts';
import { RECORD_MAX_BYTES } from '../domain/task/records.ts';
import { firstFailed } from '../domain/verify/verification.ts';
import { endAttempt } from '../engine/attempt/complete-attempt.ts';
import { parseVerdict } from '../engine/attempt/verdicts.ts';
import { ForgeError, unlessInvalid } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { oneLine } from '../lib/text.ts';
import { loadPlan } from '../project/plan-file.ts';
import { readUserFile } from '../project/user-files.ts';
import { plannedOrNull, requireRecord } from './shared/reads.ts';
import { type Call, openSession, type Session } from './shared/session.ts';

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

/**
 * Throws INVALID_ARGS, SCHEMA_INVALID (the verdict), LEASE_STOLEN, STALE_ATTEMPT, STATE_NOT_FOUND, TASK_NOT_FOUND;
 * PHASES_PARSE_ERROR (a verdict, and nobody can say how it is verified); VERIFICATION_FAILED (the attempt has ended as a
 * failure; `data` of the error is the result); INTERRUPTED while commands verify the result.
 */
export async function complete(call: Call, options: CompleteOptions): Promise<CompleteResult> {
  const attemptId = requireUuid(options.attempt, '--attempt');
  const outcome = outcomeOf(options);
  const session = openSession(call);
  await requireRecord(session, options.task);
  const ended = await endAttempt(session, {
    taskId: options.task,
    task: plannedFor(session, options.task, outcome),
    attemptId,
    outcome,
    workerGone: false,
    onCheck: ({ command }) => session.note(`verifying: ${command}`),
    interrupts: session.interrupts,
  });
  if (ended !== null) {
    await refuseUnverified(session, ended.result);
    return ended.result;
  }
  throw new ForgeError('INTERRUPTED', `the result of task ${options.task} is handed in, and not verified to the end`, {
    hint: 'Repeat the command to go on; otherwise the next claim of the task does.',
  });
}

/** The task has moved on all the same; but whoever hands in a result is to notice that it did not count. */
async function refuseUnverified(session: Session, result: CompleteResult): Promise<void> {
  const { task_id, attempt_id, state, next_eligible_at } = result;
  if (state !== 'failed' && state !== 'awaiting_respawn') return;
  const twin = await unlessInvalid(() => session.store.readDocument('verified', task_id, attempt_id));
  if (!twin?.failure) return;
  const next = state === 'failed' ? 'it has failed' : `it is tried again ${next_eligible_at ?? 'now'}`;
  const failed = firstFailed(twin.commands);
  throw new ForgeError('VERIFICATION_FAILED', `task ${task_id} is not done: ${twin.failure.message}; ${next}`, {
    details: {
      ...result,
      class: twin.failure.class,
      command: failed?.command ?? null,
      output_tail: failed?.output_tail ?? null,
    },
    data: result,
  });
}

/** A plan that can't be read must not keep a failure from being told, but a result does not pass unverified for it. */
function plannedFor(session: Session, taskId: string, outcome: Outcome): PlanTask | null {
  if (outcome.kind === 'failed') return plannedOrNull(session, taskId);
  return loadPlan(session)?.plan.byId.get(taskId) ?? null;
}

function outcomeOf(options: CompleteOptions): Outcome {
  refuseBoth(options);
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

/** A slip must not turn a failure into a success, nor the other way round: with FORGE_VERDICT_FILE one flag would do. */
function refuseBoth({ failed, verdictFile, errorClass, message, exitCode }: CompleteOptions): void {
  const ofFailure = errorClass !== undefined || message !== undefined || exitCode !== undefined;
  if (failed === true && verdictFile !== undefined) {
    throw new ForgeError('INVALID_ARGS', '--failed and --verdict-file exclude each other');
  }
  if (failed !== true && ofFailure) {
    throw new ForgeError('INVALID_ARGS', '--error-class, --message and --exit-code are for an attempt that --failed');
  }
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
