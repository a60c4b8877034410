/** `answer`: decide a question, from any terminal. */

import * as z from 'zod/mini';
import {
  type Answer,
  chosenOption,
  lastQuestion,
  QUESTION_LIMITS,
  type Question,
  settledQuestion,
} from '../domain/question/questions.ts';
import { masked } from '../domain/secrets.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { repeated } from '../domain/task/transition.ts';
import { secretsOf } from '../engine/env.ts';
import { ForgeError, invalidArgs } from '../lib/errors.ts';
import { isUuid } from '../lib/ids.ts';
import { oneLine } from '../lib/text.ts';
import { isoTime } from '../lib/time.ts';
import { withOpenQuestion } from '../store/change.ts';
import { command, operand, optional, SAMPLE } from './shared/command.ts';
import { stateSchema } from './shared/data.ts';
import { goesOnByPlan } from './shared/planned.ts';
import { changeKnown, requireRecord } from './shared/reads.ts';
import { openSession, type Session } from './shared/session.ts';

export const answer = command({
  changes: true,
  usage: '<question|task> <option> [options]',
  notes:
    'The task that asks stands for its question. An option is named by its id, or by its number in the list of options; an id that is\n' +
    'a number comes first. Without one the options are shown.',
  examples: [
    ['answer build keep', 'choose keep in what build asks'],
    ['answer build 1', 'choose the first option'],
    [`answer ${SAMPLE.question} --option keep`, 'the same by the id of the question'],
    [`answer ${SAMPLE.question} --option keep --note -`, 'with a note from stdin'],
  ],
  input: z.object({
    question: operand(z.string(), 'Id of a question, or of the task that asks', { id: 'question' }),
    choice: operand(z.optional(z.string()), 'The option that you choose, by its id or its number'),
    option: optional.text('id', 'The same as a flag'),
    note: optional.text('text', 'More for the worker that asked', { stdin: true }),
    by: optional.text('name', 'Who answers (default: the user of this terminal)'),
  }),
  output: () =>
    z.strictObject({
      question_id: z.string(),
      option_id: z.string(),
      task_id: z.string(),
      state: stateSchema(),
      /** The task may be claimed again, as far as its state and the plan say. */
      goes_on: z.boolean(),
    }),
  /** Throws QUESTION_NOT_FOUND, INVALID_ARGS (no such option), ILLEGAL_TRANSITION (settled otherwise before, or given up). */
  async run(context, { question: id, choice, option = choice, note, by }) {
    if (choice !== undefined && option !== choice)
      throw invalidArgs(`two options are chosen: ${choice} and --option ${option}`, 'Leave one out.');
    if (note !== undefined && note.length > QUESTION_LIMITS.note)
      throw invalidArgs(`--note has ${note.length} characters; at most ${QUESTION_LIMITS.note} are taken`);
    const session = await openSession(context);
    const { store } = session;
    const questionId = isUuid(id.toLowerCase()) ? id.toLowerCase() : await askedBy(session, id);
    const place = await store.findQuestion(questionId, session.newOp());
    const read = <K extends 'question' | 'answer'>(kind: K) =>
      place === null ? null : store.readDocument(kind, place.task_id, place.attempt_id, questionId);
    const question = await read('question');
    if (place === null || question === null)
      throw new ForgeError('QUESTION_NOT_FOUND', `there is no question ${questionId}`);
    const { task_id } = place;
    if (option === undefined) throw undecided(task_id, question);
    const option_id = chosenOption(question.options, option);
    const mine: Answer = {
      version: 1,
      question_id: questionId,
      answered_at: isoTime(session.now()),
      answered_by: nameOf(session, by),
      option_id,
      ...(note === undefined ? {} : { note: masked(note, secretsOf(session)) }),
    };
    const decide = async (record: TaskRecord) => {
      if (settledQuestion(record, questionId) !== null || (await read('answer')) !== null) return repeated(null);
      // An answer was offered, and nothing waits for one.
      const { state } = record.state;
      throw new ForgeError('ILLEGAL_TRANSITION', `no task waits for question ${questionId} any more`, {
        details: { task_id, state },
        hint: `Task ${task_id} is ${state}; see \`forge orchestrate show ${task_id}\`.`,
      });
    };
    const { record } = await changeKnown(session, task_id, decide, { offered: mine });
    // Once it is committed, nothing more is read that could fail.
    if (settledQuestion(record, questionId)?.option_id !== option_id) {
      const first = await read('answer');
      if (first !== null && first.option_id !== option_id) throw otherwise(questionId, first);
    }
    const { state } = record.state;
    const goes_on = (await goesOnByPlan(session, task_id)) && state === 'awaiting_respawn';
    return { question_id: questionId, option_id, task_id, state, goes_on };
  },
});

/** The open question of a task, else its last one, so that a repeat succeeds. Throws QUESTION_NOT_FOUND where it has none, TASK_NOT_FOUND. */
async function askedBy(session: Session, taskId: string): Promise<string> {
  const { record } = await requireRecord(session, taskId);
  const asked = lastQuestion(await withOpenQuestion(session.store, record));
  if (asked !== null) return asked;
  throw new ForgeError('QUESTION_NOT_FOUND', `task ${taskId} has asked nothing; it is ${record.state.state}`, {
    hint: 'See what is open with `forge orchestrate questions --open`.',
  });
}

function undecided(taskId: string, { question, options }: Question): ForgeError {
  const choices = options.map(({ id, label }, i) => `${i + 1} ${id} (${oneLine(label, 60)})`);
  return invalidArgs(
    `say which option: ${choices.join(', ')}`,
    `Task ${taskId} asks: ${oneLine(question, 200)} Such as \`forge orchestrate answer ${taskId} ${options[0]?.id}\`.`,
  );
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
