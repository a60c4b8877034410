/** What a coding agent says and does, from its structured output, in one vocabulary for all of them. */

import { isMapping } from '../../lib/json.ts';
import { own } from '../../lib/own.ts';
import { oneLine } from '../../lib/text.ts';
import { type ClassifiedError, classCovers } from '../retry/classify.ts';
import type { ClockTime } from './clock-time.ts';

/** Why an agent can't go on; also the class of such a failure. */
export type Cause =
  | 'auth'
  | 'billing'
  | 'rate_limit'
  | 'overloaded'
  | 'network'
  | 'context'
  | 'max_turns'
  | 'refused'
  | 'crash';

/** What ends by itself, so that another try is worth its while. */
export const TRANSIENT: readonly Cause[] = ['rate_limit', 'overloaded', 'network'];

/** Whether an error of this class ends by itself. */
export function passesByItself(name: string): boolean {
  return TRANSIENT.some((cause) => classCovers(cause, name));
}

/** What only a person can mend. */
export const NEEDS_PERSON: readonly Cause[] = ['auth', 'billing'];

export type AgentEvent =
  | { type: 'session'; session_id: string; model: string | null }
  /** What it tells a person. `partial`: a piece that the next one goes on from. */
  | { type: 'message'; text: string; partial?: true }
  /** What it does, in words: `runs npm test`. */
  | { type: 'tool_call'; text: string }
  | { type: 'tool_result'; failed: boolean; text: string }
  /**
   * What was used since the last that was told. `part`: of a part, known by this name, and more will follow; `total`: of the whole session,
   * whatever was told before. `cost`: US dollars; null where it does not say.
   */
  | {
      type: 'usage';
      input_tokens: number;
      output_tokens: number;
      cost: number | null;
      part?: string;
      total?: true;
    }
  /** Something was refused; `ended`: the agent gives up over it. `until`: when it can go on, milliseconds since the epoch; null: not said. */
  | { type: 'trouble'; cause: Cause | null; text: string; until: number | ClockTime | null; ended: boolean };

export type UsageEvent = AgentEvent & { type: 'usage' };

/** Reads the output of one agent. */
export interface Adapter {
  /** What a line of its output says, decoded. Nothing for what it has no event for. */
  events(line: Readonly<Record<string, unknown>>): AgentEvent[];
  /** What a line of text means: of the program itself, since what a model says stands in its structured output. Default: nothing. */
  plain?(line: string): AgentEvent[];
  /** It counts the tokens of a session that it goes on with from the beginning of that. Default: from where it goes on. */
  countsOn?: true;
  /** Causes that its exit codes name, for what its output does not. Default: none. */
  exits?: Readonly<Record<number, Cause>>;
}

/** What an agent says over a cause, where no field of its output names that. */
export type CauseWords = readonly (readonly [words: RegExp, Cause])[];

/** The first cause whose words are in `text`; null for none. */
export function causeSaid(said: CauseWords, text: string): Cause | null {
  return said.find(([words]) => words.test(text))?.[1] ?? null;
}

/** The cause that a status of HTTP stands for; null for none. Source: RFC 9110, and 529 as model servers use it. */
export function causeOfStatus(status: unknown): Cause | null {
  if (status === 401 || status === 403) return 'auth';
  if (status === 402) return 'billing';
  if (status === 429) return 'rate_limit';
  if (status === 413) return 'context';
  return typeof status === 'number' && status >= 500 ? 'overloaded' : null;
}

/** What is told of an answer by its status alone; without one there was none. */
export function answerText(status: unknown): string {
  return typeof status === 'number' ? `the model's server has answered ${status}` : 'the model can not be reached';
}

/** What the servers of models say where a status stands for several causes. */
const ANSWERS: CauseWords = [
  [
    /context_length_exceeded|maximum context length|exceeds the context window|exceeds the maximum number of tokens|prompt is too long/i,
    'context',
  ],
  [/insufficient_quota|exceeded your current quota|credit balance is too low/i, 'billing'],
  [/API_KEY_INVALID|API key not valid/, 'auth'],
];

/** The cause that an answer of a model's server names; null for none. `words`: its code and message. */
export function causeOfAnswer(status: unknown, words: string): Cause | null {
  return causeSaid(ANSWERS, words) ?? causeOfStatus(status);
}

/** What an agent has given up over. */
export interface AgentFailure {
  /** `message`: left out where only its exit code says so. */
  error: Pick<ClassifiedError, 'class'> & Partial<Pick<ClassifiedError, 'message'>>;
  /** When it can go on, milliseconds since the epoch; null: not said. */
  until: number | ClockTime | null;
}

