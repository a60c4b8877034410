/** Doing tasks again, on the command line. */

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dataOf, F, linesIn, orchestrate, project } from '../support/cli.ts';
import { Repository } from '../support/repository.ts';

const reported = async (cwd: string) => {
  const { data } = (await orchestrate(['gc', '--dry-run', '--json'], { cwd })).json();
  return [...data.planned, ...data.reported];
};

describe('run', () => {
  it('does again what --from, --force and --only say, and nothing else', async () => {
    const cwd = project([
      'id: a, title: A, run: echo a >> ledger',
      'id: b, title: B, run: echo b >> ledger, depends_on: [a]',
      'id: c, title: C, run: echo c >> ledger',
    ]);
    const alone = await orchestrate(['run', '--only', 'b', '--json'], { cwd });
    expect(alone).toMatchObject({ code: 4 });
    expect(alone.json().error).toMatchObject({ code: 'NOT_READY', hint: expect.stringContaining('run --task b') });
    await orchestrate(['run', '--max-parallel', '1'], { cwd });
    const again = await orchestrate(['run', '--from', 'a', '--max-parallel', '1'], { cwd });
    expect(again.stdout).toContain('begun again from the start: a, b\n');
    await orchestrate(['run', '--task', 'b', '--force'], { cwd });
    await orchestrate(['run', '--only', 'c', '--force'], { cwd });
    expect(linesIn(cwd)).toEqual(['a', 'b', 'c', 'a', 'b', 'b', 'c']);
    const dry = await orchestrate(['run', '--from', 'a', '--dry-run', '--json'], { cwd });
    expect(dry.json().data).toMatchObject({ would_start: [{ task_id: 'a' }], waiting: [{ task_id: 'b' }] });
    expect((await dataOf(cwd, 'status')).counts).toEqual({ shipped: 3 });
  });

  it.each([
    [['--force'], '--force needs --task, --only or --from'],
    [['--only', 'a', '--task', 'a'], '--only goes with neither'],
  ])('%j is refused', async (flags, message) => {
    const cwd = project(['id: a, title: A, run: "true"']);
    const refused = await orchestrate(['run', ...flags, '--json'], { cwd });
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.json().error.message).toContain(message);
  });

  it.each([
    [['run', '--only', 'c'], 'NOT_READY', '`forge orchestrate run --task c` does first what it depends on.'],
    [['run', '--only', 'd'], 'NOT_READY', 'See `forge orchestrate why bad`'],
    [['logs', 'over'], 'STATE_NOT_FOUND', 'The plan says that it is done.'],
  ])('%j says what to do about a task that can’t be done so', async (args, code, hint) => {
    const cwd = project([
      'id: bad, title: B, run: "false", retry: {max_attempts: 1}',
      'id: b, title: B, run: "true"',
      'id: c, title: C, depends_on: [b], run: "true"',
      'id: d, title: D, depends_on: [bad], run: "true"',
      'id: over, title: O, status: done',
    ]);
    await orchestrate(['run', '--task', 'bad'], { cwd });
    const { error } = (await orchestrate([...args, '--json'], { cwd })).json();
    expect(error).toMatchObject({ code, hint: expect.stringContaining(hint) });
  });

  it.each([
    ['it is forced', '', ['--force']],
    ['its outputs are made anew', ', inputs: [x], outputs: [y], cache: true', []],
  ])(
    '--only refuses a task that has shipped, where %s and what it depends on was begun again',
    async (_why, keys, flags) => {
      const cwd = project([
        `id: a, title: A, run: "cat x > z"${keys.replace('y', 'z')}`,
        `id: b, title: B, run: "cat x > y", depends_on: [a]${keys}`,
      ]);
      writeFileSync(join(cwd, 'x'), 'x');
      await orchestrate(['run'], { cwd });
      await orchestrate(['rerun', 'a'], { cwd });
      for (const more of [['--dry-run'], []]) {
        const { error } = (await orchestrate(['run', '--only', 'b', ...flags, ...more, '--json'], { cwd })).json();
        expect(error).toMatchObject({ code: 'NOT_READY', hint: expect.stringContaining('run --task b') });
      }
      expect((await dataOf(cwd, 'status')).counts).toEqual({ unclaimed: 1, shipped: 1 });
    },
  );

  it('says how a task is started that waits out a backoff, each time that the run waits', async () => {
    const cwd = project([
      'id: a, title: A, run: "echo try >> tries; test $(wc -l < tries) -gt 2", retry: {max_attempts: 3, base: 1800ms, factor: 1}',
    ]);
    const { code, stdout } = await orchestrate(['run'], { cwd });
    expect(code).toBe(0);
    expect(stdout.match(/waiting for .*\n/g)).toEqual(
      Array(2).fill(
        expect.stringMatching(
          /^waiting for a \(`forge orchestrate retry a` starts it now, else it is tried again at [\d:]+, after exit\.1: .*\)\n$/,
        ),
      ),
    );
  });
});

