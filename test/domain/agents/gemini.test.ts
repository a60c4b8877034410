/** What Gemini CLI 0.61 wrote, as recorded. */

import { describe, expect, test } from 'vitest';
import { eventText, failureIn } from '../../../src/domain/agents/events.ts';
import { AgentOutput, adapterOf, saidText } from '../../../src/domain/agents/output.ts';
import { recordedEvents } from '../../support/domain/agent-events.ts';

const gemini = adapterOf('gemini');
if (gemini === null) throw new Error('there is no adapter for gemini');

const eventsOf = (name: string) => recordedEvents(gemini, name);

/** The end over an answer of the server. */
const over = (error: object) => ({
  type: 'result',
  timestamp: '2030-03-17T17:46:00.000Z',
  status: 'error',
  error: { type: 'unknown', message: `[API Error: ${JSON.stringify({ error })}]` },
});

describe('Gemini CLI', () => {
  test.each([
    ['a key that is not valid', 'gemini-401.jsonl', 'auth', 'invalid x-api-key'],
    ['an account without access', 'gemini-403.jsonl', 'auth', 'does not have access to this model'],
    ['a server at its capacity', 'gemini-529.jsonl', 'overloaded', 'Overloaded'],
    ['a connection that is lost', 'gemini-connection-lost.jsonl', 'network', 'fetch failed'],
    ['a context that is full', 'gemini-overflow.jsonl', 'context', 'prompt is too long'],
    ['a model that does not exist', 'gemini-404.jsonl', 'crash', 'model: no-such-model'],
  ])('%s is recognised by what it has written', (_what, name, cause, words) => {
    expect(failureIn(eventsOf(name))).toEqual({
      error: { class: cause, message: expect.stringMatching(new RegExp(`^[^[]*${words}[^\\]]*$`)) },
      until: null,
    });
  });

  test('a limit of requests ends when the answer says', () => {
    const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '3600s' }];
    const message = 'You exceeded your current quota, please check your plan and billing details.';
    const line = over({ code: 429, status: 'RESOURCE_EXHAUSTED', message, details });
    const until = Date.parse('2030-03-17T18:46:00Z');
    expect(failureIn(gemini.events(line))).toEqual({ error: { class: 'rate_limit', message }, until });
    expect(failureIn(eventsOf('gemini-429.jsonl'))).toEqual({
      error: { class: 'rate_limit', message: 'This request would exceed your rate limit. Suggested retry after 2s.' },
      until: Date.parse('2026-11-29T11:51:44.843Z'),
    });
  });

  test.each([
    [{ code: 400, message: 'API key not valid. Please pass a valid API key.' }, 'auth'],
    [{ code: 400, message: 'The input token count (2) exceeds the maximum number of tokens allowed (1).' }, 'context'],
    [{ code: 503, message: 'The model is overloaded. Please try again later.' }, 'overloaded'],
    [{ code: 400, message: 'Unknown name "x"' }, 'crash'],
  ])('the answer %j is a failure of class %s', (answer, cause) => {
    expect(failureIn(gemini.events(over(answer)))?.error).toEqual({ class: cause, message: answer.message });
  });

  test.each([
    [{ type: 'FatalTurnLimitedError', message: 'Reached max session turns' }, 'max_turns'],
    [{ type: 'unknown', message: '[API Error: exception TypeError: fetch failed sending request]' }, 'network'],
    [
      { type: 'unknown', message: '[API Error: Slow down.]\nPlease wait and try again later. To increase your limits' },
      'rate_limit',
    ],
  ])('the error %j is a failure of class %s', (error, cause) => {
    expect(failureIn(gemini.events({ type: 'result', status: 'error', error }))?.error.class).toBe(cause);
  });

  test('an exit code names the cause where the output does not', () => {
    expect(failureIn([], gemini.exits?.[41])).toEqual({ error: { class: 'auth' }, until: null });
    expect(failureIn(eventsOf('gemini-404.jsonl'), gemini.exits?.[173])?.error.class).toBe('rate_limit');
    expect(failureIn(eventsOf('gemini-401.jsonl'), gemini.exits?.[173])?.error.class).toBe('auth');
  });

  test('it has given up where it stops in a loop, though its result is a success', () => {
    const lines = [
      { type: 'error', severity: 'warning', message: 'Loop detected, stopping execution' },
      { type: 'result', status: 'success', stats: {} },
    ];
    expect(failureIn(lines.flatMap((line) => gemini.events(line)))?.error.message).toMatch(/^Loop detected/);
    expect(gemini.events({ type: 'error', severity: 'warning', message: 'Agent execution blocked: a hook' })).toEqual(
      [],
    );
  });

  test('a session that ends well has no failure, and is told in words', () => {
    const events = eventsOf('gemini-ok.jsonl');
    expect(failureIn(events)).toBeNull();
    expect(saidText(events).split('\n')).toEqual([
      expect.stringMatching(/^session [\w-]{36}, auto$/),
      expect.stringMatching(/^· runs echo "hello from \$FORGE_TASK_ID" > hello.txt && .*$/),
      expect.stringMatching(/^· runs printf /),
      'hello.txt is written and committed.',
      'used 4800 tokens, and wrote 320',
      '',
    ]);
  });

  test('a message that comes in pieces is told as one', () => {
    const piece = (content: string) =>
      `${JSON.stringify({ type: 'message', role: 'assistant', content, delta: true })}\n`;
    const output = new AgentOutput(gemini);
    const said = output.read(`${piece('I will ') + piece('look.')}not an event\n${piece('Done.')}`);
    expect(saidText(said)).toBe('I will look.\nnot an event\nDone.\n');
  });

  test('a tool that has failed says why', () => {
    const error = { type: 'TOOL_EXECUTION_ERROR', message: 'File not found.' };
    expect(gemini.events({ type: 'tool_result', status: 'error', error }).map(eventText)).toEqual([
      '  failed: File not found.',
    ]);
  });
});
