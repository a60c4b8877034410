/** One call of a tool: its arguments, the command under them, and its answer or error as the protocol wants it. */

import { type FieldInfo, fieldsOf } from '../commands/shared/command.ts';
import { type Input, withEnvironment } from '../commands/shared/environment.ts';
import { jsonError } from '../commands/shared/error-body.ts';
import { contentsOf } from '../commands/shared/json-schema.ts';
import type { CommandContext } from '../commands/shared/session.ts';
import { ForgeError, invalidArgs } from '../lib/errors.ts';
import { asIoError } from '../lib/fs/io-errors.ts';
import { issueText, WITHOUT_WORDS } from '../lib/schema-issues.ts';
import { closest, plainJson } from '../lib/text.ts';
import type { Variables } from '../lib/variables.ts';
import { RaisedInterrupts } from '../process/interrupts.ts';
import type { CallToolResult } from './sdk.ts';
import type { Tool } from './tools.ts';
import type { Turns } from './turns.ts';

export interface CallContext {
  context: CommandContext;
  turns: Turns;
  /** Aborted when the client wants no answer any more, or is gone. */
  signal: AbortSignal;
  /** Called with what goes on in a call that takes long. */
  progress(message: string): void;
}

/** Never rejects: what goes wrong is an answer too. */
export async function callTool(tool: Tool, given: unknown, call: CallContext): Promise<CallToolResult> {
  const warnings: string[] = [];
  const warn = (message: string) => warnings.push(`warning: ${message}`);
  try {
    const data = await run(tool, given, { ...call, context: { ...call.context, warn } });
    return { content: texts([plainJson(data), ...warnings]), structuredContent: data as Record<string, unknown> };
  } catch (error) {
    const { ok: _, ...body } = jsonError(asIoError(error, tool.name), tool.verb);
    const { code, message, hint } = body.error;
    // Words come first: Gemini CLI holds a first text that is JSON against the schema of the answer, and refuses it.
    const words = `error[${code}]: ${message}\nhint: ${hint}`;
    return { content: texts([words, plainJson(body), ...warnings]), isError: true };
  }
}

async function run(tool: Tool, given: unknown, { context, turns, signal, progress }: CallContext): Promise<unknown> {
  const input = inputOf(tool, given, context.ctx.env);
  const answer = async () => {
    if (signal.aborted) throw new ForgeError('INTERRUPTED', 'the call was cancelled before it began');
    const { interrupts, end } = cancelledBy(signal, context.interrupts);
    try {
      return await tool.command.run({ ...context, interrupts, note: progress, signal }, input as never);
    } finally {
      end();
    }
  };
  const { turn = `task ${input['task'] ?? ''}` } = tool;
  if (tool.effects.readOnlyHint || turn === 'none') return answer();
  // Two calls of one server are one process to the records, which know an owner by that.
  return turns.take(turn, answer);
}

/** Interruptions of one call: of its own, by its client, and of the process. `end` stops listening to the client. */
function cancelledBy(signal: AbortSignal, outer: CommandContext['interrupts']) {
  const open = new Set<RaisedInterrupts>();
  const cancel = () => {
    for (const raised of open) raised.raise(1);
  };
  signal.addEventListener('abort', cancel);
  return {
    interrupts: () => {
      const signals = outer?.();
      const raised = new RaisedInterrupts(signals);
      open.add(raised);
      if (signal.aborted) raised.raise(1);
      const { stop } = raised;
      return Object.assign(raised, {
        stop: () => {
          open.delete(raised);
          stop();
          signals?.stop();
        },
      });
    },
    end: () => signal.removeEventListener('abort', cancel),
  };
}

/** Throws INVALID_ARGS. */
export function inputOf(tool: Tool, given: unknown, env: Variables): Input {
  const { command, fixed, defaults, schema } = tool;
  const values = (given ?? {}) as Input;
  const names = Object.keys(schema.input['properties'] as object);
  for (const name of Object.keys(values)) if (!names.includes(name)) throw unknownArgument(tool, name, names);
  const all: Input = { ...defaults, ...values, ...fixed };
  // Errors name a file by what stands for it.
  for (const { key, field } of contentsOf(command.input)) if (values[key] !== undefined) all[field] = key;
  const fields = fieldsOf(command.input);
  const input = withEnvironment(all, fields, env);
  const parsed = command.input.safeParse(input, { ...WITHOUT_WORDS, jitless: true });
  if (parsed.success) return parsed.data as Input;
  const [name] = parsed.error.issues[0]?.path ?? [];
  const field = fields.find(({ key }) => key === name);
  if (field !== undefined && input[field.key] === undefined) throw missing(tool, field);
  throw invalidArgs(issueText(parsed.error.issues, input), `See the schema of ${tool.name}.`);
}

function missing(tool: Tool, { key, env }: FieldInfo): ForgeError {
  const name = contentsOf(tool.command.input).find(({ field }) => field === key)?.key ?? key;
  return invalidArgs(`${tool.name} needs ${name}`, env && `Give it, or start the server with ${env} set.`);
}

function unknownArgument({ name: tool }: Tool, name: string, names: readonly string[]): ForgeError {
  const near = closest(name, names) ?? names.find((known) => name.startsWith(`${known}_`)) ?? null;
  const takes = names.length === 0 ? 'no arguments' : names.join(', ');
  const guess = near === null ? '' : `Did you mean ${near}? `;
  return invalidArgs(`${tool} has no argument ${JSON.stringify(name)}`, `${guess}It takes ${takes}.`);
}

function texts(parts: readonly string[]) {
  return parts.map((text) => ({ type: 'text' as const, text }));
}
