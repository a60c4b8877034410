/** `mcp`: the verbs as tools of an MCP server. A face serves them; this is what the command line knows of it. */

import * as z from 'zod/mini';
import { invalidArgs } from '../lib/errors.ts';
import { command } from './shared/command.ts';

export const mcp = command({
  changes: false,
  notes:
    'Serves the verbs as tools over the Model Context Protocol on stdin and stdout, until stdin ends. An agent starts it: for\n' +
    'Claude Code, `claude mcp add forge -- forge mcp`. The task and attempt in FORGE_* are the defaults of the tools.\n' +
    '`forge mcp` is the same. spec/MCP.md has the tools, and how other agents are configured.',
  examples: [
    ['mcp', 'for the project around the current folder'],
    ['mcp --dir ../other', 'for another one'],
  ],
  input: z.object({}),
  output: () => z.strictObject({}),
  /** Throws INVALID_ARGS: no caller but the command line has a stdin and a stdout to serve. */
  async run() {
    throw invalidArgs('mcp serves a program on stdin and stdout, and has no answer of its own');
  },
});