/** The failure that an agent ends with; null where neither its output nor its exit code says that it gives up. `exit`: the cause that the code names. */
export function failureIn(events: readonly AgentEvent[], exit: Cause | null = null): AgentFailure | null {
  const troubles = troublesAtEnd(events);
  const last = troubles.at(-1);
  if (last === undefined || !last.ended) return exit && { error: { class: exit }, until: null };
  // Some name the cause only while they still try.
  const cause = last.cause ?? troubles.findLast(({ cause }) => cause !== null)?.cause ?? exit ?? 'crash';
  // A second that is told is better than a time of day.
  const told = troubles.findLast((each) => each.cause === cause && typeof each.until === 'number');
  return { error: { class: cause, message: oneLine(last.text, 500) }, until: told?.until ?? last.until };
}

/** What passes by itself and an agent still tried again over when it was stopped; null for any other end. */
export function stillTrying(events: readonly AgentEvent[]): AgentFailure | null {
  const last = troublesAtEnd(events).at(-1);
  if (last === undefined || last.cause === null || !passesByItself(last.cause)) return null;
  return { error: { class: last.cause, message: oneLine(last.text, 500) }, until: last.until };
}

/** What went wrong before it did anything else is over. */
function troublesAtEnd(events: readonly AgentEvent[]) {
  const since = events.findLastIndex(
    ({ type }) => type === 'message' || type === 'tool_call' || type === 'tool_result',
  );
  return events.slice(since + 1).filter((event) => event.type === 'trouble');
}

/** An event as a line for a person; null for what says nothing new. */
export function eventText(event: AgentEvent): string | null {
  switch (event.type) {
    case 'session':
      return `session ${event.session_id}${event.model === null ? '' : `, ${event.model}`}`;
    case 'message':
      return event.text.trim() === '' ? null : event.text.trim();
    case 'tool_call':
      return `· ${event.text}`;
    case 'tool_result':
      return event.failed ? `  failed: ${oneLine(event.text, 300)}` : null;
    case 'usage': {
      const cost = event.cost === null ? '' : `, $${event.cost.toFixed(2)}`;
      return `used ${event.input_tokens} tokens, and wrote ${event.output_tokens}${cost}`;
    }
    case 'trouble':
      return `${event.ended ? 'gave up' : 'tries again'}: ${event.cause === null ? '' : `${event.cause}: `}${oneLine(event.text, 300)}`;
  }
}

/** Words for what a tool does, by its usual names and inputs. */
export function toolText(name: string, input: Fields): string {
  const file =
    textOf(input['file_path']) || textOf(input['filePath']) || textOf(input['path']) || textOf(input['absolute_path']);
  const kind = name.toLowerCase();
  const command = textOf(input['command']);
  if (command !== '') return `runs ${oneLine(command, 200)}`;
  if (file !== '' && /edit|replace|patch/.test(kind)) return `edits ${oneLine(file, 200)}`;
  if (file !== '' && /write|create/.test(kind)) return `writes ${oneLine(file, 200)}`;
  if (file !== '' && /read|view/.test(kind)) return `reads ${oneLine(file, 200)}`;
  const what =
    textOf(input['pattern']) || textOf(input['query']) || textOf(input['url']) || textOf(input['description']) || file;
  return what === '' ? `uses ${oneLine(name, 60)}` : `uses ${oneLine(name, 60)}: ${oneLine(what, 200)}`;
}

// --- decoding --------------------------------------------------------------------------------------------------------

export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields {
  return isMapping(value) ? value : {};
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** What a table has under a name that an agent wrote. */
export function namedIn<T>(table: Readonly<Record<string, T>>, name: unknown): T | undefined {
  return own(table, textOf(name));
}

export function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isMapping) : [];
}

/** A whole number from 0 up; 0 for anything that counts nothing. */
export function countOf(value: unknown): number {
  const count = typeof value === 'number' ? Math.round(value) : 0;
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}

/** What an agent counts under these names, without a price. */
export function tokensOf({ input_tokens, output_tokens }: Fields): UsageEvent {
  return { type: 'usage', input_tokens: countOf(input_tokens), output_tokens: countOf(output_tokens), cost: null };
}

/** More than any session costs: such a number is a mistake. */
const COST_MAX = 1_000_000;

/** US dollars; null for anything that is no price. */
export function costOf(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 && value <= COST_MAX ? value : null;
}
