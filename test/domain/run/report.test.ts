/** What a run leaves for CI: its events as JUnit XML, as a summary in Markdown, and as annotations. */

import { describe, expect, test } from 'vitest';
import { annotations } from '../../../src/domain/run/annotations.ts';
import type { RunEvent, RunFinished } from '../../../src/domain/run/events.ts';
import { junitXml } from '../../../src/domain/run/junit.ts';
import { type RunReport, RunReporter } from '../../../src/domain/run/report.ts';
import { summaryMarkdown } from '../../../src/domain/run/summary.ts';
import fc from '../../support/properties.ts';

const TAIL = { stdout: '', stderr: '' };
const ERROR = { class: 'exit.3', message: 'it went wrong' };

const started = (task_id: string): RunEvent => ({
  type: 'task_started',
  task_id,
  title: `Title of ${task_id}`,
  attempt_id: 'x',
  attempt_number: 1,
  pid: 1,
});
const retried = (task_id: string, duration_ms: number): RunEvent => ({
  type: 'task_retry',
  task_id,
  attempt_id: 'x',
  attempts: 1,
  error: ERROR,
  next_eligible_at: null,
  delay_ms: 0,
  duration_ms,
  tail: TAIL,
});
const ended = (task_id: string, fields: Partial<RunEvent & { type: 'task_finished' }> = {}): RunEvent => ({
  type: 'task_finished',
  task_id,
  attempt_id: 'x',
  state: 'shipped',
  attempts: 1,
  duration_ms: 1000,
  error: null,
  failure_reason: null,
  tail: TAIL,
  ...fields,
});
const finished = (exit_code: number, failed: RunFinished['failed'] = []): RunFinished => ({
  type: 'run_finished',
  run_id: 'r',
  counts: {},
  failed,
  results: [],
  exit_code,
  duration_ms: 4000,
  spent: { attempts: 0, wall_clock_ms: 0, tokens: 0, cost: null },
  interrupted: exit_code === 130,
});

type State = ReturnType<Parameters<RunReporter['report']>[2]>;

function reported(events: readonly RunEvent[], ids: readonly string[], states: Record<string, State> = {}): RunReport {
  const reporter = new RunReporter();
  for (const event of events) reporter.add(event);
  const tasks = ids.map((id) => ({ id, title: id, phase_id: 'one', over: '' }));
  const run = { project: 'demo', started_at: '2030-01-01T00:00:00.000Z', duration_ms: 4000 };
  return reporter.report(run, tasks, (id) => states[id] ?? null);
}

const failing = (stderr: string, message = 'it went wrong', goes_on = false) =>
  reported(
    [
      ended('build', { state: 'failed', error: { class: 'exit.3', message }, tail: { stdout: 'out\n', stderr } }),
      finished(goes_on ? 0 : 1, [{ task_id: 'build', error: { class: 'exit.3', message }, goes_on }]),
    ],
    ['build'],
  );

