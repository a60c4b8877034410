/** How a verb's answer is shown, and what a verb that prints while it goes on is given. */

import type { CommandContext } from '../commands/shared/session.ts';
import type { Look } from './look.ts';
import type { Screen } from './screen.ts';

export interface View<D, I> {
  text(data: D, look: Look, input: I): string | Promise<string>;
  /** Default: 0. */
  exitCode?(data: D, input: I): number | Promise<number>;
  /** Where the text goes; default: stdout. `exec` leaves stdout to its command. */
  to?: 'stderr';
  /** Prints while the command goes on, instead of its answer, and returns the exit code; null: the answer is printed as usual. */
  follow?(cli: Cli, input: I): Promise<number> | null;
}

/** What a verb that prints while it goes on is given. */
export interface Cli {
  context: CommandContext;
  screen: Screen;
}
