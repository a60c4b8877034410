/** `mcp` on the command line: stdout belongs to the protocol, so all else goes to stderr. */

import { invalidArgs } from '../lib/errors.ts';
import { serve } from '../mcp/serve.ts';
import { isTerminal } from './output.ts';
import type { Cli } from './view.ts';

/** Returns the exit code. */
export async function serveMcp({ context, screen, version }: Cli): Promise<number> {
  if (screen.json) throw invalidArgs('mcp takes no --json: its stdout belongs to the protocol');
  if (isTerminal('stdin')) screen.note('speaks MCP on stdin and stdout, for an agent that starts it; Ctrl-D ends it');
  await serve(context, version());
  return 0;
}
