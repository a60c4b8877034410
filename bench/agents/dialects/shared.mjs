/** What the dialects have in common: events of a stream, and the tool by which an agent runs a command. */

import { randomUUID } from 'node:crypto';

/** Tokens that every answer says it took. */
export const TOKENS = { input: 1000, output: 50 };

export const newId = (prefix) => `${prefix}_${randomUUID().replaceAll('-', '')}`;

export function sendJson(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** Answers with events, each an object; `name` adds the line that names it. */
export function sendEvents(response, events, name = () => null) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of events) {
    const named = name(event);
    response.write(`${named === null ? '' : `event: ${named}\n`}data: ${JSON.stringify(event)}\n\n`);
  }
}

/** What agents call the tool that runs a command of the shell. */
const SHELL = /^(bash|shell|shell_command|exec_command|run_shell_command)$/i;

/**
 * The call by which an agent with these tools runs `command`: the tool's name and its arguments. Null when none of them runs commands.
 * A tool is `{name, schema}`, its schema that of its arguments.
 */
export function shellCall(tools, command) {
  const tool = tools.find(({ name }) => SHELL.test(name));
  if (tool === undefined) return null;
  const { properties = {} } = tool.schema ?? {};
  const key = 'cmd' in properties ? 'cmd' : 'command';
  const takesWords = /array/i.test(String(properties[key]?.type));
  const input = { [key]: takesWords ? ['bash', '-c', command] : command };
  if ('description' in properties) input.description = 'The next step';
  return { name: tool.name, input };
}
