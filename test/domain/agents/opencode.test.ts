/** What OpenCode 1.18 wrote, as recorded. */

import { describe, expect, test } from 'vitest';
import { eventText, failureIn, stillTrying } from '../../../src/domain/agents/events.ts';
import { adapterOf, saidText } from '../../../src/domain/agents/output.ts';
import { eventsIn, recordedEvents } from '../../support/domain/agent-events.ts';

const opencode = adapterOf('opencode');
if (opencode === null) throw new Error('there is no adapter for opencode');

const eventsOf = (name: string) => recordedEvents(opencode, name);

const over = (name: string, data: object) => ({ type: 'error', timestamp: 1_900_000_000_000, error: { name, data } });

describe('OpenCode', () => {
  test.each([
    ['a key that is not valid', 'opencode-401.jsonl', 'auth', 'invalid x-api-key'],
    ['an account without access', 'opencode-403.jsonl', 'auth', 'Your account does not have access to this model.'],
    ['no credit', 'opencode-credit.jsonl', 'billing', 'Your credit balance is too low to access the Anthropic API.'],
    ['a server at its capacity', 'opencode-529.jsonl', 'overloaded', 'Overloaded'],
    ['a context that is full', 'opencode-overflow.jsonl', 'context', expect.stringMatching(/^prompt is too long/)],
    [
      'a connection that is lost',
      'opencode-connection-lost.jsonl',
      'network',
      expect.stringMatching(/^Cannot connect/),
    ],
  ])('%s is recognised by what it has written', (_what, name, cause, words) => {
    expect(failureIn(eventsOf(name))).toEqual({ error: { class: cause, message: words }, until: null });
  });

  test('a limit of requests ends when the answer says', () => {
    expect(failureIn(eventsOf('opencode-429.jsonl'))).toEqual({
      error: { class: 'rate_limit', message: 'This request would exceed your rate limit.' },
      until: Date.parse('2026-11-29T11:52:05.476Z'),
    });
  });

  test.each([
    ['ProviderAuthError', { message: 'no key' }, 'auth'],
    ['ContentFilterError', { message: 'refused' }, 'refused'],
    ['APIError', { message: 'Slow down', statusCode: 429, responseBody: '{"code":"insufficient_quota"}' }, 'billing'],
    ['UnknownError', { message: 'no such model' }, 'crash'],
  ])('the error %s %j is a failure of class %s', (name, data, cause) => {
    expect(failureIn(opencode.events(over(name, data)))?.error).toEqual({ class: cause, message: data.message });
  });

  test('a session that ends well has no failure, and is told in words', () => {
    const events = eventsOf('opencode-ok.jsonl');
    expect(failureIn(events)).toBeNull();
    expect(saidText(events).split('\n')).toEqual([
      expect.stringMatching(/^session ses_\w+$/),
      expect.stringMatching(/^· runs echo "hello from \$FORGE_TASK_ID" > hello.txt && .*$/),
      expect.stringMatching(/^· runs printf /),
      '  failed: /usr/bin/bash: line 1: : No such file or directory',
      'hello.txt is written and committed.',
      'used 3600 tokens, and wrote 240',
      '',
    ]);
  });

  test('what was used before a session fails is told', () => {
    const part = { reason: 'tool-calls', tokens: { input: 400, output: 80, cache: { read: 800 } }, cost: 0.25 };
    const lines = [{ type: 'step_finish', part }, { type: 'step_finish', part }, over('APIError', { statusCode: 401 })];
    const events = eventsIn(opencode, lines.map((line) => JSON.stringify(line)).join('\n'));
    expect(saidText(events)).toContain('\nused 2400 tokens, and wrote 160, $0.50\n');
    expect(failureIn(events)?.error.class).toBe('auth');
  });

  test('an edit is told by its file', () => {
    const state = { status: 'completed', input: { filePath: 'src/api.ts', oldString: 'a', newString: 'b' } };
    expect(opencode.events({ type: 'tool_use', part: { tool: 'edit', state } }).map(eventText)).toEqual([
      '· edits src/api.ts',
      null,
    ]);
  });

  test.each([
    ['The usage limit has been reached.', 'rate_limit'],
    ['Something else', null],
  ])('its log names what it tries again over: %s', (words, cause) => {
    const line = `timestamp=2026-11-29T14:49:16.516Z level=ERROR run=3e23d9d3 message="stream error" modelID=m agent=build error.error="AI_APICallError: ${words}"`;
    const events = opencode.plain?.(line) ?? [];
    expect(events).toEqual([{ type: 'trouble', cause, text: words, until: null, ended: false }]);
    expect(stillTrying(events)?.error.class).toBe(cause ?? undefined);
  });
});
