/** The verbs of questions: a worker asks, a person answers. */

import { ForgeError } from '../../lib/errors.ts';
import { parseDuration } from '../../lib/time.ts';
import type { VerbSpec } from '../spec.ts';
import { ATTEMPT, RUN, SAMPLE, TASK } from './common.ts';

const OPTIONS_FILE = 'options.json';

const QUESTION: VerbSpec = {
  name: 'question',
  about: 'Ask for a decision; the task waits for it, and the worker ends',
  notes:
    'The file holds a list of 2 to 10 options: [{"id": "keep", "label": "Keep it"}, {"id": "drop", "label": "Drop it"}].\n' +
    'The task gives up its lease and charges nothing; end the worker when the status is `open`. The next attempt asks\n' +
    'again under the same key and gets the answer. With `answered` the decision was taken before: go on with option_id.',
  operands: [TASK],
  usage: '<task> --attempt <id> --decision-key <key> --question <text> --options-file <file> [options]',
  options: [
    ATTEMPT,
    { name: 'decision-key', value: 'key', about: 'Names the decision, the same in every attempt' },
    { name: 'question', value: 'text', about: 'What is to be decided; `-` reads it from stdin' },
    { name: 'options-file', value: 'file', about: 'What may be answered, JSON or YAML' },
    { name: 'recommended', value: 'id', about: 'The option that you would choose' },
    { name: 'default', value: 'id', about: 'The option that applies when nobody answers in time' },
    { name: 'deadline', value: 'time', about: 'How long it stays open, such as 2h (default: the settings, else 30m)' },
    { name: 'context', value: 'text', about: 'What one should know to decide' },
    { name: 'if-unanswered', value: 'text', about: 'What happens then, for people' },
    { name: 'agent', value: 'name', about: 'Who asks' },
  ],
  examples: [
    [
      `question --decision-key format --question "Keep the old format?" --options-file ${OPTIONS_FILE} --default keep`,
      'the task and attempt in FORGE_*',
    ],
    [
      `question build --attempt ${SAMPLE.attempt} --decision-key format --question - --options-file ${OPTIONS_FILE} --deadline 2h`,
      'the text from stdin',
    ],
  ],
  async answer(input, { call }) {
    const [{ question }, { textOrStdin }] = await Promise.all([
      import('../../commands/question.ts'),
      import('../stdin.ts'),
    ]);
    const data = await question(call, {
      task: input.task(),
      attempt: input.required('attempt'),
      decisionKey: input.required('decision-key'),
      optionsFile: input.required('options-file'),
      question: textOrStdin(input.required('question'), '--question'),
      recommended: input.text('recommended'),
      default: input.text('default'),
      deadlineMs: durationOf(input.text('deadline')),
      context: input.text('context'),
      ifUnanswered: input.text('if-unanswered'),
      agent: input.text('agent'),
    });
    return {
      data,
      warnings: data.warnings,
      human: async (look) => (await import('../render/questions.ts')).renderAsked(data, look),
    };
  },
};

function durationOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms !== null && ms > 0) return ms;
  throw new ForgeError('INVALID_ARGS', `--deadline ${JSON.stringify(text)}: expected a time such as 90s, 30m or 2h`);
}

const ANSWER: VerbSpec = {
  name: 'answer',
  about: 'Decide a question',
  operands: [{ name: 'question', about: 'Id of a question' }],
  usage: '<question> --option <id> [options]',
  options: [
    { name: 'option', value: 'id', about: 'The option that you choose' },
    { name: 'note', value: 'text', about: 'More for the worker that asked; `-` reads it from stdin' },
    { name: 'by', value: 'name', about: 'Who answers (default: the user of this terminal)' },
  ],
  examples: [
    [`answer ${SAMPLE.question} --option keep`, 'choose keep'],
    [`answer ${SAMPLE.question} --option keep --note -`, 'with a note from stdin'],
  ],
  async answer(input, { call }) {
    const [{ answer }, { textOrStdin }] = await Promise.all([
      import('../../commands/answer.ts'),
      import('../stdin.ts'),
    ]);
    const note = input.text('note');
    const data = await answer(call, {
      question: input.task(),
      option: input.required('option'),
      note: note === undefined ? undefined : textOrStdin(note, '--note'),
      by: input.text('by'),
    });
    return { data, human: async (look) => (await import('../render/questions.ts')).renderAnswered(data, look) };
  },
};

const QUESTIONS: VerbSpec = {
  name: 'questions',
  about: 'What was asked, and what came of it',
  options: [
    { name: 'open', about: 'Only what waits for an answer' },
    { ...RUN, about: 'Only what this run asked' },
  ],
  examples: [
    ['questions --open', 'what waits for an answer, and how to give it'],
    ['questions --json', 'everything, for a script'],
  ],
  async answer(input, { call }) {
    const { questions } = await import('../../commands/questions.ts');
    const data = await questions(call, { open: input.flag('open'), run: input.text('run') });
    return { data, human: async (look) => (await import('../render/questions.ts')).renderQuestions(data, look) };
  },
};

const ATTACH: VerbSpec = {
  name: 'attach',
  about: "Watch a run's questions as they come",
  usage: '--run <id>',
  options: [{ ...RUN, about: 'The run to watch' }],
  examples: [
    [`attach --run ${SAMPLE.run}`, 'until the run is over, or Ctrl-C'],
    [`attach --run ${SAMPLE.run} --json`, 'an event a line, for a script'],
  ],
  async answer(input, desk) {
    const { attachTo } = await import('../attach.ts');
    return attachTo(desk, { run: input.required('run') });
  },
};

export const ANSWERING = [QUESTION, ANSWER, QUESTIONS, ATTACH];
