/** Every event of a run has a line that is short enough and has no control characters. */

import { describe, expect, it } from 'vitest';
import { widthOf } from '../../src/cli/layout.ts';
import { PLAIN } from '../../src/cli/render-context.ts';
import { runLog } from '../../src/cli/run-log.ts';
import type { RunEvent } from '../../src/domain/run/events.ts';
import type { OutputMode } from '../../src/domain/run/output.ts';
import fc from '../support/properties.ts';

const TAIL = { stdout: '', stderr: '' };
const ERROR = { class: 'exit.2', message: 'exited with code 2' };
const FINISHED = {
  type: 'run_finished',
  run_id: 'r',
  counts: {},
  exit_code: 0,
  duration_ms: 1000,
  interrupted: false,
  spent: { attempts: 1, wall_clock_ms: 1000, tokens: 0, cost: null },
  failed: [],
  results: [],
} as const;

const OUTPUT: RunEvent = {
  type: 'task_output',
  task_id: 'a',
  attempt_id: 'x',
  stream: 'stdout',
  text: 'hi\n\n  you\n',
  cut: false,
};

const linesOf = (...events: RunEvent[]) => printed(80, events);

function printed(
  width: number,
  events: readonly RunEvent[],
  output: OutputMode = 'failures',
  whole = false,
): { lines: string[]; warnings: string[] } {
  const lines: string[] = [];
  const warnings: string[] = [];
  const log = runLog({
    whole,
    output,
    line: (text) => void lines.push(text),
    asIs: (text) => void lines.push(text),
    warn: (message) => void warnings.push(message),
    context: { palette: PLAIN, width, nowMs: 0 },
    logOf: (task, attempt, log) => `${task}/${attempt}/${log}`,
  });
  for (const event of events) log(event);
  return { lines, warnings };
}

function failure(task_id: string, more: Partial<Extract<RunEvent, { type: 'task_finished' }>> = {}): RunEvent {
  return {
    type: 'task_finished',
    task_id,
    attempt_id: 'x',
    state: 'failed',
    attempts: 1,
    duration_ms: 100,
    error: ERROR,
    failure_reason: 'fatal',
    tail: TAIL,
    ...more,
  };
}

function blocked(task_id: string, on: string | null): RunEvent {
  return {
    type: 'task_blocked',
    task_id,
    title: '',
    reasons: [{ code: 'DEPENDENCY_PENDING', message: 'it waits', on }],
  };
}

