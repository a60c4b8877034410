import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import {
  type ClassifiedError,
  classCovers,
  classifyError,
  type ErrorRule,
  errorClassSchema,
  errorRulesSchema,
  errorText,
  retryAfterIn,
  shortErrorText,
  type WorkerEnd,
} from '../../../src/domain/retry/classify.ts';

const ended = (end: Partial<WorkerEnd>): ClassifiedError => classifyError({ exitCode: null, signal: null, ...end });

describe('built-in error classes', () => {
  const cases: [string, Partial<WorkerEnd>, ClassifiedError][] = [
    ['an exit code', { exitCode: 75 }, { class: 'exit.75', message: 'exited with code 75', exit_code: 75 }],
    ['a signal', { signal: 'SIGKILL' }, { class: 'signal.SIGKILL', message: 'ended by SIGKILL', signal: 'SIGKILL' }],
    [
      'a timeout, whatever the stopped worker ended with',
      { timedOut: true, signal: 'SIGTERM' },
      { class: 'timeout', message: 'ran out of time and was stopped', signal: 'SIGTERM' },
    ],
    [
      'a timeout of which the limit is known',
      { timedOut: true, signal: 'SIGTERM', limit: '30s (plans/phases.yaml:7)' },
      {
        class: 'timeout',
        message: 'took longer than its timeout of 30s (plans/phases.yaml:7)',
        signal: 'SIGTERM',
      },
    ],
    [
      'a worker that never started',
      { spawnError: 'no such folder: /srv/app' },
      { class: 'spawn', message: 'could not be started: no such folder: /srv/app' },
    ],
    [
      'a worker whose command is too long',
      { spawnError: 'too long', tooLong: true },
      { class: 'spawn.E2BIG', message: 'could not be started: too long' },
    ],
    ['an end without exit code or signal', {}, { class: 'worker.lost', message: 'vanished without an exit code' }],
  ];
  test.each(cases)('classifyError classifies %s', (_name, end, expected) => {
    expect(ended(end)).toEqual(expected);
  });

  test('the message of an error ends with the line of output that says what is wrong', () => {
    const crash = 'x.js:1\n\nError: no such account\n    at find (x.js:1:9)\n\nNode.js v20.20.2\n';
    expect(ended({ exitCode: 1, outputTail: crash }).message).toBe('exited with code 1: Error: no such account');
    const both = ended({ exitCode: 1, outputTail: [crash, 'checked 3 files\n'] });
    expect(both.message).toBe('exited with code 1: Error: no such account');
  });

  test('an error rule on output looks into all streams', () => {
    const rules = [{ class: 'network', output: '^fatal: early EOF$' }];
    expect(ended({ exitCode: 1, outputTail: ['fatal: early EOF', 'one'], rules }).class).toBe('network');
    expect(ended({ exitCode: 1, outputTail: ['one', 'fatal: early EOF'], rules }).class).toBe('network');
  });

  test('the message of an error is safe for a terminal', () => {
    const { message } = ended({ exitCode: 1, outputTail: 'starting\n\u001b[31mno space left\u001b[0m on /tmp\n\n' });
    expect(message).toBe('exited with code 1: no space left on /tmp');
  });

  test('the last line of output in an error message is cut', () => {
    expect(ended({ exitCode: 1, outputTail: 'x'.repeat(5000) }).message).toHaveLength(200);
  });
});

describe('the text of an error', () => {
  test.each([
    ['exit.1', 'exited with code 1: no space left', 'exit.1: no space left', 'exit.1: no space left'],
    ['exit.1', 'exited with code 1', 'exit.1: exited with code 1', 'exit.1: exited with code 1'],
    ['signal.SIGKILL', 'ended by SIGKILL: cut off', 'signal.SIGKILL: cut off', 'signal.SIGKILL: cut off'],
    ['oom', 'ended by SIGKILL: cut off', 'oom: ended by SIGKILL: cut off', 'oom: cut off'],
    [
      'verify.npm-test',
      'npm test exited with code 2: 1 failed',
      'verify.npm-test: npm test exited with code 2: 1 failed',
      'verify.npm-test: 1 failed',
    ],
    ['rate_limit', 'wait: an hour', 'rate_limit: wait: an hour', 'rate_limit: wait: an hour'],
  ])('an error %s (%s) says once how it ended', (name, message, long, short) => {
    expect(errorText({ class: name, message })).toBe(long);
    expect(shortErrorText({ class: name, message })).toBe(short);
  });
});

