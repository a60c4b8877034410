// An agent that speaks the Agent Client Protocol, and does what its first argument names. No model, no dependencies.

import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

const [mode, ...args] = process.argv.slice(2);
const waiting = new Map();
let ids = 0;
const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const ask = (method, params) =>
  new Promise((resolve) => {
    waiting.set(`a${++ids}`, resolve);
    send({ id: `a${ids}`, method, params });
  });
const update = (fields) => send({ method: 'session/update', params: { sessionId: 's-1', update: fields } });
const say = (text) => update({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } });

const OPTIONS = ['allow_always', 'allow_once', 'reject_once'].map((kind) => ({ optionId: kind, name: kind, kind }));

const MODES = ['auto', 'default'].map((id) => ({ id, name: id }));

/** What a turn does; returns the answer to `session/prompt`. */
const TURNS = {
  async ok(prompt) {
    fs.writeFileSync('prompt.txt', prompt);
    fs.writeFileSync('args.txt', args.join('\n'));
    update({ sessionUpdate: 'available_commands_update', availableCommands: [] });
    update({ sessionUpdate: 'of_a_later_version', what: 1 });
    update({
      sessionUpdate: 'tool_call',
      toolCallId: 't1',
      title: 'bash',
      kind: 'execute',
      status: 'pending',
      rawInput: {},
    });
    update({
      sessionUpdate: 'tool_call_update',
      toolCallId: 't1',
      status: 'in_progress',
      rawInput: { command: 'make' },
    });
    update({ sessionUpdate: 'tool_call_update', toolCallId: 't1', status: 'in_progress' });
    update({
      sessionUpdate: 'tool_call_update',
      toolCallId: 't1',
      status: 'failed',
      content: [{ type: 'content', content: { type: 'text', text: 'no rule' } }],
    });
    say('All ');
    say('done.');
    return { stopReason: 'end_turn', usage: { inputTokens: 10, outputTokens: 2, totalTokens: 42 } };
  },
  async asks() {
    for (const [id, kind, place] of [
      ['in', 'edit', 'a.txt'],
      ['out', 'edit', '/etc/passwd'],
      ['up', 'delete', '../x'],
      ['run', 'execute', '/etc'],
    ]) {
      const toolCall = {
        toolCallId: id,
        title: id,
        kind,
        status: 'pending',
        locations: [{ path: kind === 'edit' && id === 'in' ? path.resolve(place) : place }],
      };
      const { result } = await ask('session/request_permission', { sessionId: 's-1', toolCall, options: OPTIONS });
      say(`${id}=${result.outcome.optionId ?? result.outcome.outcome};`);
    }
    const { error } = await ask('fs/read_text_file', { sessionId: 's-1', path: '/etc/passwd' });
    say(`read=${error.code}`);
    return { stopReason: 'end_turn' };
  },
  async floods() {
    const text = 'x'.repeat(5 * 1024 * 1024);
    update({
      sessionUpdate: 'tool_call',
      toolCallId: 't',
      title: 'Write',
      kind: 'edit',
      rawInput: { content: text },
      locations: [{ path: 'a.ts' }],
    });
    update({
      sessionUpdate: 'tool_call_update',
      toolCallId: 't',
      status: 'completed',
      content: [{ type: 'content', content: { type: 'text', text } }],
    });
    update({
      sessionUpdate: 'tool_call',
      toolCallId: 'p',
      title: 'Edit',
      kind: 'edit',
      status: 'pending',
      locations: [{ path: '/etc/x' }],
    });
    const { result } = await ask('session/request_permission', {
      sessionId: 's-1',
      toolCall: { toolCallId: 'p' },
      options: OPTIONS,
    });
    const none = await ask('session/request_permission', {
      sessionId: 's-1',
      toolCall: { toolCallId: 'q' },
      options: [OPTIONS[2]],
    });
    say(`${result.outcome.optionId} ${none.result.outcome.outcome}`);
    return { stopReason: 'end_turn' };
  },
  async stops() {
    say('Enough.');
    return { stopReason: args[0] };
  },
  async dies() {
    say('Working.');
    process.exitCode = 3;
    process.stdout.end(() => process.exit(3));
    return new Promise(() => {});
  },
  async hangs() {
    fs.writeFileSync('pid', String(process.pid));
    setInterval(() => {}, 1000);
    return new Promise(() => {});
  },
  async fails() {
    return { error: JSON.parse(args[0]) };
  },
};

const ANSWERS = {
  initialize: () => ({
    result: {
      protocolVersion: mode === 'later' ? 2 : 1,
      agentCapabilities: { loadSession: true },
      agentInfo: { name: mode === 'copilot' ? 'Copilot' : 'fake', version: '1' },
    },
  }),
  'session/new': () =>
    mode === 'login'
      ? { error: { code: -32000, message: 'Authentication required' } }
      : {
          result: {
            sessionId: 's-1',
            ...(mode === 'auto' && { modes: { currentModeId: 'auto', availableModes: MODES } }),
            configOptions: [
              {
                id: 'model',
                category: 'model',
                name: 'Model',
                type: 'select',
                currentValue: 'small',
                options: [
                  { value: 'small', name: 'S' },
                  { value: 'large', name: 'L' },
                ],
              },
            ],
          },
        },
  'session/load': ({ sessionId }) => {
    say('Said before.');
    return { result: sessionId === 's-1' ? {} : undefined };
  },
  'session/set_mode': ({ modeId }) => {
    fs.writeFileSync('mode', modeId);
    return { result: {} };
  },
  'session/set_config_option': ({ value }) =>
    value === 'none' ? { error: { code: -32602, message: 'no such model' } } : { result: { configOptions: [] } },
  'session/prompt': async ({ prompt }) => {
    const end = await (TURNS[mode] ?? TURNS.ok)(prompt[0].text);
    return end.error === undefined ? { result: end } : end;
  },
};

if (mode === 'chatter') process.stdout.write('Welcome to the agent!\n');
if (mode === 'ends') process.exit(Number(args[0]));
createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, method, params, ...answer } = JSON.parse(line);
  if (method === undefined) waiting.get(id)?.(answer);
  else if (id !== undefined) send({ id, ...(await ANSWERS[method](params)) });
  if (mode === 'later') process.stdout.write('', () => process.exit(3));
});
