/** Times in text are local; in JSON they are in UTC. */

import { expect, it, test } from 'vitest';
import { withLocalTimes } from '../../src/cli/local-times.ts';
import { orchestrate, project } from '../support/cli.ts';

const now = new Date(2030, 0, 15, 12, 0, 0);
const at = (...when: [number, number, number, number, number, number]) => new Date(...when).toISOString();

test.each([
  [`open until ${at(2030, 0, 15, 9, 5, 3)}, then`, 'open until 09:05:03, then'],
  [`from ${at(2030, 0, 14, 9, 5, 3)} on`, 'from 2030-01-14 09:05:03 on'],
  [
    '  forge orchestrate wait w --until 2030-01-15T09:05:03.000Z',
    '  forge orchestrate wait w --until 2030-01-15T09:05:03.000Z',
  ],
  ['  $ backup --since 2030-01-15T09:05:03.000Z', '  $ backup --since 2030-01-15T09:05:03.000Z'],
  [
    `  runs          backup\n                --since 2030-01-15T09:05:03.000Z\n  until         ${at(2030, 0, 15, 9, 5, 3)}`,
    '  runs          backup\n                --since 2030-01-15T09:05:03.000Z\n  until         09:05:03',
  ],
  ['    \x1b[2m│\x1b[22m 2030-01-15T09:05:03.000Z ERROR no', '    \x1b[2m│\x1b[22m 2030-01-15T09:05:03.000Z ERROR no'],
  ['  build    | 2030-01-15T09:05:03.000Z ERROR no', '  build    | 2030-01-15T09:05:03.000Z ERROR no'],
  ['see `at 2030-01-15T09:05:03.000Z`', 'see `at 2030-01-15T09:05:03.000Z`'],
  [
    'Deploy at 2030-01-15T09:05:03Z or 2030-01-15T09:05:03.123456Z',
    'Deploy at 2030-01-15T09:05:03Z or 2030-01-15T09:05:03.123456Z',
  ],
  ['--until "2030-02-30T09:05:03.000Z": no day', '--until "2030-02-30T09:05:03.000Z": no day'],
  ['2030-13-15T09:05:03.000Z is no time', '2030-13-15T09:05:03.000Z is no time'],
  ['nothing of Z', 'nothing of Z'],
  [`(${at(2030, 0, 15, 9, 5, 3)}); until ${at(2030, 0, 15, 9, 5, 4)}: late.`, '(09:05:03); until 09:05:04: late.'],
  ['step in.2030-01-15T09:05:03.000Z', 'step in.2030-01-15T09:05:03.000Z'],
  [
    'step 2030-01-15T09:05:03.000Z.upload, logs/2030-01-15T09:05:03.000Z',
    'step 2030-01-15T09:05:03.000Z.upload, logs/2030-01-15T09:05:03.000Z',
  ],
])('%s is shown as %s', (text, shown) => {
  expect(withLocalTimes(text, now.getTime())).toBe(shown);
});

it('run --dry-run, show and the output of a failure have the times that were written', async () => {
  const line = '2030-01-15T09:05:03.250Z INFO begin';
  const cwd = project([`id: a, title: a, run: "echo ${line}; exit 1", retry: {max_attempts: 1}`]);
  const env = { TZ: 'Asia/Kolkata' };
  const text = async (...args: string[]) => (await orchestrate(args, { cwd, env })).stdout;
  expect(await text('run', '--dry-run')).toContain(`$ echo ${line}; exit 1`);
  expect(await text('run')).toContain(`│ ${line}`);
  expect(await text('show', 'a')).toMatch(new RegExp(`runs +echo ${line}; exit 1`));
});

it('text has the time of the zone, and JSON that of UTC', async () => {
  const cwd = project(['id: a, title: A, run: exit 1, retry: {max_attempts: 2, base: 30d, cap: 30d}']);
  const run = await orchestrate(['exec', 'a', '--', 'false'], { cwd });
  expect(run.code).toBe(1);
  const env = { TZ: 'Asia/Kolkata' };
  const json = (await orchestrate(['why', 'a', '--json'], { cwd, env })).json().data.reasons[0].message;
  const utc = /\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(json)?.[0] ?? '';
  const local = new Date(Date.parse(utc) + 5.5 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');
  const { stdout } = await orchestrate(['why', 'a'], { cwd, env });
  expect(stdout).toContain(local);
  expect(stdout).not.toContain(utc);
});
