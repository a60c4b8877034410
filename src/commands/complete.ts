/** `complete`: end an attempt, by the worker's verdict or as a failure. */

import * as z from 'zod/mini';
import { errorClassSchema } from '../domain/retry/classify.ts';
import { parseRetryAfter, RETRY_AFTER_FORMS } from '../domain/retry/retry-after.ts';
import { isBudgeted } from '../domain/schedule/budgets.ts';
import type { CompleteResult, Outcome } from '../domain/task/complete-attempt.ts';
import { RECORD_MAX_BYTES, type TaskRecord, VerdictSchema } from '../domain/task/records.ts';
import { evidenceOf } from '../domain/verify/evidence.ts';
import { firstFailed } from '../domain/verify/verification.ts';
import { endAttempt } from '../engine/attempt/complete-attempt.ts';
import { parseVerdict, twinOf } from '../engine/attempt/verdicts.ts';
import { errorMessage, ForgeError, invalidArgs } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { oneLine } from '../lib/text.ts';
import { loadPlan } from '../project/plan-file.ts';
import { isThere } from '../project/user-files.ts';
import type { Changed } from '../store/change.ts';
import type { AttemptRef } from '../store/port.ts';
import { attemptField, command, content, flag, optional, SAMPLE, taskField } from './shared/command.ts';
import { handedOver } from './shared/contents.ts';
import { endFields, notPassed } from './shared/data.ts';
import { plannedOrNull } from './shared/planned.ts';
import { requireRecord } from './shared/reads.ts';
import { openSession, type Session } from './shared/session.ts';

const input = z.object({
  task: taskField(),
  attempt: attemptField(),
  verdict_file: optional.text('file', 'The verdict (default: FORGE_VERDICT_FILE, where that file exists)', {
    stdin: 'content',
  }),
  verdict: content(
    'verdict_file',
    VerdictSchema,
    'The verdict, such as {"verdict": "ready_for_review", "summary": "..."}',
  ),
  failed: flag('The attempt failed'),
  error_class: optional.text('class', 'How it failed, such as network.timeout; decides about a retry'),
  message: optional.text('text', 'What happened, for people'),
  exit_code: optional.integer('n', [0, 255], 'The exit code of what failed'),
  retry_after: optional.text('time', 'When to try again at the earliest: 90s, 1h30m, a number of seconds, or a time'),
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
   * failure; `data` of the error is the result); NOT_READY while a step of the attempt is at work; INTERRUPTED while commands verify the result.
   */
  async run(context, given) {
    // Where `run` told the worker to leave its verdict, when it has left one.
    const left = context.ctx.env['FORGE_VERDICT_FILE'];
    const isLeft = given.failed !== true && left !== undefined && left !== '' && isThere(left);
    const options = { ...given, verdict_file: given.verdict_file ?? (isLeft ? left : undefined) };
    const attemptId = requireUuid(options.attempt, '--attempt');
    const told = outcomeOf(options);
    const session = await openSession(context);
    const outcome = told.kind === 'failed' ? { ...told, ...untilOf(options.retry_after, session.now()) } : told;
    const { record } = await requireRecord(session, options.task);
    const isRepeat = record.memo.completion?.attempt_id === attemptId;
    const isGood = outcome.kind === 'verdict' && outcome.verdict.verdict === 'ready_for_review';
    const attempt = { taskId: options.task, attemptId };
    // A plan that can't be read must not keep a failure from being told, but a result does not pass unverified for it.
    const planned =
      outcome.kind === 'failed'
        ? await plannedOrNull(session, options.task)
        : ((await loadPlan(session))?.plan.byId.get(options.task) ?? null);
    const end = () =>
      endAttempt(session, {
        ...attempt,
        task: planned,
        outcome,
        workerGone: false,
        onCheck: ({ command }) => session.note(`verifying: ${command}`),
        interrupts: session.interrupts,
      });
    const asksSteps = isGood && !isRepeat && mayHaveSteps(session, record, attemptId);
    const ended = asksSteps ? await handedIn(session, attempt, end) : await end();
    if (ended === null) {
      const message = `the result of task ${options.task} is handed in, and not verified to the end`;
      const hint = 'Repeat the command to go on; otherwise the next claim of the task does.';
      throw new ForgeError('INTERRUPTED', message, { hint });
    }
    if (isBudgeted(planned, session.settings.budget)) {
      const { countOwn } = await import('../engine/attempt/session-meter.ts');
      await countOwn(session, attempt).catch((error) => session.warn(errorMessage(error)));
    }
    await refuseUnverified(session, ended);
    return ended.result;
  },
});

