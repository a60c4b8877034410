/** The lines of the live view: complete, never larger than the window, and without control characters. */

import { describe, expect, it } from 'vitest';
import { widthOf } from '../../src/cli/layout.ts';
import { type Frame, liveLines } from '../../src/cli/render/live.ts';
import { PLAIN } from '../../src/cli/render-context.ts';
import type { LiveModel, LiveQuestion, LiveRun, LiveWait } from '../../src/domain/run/live-model.ts';
import { plainText } from '../../src/lib/text.ts';
import fc from '../support/properties.ts';

const COUNTS = {
  over: 0,
  running: 0,
  ready: 0,
  waiting: 0,
  asked: 0,
  human: 0,
  failed: 0,
  cancelled: 0,
  unreadable: 0,
};
const NOTHING: LiveModel = { counts: COUNTS, running: [], waiting: [], asked: [], path: [], progress: null };

const NOW = Date.parse('2030-01-01T00:00:00.000Z');
const FRAME: Frame = { columns: 80, rows: 36, nowMs: NOW, palette: PLAIN, note: null };
const RULE = '─'.repeat(79);
const QUESTION_ID = '01997b62-8d44-7e15-b6c2-4f7a1d9e0b04';

function run(task_id: string, more: Partial<LiveRun> = {}): LiveRun {
  const since_ms = NOW - 12_400;
  return {
    task_id,
    title: 'Do it',
    attempt_id: 'x',
    attempt_number: 1,
    since_ms,
    setup: null,
    checking: null,
    phase: null,
    line: '',
    ...more,
  };
}

function wait(tasks: string[], more: Partial<LiveWait> = {}): LiveWait {
  return { code: 'DEPENDENCY_PENDING', message: 'it depends on a', on: ['a'], until_ms: null, tasks, ...more };
}

function asked(task_id: string, more: Partial<LiveQuestion> = {}): LiveQuestion {
  return { task_id, question_id: QUESTION_ID, attempt_id: 'x', decision_key: 'format', question: null, ...more };
}

const QUESTION = {
  version: 1,
  question_id: QUESTION_ID,
  question: 'Keep the old format?',
  options: [
    { id: 'keep', label: 'Keep it' },
    { id: 'drop', label: 'Drop it' },
  ],
} as unknown as NonNullable<LiveQuestion['question']>;

const numbered = (count: number) => Array.from({ length: count }, (_, n) => `t${n}`);