describe('error rules', () => {
  const rules: ErrorRule[] = [
    { class: 'rate_limit', exit: [1, 75], output: '429|rate limit' },
    { class: 'network', output: '^(ECONNRESET|ETIMEDOUT)$' },
    { class: 'fatal', exit: [75] },
    { class: 'oom', signal: ['SIGKILL', 'SIGBUS'] },
    { class: 'network.late', output: 'ECONNRESET' },
  ];
  const cases: [string, Partial<WorkerEnd>, string][] = [
    ['every condition of a rule holds', { exitCode: 75, outputTail: 'HTTP 429' }, 'rate_limit'],
    ['one condition fails, so a later rule decides', { exitCode: 75, outputTail: 'bad config' }, 'fatal'],
    ['the other condition fails', { exitCode: 2, outputTail: 'HTTP 429' }, 'exit.2'],
    ['the first match wins', { exitCode: 9, outputTail: 'one\nECONNRESET\ntwo' }, 'network'],
    ['anchors hold at lines, not inside them', { exitCode: 9, outputTail: 'got ECONNRESET' }, 'network.late'],
    ['a signal', { signal: 'SIGBUS' }, 'oom'],
    ['another signal', { signal: 'SIGTERM' }, 'signal.SIGTERM'],
    ['an exit rule does not match a signal', { signal: 'SIGHUP' }, 'signal.SIGHUP'],
    ['the signal of a worker stopped after a timeout does not count', { timedOut: true, signal: 'SIGKILL' }, 'timeout'],
    ['the exit code of a worker stopped after a timeout does not count', { timedOut: true, exitCode: 75 }, 'timeout'],
    ['output alone renames a timeout', { timedOut: true, signal: 'SIGKILL', outputTail: 'ECONNRESET' }, 'network'],
  ];
  test.each(cases)('error rules: %s', (_name, end, expected) => {
    expect(ended({ ...end, rules }).class).toBe(expected);
  });

  test('a pattern that a search that backtracks never ends with decides at once', () => {
    const slow: ErrorRule[] = [{ class: 'rate_limit', output: '(x+x+)+y' }];
    expect(ended({ exitCode: 1, outputTail: 'x'.repeat(32_768), rules: slow }).class).toBe('exit.1');
    expect(ended({ exitCode: 1, outputTail: `${'x'.repeat(32_768)}y`, rules: slow }).class).toBe('rate_limit');
  });

  test.each<[what: string, rule: ErrorRule, found: string | null]>([
    ['the last match of its group', { class: 'busy', output: 'wait (?<retry_after>\\w+)' }, '90s'],
    ['the group in the older form', { class: 'busy', output: 'wait (?P<retry_after>\\d+)' }, '90'],
    ['nothing of a group that has not matched', { class: 'busy', output: '(?<retry_after>never)?wait' }, null],
    ['nothing of a group of another name', { class: 'busy', output: 'wait (?<after>\\w+)' }, null],
    ['nothing without output', { class: 'busy', exit: [1] }, null],
    ['nothing where it does not match', { class: 'busy', output: 'hold (?<retry_after>\\w+)' }, null],
  ])('when to try again is for an error rule: %s', (_what, rule, found) => {
    const end = { exitCode: 1, signal: null, outputTail: ['wait 5s', 'wait 90s'], rules: [rule] };
    expect(retryAfterIn(end)).toBe(found);
  });

  test('error rules do not apply to a worker that never started', () => {
    expect(ended({ spawnError: 'no shell', rules: [{ class: 'network', output: '' }] }).class).toBe('spawn');
  });

  test('an error rule changes the class and keeps the facts', () => {
    expect(ended({ exitCode: 75, rules })).toEqual({ class: 'fatal', message: 'exited with code 75', exit_code: 75 });
  });
});

