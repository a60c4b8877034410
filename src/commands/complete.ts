/** `complete`: end an attempt, by the worker's verdict or as a failure. */

import * as z from 'zod/mini';
import type { PlanTask } from '../domain/plan/plan.ts';
import { type ClassifiedError, errorClassSchema } from '../domain/retry/classify.ts';
import type { CompleteResult, Outcome } from '../domain/task/complete-attempt.ts';
import { RECORD_MAX_BYTES } from '../domain/task/records.ts';
import { evidenceOf } from '../domain/verify/evidence.ts';
import { firstFailed } from '../domain/verify/verification.ts';
import { endAttempt } from '../engine/attempt/complete-attempt.ts';
import { parseVerdict, twinOf } from '../engine/attempt/verdicts.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { oneLine } from '../lib/text.ts';
import { loadPlan } from '../project/plan-file.ts';
import { isThere, readUserFile } from '../project/user-files.ts';
import type { Changed } from '../store/change.ts';
import { attemptField, command, flag, invalidArgs, option, optionalText, SAMPLE, taskField } from './shared/command.ts';
import { endFields } from './shared/data.ts';
import { plannedOrNull, requireRecord } from './shared/reads.ts';
import { type CommandContext, openSession, type Session } from './shared/session.ts';

const input = z.object({
  task: taskField(),
  attempt: attemptField(),
  verdict_file: option(optionalText(), 'file', 'The verdict (default: FORGE_VERDICT_FILE, where that file exists)'),
  failed: flag('The attempt failed'),
  error_class: option(optionalText(), 'class', 'How it failed, such as network.timeout; decides about a retry'),
  message: option(optionalText(), 'text', 'What happened, for people'),
  exit_code: option(z.optional(z.int().check(z.gte(0), z.lte(255))), 'n', 'The exit code of what failed'),
});
type Input = z.infer<typeof input>;

export const complete = command({
  changes: true,
  usage: '<task> --attempt <id> (--verdict-file <file> | --failed --error-class <class>)',
  examples: [
    [`complete build --attempt ${SAMPLE.attempt} --verdict-file verdict.json`, 'done'],
    ['complete --failed --error-class network.timeout --message "no answer"', 'failed; may be tried again'],
    ['complete', 'with everything that is in FORGE_*'],
  ],
  input,
  output: () => z.strictObject(endFields()),
  /**
   * Throws INVALID_ARGS, SCHEMA_INVALID (the verdict), LEASE_STOLEN, STALE_ATTEMPT, STATE_NOT_FOUND, TASK_NOT_FOUND;
   * PHASES_PARSE_ERROR (a verdict whose checks are unknown without the plan); VERIFICATION_FAILED (the attempt has ended as a
   * failure; `data` of the error is the result); INTERRUPTED while commands verify the result.
   */
  async run(context, given) {
    const options = { ...given, verdict_file: given.verdict_file ?? leftVerdict(context, given) };
    const attemptId = requireUuid(options.attempt, '--attempt');
    const outcome = outcomeOf(options);
    const session = await openSession(context);
    await requireRecord(session, options.task);
    const ended = await endAttempt(session, {
      taskId: options.task,
      task: await plannedFor(session, options.task, outcome),
      attemptId,
      outcome,
      workerGone: false,
      onCheck: ({ command }) => session.note(`verifying: ${command}`),
      interrupts: session.interrupts,
    });
    if (ended !== null) {
      await refuseUnverified(session, ended);
      return ended.result;
    }
    throw new ForgeError(
      'INTERRUPTED',
      `the result of task ${options.task} is handed in, and not verified to the end`,
      {
        hint: 'Repeat the command to go on; otherwise the next claim of the task does.',
      },
    );
  },
});

/** The task has moved; the error says that the result did not pass. */
async function refuseUnverified(session: Session, { result, record }: Changed<CompleteResult>): Promise<void> {
  const { task_id, attempt_id, state, next_eligible_at } = result;
  if (state !== 'failed' && state !== 'awaiting_respawn') return;
  const twin = await twinOf(session, record, attempt_id);
  const failure = evidenceOf(record, attempt_id)?.verified?.failure ?? twin?.failure;
  if (!failure) return;
  const next = state === 'failed' ? 'it has failed' : `it is tried again ${next_eligible_at ?? 'now'}`;
  const failed = firstFailed(twin?.commands ?? []);
  throw new ForgeError('VERIFICATION_FAILED', `task ${task_id} is not done: ${failure.message}; ${next}`, {
    details: {
      ...result,
      class: failure.class,
      command: failed?.command ?? null,
      output_tail: failed?.output_tail ?? null,
    },
    data: result,
  });
}

/** A plan that can't be read must not keep a failure from being told, but a result does not pass unverified for it. */
async function plannedFor(session: Session, taskId: string, outcome: Outcome): Promise<PlanTask | null> {
  if (outcome.kind === 'failed') return plannedOrNull(session, taskId);
  return (await loadPlan(session))?.plan.byId.get(taskId) ?? null;
}

/** Where `run` told the worker to leave its verdict, when it has left one. */
function leftVerdict({ ctx }: CommandContext, { failed }: Input): string | undefined {
  const file = ctx.env['FORGE_VERDICT_FILE'];
  return failed !== true && file && isThere(file) ? file : undefined;
}

function outcomeOf(options: Input): Outcome {
  refuseBoth(options);
  if (options.failed === true) {
    if (options.error_class === undefined) {
      throw invalidArgs(
        '--failed needs --error-class',
        'For example: --failed --error-class tests.flaky --message "..."',
      );
    }
    return { kind: 'failed', error: failureOf(options.error_class, options) };
  }
  if (options.verdict_file === undefined) {
    throw invalidArgs('say how the attempt ended: --verdict-file FILE, or --failed --error-class CLASS');
  }
  const text = readUserFile(options.verdict_file, '--verdict-file', RECORD_MAX_BYTES);
  return { kind: 'verdict', verdict: parseVerdict(text, options.verdict_file), written: true };
}

/** A slip must not turn a failure into a success, nor the other way round: with FORGE_VERDICT_FILE one flag would do. */
function refuseBoth({ failed, verdict_file, error_class, message, exit_code }: Input): void {
  const ofFailure = error_class !== undefined || message !== undefined || exit_code !== undefined;
  if (failed === true && verdict_file !== undefined) {
    throw invalidArgs('--failed and --verdict-file exclude each other');
  }
  if (failed !== true && ofFailure) {
    throw invalidArgs('--error-class, --message and --exit-code are for an attempt that --failed');
  }
}

function failureOf(errorClass: string, { message, exit_code }: Input): ClassifiedError {
  if (!errorClassSchema().safeParse(errorClass).success) {
    throw invalidArgs(
      `--error-class ${JSON.stringify(errorClass)} is not an error class`,
      'A class is words joined by dots, such as network.timeout.',
    );
  }
  return {
    class: errorClass,
    message: oneLine(message ?? `the worker reported ${errorClass}`, 2000),
    ...(exit_code === undefined ? {} : { exit_code }),
  };
}
