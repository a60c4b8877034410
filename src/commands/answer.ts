/** `answer`: decide a question, from any terminal. */

import * as z from 'zod/mini';
import { type Answer, QUESTION_LIMITS, requireOption, settledQuestion } from '../domain/question/questions.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import type { Decision } from '../domain/task/transition.ts';
import { repeated } from '../domain/task/transition.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { isoTime } from '../lib/time.ts';
import { changeTask } from '../store/change.ts';
import type { QuestionPlace } from '../store/port.ts';
import { command, invalidArgs, operand, option, optionalText, SAMPLE, text } from './shared/command.ts';
import { stateSchema } from './shared/data.ts';
import { requireRecord } from './shared/reads.ts';
import { openSession, type Session } from './shared/session.ts';

export const answer = command({
  changes: true,
  examples: [
    [`answer ${SAMPLE.question} --option keep`, 'choose keep'],
    [`answer ${SAMPLE.question} --option keep --note -`, 'with a note from stdin'],
  ],
  input: z.object({
    question: operand(text(), 'Id of a question'),
    option: option(text(), 'id', 'The option that you choose'),
    note: option(optionalText(), 'text', 'More for the worker that asked; `-` reads it from stdin', { stdin: true }),
    by: option(optionalText(), 'name', 'Who answers (default: the user of this terminal)'),
  }),
  output: () =>
    z.strictObject({ question_id: z.string(), option_id: z.string(), task_id: z.string(), state: stateSchema() }),
  /** Throws QUESTION_NOT_FOUND, INVALID_ARGS (no such option), ILLEGAL_TRANSITION (settled otherwise before, or given up). */
  async run(context, options) {
    const questionId = requireUuid(options.question, 'question');
    const session = await openSession(context);
    const place = await session.store.findQuestion(questionId, session.newOp());
    const question =
      place && (await session.store.readDocument('question', place.task_id, place.attempt_id, questionId));
    if (place === null || question === null) {
      throw new ForgeError('QUESTION_NOT_FOUND', `there is no question ${questionId}`);
    }
    const mine: Answer = {
      version: 1,
      question_id: questionId,
      answered_at: isoTime(session.now()),
      answered_by: nameOf(session, options.by),
      option_id: requireOption(question.options, options.option, '--option'),
      ...(options.note === undefined ? {} : { note: requireNote(options.note) }),
    };
    await requireRecord(session, place.task_id);
    const after = await changeTask(
      session,
      place.task_id,
      (record) => requireSettled(session, place, record, questionId),
      mine,
    );
    const first = await session.store.readDocument('answer', place.task_id, place.attempt_id, questionId);
    if (first !== null && first.option_id !== mine.option_id) throw otherwise(questionId, first);
    return {
      question_id: questionId,
      option_id: options.option,
      task_id: place.task_id,
      state: after.record.state.state,
    };
  },
});

/** Throws ILLEGAL_TRANSITION when the question is not settled, though an answer was offered: nothing waits for one. */
async function requireSettled(
  { store }: Session,
  { task_id, attempt_id }: QuestionPlace,
  record: TaskRecord,
  questionId: string,
): Promise<Decision<null>> {
  if (settledQuestion(record, questionId) !== null) return repeated(null);
  if ((await store.readDocument('answer', task_id, attempt_id, questionId)) !== null) return repeated(null);
  throw new ForgeError('ILLEGAL_TRANSITION', `no task waits for question ${questionId} any more`, {
    details: { task_id, state: record.state.state },
    hint: `Task ${task_id} is ${record.state.state}; see \`forge orchestrate show ${task_id}\`.`,
  });
}

function otherwise(questionId: string, { option_id, answered_by, answered_at }: Answer): ForgeError {
  const what = option_id === null ? 'it expired' : `${answered_by} chose ${option_id}`;
  return new ForgeError('ILLEGAL_TRANSITION', `question ${questionId} is settled: ${what} at ${answered_at}`, {
    details: { question_id: questionId, option_id, answered_by },
    hint: 'The first answer counts, and the work has gone on with it.',
  });
}

/** Refuses `default` and `expiry`, the names under which forge itself answers. */
function nameOf({ ctx }: Session, by: string | undefined): string {
  const name = (by ?? ctx.env['USER'] ?? ctx.env['LOGNAME'] ?? '').trim() || 'unknown';
  if (name !== 'default' && name !== 'expiry') return name.slice(0, 200);
  throw invalidArgs(`--by ${name}: this name means that there was no answer`);
}

function requireNote(note: string): string {
  if (note.length <= QUESTION_LIMITS.note) return note;
  throw invalidArgs(`--note has ${note.length} characters; at most ${QUESTION_LIMITS.note} are taken`);
}