describe('a line', () => {
  it.each<[RunEvent, string[]]>([
    [{ type: 'run_started', run_id: 'r', tasks: 1, max_parallel: 4 }, ['run r  1 task, 4 at a time', '']],
    [
      { type: 'task_started', task_id: 'a', title: 'Do it', attempt_id: 'x', attempt_number: 1, pid: 1 },
      ['▸ a         Do it'],
    ],
    [
      { type: 'task_started', task_id: 'a', title: 'Do it', attempt_id: 'x', attempt_number: 3, pid: 1 },
      ['▸ a         attempt 3: Do it'],
    ],
    [OUTPUT, ['a        | hi', 'a        | ', 'a        |   you']],
    [
      { ...failure('a'), type: 'task_retry', next_eligible_at: null, delay_ms: 2000, error: ERROR } as RunEvent,
      ['↻ a         failed after 0.1s, attempt 2 in 2.0s: exit.2: exited with code 2'],
    ],
    [
      { ...failure('a'), type: 'task_retry', next_eligible_at: null, delay_ms: 0, error: ERROR } as RunEvent,
      ['↻ a         failed after 0.1s, attempt 2 now: exit.2: exited with code 2'],
    ],
    [failure('a'), ['✗ a         failed after 0.1s (fatal): exit.2: exited with code 2']],
    [
      failure('a', { state: 'shipped', error: null, failure_reason: null, attempts: 2, duration_ms: 65_000 }),
      ['✓ a         shipped in 1m 05s (2 attempts)'],
    ],
    [
      failure('a', { state: 'ready_for_review', error: null, failure_reason: null }),
      ['◆ a         ready_for_review in 0.1s'],
    ],
    [
      {
        type: 'task_interrupted',
        task_id: 'a',
        attempt_id: 'x',
        state: 'cancelled',
        why: 'it was cancelled',
        duration_ms: 0,
      },
      ['■ a         stopped after 0.0s: it was cancelled; it is cancelled'],
    ],
    [
      { type: 'still_running', tasks: [{ task_id: 'a', duration_ms: 90_000, line: null }], waiting: 2 },
      ['… running: a 1m 30s; 2 tasks wait'],
    ],
    [
      { type: 'still_running', tasks: [{ task_id: 'a', duration_ms: 0, line: null }], waiting: 0 },
      ['… running: a 0.0s'],
    ],
    [
      {
        type: 'still_running',
        tasks: [
          { task_id: 'a', duration_ms: 0, line: 'compiles' },
          { task_id: 'b', duration_ms: 0, line: null },
        ],
        waiting: 0,
      },
      ['… running: a 0.0s, b 0.0s', '  a        | compiles'],
    ],
    [
      { type: 'waiting', for: [{ task_id: 'a', reason: 'another run works on it' }] },
      ['… waiting for a (another run works on it)'],
    ],
    [blocked('a', null), []],
    [{ ...FINISHED, counts: { shipped: 2 } }, ['', '✓ all done in 1.0s: 2 shipped']],
    [FINISHED, ['', '✓ all done in 1.0s: no tasks']],
    [{ ...FINISHED, counts: { cancelled: 1 } }, ['', '· done but for what was cancelled in 1.0s: 1 cancelled']],
    [
      { ...FINISHED, counts: { shipped: 2, cancelled: 1 } },
      ['', '· done but for what was cancelled in 1.0s: 2 shipped, 1 cancelled'],
    ],
  ])('run prints the event %j as a line', (event, expected) => {
    expect(linesOf(event).lines).toEqual(expected);
  });

  it.each([
    [
      125,
      '✗ a         failed after 12m 05s (10 attempts, retries_exhausted): verify.npm-test: npm test exited with code 1: no space',
    ],
    [90, '✗ a         failed after 12m 05s: verify.npm-test: npm test exited with code 1: no space'],
    [80, '✗ a         verify.npm-test: npm test exited with code 1: no space'],
    [40, '✗ a         verify.npm-test: no space'],
    [32, '✗ a         verify.npm-test: no…'],
  ])('of a failure what went wrong stays, where %i columns have no room for the rest', (width, line) => {
    const error = { class: 'verify.npm-test', message: 'npm test exited with code 1: no space' };
    const event = failure('a', { error, attempts: 10, failure_reason: 'retries_exhausted', duration_ms: 725_000 });
    expect(printed(width, [event]).lines).toEqual([line]);
  });

  it('run prints a warning on stderr', () => {
    expect(linesOf({ type: 'warning', message: 'beware' })).toEqual({ lines: [], warnings: ['beware'] });
  });

  it('lines of run stay aligned after longer ids', () => {
    const start = (task_id: string): RunEvent => ({
      type: 'task_started',
      task_id,
      title: 'T',
      attempt_id: 'x',
      attempt_number: 1,
      pid: 1,
    });
    expect(linesOf(start('a-rather-long-id'), start('a')).lines).toEqual([
      '▸ a-rather-long-id  T',
      '▸ a                 T',
    ]);
  });
});

describe('the summary', () => {
  const failed = { ...FINISHED, exit_code: 1 };
  const earlier = (task_id: string) => ({ task_id, error: { class: 'c', message: 'as before' }, goes_on: false });

  it('the summary of run shows fifteen lines of output, stderr first', () => {
    const numbered = (word: string, count: number) =>
      Array.from({ length: count }, (_, i) => `${word} ${i + 1}\n`).join('');
    const tail = { stderr: numbered('err', 10), stdout: numbered('out', 10) };
    const { lines } = linesOf(failure('a', { tail }), { ...failed, failed: [earlier('a')] });
    const shown = lines.filter((line) => line.startsWith('    │ ')).map((line) => line.slice(6));
    expect(shown).toEqual([
      ...numbered('err', 10).trim().split('\n'),
      ...numbered('out', 10).trim().split('\n').slice(5),
    ]);
    expect(lines).toContain('    log: a/x/stderr.log');
  });

  it('the summary of run names the log that is not empty', () => {
    const { lines } = linesOf(failure('a', { tail: { stdout: 'hi', stderr: '\n' } }), {
      ...failed,
      failed: [earlier('a')],
    });
    expect(lines).toContain('    log: a/x/stdout.log');
  });

  it('the summary of run names earlier failures', () => {
    const lines = linesOf(failure('a'), { ...failed, failed: ['a', 'b'].map(earlier) }).lines;
    expect(lines).toContain('  b  c: as before');
    expect(linesOf({ ...failed, failed: [earlier('b')] }).lines).toContain('  forge orchestrate retry b');
    const many = Array.from({ length: 18 }, (_, i) => earlier(`t${i}`));
    expect(linesOf({ ...failed, failed: many }).lines).toContain('  and 3 more: `forge orchestrate status`');
  });

  it('the summary of run names what waits for a person first, fifteen tasks in all', () => {
    const events = Array.from({ length: 20 }, (_, i) => blocked(`t${i}`, i === 19 ? null : 't19'));
    const { lines } = linesOf(...events, { ...FINISHED, exit_code: 4 });
    const left = lines.slice(lines.indexOf('Left') + 1);
    expect(left.slice(0, 2)).toEqual(['  t19  it waits', '  t0   it waits']);
    expect(left[15]).toBe('  and 5 more: `forge orchestrate phases --ready`');
  });
});

