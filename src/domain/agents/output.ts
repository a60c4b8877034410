/** The output of an agent as events, and as lines for a person. */

import type { PlanTask } from '../plan/plan.ts';
import { commandFor, type WorkerSettings } from '../plan/task-command.ts';
import { claude } from './claude.ts';
import { codex } from './codex.ts';
import { type Adapter, type AgentEvent, eventText, isFields } from './events.ts';
import { gemini } from './gemini.ts';
import { qwen } from './qwen.ts';

/** Agents whose output is understood, by the name of their preset. */
const ADAPTERS: Readonly<Record<string, Adapter>> = { claude, codex, gemini, qwen };

/** The adapter of a preset; null for one whose output is not understood. */
export function adapterOf(agent: string | null | undefined): Adapter | null {
  return (agent && Object.hasOwn(ADAPTERS, agent) && ADAPTERS[agent]) || null;
}

/** The agent whose structured output a task's worker writes, when a run starts it; null for any other worker. */
export function agentFor(task: Pick<PlanTask, 'run' | 'shell'>, settings: WorkerSettings): string | null {
  const from = commandFor(task, settings)?.from;
  return adapterOf(from) === null ? null : (from ?? null);
}

/** Most of one line, characters. Tools print whole files on one; what is longer is passed over. */
const LINE_MAX_CHARS = 4 * 1024 * 1024;

/** Takes output in pieces, and gives what is said in the lines that are whole: events, or the text of one that is no event. */
export class AgentOutput {
  readonly #adapter: Adapter;
  #rest = '';
  #isLong = false;
  /** What a message that comes in pieces has said so far. */
  #message = '';

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
    return said;
  }

  /** What is left at the end of the output. */
  end(): (AgentEvent | string)[] {
    const rest = this.#isLong ? '' : this.#rest;
    this.#rest = '';
    return [...this.#line(rest), ...this.#whole()];
  }

  #line(line: string): (AgentEvent | string)[] {
    if (line.trim() === '') return [];
    const decoded = line.startsWith('{') ? parsed(line) : null;
    const said = decoded === null ? this.#plain(line) : this.#adapter.events(decoded);
    return said.flatMap((each) => {
      if (typeof each === 'string' || each.type !== 'message' || !each.partial) return [...this.#whole(), each];
      this.#message += each.text;
      return [];
    });
  }

  #plain(line: string): (AgentEvent | string)[] {
    const meant = this.#adapter.plain?.(line.trim()) ?? [];
    return meant.length === 0 ? [line] : meant;
  }

  /** The message whose pieces have come; nothing where there are none. */
  #whole(): AgentEvent[] {
    const text = this.#message;
    this.#message = '';
    return text === '' ? [] : [{ type: 'message', text }];
  }
}

/** Lines for a person, each with its end. */
export function saidText(said: readonly (AgentEvent | string)[]): string {
  const lines = said.flatMap((each) => (typeof each === 'string' ? each : (eventText(each) ?? [])));
  return lines.map((line) => `${line}\n`).join('');
}

/** The events in a whole output. */
export function eventsIn(adapter: Adapter, output: string): AgentEvent[] {
  const reader = new AgentOutput(adapter);
  return [...reader.read(output), ...reader.end()].filter((each) => typeof each !== 'string');
}

function parsed(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    return isFields(value) ? value : null;
  } catch {
    return null;
  }
}