/** As `handingIn`. */
async function handedIn<T>(session: Session, attempt: AttemptRef, end: () => Promise<T>): Promise<T> {
  const { handingIn } = await import('../engine/steps/handing-in.ts');
  return handingIn(session, attempt, end);
}

/** Few attempts have steps. They are called by what a worker has started, and the first of all begins the journal of the task. */
function mayHaveSteps({ ctx }: Session, { state, memo }: TaskRecord, attemptId: string): boolean {
  const isWorker = ctx.env['FORGE_ATTEMPT_ID'] === attemptId;
  return state.current_attempt_id === attemptId && (isWorker || memo.journal !== undefined);
}

/** The task has moved; the error says that the result did not pass. */
async function refuseUnverified(session: Session, { result, record }: Changed<CompleteResult>): Promise<void> {
  const { attempt_id, state } = result;
  if (state !== 'failed' && state !== 'awaiting_respawn') return;
  const twin = await twinOf(session, record, attempt_id);
  const failure = evidenceOf(record, attempt_id)?.verified?.failure ?? twin?.failure;
  if (!failure) return;
  const { command = null, output_tail = null } = firstFailed(twin?.commands ?? []) ?? {};
  throw notPassed('done', result, failure, { command, output_tail });
}

function outcomeOf(given: Input): Outcome {
  const { failed = false, verdict_file, error_class, message, exit_code, retry_after } = given;
  // A slip must not turn a failure into a success, nor the other way round: with FORGE_VERDICT_FILE one flag would do.
  if (failed && verdict_file !== undefined) throw invalidArgs('--failed and --verdict-file exclude each other');
  if (!failed && [error_class, message, exit_code, retry_after].some((value) => value !== undefined))
    throw invalidArgs('--error-class, --message, --exit-code and --retry-after are for an attempt that --failed');
  if (!failed && verdict_file === undefined)
    throw invalidArgs('say how the attempt ended: --verdict-file FILE, or --failed --error-class CLASS');
  if (verdict_file !== undefined) {
    const text = handedOver(given.verdict, verdict_file, '--verdict-file', RECORD_MAX_BYTES);
    return { kind: 'verdict', verdict: parseVerdict(text, verdict_file), written: true };
  }
  if (error_class === undefined) {
    const hint = 'For example: --failed --error-class tests.flaky --message "..."';
    throw invalidArgs('--failed needs --error-class', hint);
  }
  if (!errorClassSchema().safeParse(error_class).success) {
    const hint = 'A class is words joined by dots, such as network.timeout.';
    throw invalidArgs(`--error-class ${JSON.stringify(error_class)} is not an error class`, hint);
  }
  const text = oneLine(message ?? `the worker reported ${error_class}`, 2000);
  const code = exit_code === undefined ? {} : { exit_code };
  return { kind: 'failed', error: { class: error_class, message: text, ...code } };
}

function untilOf(text: string | undefined, nowMs: number): { until?: number } {
  if (text === undefined) return {};
  const until = parseRetryAfter(text, nowMs);
  if (until !== null) return { until };
  throw invalidArgs(
    `--retry-after ${JSON.stringify(text)} is none of ${RETRY_AFTER_FORMS}`,
    'For example: --retry-after 1h30m',
  );
}
