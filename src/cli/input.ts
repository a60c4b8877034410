/** What a verb was given: from the command line first, from FORGE_* where that says nothing. Checked as it is asked for. */

import { ForgeError } from '../lib/errors.ts';
import { closest } from '../lib/text.ts';
import type { OptionSpec, VerbSpec } from './spec.ts';

export interface Given {
  operands: readonly string[];
  /** By the names that commander makes of flags: `maxParallel`. */
  options: Readonly<Record<string, unknown>>;
  /** What stood behind `--`, as it was; null when there was none. */
  rest: readonly string[] | null;
  env: Readonly<Record<string, string | undefined>>;
}

export class Input {
  readonly #spec: VerbSpec;
  readonly #given: Given;

  constructor(spec: VerbSpec, given: Given) {
    this.#spec = spec;
    this.#given = given;
  }

  /** What stands behind `--`; null when there is none. */
  get rest(): readonly string[] | null {
    return this.#given.rest;
  }

  /** The first operand, else its environment variable. Throws INVALID_ARGS when there is neither; `instead` would do too. */
  task(instead?: string): string {
    const { name, env } = this.#spec.operands?.[0] ?? { name: 'task' };
    const what = instead === undefined ? `<${name}>` : `<${name}> or ${instead}`;
    return this.#given.operands[0] ?? this.env(env) ?? this.#missing(what, env);
  }

  /** The first operand only when it was written out. */
  writtenTask(): string | undefined {
    return this.#given.operands[0];
  }

  flag(name: string): boolean {
    return this.#value(this.#option(name)) === true;
  }

  text(name: string): string | undefined {
    const value = this.#value(this.#option(name));
    return typeof value === 'string' ? value : undefined;
  }

  /** Throws INVALID_ARGS when it is neither given nor in the environment. */
  required(name: string): string {
    const option = this.#option(name);
    return this.text(name) ?? this.#missing(flagOf(option), option.env);
  }

  list(name: string): string[] {
    const value = this.#value(this.#option(name));
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** A whole number from `min` to `max`. Throws INVALID_ARGS. */
  integer(name: string, min: number, max = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} on` : `from ${min} to ${max}`;
    throw this.#invalid(`--${name} ${quoted(text)}: expected a whole number ${range}`);
  }

  /** One of `choices`. Throws INVALID_ARGS with the nearest one. */
  oneOf<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const choice = choices.find((candidate) => candidate === text);
    if (choice !== undefined) return choice;
    throw this.#invalid(`--${name} ${quoted(text)}: expected ${choices.join(' or ')}`, closest(text, choices));
  }

  /** A variable of the environment; undefined when it is empty. */
  env(name: string | undefined): string | undefined {
    return name === undefined ? undefined : this.#given.env[name] || undefined;
  }

  #value(option: OptionSpec): unknown {
    return this.#given.options[attributeOf(option.name)] ?? this.env(option.env);
  }

  #option(name: string): OptionSpec {
    const option = this.#spec.options?.find((candidate) => candidate.name === name);
    if (option === undefined) throw new Error(`${this.#spec.name} has no option ${name}`);
    return option;
  }

  #missing(what: string, env: string | undefined): never {
    throw this.#invalid(`${this.#spec.name} needs ${what}${env === undefined ? '' : ` (or ${env})`}`);
  }

  #invalid(message: string, near: string | null = null): ForgeError {
    const help = `See \`forge orchestrate ${this.#spec.name} --help\`.`;
    return new ForgeError('INVALID_ARGS', message, { hint: near === null ? help : `Did you mean ${near}? ${help}` });
  }
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

/** `--limit <n>`, as commander and people read it. */
export function flagOf({ name, value }: OptionSpec): string {
  return value === undefined ? `--${name}` : `--${name} <${value}>`;
}

/** The name under which commander keeps a flag's value. */
export function attributeOf(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
