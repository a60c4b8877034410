/** The MCP server: what it says of itself, and which part answers which request. */

import type { CommandContext } from '../commands/shared/session.ts';
import { callTool } from './call.ts';
import { listResources, RESOURCE_TEMPLATES, readResource } from './resources.ts';
import { ProtocolError, ProtocolErrorCode, Server, type ServerContext } from './sdk.ts';
import type { Tool } from './tools.ts';
import { Turns } from './turns.ts';

const INSTRUCTIONS = `forge gives out the tasks of a plan, so that many agents can work at once.

Is FORGE_TASK_ID set in your environment? Then you were started for that task: do that one and claim no other. Its ids are the
defaults of the tools here. Otherwise: \`ready\` says what can start; \`claim\` with next: true takes a task and answers with
task_id, claim_id and run_id; \`dispatch\` with task, claim and run begins it and answers with attempt_id and worktree_path;
\`render_worker_prompt\` with task and attempt is the task in full.

Work in worktree_path, or without one in the project, and commit. Call \`heartbeat\` every five minutes or so. End with
\`complete\` and a verdict, or with failed: true, error_class and message. Call \`question\` when a person must decide, and stop
when its status is open; \`release\` when you stop before it is done.

An error has a code, a message and a hint. LEASE_STOLEN and STALE_ATTEMPT: the task is no longer yours; stop, and change
nothing more. Where a text says \`forge orchestrate VERB --some-option\`, call the tool VERB with some_option.`;

/** A server for one connection. `context`: how each call opens the project, which it does anew. */
export function mcpServer(context: CommandContext, version: string, tools: readonly Tool[], calls: Calls): Server {
  const byName = new Map(tools.map((tool) => [tool.name, tool]));
  const capabilities = { tools: {}, resources: {} };
  const server = new Server({ name: 'forge', title: 'forge', version }, { capabilities, instructions: INSTRUCTIONS });
  server.setRequestHandler('tools/list', () => ({ tools: tools.map(toolAsListed) }));
  server.setRequestHandler('tools/call', ({ params }, { mcpReq }) => {
    const tool = byName.get(params.name);
    if (tool === undefined)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `there is no tool ${JSON.stringify(params.name)}`);
    const { signal } = mcpReq;
    const call = { context, turns: calls.turns, signal, progress: progressOf(mcpReq) };
    return calls.track(callTool(tool, params.arguments, call));
  });
  server.setRequestHandler('resources/list', ({ params }) => calls.track(listResources(context, params?.cursor)));
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: RESOURCE_TEMPLATES }));
  server.setRequestHandler('resources/read', ({ params }) => calls.track(readResource(context, params.uri)));
  return server;
}

/** The calls under way. */
export class Calls {
  readonly turns = new Turns();
  readonly #open = new Set<Promise<unknown>>();

  track<T>(call: Promise<T>): Promise<T> {
    this.#open.add(call);
    const end = () => void this.#open.delete(call);
    call.then(end, end);
    return call;
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#open);
  }
}

function toolAsListed({ name, title, description, schema, effects }: Tool) {
  return {
    name,
    title,
    description,
    inputSchema: schema.input,
    outputSchema: schema.output,
    annotations: { title, ...effects },
  };
}

/** Tells the client, where it has asked for that. */
function progressOf({ _meta, notify }: ServerContext['mcpReq']): (message: string) => void {
  const progressToken = _meta?.progressToken;
  if (progressToken === undefined) return () => {};
  let progress = 0;
  return (message) => {
    progress++;
    // A client that is gone has no use for it.
    notify({ method: 'notifications/progress', params: { progressToken, progress, message } }).catch(() => {});
  };
}
