/** Bare `forge orchestrate`: where things stand, and the exact next command. */

import * as z from 'zod/mini';
import { command } from './shared/command.ts';
import { standingOf, standingSchema } from './shared/standing.ts';

export const home = command({
  changes: false,
  examples: [['', 'where things stand, and the next command']],
  input: z.object({}),
  output: standingSchema,
  /** Throws what `standingOf` throws. */
  run: (context) => standingOf(context),
});
