/** What Claude Code 2.1 wrote, as recorded. */

import { describe, expect, test } from 'vitest';
import { untilMs } from '../../../src/domain/agents/clock-time.ts';
import { failureIn } from '../../../src/domain/agents/events.ts';
import { AgentOutput, adapterOf, saidText } from '../../../src/domain/agents/output.ts';
import { eventsIn, recording } from '../../support/domain/agent-events.ts';
import fc from '../../support/properties.ts';

const claude = adapterOf('claude');
if (claude === null) throw new Error('there is no adapter for claude');

describe('Claude Code', () => {
  test.each([
    ['a key that is not valid', 'claude-401.jsonl', 'auth', 'Invalid API key', null],
    ['an account without access', 'claude-403.jsonl', 'auth', 'does not have access to this model', null],
    ['a limit of requests', 'claude-429.jsonl', 'rate_limit', 'would exceed your rate limit', null],
    ['a plan that is used up', 'claude-usage.jsonl', 'rate_limit', 'usage limit reached', 1_900_000_000_000],
    ["a week's limit", 'claude-weekly.jsonl', 'rate_limit', 'hit your weekly limit', 1_796_364_183_000],
    ['a server at its capacity', 'claude-529.jsonl', 'overloaded', 'Overloaded', null],
    ['no credit', 'claude-credit.jsonl', 'billing', 'Credit balance is too low', null],
    ['a context that is full', 'claude-overflow.jsonl', 'context', 'Prompt is too long', null],
    ['a limit of turns', 'claude-max-turns.jsonl', 'max_turns', 'Reached maximum number of turns (3)', null],
    ['a server that refuses connections', 'claude-connection-refused.jsonl', 'network', 'Unable to connect', null],
  ])('%s is recognised by what it has written', (_what, name, cause, words, until) => {
    const failure = failureIn(eventsIn(claude, recording(name)));
    expect(failure).toMatchObject({ error: { class: cause, message: expect.stringContaining(words) }, until });
  });

  test.each([
    ["You've hit your session limit · resets 10:20pm (America/Phoenix)", 'rate_limit', '2030-01-02T05:20:00.000Z'],
    ["You've hit your weekly limit · resets 6am (Europe/Berlin)", 'rate_limit', '2030-01-02T05:00:00.000Z'],
    ["You've hit your session limit · resets 11:55am (Etc/UTC)", 'rate_limit', '2030-01-01T11:55:00.000Z'],
    ["You've hit your session limit · resets 11:45am (Etc/UTC)", 'rate_limit', '2030-01-02T11:45:00.000Z'],
    ["You've hit your weekly limit · resets Apr 3, 6am (Europe/Berlin)", 'rate_limit', '2030-04-03T04:00:00.000Z'],
    ["You've hit your weekly limit · resets Jan 1, 6:30am (Etc/UTC)", 'rate_limit', '2030-01-01T06:30:00.000Z'],
    ["You've hit your weekly limit · resets Dec 3, 6am (Etc/UTC)", 'rate_limit', '2030-12-03T06:00:00.000Z'],
    ["You've hit your Opus limit · resets Jan 5, 2031, 12am (Etc/UTC)", 'rate_limit', '2031-01-05T00:00:00.000Z'],
    ["You've hit your session limit · resets 1pm (Nowhere/None)", 'rate_limit', null],
    ['Claude AI usage limit reached|1900000000', 'rate_limit', '2030-03-17T17:46:40.000Z'],
    ['Invalid API key · Please run /login', 'auth', null],
  ])('the line "%s" is %s', (line, cause, until) => {
    const failure = failureIn(eventsIn(claude, `${line}\n`));
    expect(failure?.error).toEqual({ class: cause, message: line });
    const time = untilMs(failure?.until ?? null, Date.parse('2030-01-01T12:00:00Z'));
    expect(time).toBe(until === null ? null : Date.parse(until));
  });

  test.each([
    [-5, -3],
    ['0.5', '12'],
    [1e300, 1e300],
    [null, null],
    [{}, Number.NaN],
  ])('cost %j and tokens %j are none', (total_cost_usd, output_tokens) => {
    const usage = { input_tokens: 12.4, output_tokens };
    expect(claude.events({ type: 'result', total_cost_usd, usage })).toEqual([
      { type: 'usage', input_tokens: 12, output_tokens: 0, cost: null, total: true },
    ]);
  });

  test.each(['', '--dangerously-skip-permissions', 'a b', 'x'.repeat(201), 7])(
    'the session id %j is none that a command line could name',
    (session_id) => {
      const line = JSON.stringify({ type: 'system', subtype: 'init', session_id });
      expect(eventsIn(claude, `${line}\n`)).toEqual([]);
    },
  );

  test('a line of text amid its output is of a program that it has started, and no cause', () => {
    const text = `{"type":"assistant","message":{"content":[]}}\nInvalid API key\n`;
    expect(failureIn(eventsIn(claude, text))?.error.class).toBe('auth');
    const begun = `{"type":"system","subtype":"init","session_id":"s"}\n${text}`;
    expect(failureIn(eventsIn(claude, begun))).toBeNull();
  });

  test('a session that ends well has no failure, and is told in words', () => {
    const events = eventsIn(claude, recording('claude-ok.jsonl'));
    expect(failureIn(events)).toBeNull();
    expect(saidText(events).split('\n')).toEqual([
      'session 30da9f3d-6624-4c51-8ac3-719fde7e7707, claude-opus-4-8[1m]',
      expect.stringMatching(/^· runs echo "hello from \$FORGE_TASK_ID" > hello.txt/),
      expect.stringMatching(/^· runs printf .*FORGE_VERDICT_FILE/),
      '  failed: Exit code 1 /bin/bash: line 1: : No such file or directory',
      'hello.txt is written and committed.',
      'used 6000 tokens, and wrote 240, $0.03',
      '',
    ]);
  });

  test('trouble that the agent has got over is not a failure', () => {
    const [first = ''] = recording('claude-529.jsonl').split(/(?<=\n)(?=\{"type":"assistant")/);
    const rest = recording('claude-ok.jsonl');
    expect(failureIn(eventsIn(claude, first + rest))).toBeNull();
  });

  test('output in pieces of any size says the same', () => {
    const whole = recording('claude-529.jsonl');
    const expected = eventsIn(claude, whole);
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 20 }), (cuts) => {
        const output = new AgentOutput(claude);
        const places = [0, ...cuts.sort((a, b) => a - b), whole.length];
        const said = places.flatMap((at, n) => output.read(whole.slice(at, places[n + 1])));
        expect([...said, ...output.end()]).toEqual(expected);
      }),
    );
  });

  test('what is no event stays as it is, and any JSON is read without harm', () => {
    expect(eventsIn(claude, 'Error: no login\n')).toEqual([]);
    const output = new AgentOutput(claude);
    expect(output.read('Error: no login\n{"type":"other"}\n{broken\n')).toEqual(['Error: no login', '{broken']);
    const line = fc.record(
      {
        type: fc.constantFrom('system', 'assistant', 'user', 'result'),
        message: fc.jsonValue(),
        usage: fc.jsonValue(),
      },
      { requiredKeys: ['type'] },
    );
    fc.assert(fc.property(line, (value) => void saidText(eventsIn(claude, `${JSON.stringify(value)}\n`))));
  });
});
