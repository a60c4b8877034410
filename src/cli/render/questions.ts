/** Questions as a person sees them. Their text comes from workers, so it is shown as plain text. */

import type { VerbData } from '../../commands/registry.ts';
import { answerCommand, type Question } from '../../domain/question/questions.ts';
import { plainText, plural } from '../../lib/text.ts';
import { formatDuration } from '../../lib/time.ts';
import { cut, hang, paragraphs } from '../layout.ts';
import type { RenderContext } from '../render-context.ts';
import type { Renderers } from '../view.ts';
import { nextCommands, timeLeft } from './parts.ts';

type QuestionRow = VerbData<'questions'>['questions'][number];

export const QUESTIONS = {
  question({ status, option_id, task_id, expires_at, note }, context) {
    const { palette, width } = context;
    if (status === 'answered') {
      const first = `This was decided before: ${palette.bold(option_id ?? '')}.`;
      return note === null ? first : [first, ...hang('  ', note, width)].join('\n');
    }
    const left = formatDuration(Math.max(0, timeLeft(expires_at, context)));
    return [
      `${palette.bold(task_id)} waits for an answer, for ${left} at most. End the worker now; nothing is charged.`,
      '',
      ...nextCommands([answerCommand(task_id)], context, 'To answer'),
    ].join('\n');
  },

  answer({ option_id, task_id, state, goes_on }, { palette }) {
    const [task, option] = [palette.bold(task_id), palette.bold(option_id)];
    if (goes_on) return `${task} goes on with ${option}; it may be claimed again now.`;
    return `${task} has its answer, ${option}; it is ${state}.`;
  },

  questions({ questions }, context) {
    if (questions.length === 0) return 'No questions.';
    const open = questions.filter(({ status }) => status === 'open');
    const settled = questions.filter(({ status }) => status !== 'open');
    return paragraphs([
      [`${plural(open.length, 'open question')}, ${settled.length} settled`],
      ...open.map((question) => questionLines(question, context)),
      settled.map((question) => settledLine(question, context)),
    ]);
  },
} satisfies Partial<Renderers>;

/** An open question with its options and the command that answers it. */
export function questionLines(question: QuestionRow, context: RenderContext): string[] {
  const { palette, width } = context;
  const left = timeLeft(question.expires_at, context);
  const lines = [`${palette.yellow('?')} ${palette.bold(question.task_id)}  ${cut(question.decision_key, width - 20)}`];
  lines.push(...textLines(question.question, width));
  if (question.context !== null) lines.push(...textLines(question.context, width).map(palette.dim));
  for (const [i, option] of question.options.entries()) {
    const text = `${option.label}${optionMarks(option.id, question)}`;
    lines.push(...hang(`    ${i + 1}. ${option.id}  `, text, width));
    if (option.description) lines.push(...hang('      ', option.description, width).map(palette.dim));
  }
  const otherwise = question.default_option_id ?? 'it expires and is asked again';
  const until = left > 0 ? `open for ${formatDuration(left)}, then: ${otherwise}` : `past its deadline: ${otherwise}`;
  lines.push(`  ${palette.dim(until)}`);
  if (question.what_happens_if_unanswered !== null)
    lines.push(...textLines(question.what_happens_if_unanswered, width));
  lines.push(`  ${palette.cyan(answerCommand(question.task_id))}`);
  return lines;
}

/** ` (recommended, default)`; empty for an option that is neither. */
export function optionMarks(
  id: string,
  question: Pick<Question, 'recommended_option_id' | 'default_option_id'>,
): string {
  const recommended = id === question.recommended_option_id;
  const isDefault = id === question.default_option_id;
  if (recommended) return isDefault ? ' (recommended, default)' : ' (recommended)';
  return isDefault ? ' (default)' : '';
}

/** `✓ build  format: keep (alice)` */
export function settledLine(question: QuestionRow, { palette, width }: RenderContext): string {
  const what = question.option_id === null ? question.status : `${question.option_id} (${question.answered_by ?? ''})`;
  const sign = question.status === 'answered' ? palette.green('✓') : palette.dim('-');
  return `${sign} ${palette.bold(question.task_id)}  ${cut(`${question.decision_key}: ${what}`, width - 20)}`;
}

/** Text of several lines, each broken to the width. */
function textLines(text: string, width: number): string[] {
  const lines = plainText(text).split('\n');
  return lines.flatMap((line) => hang('  ', line, width));
}
