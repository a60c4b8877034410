/** What went wrong, for a person or for a program. */

import { EXIT, ForgeError, type Problem } from '../lib/errors.ts';
import { oneLine, plainText } from '../lib/text.ts';
import { hang, widthOf } from './layout.ts';
import type { Look } from './look.ts';

/** A slip on the command line; `guess` is a sentence that comes before where to look. */
export function usageError(verb: string | null, message: string, guess?: string): ForgeError {
  const help = `See \`${['forge orchestrate', verb, '--help'].filter(Boolean).join(' ')}\`.`;
  return new ForgeError('INVALID_ARGS', message, { hint: guess === undefined ? help : `${guess} ${help}` });
}

/** Problems that are shown one by one. */
const SHOWN = 20;
const BUG_HINT =
  'This is a bug in forge, not in what you did. Please report it with the output of the same command under FORGE_DEBUG=1.';

/** Text of a file that a problem is in; null when it can't be read. */
export type Sources = (file: string) => string | null;

export function exitCodeOf(error: unknown): number {
  return error instanceof ForgeError ? error.exitCode : EXIT.failed;
}

/** One line of JSON. What is not a ForgeError is a bug and says so: its code is BUG. */
export function jsonError(error: unknown, verb: string | null): string {
  const body =
    error instanceof ForgeError
      ? {
          code: error.code,
          message: plainText(error.message),
          hint: plainText(hintOf(error, verb)),
          retriable: error.retriable,
          details: error.details,
        }
      : { code: 'BUG', message: bugMessage(error), hint: BUG_HINT, retriable: false, details: {} };
  const data = error instanceof ForgeError && error.data !== null ? { data: error.data } : {};
  return JSON.stringify({ ok: false, error: body, ...data });
}

export interface ErrorView {
  look: Look;
  sources: Sources;
  /** The verb that was called, as far as it is known. */
  verb: string | null;
  /** Show the stack of a bug. */
  stack: boolean;
}

/** Lines for stderr. */
export function humanError(error: unknown, { look, sources, verb, stack }: ErrorView): string {
  if (!(error instanceof ForgeError)) return bug(error, look, stack);
  const lines = headline(error.code, error.message, look);
  const shown = error.problems.slice(0, SHOWN);
  const read = memo(sources);
  for (const problem of shown) lines.push('', ...problemLines(problem, look, read));
  const more = error.problems.length - shown.length;
  if (more > 0) lines.push('', `  and ${more} more`);
  if (shown.length > 0) lines.push('');
  lines.push(...hint(hintOf(error, verb), look));
  return lines.join('\n');
}

function headline(code: string, message: string, { palette, width }: Look): string[] {
  const tag = `error[${code}]:`;
  const [first = '', ...more] = hang(`${tag} `, message, width);
  return [palette.bold(palette.red(tag)) + first.slice(tag.length), ...more];
}

/** The catalogue's hints hold `<verb>` and `<task>`; here it is mostly known which. */
function hintOf({ hint: text, details }: ForgeError, verb: string | null): string {
  const task = details['task_id'];
  return text.replace('<verb>', verb ?? '<verb>').replace('<task>', typeof task === 'string' ? task : '<task>');
}

function hint(text: string, { palette, width }: Look): string[] {
  const [first = '', ...more] = hang('hint: ', text, width);
  return [palette.cyan('hint:') + first.slice('hint:'.length), ...more];
}

function bug(error: unknown, look: Look, stack: boolean): string {
  const lines = [...headline('BUG', bugMessage(error), look), ...hint(BUG_HINT, look)];
  if (stack && error instanceof Error && error.stack !== undefined) lines.push(plainText(error.stack));
  return lines.join('\n');
}

function bugMessage(error: unknown): string {
  return oneLine(error instanceof Error ? `${error.name}: ${error.message}` : String(error), 500);
}

function problemLines({ message, place, suggestion }: Problem, look: Look, sources: Sources): string[] {
  const { palette, width } = look;
  const where = [place.file, place.line, place.column].filter((part) => part !== undefined).join(':');
  const text = suggestion === undefined ? message : `${message}. ${suggestion}`;
  const source = excerpt(place, look, sources);
  return [`  ${palette.bold(oneLine(where))}`, ...hang('    ', text, width), ...source];
}

/** The line of the file with a caret under the column. */
function excerpt({ file, line, column }: Problem['place'], { palette, width }: Look, sources: Sources): string[] {
  if (line === undefined || column === undefined) return [];
  const text = sources(file)?.split('\n')[line - 1];
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

function memo(sources: Sources): Sources {
  const known = new Map<string, string | null>();
  return (file) => {
    if (!known.has(file)) known.set(file, sources(file));
    return known.get(file) ?? null;
  };
}

export function warningLine(message: string, { palette }: Look): string {
  return `${palette.yellow('warning:')} ${oneLine(message, 1000)}`;
}