it('run never prints a line that is too long or has control characters', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constantFrom('\u001b[2J', 'a\nb', '宽'.repeat(90)),
  );
  const id = fc.stringMatching(/^[a-z][a-z0-9-]{0,63}$/);
  fc.assert(
    fc.property(id, text, text, (task_id, title, message) => {
      const { lines } = linesOf(
        { type: 'task_started', task_id, title, attempt_id: 'x', attempt_number: 1, pid: 1 },
        failure(task_id, { error: { class: 'c', message }, tail: { stdout: title, stderr: message }, attempt_id: 'x' }),
        { type: 'waiting', for: [{ task_id, reason: message }] },
        { ...FINISHED, exit_code: 1, failed: [{ task_id, error: null, goes_on: false }] },
      );
      for (const line of lines) {
        // A word that is longer than a line stays whole where a sentence is wrapped.
        if (!/^ {2}/.test(line) || line.startsWith('    │')) expect(widthOf(line)).toBeLessThanOrEqual(80);
        expect(line).not.toMatch(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u202a-\u202e]/);
      }
    }),
  );
});

it('the summary of a run without events has one blank line', () => {
  const started: RunEvent = { type: 'run_started', run_id: 'r', tasks: 1, max_parallel: 4 };
  const { lines } = linesOf(started, { ...FINISHED, counts: { shipped: 1 } });
  expect(lines).toEqual(['run r  1 task, 4 at a time', '', '✓ all done in 1.0s: 1 shipped']);
});

describe('the output of workers', () => {
  it('grouped output stands below the name of its task and stream, with the place of what was cut', () => {
    const err: RunEvent = { ...OUTPUT, stream: 'stderr', text: 'oh', cut: true };
    expect(printed(80, [OUTPUT, err], 'grouped').lines).toEqual([
      '── a stdout ──',
      'hi',
      '',
      '  you',
      '── a stderr ──',
      '… what was before is in a/x/stderr.log',
      'oh',
    ]);
  });

  it('none prints questions, warnings and the summary, in which a failure has no excerpt', () => {
    const failed = { ...failure('a'), tail: { stdout: 'it says why', stderr: '' } } as RunEvent;
    const asks: RunEvent = {
      type: 'question_opened',
      task_id: 'a',
      question_id: 'q',
      decision_key: 'format',
      expires_at: '2026-01-01T00:00:00.000Z',
      question: null,
    };
    const events: RunEvent[] = [
      { type: 'run_started', run_id: 'r', tasks: 1, max_parallel: 4 },
      { type: 'task_started', task_id: 'a', title: 'Do it', attempt_id: 'x', attempt_number: 1, pid: 1 },
      { type: 'warning', message: 'beware' },
      failed,
      asks,
      { ...FINISHED, exit_code: 1, counts: { failed: 1 }, failed: [{ task_id: 'a', error: ERROR, goes_on: false }] },
    ];
    const { lines, warnings } = printed(80, events, 'none');
    expect(warnings).toEqual(['beware']);
    expect(lines[0]).toContain('asks: format');
    expect(lines.join('\n')).toContain('✗ failed in 1.0s: 1 failed');
    expect(lines.join('\n')).toMatch(/a {2}exit\.2: exited with code 2\n.*log: a\/x\/stdout\.log/);
    expect(lines.join('\n')).not.toMatch(/it says why|Do it|1 task, 4/);
  });
});

it('the next command is not about a failure with which others go on, and for a person it is what ends the wait', () => {
  const events: RunEvent[] = [
    failure('soft'),
    {
      type: 'task_blocked',
      task_id: 'note',
      title: '',
      reasons: [{ code: 'TASK_HUMAN', message: 'a person does it', on: null }],
    },
    { ...FINISHED, exit_code: 4, failed: [{ task_id: 'soft', error: ERROR, goes_on: true }] },
  ];
  const { lines } = printed(80, events);
  expect(lines.slice(lines.indexOf('Next') + 1)).toEqual([
    '  forge orchestrate show note',
    '  forge orchestrate done note',
  ]);
});

it('where it is no terminal the output of a failure is not cut', () => {
  const long = `see ${'x'.repeat(300)}`;
  const events: RunEvent[] = [
    failure('a', { tail: { stdout: '', stderr: `${long}\n` } }),
    { ...FINISHED, exit_code: 1, failed: [{ task_id: 'a', error: ERROR, goes_on: false }] },
  ];
  expect(printed(80, events, 'failures', true).lines).toContain(`    │ ${long}`);
  expect(printed(80, events).lines).not.toContain(`    │ ${long}`);
});
