/** Clients of `forge mcp`, started as an agent starts it. */

import { spawn } from 'node:child_process';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { onTestFinished } from 'vitest';
import { environment, FORGE } from './cli.ts';

export interface McpOptions {
  cwd: string;
  env?: Record<string, string>;
  /** Of node. */
  flags?: readonly string[];
}

// biome-ignore lint/suspicious/noExplicitAny: tests read answers of many shapes.
type Answer = any;

export interface McpClient {
  client: Client;
  pid: number;
  /** The answer of a tool, which the client has checked against its output schema. Fails when it is an error. */
  call(name: string, args?: Record<string, unknown>): Promise<Answer>;
  /** The error of a tool. Fails when there is none. */
  refused(name: string, args?: Record<string, unknown>): Promise<Answer>;
  /** What the server has written to stderr until now. */
  stderr(): string;
}

/** A client with a server of its own, which is gone when the test is over. */
export async function mcpClient({ cwd, env = {}, flags = [] }: McpOptions): Promise<McpClient> {
  const client = new Client({ name: 'test', version: '1' });
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [...flags, FORGE, 'mcp'],
    cwd,
    env: environment(env) as Record<string, string>,
    stderr: 'pipe',
  });
  let text = '';
  transport.stderr?.on('data', (chunk) => {
    text += chunk;
  });
  onTestFinished(() => client.close());
  await client.connect(transport);
  await client.listTools();
  const ask = async (name: string, args: Record<string, unknown>) => {
    const { isError = false, content, structuredContent } = await client.callTool({ name, arguments: args });
    // An error is said in words, and then as JSON.
    const said = (content as { text: string }[])[isError ? 1 : 0]?.text ?? 'null';
    return { isError, said: JSON.parse(said), structuredContent };
  };
  return {
    client,
    pid: transport.pid ?? 0,
    async call(name, args = {}) {
      const { isError, said, structuredContent } = await ask(name, args);
      if (isError) throw new Error(`${name}: ${JSON.stringify(said)}`);
      return structuredContent;
    },
    async refused(name, args = {}) {
      const { isError, said } = await ask(name, args);
      if (!isError) throw new Error(`${name} was not refused: ${JSON.stringify(said)}`);
      return said.error;
    },
    stderr: () => text,
  };
}

/** A server whose stdin and stdout are the test's. */
export function startServer({ cwd, env = {} }: McpOptions) {
  const child = spawn(process.execPath, [FORGE, 'mcp'], { cwd, env: environment(env), stdio: 'pipe' });
  const out = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      out[name] += text;
    });
  }
  child.stdin.on('error', () => {});
  onTestFinished(() => void child.kill('SIGKILL'));
  return {
    child,
    out,
    send: (message: object) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`),
    /** Each whole line of stdout, parsed: fails when one is not JSON. */
    messages: (): Answer[] =>
      out.stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line)),
    ended: new Promise<{ code: number | null; signal: string | null }>((resolve) =>
      child.once('close', (code, signal) => resolve({ code, signal })),
    ),
  };
}
