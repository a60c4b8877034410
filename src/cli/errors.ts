/** What went wrong, for a person or for a program. */

import { BUG_HINT, bugMessage, hintOf } from '../commands/shared/error-body.ts';
import { EXIT, ForgeError, invalidArgs, type Problem } from '../lib/errors.ts';
import { oneLine, plainText } from '../lib/text.ts';
import { hang, widthOf } from './layout.ts';
import type { RenderContext } from './render-context.ts';

/** A slip on the command line; `guess` is a sentence that comes before where to look. */
export function usageError(verb: string | null, message: string, guess?: string): ForgeError {
  const help = `See \`${['forge orchestrate', verb, '--help'].filter(Boolean).join(' ')}\`.`;
  return invalidArgs(message, guess === undefined ? help : `${guess} ${help}`);
}

/** Problems that are shown one by one. */
const SHOWN = 20;

/** Text of a file that a problem is in; null when it can't be read. */
export type Sources = (file: string) => string | null;

export function exitCodeOf(error: unknown): number {
  return error instanceof ForgeError ? error.exitCode : EXIT.failed;
}

export interface ErrorView {
  context: RenderContext;
  sources: Sources;
  /** The verb that was called, as far as it is known. */
  verb: string | null;
  /** Show the stack of a bug. */
  stack: boolean;
}

/** Lines for stderr. */
export function humanError(error: unknown, { context, sources, verb, stack }: ErrorView): string {
  const { palette, width } = context;
  const headline = (code: string, message: string) =>
    hang(`error[${code}]: `, message, width, (text) => palette.bold(palette.red(text)));
  const hint = (text: string) => hang('hint: ', text, width, palette.cyan);
  if (!(error instanceof ForgeError)) {
    const lines = [...headline('BUG', bugMessage(error)), ...hint(BUG_HINT)];
    if (stack && error instanceof Error && error.stack !== undefined) lines.push(plainText(error.stack));
    return lines.join('\n');
  }
  const lines = headline(error.code, error.message);
  const shown = error.problems.slice(0, SHOWN);
  const files = new Set(shown.map(({ place }) => place.file));
  const texts = new Map([...files].map((file) => [file, sources(file)]));
  for (const problem of shown) lines.push('', ...problemLines(problem, context, texts.get(problem.place.file)));
  const more = error.problems.length - shown.length;
  if (more > 0) lines.push('', `  and ${more} more`);
  if (shown.length > 0) lines.push('');
  return [...lines, ...hint(hintOf(error, verb))].join('\n');
}

function problemLines(problem: Problem, context: RenderContext, source: string | null | undefined): string[] {
  const { message, place, suggestion } = problem;
  const where = [place.file, place.line, place.column].filter((part) => part !== undefined).join(':');
  const text = suggestion === undefined ? message : `${message}. ${suggestion}`;
  const lines = hang('    ', text, context.width);
  return [`  ${context.palette.bold(oneLine(where))}`, ...lines, ...excerpt(problem, context, source)];
}

/** The line of the file with a caret under the column. */
function excerpt(problem: Problem, { palette, width }: RenderContext, source: string | null = null) {
  const { line, column } = problem.place;
  if (line === undefined || column === undefined) return [];
  const text = problem.source ?? source?.split('\n')[line - 1];
  if (text === undefined) return [];
  const show = (part: string) => plainText(part.replaceAll('\t', ' '));
  const before = show(text.slice(0, column - 1));
  const number = String(line);
  const room = width - 8 - number.length;
  // A caret past the edge of the screen would point at nothing: then the beginning of the line is left out.
  const from = widthOf(before) < room - 10 ? 0 : before.length - Math.floor(room / 2);
  const visible = [...show(text).slice(from)].slice(0, room).join('').trimEnd();
  const caret = ' '.repeat(widthOf(before.slice(from)));
  return [
    `    ${palette.dim(`${number} |`)} ${visible}`,
    `    ${palette.dim(`${' '.repeat(number.length)} |`)} ${caret}${palette.red('^')}`,
  ];
}
