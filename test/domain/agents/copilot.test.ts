/** What GitHub Copilot CLI 1.0 wrote, as recorded. */

import { describe, expect, test } from 'vitest';
import { eventText, failureIn } from '../../../src/domain/agents/events.ts';
import { adapterOf, saidText } from '../../../src/domain/agents/output.ts';
import { recordedEvents } from '../../support/domain/agent-events.ts';

const copilot = adapterOf('copilot');
if (copilot === null) throw new Error('there is no adapter for copilot');

const eventsOf = (name: string) => recordedEvents(copilot, name);

describe('Copilot CLI', () => {
  test.each([
    ['a key that is not valid', 'copilot-401.jsonl', 'auth', /^Authentication failed .* \(HTTP 401\)/],
    ['an account without access', 'copilot-403.jsonl', 'auth', /^Authentication failed .* \(HTTP 403\)/],
    ['a limit of requests', 'copilot-429.jsonl', 'rate_limit', /would exceed your rate limit\.$/],
    ['a quota that is used up', 'copilot-quota.jsonl', 'billing', /exceeded your current quota/],
    ['a server at its capacity', 'copilot-529.jsonl', 'overloaded', /Last error: 529 Overloaded$/],
    ['a connection that is lost', 'copilot-connection-lost.jsonl', 'network', /connection closed before message/],
    ['a context that is full', 'copilot-overflow.jsonl', 'context', /^The provider rejected the prompt as too long/],
  ])('%s is recognised by what it has written', (_what, name, cause, words) => {
    expect(failureIn(eventsOf(name))).toEqual({
      error: { class: cause, message: expect.stringMatching(words) },
      until: null,
    });
  });

  test('what it tries again is not a failure, and is told', () => {
    const tries = eventsOf('copilot-429.jsonl').filter((event) => event.type === 'trouble' && !event.ended);
    expect(tries.length).toBeGreaterThan(1);
    expect(failureIn(tries)).toBeNull();
    expect(new Set(tries.map(eventText))).toEqual(
      new Set(["tries again: rate_limit: the model's server has answered 429"]),
    );
  });

  test('a session that ends well has no failure, and is told in words', () => {
    const events = eventsOf('copilot-ok.jsonl');
    expect(failureIn(events)).toBeNull();
    expect(saidText(events).split('\n')).toEqual([
      expect.stringMatching(/^· runs echo "hello from \$FORGE_TASK_ID" > hello.txt && .*$/),
      expect.stringMatching(/^· runs printf /),
      expect.stringMatching(/^ {2}failed: \/bin\/bash: line 1: : No such file or directory/),
      'hello.txt is written and committed.',
      expect.stringMatching(/^session [\w-]{36}$/),
      '',
    ]);
  });

  test('a tool that is refused says so', () => {
    const data = { success: false, error: { message: 'Permission denied', code: 'denied' } };
    expect(copilot.events({ type: 'tool.execution_complete', data }).map(eventText)).toEqual([
      '  failed: Permission denied',
    ]);
  });
});
