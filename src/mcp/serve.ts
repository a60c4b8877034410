/** Serves MCP on stdin and stdout until stdin ends. The SDK is loaded with this file, and by nothing else. */

import type { CommandContext } from '../commands/shared/session.ts';
import { errorMessage } from '../lib/errors.ts';
import { oneLine } from '../lib/text.ts';
import { type Interrupts, RaisedInterrupts } from '../process/interrupts.ts';
import { StdioServerTransport, serveStdio } from './sdk.ts';
import { Calls, mcpServer } from './server.ts';
import { loadTools } from './tools.ts';

/** Resolves when the client is gone, and what it had called has ended. */
export async function serve({ ctx, dir, ...outer }: CommandContext, version: string): Promise<void> {
  // It goes on for hours, while its own files may be replaced.
  outer.lasts?.();
  const tools = await loadTools(ctx.env);
  const calls = new Calls();
  const interrupts = sharedInterrupts(outer.interrupts, () => void connection.close());
  const context: CommandContext = { ctx, dir, warn: outer.warn, interrupts };
  const wire = new StdioServerTransport();
  const connection = serveStdio(() => mcpServer(context, version, tools, calls), {
    transport: wire,
    onerror: (error) => outer.warn(`mcp: ${oneLine(errorMessage(error), 500)}`),
  });
  await new Promise<void>((resolve) => {
    const { onclose } = wire;
    wire.onclose = () => {
      onclose?.();
      resolve();
    };
  });
  await calls.settled();
}

/**
 * Listens to the process's signals while a call does what must be ended in good order, and at no other time: then a signal ends the
 * process as it would without this. One listener serves all calls.
 */
function sharedInterrupts(listen: CommandContext['interrupts'], onSignal: () => void) {
  let signals: (Interrupts & { stop(): void }) | undefined;
  let users = 0;
  return (): Interrupts & { stop(): void } => {
    if (users++ === 0) {
      signals = listen?.();
      signals?.listen(onSignal);
    }
    const raised = new RaisedInterrupts(signals);
    const { stop } = raised;
    return Object.assign(raised, {
      stop: () => {
        stop();
        if (--users > 0) return;
        signals?.stop();
        signals = undefined;
      },
    });
  };
}
