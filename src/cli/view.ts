/** How a verb's answer is shown, and what a verb that prints while it goes on is given. */

import type { VerbData, VerbInput, VerbName } from '../commands/registry.ts';
import type { CommandContext } from '../commands/shared/session.ts';
import type { RenderContext } from './render-context.ts';
import type { Screen } from './screen.ts';

/** What is shown of the answer of each verb. */
export type Renderers = {
  readonly [N in VerbName]: (data: VerbData<N>, context: RenderContext, input: VerbInput<N>) => string;
};

export interface View<N extends VerbName> {
  /** Loads what shows the answer. Default: it is shown while the command goes on. */
  text?(): Promise<Pick<Renderers, N>>;
  /** Default: 0. */
  exitCode?(data: VerbData<N>, input: VerbInput<N>): number | Promise<number>;
  /** Where the text goes; default: stdout. `exec` leaves stdout to its command. */
  to?: 'stderr';
  /** It is for a program to read, or to be copied: no line of it is broken. */
  asIs?: true;
  /** Prints while the command goes on, instead of its answer, and returns the exit code; null: the answer is printed as usual. */
  follow?(cli: Cli, input: VerbInput<N>): Promise<number> | null;
}

/** What a verb that prints while it goes on is given. */
export interface Cli {
  context: CommandContext;
  screen: Screen;
  version(): string;
}
