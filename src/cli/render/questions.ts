/** Questions as a person sees them. Their text comes from workers, so it is shown as plain text. */

import type { AnswerData } from '../../commands/answer.ts';
import type { QuestionData } from '../../commands/question.ts';
import type { QuestionsData } from '../../commands/questions.ts';
import type { QuestionRow } from '../../commands/shared/question-rows.ts';
import type { Question } from '../../domain/question/questions.ts';
import { plainText } from '../../lib/text.ts';
import { formatDuration, fromIso } from '../../lib/time.ts';
import { cut, hang, plural } from '../layout.ts';
import type { Look } from '../look.ts';
import { nextCommands } from './next.ts';

export function renderAsked(
  { status, question_id, option_id, task_id, expires_at, note }: QuestionData,
  look: Look,
): string {
  if (status === 'answered') {
    const lines = [`This was decided before: ${look.palette.bold(option_id ?? '')}.`];
    return note === null ? (lines[0] ?? '') : [...lines, ...hang('  ', note, look.width)].join('\n');
  }
  const left = formatDuration(Math.max(0, fromIso(expires_at ?? '') - look.nowMs));
  return [
    `${look.palette.bold(task_id)} waits for an answer, for ${left} at most. End the worker now; nothing is charged.`,
    '',
    ...nextCommands([`forge orchestrate answer ${question_id} --option ID`], look, 'To answer'),
  ].join('\n');
}

export function renderAnswered({ option_id, task_id, state }: AnswerData, look: Look): string {
  const { bold } = look.palette;
  const next = state === 'awaiting_respawn' ? 'it may be claimed again now' : `it is ${state}`;
  return `${bold(task_id)} goes on with ${bold(option_id)}; ${next}.`;
}

export function renderQuestions({ questions }: QuestionsData, look: Look): string {
  if (questions.length === 0) return 'No questions.';
  const open = questions.filter(({ status }) => status === 'open');
  const settled = questions.filter(({ status }) => status !== 'open');
  const parts = open.map((question) => renderQuestion(question, look).join('\n'));
  if (settled.length > 0) parts.push(settled.map((question) => renderSettled(question, look)).join('\n'));
  return [`${plural(open.length, 'open question')}, ${settled.length} settled`, ...parts].join('\n\n');
}

/** An open question with its options and the command that answers it. */
export function renderQuestion(question: QuestionRow, look: Look): string[] {
  const { palette, width, nowMs } = look;
  const left = fromIso(question.expires_at) - nowMs;
  const lines = [`${palette.yellow('?')} ${palette.bold(question.task_id)}  ${cut(question.decision_key, width - 20)}`];
  lines.push(...paragraphs(question.question, look));
  if (question.context !== null) lines.push(...paragraphs(question.context, look).map(palette.dim));
  for (const option of question.options) {
    const text = `${option.label}${optionMarks(option.id, question)}`;
    lines.push(...hang(`    ${option.id}  `, text, width));
    if (option.description) lines.push(...hang('      ', option.description, width).map(palette.dim));
  }
  const otherwise = question.default_option_id ?? 'it expires and is asked again';
  const until = left > 0 ? `open for ${formatDuration(left)}, then: ${otherwise}` : `past its deadline: ${otherwise}`;
  lines.push(`  ${palette.dim(until)}`);
  if (question.what_happens_if_unanswered !== null)
    lines.push(...paragraphs(question.what_happens_if_unanswered, look));
  lines.push(`  ${palette.cyan(`forge orchestrate answer ${question.question_id} --option ID`)}`);
  return lines;
}

/** ` (recommended, default)`; empty for an option that is neither. */
export function optionMarks(
  id: string,
  question: Pick<Question, 'recommended_option_id' | 'default_option_id'>,
): string {
  const marks = [
    ...(id === question.recommended_option_id ? ['recommended'] : []),
    ...(id === question.default_option_id ? ['default'] : []),
  ];
  return marks.length === 0 ? '' : ` (${marks.join(', ')})`;
}

/** `✓ build  format: keep (alice)` */
export function renderSettled(question: QuestionRow, { palette, width }: Look): string {
  const what = question.option_id === null ? question.status : `${question.option_id} (${question.answered_by ?? ''})`;
  const sign = question.status === 'answered' ? palette.green('✓') : palette.dim('-');
  return `${sign} ${palette.bold(question.task_id)}  ${cut(`${question.decision_key}: ${what}`, width - 20)}`;
}

/** Text of several lines, each broken to the width. */
function paragraphs(text: string, { width }: Look): string[] {
  return plainText(text)
    .split('\n')
    .flatMap((line) => hang('  ', line, width));
}