describe('rerun', () => {
  it('rerun has the children of a task done again, by the set that it makes then', async () => {
    const child = (name: string) => JSON.stringify({ name, run: `echo ${name} >> ledger` });
    const cwd = project(['id: a, title: A, run: sh -e body.sh'], {
      'body.sh': `${F} step once -- sh -c 'echo once >> ledger'\n${F} fan-out files --from children\n${F} join files\n`,
      children: `${child('x')}\n${child('y')}\n`,
    });
    await orchestrate(['run', '--max-parallel', '1'], { cwd });
    expect((await orchestrate(['rerun', 'a'], { cwd })).stdout).toBe('a is begun again from the start.\n');
    expect(await reported(cwd)).toEqual([]);
    const { tasks, warnings } = await dataOf(cwd, 'status');
    expect({ tasks, warnings }).toMatchObject({ tasks: [{ task_id: 'a', state: 'unclaimed' }], warnings: [] });
    writeFileSync(join(cwd, 'children'), `${child('x')}\n${child('z')}\n`);
    expect(await orchestrate(['run', '--max-parallel', '1'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['once', 'x', 'y', 'once', 'x', 'z']);
    const data = await dataOf(cwd, 'show', 'a/files/x');
    expect(data.attempts).toHaveLength(2);
    expect(await reported(cwd)).toEqual([]);
    const dry = await orchestrate(['rerun', 'a/files/x', '--json'], { cwd });
    expect(dry.json().data).toMatchObject({ tasks: [{ task_id: 'a/files/x' }], dependents: ['a'] });
  });

  it('children whose parent has lost its record are reported, and listed as not in the plan', async () => {
    const cwd = project(['id: a, title: A, run: sh -e body.sh'], {
      'body.sh': `${F} fan-out files --from children\n${F} join files\n`,
      children: '{"name": "x", "run": "true"}\n',
    });
    await orchestrate(['run'], { cwd });
    rmSync(join(cwd, '.forge/orchestrator/tasks/a'), { recursive: true });
    expect(await reported(cwd)).toMatchObject([{ row: 4, task_id: 'a/files/x', payload: { kind: 'unplanned_task' } }]);
    expect((await dataOf(cwd, 'status')).warnings).toMatchObject([{ task_id: 'a/files/x' }]);
  });

  it('rerun begins in a new worktree from the base as it is, and rescues what no branch has', async () => {
    const commit = 'git add . && git commit -qm work';
    const cwd = project(
      [
        `id: a, title: A, run: cat src >> out && ${commit}`,
        `id: b, title: B, run: "echo b > left && ${commit} && false", retry: {max_attempts: 1}`,
      ],
      { '.forge/settings.yaml': 'workspace: worktree\nship: {policy: merge}\n' },
    );
    const repository = new Repository(cwd);
    repository.commit({ src: 'one\n' });
    await orchestrate(['run', '--max-parallel', '1'], { cwd });
    expect(linesIn(cwd, 'out')).toEqual(['one']);
    repository.commit({ src: 'two\n', out: '' });
    await orchestrate(['rerun', 'a', 'b'], { cwd });
    expect(await reported(cwd)).toEqual([]);
    const { stderr } = await orchestrate(['run', '--max-parallel', '1'], { cwd });
    expect(linesIn(cwd, 'out')).toEqual(['two']);
    expect(stderr).toMatch(/the work of before at task b is kept in refs\/forge\/rescue\/b\//);
  });
});

it('a verb that needs tasks says so', async () => {
  const refused = await orchestrate(['rerun', '--json'], { cwd: project(['id: a, title: A']) });
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.json().error.message).toBe('rerun needs <tasks>');
});

it('done of a task with a matrix is of all its combinations', async () => {
  const cwd = project(['id: a, title: A, matrix: {on: [x, y]}, run: "true"', 'id: b, title: B, depends_on: [a]']);
  expect(await dataOf(cwd, 'done', 'a')).toMatchObject({
    tasks: ['a.on-x', 'a.on-y'].map((task_id) => ({ task_id, state: 'shipped', by_hand: true })),
  });
  const unknown = await orchestrate(['done', 'c', '--json'], { cwd });
  expect(unknown.json().error).toMatchObject({ code: 'TASK_NOT_FOUND' });
});

it('retry of a task with a matrix tries those combinations again that have failed', async () => {
  const cwd = project([
    'id: a, title: A, matrix: {on: [x, y]}, retry: {max_attempts: 1}, run: "test $FORGE_MATRIX_ON = x || test -e go"',
  ]);
  expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
  expect(await dataOf(cwd, 'retry', 'a')).toMatchObject({ tasks: [{ task_id: 'a.on-y', state: 'unclaimed' }] });
  writeFileSync(join(cwd, 'go'), '');
  expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
  const again = await orchestrate(['retry', 'a', '--json'], { cwd });
  expect(again.json().error).toMatchObject({ code: 'ILLEGAL_TRANSITION' });
});
