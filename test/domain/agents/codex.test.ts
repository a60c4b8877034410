/** What Codex 0.171 wrote, as recorded. */

import { describe, expect, test } from 'vitest';
import { untilMs } from '../../../src/domain/agents/clock-time.ts';
import { eventText, failureIn } from '../../../src/domain/agents/events.ts';
import { adapterOf, saidText } from '../../../src/domain/agents/output.ts';
import { recordedEvents } from '../../support/domain/agent-events.ts';

const codex = adapterOf('codex');
if (codex === null) throw new Error('there is no adapter for codex');

const eventsOf = (name: string) => recordedEvents(codex, name);

describe('Codex', () => {
  test.each([
    ['a key that is not valid', 'codex-401.jsonl', 'auth', 'invalid x-api-key'],
    ['a limit of requests', 'codex-429.jsonl', 'rate_limit', '429 Too Many Requests'],
    ['a server at its capacity', 'codex-529.jsonl', 'overloaded', 'Overloaded'],
    ['a quota that is used up', 'codex-quota.jsonl', 'billing', 'Check your plan and billing details'],
    ['a context that is full', 'codex-overflow.jsonl', 'context', 'ran out of room'],
    ['a connection that is lost', 'codex-connection-lost.jsonl', 'network', 'stream disconnected'],
  ])('%s is recognised by what it has written', (_what, name, cause, words) => {
    expect(failureIn(eventsOf(name))).toMatchObject({
      error: { class: cause, message: expect.stringContaining(words) },
      until: null,
    });
  });

  test('a plan that is used up says when it is not any more, in the time of the machine', () => {
    const until = new Date('2030-03-17T17:46:00').getTime();
    const failure = failureIn(eventsOf('codex-plan.jsonl'));
    expect(failure).toMatchObject({ error: { class: 'rate_limit' } });
    expect(untilMs(failure?.until ?? null, 0)).toBe(until);
  });

  test('a plan that is used up until later today says the time of day alone', () => {
    const message = 'You’ve hit your usage limit. Upgrade to Pro, or try again at 5:46 PM.';
    const failure = failureIn(codex.events({ type: 'turn.failed', error: { message } }));
    const now = new Date('2030-03-17T15:00:00').getTime();
    expect(untilMs(failure?.until ?? null, now)).toBe(new Date('2030-03-17T17:46:00').getTime());
  });

  test('a session that ends well has no failure, and is told in words', () => {
    const events = eventsOf('codex-ok.jsonl');
    expect(failureIn(events)).toBeNull();
    expect(saidText(events).split('\n')).toEqual([
      'session 01a22335-211e-72e1-8e8b-20668aff769f',
      expect.stringMatching(/^· runs echo "hello from \$FORGE_TASK_ID" > hello.txt && .*$/),
      expect.stringMatching(/^· runs "printf /),
      '  failed: /bin/bash: line 1: forge: command not found',
      'hello.txt is written and committed.',
      'used 3600 tokens, and wrote 240',
      '',
    ]);
  });

  test.each([
    [{ type: 'file_change', changes: [{ path: 'a.ts', kind: 'update' }] }, ['· edits a.ts']],
    [
      {
        type: 'file_change',
        changes: [
          { path: 'b.ts', kind: 'add' },
          { path: 'c.ts', kind: 'delete' },
        ],
      },
      ['· writes b.ts', '· removes c.ts'],
    ],
  ])('%j is told in words', (item, words) => {
    expect(codex.events({ type: 'item.completed', item }).map(eventText)).toEqual(words);
  });
});
