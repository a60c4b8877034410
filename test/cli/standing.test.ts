/** `status`, `show` and bare `orchestrate` agree with `run` about the state of tasks. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { dataOf, orchestrate, project, startCli } from '../support/cli.ts';
import { until } from '../support/processes.ts';

/** The text of a command that succeeds. */
async function text(cwd: string, ...args: string[]): Promise<string> {
  const { stdout, stderr, code } = await orchestrate(args, { cwd });
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  return stdout;
}

describe('a task that the plan calls done or dropped', () => {
  const TASKS = ['id: a, title: A, run: "true"', 'id: b, title: B, status: done', 'id: c, title: C, status: dropped'];

  it('a task that the plan calls done or dropped is counted the same way by all verbs', async () => {
    const cwd = project(TASKS);
    await text(cwd, 'cancel', 'b');
    expect(await text(cwd, 'run')).toContain(': 1 shipped, 1 done, 1 dropped');
    expect(await text(cwd, 'status')).toContain('test  3 tasks: 1 shipped, 1 done, 1 dropped\n');
    expect(await text(cwd)).toContain('  1 shipped, 1 done, 1 dropped\n');
    const data = await dataOf(cwd, 'status');
    expect(data.counts).toEqual({ shipped: 1, cancelled: 1, unclaimed: 1 });
  });

  it('a task that the plan calls done or dropped does not count as waiting', async () => {
    const shown = await text(project(TASKS), 'show', 'c');
    expect(shown).toContain('in the plan   dropped\n');
    expect(shown).not.toContain('waits');
  });
});

describe('a task that is over or in flight', () => {
  const TASKS = ['id: a, title: A', 'id: b, title: B, depends_on: [a]'];

  it('show gives no reasons for a task that is over or in flight', async () => {
    const cwd = project(TASKS);
    await text(cwd, 'claim', 'a');
    expect(await text(cwd, 'show', 'a')).not.toContain('waits');
    expect(await text(cwd, 'show', 'b')).toContain('waits because it depends on a, which is claimed\n');
    await text(cwd, 'cancel', 'a');
    expect(await text(cwd, 'show', 'a')).toMatch(/state +cancelled\n\n/);
  });

  it('the bare command does not count a task that is over or in flight as waiting', async () => {
    const cwd = project(TASKS);
    await text(cwd, 'claim', 'a');
    expect(await text(cwd)).toContain('0 ready, 1 in flight, 1 waiting\n');
    await text(cwd, 'cancel', 'a');
    expect(await text(cwd)).toContain('0 ready, 0 in flight, 1 waiting\n');
  });
});

describe('when nothing is ready', () => {
  it.each([
    ['nothing is left', ['id: a, title: A, status: done'], 'no task is ready: everything is done'],
    ['there are no tasks', [], 'no task is ready: plans/phases.yaml has none'],
    ['one waits', ['id: a, title: A, status: paused'], 'no task is ready; one waits'],
    ['a person is waited for', ['id: a, title: A, owner_type: human'], 'no task is ready; one waits'],
  ])('claim says that nothing is ready because %s', async (_, tasks, message) => {
    const cwd = project(tasks, tasks.length > 0 ? {} : { 'plans/phases.yaml': EMPTY });
    const { stderr, code } = await orchestrate(['claim', '--next'], { cwd });
    expect(stderr).toContain(`error[NOT_READY]: ${message}\n`);
    expect(code).toBe(4);
  });

  it('a plan without tasks is not reported as done', async () => {
    const cwd = project([], { 'plans/phases.yaml': EMPTY });
    expect(await text(cwd)).toContain('there are no tasks in plans/phases.yaml yet');
  });
});

const EMPTY = 'project: test\nphases:\n  - {id: phase-1, name: One, tasks: []}\n';

it('a task whose runner was killed is not shown as running', async () => {
  const cwd = project(['id: a, title: A, run: "echo begun; touch begun; while :; do sleep 1; done"']);
  const { process, ended } = startCli(['orchestrate', 'run'], { cwd });
  onTestFinished(() => void process.kill('SIGINT'));
  await until('the worker runs', () => existsSync(join(cwd, 'begun')));
  expect(await text(cwd, 'status')).toMatch(/lease for .+ more, run/);
  process.kill('SIGKILL');
  await ended;
  const { stdout: shown, stderr } = await orchestrate(['status'], { cwd });
  expect(stderr).toBe('[gc] a: row 2 (mark_abandoned) — run `forge orchestrate gc` to apply\n');
  expect(shown).toContain('its owner is gone; the next run takes it over');
  expect(shown).not.toContain('lease for');
  // The worker that is left behind is stopped by the next command that takes the task.
  expect(await orchestrate(['exec', 'a', '--', 'true'], { cwd })).toMatchObject({ code: 0 });
});

describe('a command of several lines', () => {
  const cwd = () =>
    project([], {
      'plans/phases.yaml':
        'project: test\nphases:\n  - id: phase-1\n    name: One\n    tasks:\n' +
        '      - id: a\n        title: A\n        run: |\n          make one\n          make two\n',
    });

  it('a command of several lines is printed on several lines', async () => {
    expect(await text(cwd(), 'show', 'a')).toMatch(/ {2}runs +make one\n {16}make two\n/);
    expect(await text(cwd(), 'run', '--dry-run')).toContain('     $ make one …\n');
  });
});

it('status says of a checkpoint that it is for a person until it is done or cancelled', async () => {
  const cwd = project(['a', 'b', 'c'].map((id) => `id: ${id}, title: ${id}, owner_type: human`));
  await text(cwd, 'done', 'a');
  await text(cwd, 'cancel', 'b');
  expect((await text(cwd, 'status')).split('\n').slice(3, -1)).toEqual([
    expect.stringMatching(/a +shipped/),
    expect.stringMatching(/b +cancelled/),
    expect.stringMatching(/c +unclaimed/),
    expect.stringMatching(/^ +for a person$/),
  ]);
});

it('of many open runs those with a task are listed first', async () => {
  const cwd = project(['id: a, title: A']);
  const { data } = (await orchestrate(['claim', 'a', '--json'], { cwd })).json();
  for (let i = 0; i < 6; i++) await text(cwd, 'run', 'start', '--name', `number ${i}`);
  const lines = (await text(cwd, 'status')).split('\n');
  const [head, first, second, ...rest] = lines.slice(lines.indexOf('7 open runs'));
  expect([head, first, second]).toEqual([
    '7 open runs',
    expect.stringMatching(`^  ${data.run_id}  opened \\S+ ago$`),
    expect.stringMatching(/ago {2}idle {2}number 5$/),
  ]);
  expect(rest).toHaveLength(5);
  expect(rest[3]).toBe('  and 2 more: `forge orchestrate run list`');
});