describe('error rule schema', () => {
  const accepted: unknown[] = [
    [],
    [{ class: 'network.dns', output: 'ENOTFOUND' }],
    [{ class: 'rate_limit', exit: [0, 255], output: '429' }],
    [{ class: 'oom', signal: ['SIGKILL'] }],
    [{ class: 'rate_limit', output: '(?i)\\brate (?<what>limit\\w*?)|^\\d{3}[^\\s/]+$|\\p{Lu}' }],
    [{ class: 'slow', output: '.{0,400}' }],
  ];
  test.each(accepted.map((value) => [JSON.stringify(value), value]))(
    'the error rule %s is accepted',
    (_text, value) => {
      expect(z.safeParse(errorRulesSchema(), value)).toEqual({ success: true, data: value });
    },
  );

  const refused: [unknown, (string | number)[], RegExp][] = [
    [{ class: 'x' }, [], /errors is a list/],
    [['x'], [0], /is a mapping/],
    [[{ exit: [1] }], [0, 'class'], /words joined by dots/],
    [[{ class: 'Network', exit: [1] }], [0, 'class'], /words joined by dots/],
    [[{ class: 'network..dns', exit: [1] }], [0, 'class'], /words joined by dots/],
    [[{ class: 'network', exit: [] }], [0, 'exit'], /list of exit codes/],
    [[{ class: 'network', exit: 1 }], [0, 'exit'], /list of exit codes/],
    [[{ class: 'network', exit: [256] }], [0, 'exit', 0], /list of exit codes/],
    [[{ class: 'network', signal: ['KILL'] }], [0, 'signal', 0], /list of signal names/],
    [[{ class: 'network', output: '(' }], [0, 'output'], /not a regular expression/],
    [[{ class: 'network', output: 'a(?=b)' }], [0, 'output'], /uses look-around \(\(\?=\), which RE2 does not have/],
    [[{ class: 'network', output: '(?<!a)b' }], [0, 'output'], /uses look-around/],
    [[{ class: 'network', output: '(a)\\1' }], [0, 'output'], /uses a back-reference \(\\1\), which RE2 does not have/],
    [[{ class: 'network', output: '(?<x>a)\\k<x>' }], [0, 'output'], /uses a back-reference/],
    [[{ class: 'network', output: 'x'.repeat(1001) }], [0, 'output'], /longer than 1000 characters/],
    [[{ class: 'network', output: '.{0,999}' }], [0, 'output'], /repeats too much: it takes \d+ steps/],
    [[{ class: 'network' }], [0], /needs a condition/],
    [[{ class: 'network', signal: ['SIGKIL'] }], [0, 'signal', 0], /no signal of this name/],
    [[{ class: 'network', exit: [1], signal: ['SIGKILL'] }], [0], /never by both/],
  ];
  test.each(refused.map(([value, ...rest]) => [JSON.stringify(value).slice(0, 80), value, ...rest] as const))(
    'the error rule %s is refused',
    (_text, value, path, message) => {
      const issues = z.safeParse(errorRulesSchema(), value).error?.issues ?? [];
      expect(issues).toHaveLength(1);
      expect(issues[0]?.path).toEqual(path);
      expect(issues[0]?.message).toMatch(message);
    },
  );

  test('an error rule with an unknown key is refused', () => {
    const { error } = z.safeParse(errorRulesSchema(), [{ class: 'network', exit: [1], exits: [2] }]);
    expect(error?.issues).toEqual([expect.objectContaining({ code: 'unrecognized_keys', keys: ['exits'], path: [0] })]);
  });

  test('error rules have a JSON Schema', () => {
    expect(z.toJSONSchema(errorRulesSchema())).toMatchObject({ type: 'array', items: { required: ['class'] } });
  });
});

describe('error class names', () => {
  test.each(['fatal', 'exit.75', 'signal.SIGKILL', 'verdict.changes_needed', 'verify.npm-test'])(
    '%s is a valid error class',
    (name) => {
      expect(z.safeParse(errorClassSchema(), name).success).toBe(true);
    },
  );
  test.each(['', 'Network', 'a,b', 'a.', '.a', 'a b', '*', '__proto__', 'a'.repeat(201)])(
    '%j is not a valid error class',
    (name) => {
      expect(z.safeParse(errorClassSchema(), name).success).toBe(false);
    },
  );

  test.each([
    ['network', 'network', true],
    ['network', 'network.timeout', true],
    ['network', 'network.timeout.dns', true],
    ['network.timeout', 'network', false],
    ['network', 'networking', false],
    ['exit.1', 'exit.10', false],
  ])('error class %s covers %s: %s', (parent, child, expected) => {
    expect(classCovers(parent, child)).toBe(expected);
  });
});