describe('the result of a task', () => {
  test('the result of a task that shipped has its attempts and the time of all of them', () => {
    const { tasks } = reported([started('a'), retried('a', 500), ended('a'), finished(0)], ['a']);
    expect(tasks).toMatchObject([{ task_id: 'a', phase_id: 'one', outcome: 'passed', attempts: 2, duration_ms: 1500 }]);
  });

  test('the result of a task that failed has the end of its output, stderr first', () => {
    const [result] = failing('one\ntwo\n').tasks;
    expect(result).toMatchObject({ outcome: 'failed', error: ERROR, excerpt: 'one\ntwo\nout', why: '' });
    const long = Array.from({ length: 60 }, (_, n) => `line ${n}`).join('\n');
    expect(failing(long).tasks[0]?.excerpt.split('\n')).toHaveLength(40);
  });

  test.each<[what: string, events: RunEvent[], state: State, why: string]>([
    ['shipped before', [finished(0)], 'shipped', 'it was shipped before this run'],
    ['is cancelled', [finished(0)], 'cancelled', 'it is cancelled'],
    ['was not reached', [finished(1)], null, 'the run ended before its turn'],
    [
      'waits for another',
      [
        { type: 'task_blocked', task_id: 'a', title: 'A', reasons: [{ code: 'BACKOFF', message: 'later', on: null }] },
        finished(4),
      ],
      null,
      'later',
    ],
    [
      'was interrupted',
      [
        started('a'),
        {
          type: 'task_interrupted',
          task_id: 'a',
          attempt_id: 'x',
          state: 'unclaimed',
          why: 'interrupted',
          duration_ms: 5,
        },
        finished(130),
      ],
      'unclaimed',
      'it was stopped: interrupted',
    ],
    [
      'waits for an answer',
      [
        {
          type: 'task_parked',
          task_id: 'a',
          attempt_id: 'x',
          state: 'blocked_on_question',
          duration_ms: 5,
          waits: null,
          wake_at: null,
        },
        finished(4),
      ],
      'blocked_on_question',
      'it waits for an answer',
    ],
    [
      'is still to be reviewed',
      [ended('a', { state: 'ready_for_review' })],
      'ready_for_review',
      'it is ready_for_review',
    ],
  ])('of one that %s is skipped, with the reason', (_, events, state, why) => {
    expect(reported(events, ['a'], { a: state }).tasks).toMatchObject([{ outcome: 'skipped', error: null, why }]);
  });

  test('the result of a task that had failed before the run is a failure', () => {
    const { tasks } = reported([finished(1, [{ task_id: 'a', error: ERROR, goes_on: false }])], ['a'], { a: 'failed' });
    expect(tasks).toMatchObject([
      { outcome: 'failed', error: ERROR, why: 'it had failed before this run', attempts: 0 },
    ]);
  });

  test('the result of a child that the plan did not have comes behind the planned ones', () => {
    const { tasks } = reported([started('a/files/x'), ended('a/files/x'), ended('a'), finished(0)], ['a']);
    expect(tasks.map(({ task_id, title }) => [task_id, title])).toEqual([
      ['a', 'a'],
      ['a/files/x', 'Title of a/files/x'],
    ]);
  });
});