describe('the live view', () => {
  it.each<[what: string, model: Partial<LiveModel>, frame: Partial<Frame>, lines: string[]]>([
    ['of nothing is how much of it is done', {}, {}, [RULE, '0/0 shipped']],
    [
      'says how long it has taken and about how long is left',
      { progress: { elapsed_ms: 130_000, left_ms: 45_000 } },
      {},
      [RULE, '0/0 shipped · 2m 10s, about 45s left'],
    ],
    [
      'says how long it has taken where nothing tells how long is left',
      { progress: { elapsed_ms: 5000, left_ms: null } },
      {},
      [RULE, '0/0 shipped · 5s'],
    ],
    ['says how much is left', { counts: { ...COUNTS, over: 3 }, path: [] }, {}, [RULE, '3/3 shipped']],
    [
      'has something of everything',
      {
        counts: { ...COUNTS, over: 3, running: 2, ready: 1, waiting: 4, asked: 1, human: 1, failed: 1, cancelled: 1 },
        running: [run('build', { line: 'cc -c main.c' }), run('e2e', { title: 'Try it all', since_ms: NOW - 185_000 })],
        waiting: [wait(['docs', 'pack']), wait(['site'], { on: ['docs', 'pack'] })],
        asked: [asked('api', { question: QUESTION })],
        path: ['build', 'docs', 'site'],
      },
      { columns: 100 },
      [
        '─'.repeat(99),
        '● build    12s  Do it       cc -c main.c',
        '● e2e   3m 05s  Try it all',
        '· docs, pack wait for a',
        '· site waits for docs, pack',
        '? api asks: Keep the old format?',
        '    forge orchestrate answer api OPTION  (keep, drop)',
        '3/14 shipped, 1 failed, 1 asked, 2 running, 1 ready, 4 waiting, 1 for a person, 1 cancelled',
        'critical path left: 3 tasks (build › docs › site)',
      ],
    ],
    [
      'says what kind of work it is, which try, and what is set up or checked',
      {
        running: [
          run('a', { phase: 'review', line: 'reading' }),
          run('b', { phase: 'implement', attempt_number: 2 }),
          run('c', { checking: 'npm-test', line: 'done' }),
          run('d', { setup: 'npm ci' }),
        ],
      },
      {},
      [
        RULE,
        '● a    12s  review: Do it     reading',
        '● b    12s  attempt 2: Do it',
        '● c    12s  Do it             verifying: npm-test',
        '● d    12s  Do it             setting up: npm ci',
        '0/0 shipped',
      ],
    ],
    [
      'says of what waits what it waits for',
      {
        waiting: [
          wait(['a'], { code: 'BACKOFF', on: [], until_ms: NOW + 61_000 }),
          wait(['b', 'c'], { code: 'PHASE_BLOCKED', on: ['phase-1'] }),
          wait(numbered(6), { on: numbered(7) }),
          wait(['d'], { code: 'TASK_WAITS_FOR_REVIEW', on: [], message: 'it waits for a review' }),
        ],
      },
      {},
      [
        RULE,
        '· a: tried again in 1m 01s',
        '· b, c wait for phase phase-1',
        '· t0, t1, t2, t3 and 2 more wait for t0, t1, t2, t3 and 3 more',
        '· d: it waits for a review',
        '0/0 shipped',
      ],
    ],
    [
      'asks for an answer by name where the options are not known, and says that there are more questions',
      { asked: [asked('a'), asked('b'), asked('c')] },
      {},
      [
        RULE,
        '? a asks: format',
        '    forge orchestrate answer a OPTION',
        '  +2 more: forge orchestrate questions --open',
        '0/0 shipped',
      ],
    ],
    [
      'does not cut a command off',
      { asked: [asked('a', { question: QUESTION })] },
      { columns: 45 },
      ['─'.repeat(44), '? a asks: Keep the old format?', '    forge orchestrate questions --open', '0/0 shipped'],
    ],
    [
      'has a note on its first line',
      {},
      { columns: 40, note: 'stopping' },
      [`── stopping ${'─'.repeat(27)}`, '0/0 shipped'],
    ],
    [
      'takes a third of the rows',
      { running: numbered(9).map((id) => run(id)), waiting: numbered(9).map((id) => wait([id, 'x'])), path: ['t0'] },
      { rows: 24 },
      [
        RULE,
        '● t0    12s  Do it',
        '● t1    12s  Do it',
        '  +7 more',
        '· t0, x wait for a',
        '  +16 more wait',
        '0/0 shipped',
        'critical path left: 1 task (t0)',
      ],
    ],
    [
      'takes twelve lines, however many rows there are',
      { running: numbered(20).map((id) => run(id)), path: ['t0'] },
      { rows: 200 },
      [
        RULE,
        ...numbered(8).map((id) => `● ${id}    12s  Do it`),
        '  +12 more',
        '0/0 shipped',
        'critical path left: 1 task (t0)',
      ],
    ],
    ['is one line where there is room for no more', { running: [run('a')] }, { rows: 5 }, ['0/0 shipped']],
    [
      'leaves the titles out on a narrow screen',
      { running: [run('a', { line: 'hi' })] },
      { columns: 50 },
      ['─'.repeat(49), '● a    12s  hi', '0/0 shipped'],
    ],
    ['is nothing on a very narrow one', { running: [run('a')] }, { columns: 19 }, []],
    ['is nothing on one that does not say how wide it is', { running: [run('a')] }, { columns: 0, rows: 0 }, []],
  ])('the live view shows %s', (_what, model, frame, lines) => {
    expect(liveLines({ ...NOTHING, ...model }, { ...FRAME, ...frame })).toEqual(lines);
  });

  it('the live view counts an emoji and a Chinese character as two columns', () => {
    const model = { ...NOTHING, running: [run('a', { title: '日本語', line: '✅'.repeat(60) })] };
    const [, line = ''] = liveLines(model, FRAME);
    expect(line).toBe(`● a    12s  日本語  ${'✅'.repeat(29)}…`);
  });

  it('the live view always fits and is plain text', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\u001b[2J', '\u001b]0;x\u0007', 'a\nb', '\t\r', '日本語'.repeat(40), '👩‍👩‍👧'.repeat(30)),
    );
    const ids = fc.array(text, { minLength: 1, maxLength: 6 });
    const models = fc.record({
      counts: fc.record(Object.fromEntries(Object.keys(COUNTS).map((key) => [key, fc.nat(100_000)]))),
      running: fc.array(
        fc.record({
          task_id: text,
          title: text,
          line: text,
          checking: fc.option(text),
          since_ms: fc.integer(),
          phase: fc.constantFrom(null, 'ship'),
        }),
        { maxLength: 20 },
      ),
      waiting: fc.array(
        fc.record({
          tasks: ids,
          on: ids,
          message: text,
          until_ms: fc.option(fc.integer()),
          code: fc.constantFrom('BACKOFF', 'PHASE_BLOCKED', 'DEPENDENCY_PENDING', 'TASK_PAUSED'),
        }),
        { maxLength: 20 },
      ),
      asked: fc.array(
        fc.record({
          task_id: text,
          question_id: text,
          decision_key: text,
          question: fc.option(fc.record({ question: text, options: fc.array(fc.record({ id: text })) })),
        }),
        { maxLength: 5 },
      ),
      path: fc.array(text, { maxLength: 200 }),
      progress: fc.option(fc.record({ elapsed_ms: fc.nat(), left_ms: fc.option(fc.nat()) })),
    });
    fc.assert(
      fc.property(
        models,
        fc.integer({ min: 0, max: 200 }),
        fc.nat(100),
        fc.option(text),
        (model, columns, rows, note) => {
          const lines = liveLines(model as unknown as LiveModel, { ...FRAME, columns, rows, note });
          expect(lines.length).toBeLessThanOrEqual(Math.min(12, Math.max(1, Math.floor(rows / 3))));
          for (const line of lines) {
            expect(plainText(line)).toBe(line);
            expect(line).not.toMatch(/[\n\t]/);
            expect(widthOf(line)).toBeLessThan(columns);
          }
        },
      ),
    );
  });
});
