/** What Qwen Code 0.15 wrote, as recorded. */

import { describe, expect, test } from 'vitest';
import { failureIn } from '../../../src/domain/agents/events.ts';
import { adapterOf, saidText } from '../../../src/domain/agents/output.ts';
import { recordedEvents } from '../../support/domain/agent-events.ts';

const qwen = adapterOf('qwen');
if (qwen === null) throw new Error('there is no adapter for qwen');

const eventsOf = (name: string) => recordedEvents(qwen, name);

/** A message of the model; `tokens`: what it has cost. */
const message = (text: string, tokens: number) => ({
  type: 'assistant',
  message: { content: [{ type: 'text', text }], usage: { input_tokens: tokens, output_tokens: tokens } },
});

describe('Qwen Code', () => {
  test.each([
    ['a key that is not valid', 'qwen-401.jsonl', 'auth', 'invalid x-api-key'],
    ['an account without access', 'qwen-403.jsonl', 'auth', 'Your account does not have access to this model.'],
    ['no login', 'qwen-no-login.jsonl', 'auth', expect.stringMatching(/^No auth type is selected/)],
    ['no credit', 'qwen-credit.jsonl', 'billing', 'Your credit balance is too low to access the Anthropic API.'],
    ['a server at its capacity', 'qwen-529.jsonl', 'overloaded', 'Overloaded'],
    ['a context that is full', 'qwen-overflow.jsonl', 'context', expect.stringMatching(/^prompt is too long/)],
    ['a connection that is lost', 'qwen-connection-lost.jsonl', 'network', 'Connection error. (cause: fetch failed)'],
  ])('%s is recognised by what it has written', (_what, name, cause, words) => {
    expect(failureIn(eventsOf(name))).toEqual({ error: { class: cause, message: words }, until: null });
  });

  test.each([
    ['[API Error: 429 Too fast]\nPossible quota limitations in place.', 'rate_limit'],
    ['[API Error: 503 Try later]', 'overloaded'],
    ['[API Error: 400 Your input exceeds the context window of this model.]', 'context'],
    ['[API Error: An unknown error occurred.]', 'crash'],
    ['Qwen OAuth quota exceeded: 2000 requests a day', 'rate_limit'],
  ])('%j without a token used is a failure of class %s', (text, cause) => {
    expect(failureIn(qwen.events(message(text, 0)))?.error.class).toBe(cause);
    expect(failureIn(qwen.events(message(text, 1)))).toBeNull();
  });

  test('a server that does not count tokens has messages all the same', () => {
    expect(qwen.events(message('Done: [API Error: 429] is handled.', 0))).toEqual([
      { type: 'message', text: 'Done: [API Error: 429] is handled.' },
    ]);
  });

  test('its limit of turns is an exit code', () => {
    expect(failureIn(eventsOf('qwen-ok.jsonl'), qwen.exits?.[53])?.error.class).toBe('max_turns');
  });

  test('a session that ends well has no failure, and is told in words', () => {
    const events = eventsOf('qwen-ok.jsonl');
    expect(failureIn(events)).toBeNull();
    expect(saidText(events).split('\n')).toEqual([
      expect.stringMatching(/^session [\w-]{36}, mock$/),
      expect.stringMatching(/^· runs echo "hello from \$FORGE_TASK_ID" > hello.txt && .*$/),
      expect.stringMatching(/^· runs printf /),
      'hello.txt is written and committed.',
      'used 3600 tokens, and wrote 240',
      '',
    ]);
  });
});