describe('JUnit XML', () => {
  test('JUnit XML has a case for each task, and counts of what failed and what was skipped', () => {
    expect(junitXml(failing('oh <no>\n')).split('\n').slice(1, 4)).toEqual([
      '<testsuites name="forge" tests="1" failures="1" errors="0" time="4.000">',
      '  <testsuite name="demo" tests="1" failures="1" errors="0" skipped="0" time="4.000" timestamp="2030-01-01T00:00:00.000Z">',
      '    <testcase name="build" classname="one" time="1.000"><failure message="exit.3: it went wrong" type="exit.3">oh &lt;no&gt;',
    ]);
  });

  test('JUnit XML has a failure with which others go on as skipped, with its error and its output', () => {
    const xml = junitXml(failing('oh <no>\n', ERROR.message, true));
    expect(xml).toContain('tests="1" failures="0" errors="0" skipped="1"');
    expect(xml).toContain(
      '<skipped message="failed, and others go on: exit.3: it went wrong" type="exit.3"/><system-out>oh &lt;no&gt;\nout</system-out></testcase>',
    );
    expect(xml).not.toContain('<failure');
  });

  test('JUnit XML of a run that broke off has an error', () => {
    const xml = junitXml(reported([], ['a']));
    expect(xml).toContain('tests="2" failures="0" errors="1" skipped="1"');
    expect(xml).toContain('<error message="the run broke off"/>');
  });

  test('JUnit XML is well-formed whatever a task has written', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({
        unit: fc.constantFrom('\u0000', '\u001b', '\ud800', '\ufffe', '<', '>', '&', '"', ']]>', '\r', '\n', '\t'),
      }),
    );
    fc.assert(
      fc.property(anything, anything, (output, message) => {
        const xml = junitXml(failing(output, message));
        expect(xml).not.toMatch(/[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u);
        const text = xml.replace(/<\?xml [^<>]*\?>|<\/?[a-z]+(?: [a-z]+="[^"<>]*")*\/?>/g, '');
        expect(text).not.toMatch(/[<>]/);
        expect(xml).not.toMatch(/&(?!(?:amp|lt|gt|quot|#9|#10);)/);
      }),
    );
  });
});

describe('the summary', () => {
  test('the summary says how the run ended, has what failed first, and its output', () => {
    const events = [ended('a'), ended('b', { state: 'failed', error: ERROR, tail: { stdout: 'oh\n', stderr: '' } })];
    const lines = summaryMarkdown(
      reported([...events, finished(1, [{ task_id: 'b', error: ERROR, goes_on: false }])], ['a', 'b', 'c']),
    ).split('\n');
    expect(lines.slice(0, 9)).toEqual([
      '## ❌ demo: failed in 4.0s',
      '',
      '1 failed, 1 skipped, 1 passed',
      '',
      '| | task | attempts | time | |',
      '|---|---|--:|--:|---|',
      '| ❌ | `b` | 1 | 1.0s | exit.3: it went wrong |',
      '| ⏭️ | `c` |  |  | the run ended before its turn |',
      '| ✅ | `a` | 1 | 1.0s |  |',
    ]);
    expect(lines.slice(10)).toEqual([
      '<details><summary>Output of b</summary>',
      '',
      '```text',
      'oh',
      '```',
      '',
      '</details>',
      '',
    ]);
  });

  test.each([
    [finished(0), '✅ demo: done'],
    [finished(4), '⏭️ demo: not finished'],
    [finished(130), '⏭️ demo: interrupted'],
  ])('of a run by its exit code: %j', (end, said) => {
    expect(summaryMarkdown(reported([end], []))).toContain(`## ${said} in 4.0s`);
  });

  test('the summary keeps a row of the table whole, and shows no HTML and no Markdown of a task', () => {
    const text = summaryMarkdown(failing('```\n<b>\n', '| <img src=x> `code`\nmore'));
    expect(text).toContain('| exit.3: &#124; &#60;img src=x&#62; &#96;code&#96; more |');
    expect(text).toContain('````text\n```\n<b>\nout\n````');
  });

  test('the summary marks a failure with which others go on', () => {
    expect(summaryMarkdown(failing('', 'no', true))).toContain('| exit.3: no; others go on |');
  });

  test('the summary lists at most 200 tasks', () => {
    const ids = Array.from({ length: 203 }, (_, n) => `t${n}`);
    expect(summaryMarkdown(reported([finished(0)], ids))).toContain('\nand 3 more\n');
  });
});

describe('annotations', () => {
  const failed = (message: string, task_id = 'a') => [{ task_id, error: { class: 'exit.1', message }, goes_on: false }];

  test('name the place of the task, and stay on one line', () => {
    expect(annotations({ failed: failed('50%\nmore') }, () => ({ file: 'plans/a,b.yaml', line: 3 }))).toEqual([
      '::error file=plans/a%2Cb.yaml,line=3,title=task a::exit.1: 50%25 more',
    ]);
  });

  test.each([
    [null, '::error title=task a/f/x%3A1::exit.1: no'],
    [{ file: 'p.yaml', line: null }, '::error file=p.yaml,title=task a/f/x%3A1::exit.1: no'],
  ])('leave out what is not known: %j', (place, line) => {
    expect(annotations({ failed: failed('no', 'a/f/x:1') }, () => place)).toEqual([line]);
  });

  test('annotations of a failure with which others go on are warnings', () => {
    const goesOn = failed('no').map((one) => ({ ...one, goes_on: true }));
    expect(annotations({ failed: goesOn }, () => null)).toEqual(['::warning title=task a::exit.1: no']);
  });

  test('annotations are ten at most', () => {
    expect(annotations({ failed: Array.from({ length: 12 }, () => failed('no')).flat() }, () => null)).toHaveLength(10);
  });
});
