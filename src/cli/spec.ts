/** How a verb describes itself to the command line: what it takes, what it says about itself, and how it is answered. */

import type { Call } from '../commands/shared/session.ts';
import type { Warning } from '../domain/warnings.ts';
import type { Input } from './input.ts';
import type { Look } from './look.ts';
import type { Screen } from './screen.ts';

export interface OptionSpec {
  /** Without dashes: `max-parallel`. */
  name: string;
  /** What stands for the value in the help, `n` or `continue|stop`; a flag without one is a switch. */
  value?: string;
  about: string;
  /** The environment variable that holds it where the flag is not given. Empty counts as not set. */
  env?: string;
  /** May be given more than once. */
  many?: true;
}

export interface OperandSpec {
  name: string;
  about: string;
  env?: string;
}

/** A command line (without `forge orchestrate`) and what it is for. */
export type Example = readonly [command: string, about: string];

/** What a verb answers with. */
export interface Answer {
  /** The `data` of the JSON envelope. */
  data: unknown;
  /** The same for a person. Only called without --json. */
  human(look: Look): string | Promise<string>;
  /** What a person should know although nothing failed; in JSON it is part of the data. */
  warnings?: readonly Warning[];
  /** Default: 0. */
  exitCode?: number;
  /** Where the person's text goes; default: stdout. `exec` leaves stdout to its command. */
  to?: 'stdout' | 'stderr';
}

/** What a verb is answered with: the call for the verb itself, and the screen for those that print while they work. */
export interface Desk {
  call: Call;
  screen: Screen;
}

export interface VerbSpec {
  /** `claim`, `run start`. */
  name: string;
  /** One line for the list of verbs. */
  about: string;
  /** More for its own help. */
  notes?: string;
  operands?: readonly OperandSpec[];
  /** How the operands are written in the usage line; made of `operands` when it is not given. */
  usage?: string;
  options?: readonly OptionSpec[];
  examples: readonly Example[];
  /** Loads the verb and asks it. A number is the exit code of a verb that has printed everything itself. */
  answer(input: Input, desk: Desk): Promise<Answer | number>;
}

/** Verbs that belong together in the help. */
export interface VerbGroup {
  title: string;
  verbs: readonly VerbSpec[];
}
