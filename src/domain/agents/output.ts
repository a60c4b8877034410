/** The output of an agent as events, and as lines for a person. */

import { isMapping, parseJson } from '../../lib/json.ts';
import { acp } from './acp.ts';
import { claude } from './claude.ts';
import { codex } from './codex.ts';
import { copilot } from './copilot.ts';
import { type Adapter, type AgentEvent, eventText, type UsageEvent } from './events.ts';
import { gemini } from './gemini.ts';
import { type Agent, isAgent } from './known.ts';
import { opencode } from './opencode.ts';
import { qwen } from './qwen.ts';

const ADAPTERS: Readonly<Record<Agent, Adapter>> = { acp, claude, codex, copilot, gemini, opencode, qwen };

/** The adapter of a preset; null for one whose output is not understood. */
export function adapterOf(name: string | null | undefined): Adapter | null {
  return isAgent(name) ? ADAPTERS[name] : null;
}

/** Most of one line, characters. Tools print whole files on one; what is longer is skipped. */
const LINE_MAX_CHARS = 4 * 1024 * 1024;

/** It becomes an argument of the agent's command line, which must not be taken for an option. */
const SESSION_ID = /^\w[\w.:-]{0,199}$/;

/** Takes output in pieces, and gives what is said in the lines that are whole: events, or the text of one that is no event. */
export class AgentOutput {
  readonly #adapter: Adapter;
  #rest = '';
  #isLong = false;
  #hasBegun = false;
  #session = '';
  /** The sum of the parts that report what has been used; null: nothing so far. */
  #used: UsageEvent | null = null;
  #lastPart = '';

  constructor(adapter: Adapter) {
    this.#adapter = adapter;
  }

  read(piece: string): (AgentEvent | string)[] {
    const [first = '', ...others] = piece.split('\n');
    this.#rest += first;
    const said: (AgentEvent | string)[] = [];
    for (const next of others) {
      if (!this.#isLong) said.push(...this.#line(this.#rest));
      this.#isLong = false;
      this.#rest = next;
    }
    if (this.#rest.length > LINE_MAX_CHARS) {
      this.#isLong = true;
      this.#rest = '';
    }
    return withWholeMessages(said);
  }

  /** What has been used, of which only parts are told so far; null: nothing, or all is told. */
  get used(): UsageEvent | null {
    return this.#used;
  }

  /** What is left at the end of the output. */
  end(): (AgentEvent | string)[] {
    const rest = this.#isLong ? '' : this.#rest;
    this.#rest = '';
    return [...this.#line(rest), ...(this.#used === null ? [] : [this.#used])];
  }

  #line(line: string): (AgentEvent | string)[] {
    if (line.trim() === '') return [];
    const decoded = line.startsWith('{') ? parseJson(line, Number.POSITIVE_INFINITY) : null;
    const said = isMapping(decoded) ? this.#adapter.events(decoded) : this.#plain(line);
    this.#hasBegun ||= isMapping(decoded) && said.length > 0;
    return said.flatMap<AgentEvent | string>((each) => (typeof each === 'string' ? each : this.#known(each)));
  }

  /** An event in the light of those before it: a session is told once, and what was used in parts as their sum. */
  #known(event: AgentEvent): AgentEvent[] {
    if (event.type === 'session') {
      const isNew = SESSION_ID.test(event.session_id) && event.session_id !== this.#session;
      if (!isNew) return [];
      this.#session = event.session_id;
      return [event];
    }
    if (event.type !== 'usage') return [event];
    const { part, total = false, ...told } = event;
    const isRepeated = !!part && part === this.#lastPart;
    const before = total ? null : this.#used;
    const used = isRepeated ? before : before === null ? told : sumOf(before, told);
    this.#lastPart = part ?? '';
    this.#used = part === undefined ? null : used;
    return part !== undefined || used === null ? [] : [used];
  }

  /** Text means something only before structured output begins: behind that it is of what the agent has started. */
  #plain(line: string): (AgentEvent | string)[] {
    const meant = (this.#hasBegun ? null : this.#adapter.plain?.(line.trim())) ?? [];
    return meant.length === 0 ? [line] : meant;
  }
}

function sumOf(one: UsageEvent, other: UsageEvent): UsageEvent {
  return {
    type: 'usage',
    input_tokens: one.input_tokens + other.input_tokens,
    output_tokens: one.output_tokens + other.output_tokens,
    cost: one.cost === null && other.cost === null ? null : (one.cost ?? 0) + (other.cost ?? 0),
  };
}

/** The pieces of a message that have come together, as one. */
function withWholeMessages(said: readonly (AgentEvent | string)[]): (AgentEvent | string)[] {
  const whole: (AgentEvent | string)[] = [];
  for (const each of said) {
    const before = whole.at(-1);
    if (isPiece(each) && isPiece(before)) whole[whole.length - 1] = { ...each, text: before.text + each.text };
    else whole.push(each);
  }
  return whole;
}

function isPiece(said: AgentEvent | string | undefined): said is AgentEvent & { type: 'message' } {
  return typeof said === 'object' && said.type === 'message' && said.partial === true;
}

/** Lines for a person, each with its end. */
export function saidText(said: readonly (AgentEvent | string)[]): string {
  const lines = said.flatMap((each) => (typeof each === 'string' ? each : (eventText(each) ?? [])));
  return lines.map((line) => `${line}\n`).join('');
}
