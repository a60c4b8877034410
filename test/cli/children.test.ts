/** Children of a fan-out, which are tasks like any other. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { answerOf, dataOf, F, linesIn, orchestrate, project, within } from '../support/cli.ts';
import { Repository } from '../support/repository.ts';

const child = (name: string, more: object = {}) => JSON.stringify({ name, run: 'true', ...more });

/** A project whose task `a` makes these children when it is run. */
function fanned(
  children: readonly string[],
  more: { task?: string; tasks?: string[]; settings?: string } = {},
): string {
  return project(
    [`id: a, title: A, run: sh -e body.sh, retry: {max_attempts: 1}${more.task ?? ''}`, ...(more.tasks ?? [])],
    {
      'body.sh': `${F} fan-out files --from children.jsonl\n${F} join files --allow-failed\n`,
      'children.jsonl': children.join('\n'),
      '.forge/settings.yaml': more.settings ?? '',
    },
  );
}

/** A project in which an attempt at `a` has made these children, and is still at work. */
async function made(children: readonly string[], settings = '') {
  const cwd = project(['id: a, title: A', 'id: b, title: B'], { '.forge/settings.yaml': settings });
  const { claim_id, run_id } = await within(['claim', 'a'], { cwd });
  const { attempt_id } = await within(['dispatch', 'a', '--claim', claim_id, '--run', run_id], { cwd });
  await within(['heartbeat', 'a', '--attempt', attempt_id], { cwd });
  const env = { FORGE_TASK_ID: 'a', FORGE_ATTEMPT_ID: attempt_id };
  const made = await orchestrate(['fan-out', 'files', '--from', '-'], { cwd, env, input: children.join('\n') });
  expect(made.code).toBe(0);
  return cwd;
}

describe('a run', () => {
  it('a run does the children of a task as soon as they are made, and tells each what it is given', async () => {
    const run = 'echo "$FORGE_TASK_ID $FORGE_PARENT_TASK_ID $X $(cat "$FORGE_INPUT_FILE")" >> ledger';
    const cwd = fanned(
      [child('x', { run, env: { X: '1' }, input: { file: 'x' } }), child('y:2', { run, title: 'The second' })],
      {
        task: ', priority: P0',
      },
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd).sort()).toEqual(['a/files/x a 1 {"file":"x"}', 'a/files/y:2 a  null']);
    const { tasks } = await dataOf(cwd, 'status');
    expect(tasks).toMatchObject([
      { task_id: 'a', parent: null, state: 'shipped' },
      { task_id: 'a/files/x', parent: 'a', title: 'x', state: 'shipped', attempt_count: 1, phase_id: 'phase-1' },
      { task_id: 'a/files/y:2', parent: 'a', title: 'The second', state: 'shipped' },
    ]);
    expect((await dataOf(cwd, 'show', 'a/files/x')).task).toMatchObject({
      parent: 'a',
      priority: 'P0',
      depends_on: [],
      verify: [],
    });
    expect(await answerOf(cwd, 'gc', '--dry-run')).toMatchObject({ planned: [], reported: [] });
  });

  it('a run lets children fan out themselves', async () => {
    const inner = `echo '${child('in', { run: 'echo $FORGE_TASK_ID >> ledger' })}' | ${F} fan-out more --from - && ${F} join more`;
    const cwd = fanned([child('x', { run: inner })]);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['a/files/x/more/in']);
  });

  it('a run tries a child again by its own policy, and lists it when it has failed', async () => {
    const cwd = fanned([
      child('good'),
      child('bad', { run: 'echo $FORGE_TASK_ID >> ledger; exit 3', retry: { max_attempts: 2, base: 1 } }),
    ]);
    await orchestrate(['run'], { cwd });
    expect(linesIn(cwd)).toEqual(['a/files/bad', 'a/files/bad']);
    const { stdout } = await orchestrate(['status'], { cwd });
    expect(stdout).toMatch(/\n {2}✓ a .*\n {4}files: 1 of 2 done, 1 failed\n {2}✗ a\/files\/bad .*\n/);
    expect(stdout).not.toContain('a/files/good');
    expect((await orchestrate(['status', '--children'], { cwd })).stdout).toContain('a/files/good');
    await within(['retry', 'a/files/bad'], { cwd });
    expect((await dataOf(cwd, 'why', 'a/files/bad')).ready).toBe(true);
  });

  it('a run of one task does its children too, and of one child that child alone', async () => {
    const run = 'echo $FORGE_TASK_ID >> ledger';
    const cwd = fanned([child('x', { run }), child('y', { run })], {
      tasks: ['id: b, title: B, run: echo b >> ledger'],
    });
    expect(await orchestrate(['run', '--task', 'a'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd).sort()).toEqual(['a/files/x', 'a/files/y']);
    const other = await made([child('x', { run }), child('y', { run })]);
    expect(await orchestrate(['run', '--task', 'a/files/y'], { cwd: other })).toMatchObject({ code: 0 });
    expect(linesIn(other)).toEqual(['a/files/y']);
  });

  it('a run gives each child a worktree and a branch of its own where tasks have them', async () => {
    const cwd = fanned([child('x:1', { run: 'echo one > one.txt; git add one.txt; git commit -qm one' })], {
      task: ', changes: none',
      settings: 'workspace: worktree\nship: {policy: merge}\nagents: {setup: []}\n',
    });
    const repo = new Repository(cwd);
    repo.git('add', 'body.sh', 'children.jsonl');
    repo.commit({ 'readme.txt': 'r' });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(repo.git('log', '--format=%s', '--grep=one')).toContain('one');
    expect((await dataOf(cwd, 'show', 'a/files/x:1')).state.state).toBe('shipped');
    expect(repo.git('branch', '--list', 'forge/*')).toContain('forge/a+files+x%3A1');
  });
});

describe('what a child leaves', () => {
  const resultOf = async (cwd: string, id: string) => {
    const { attempts } = await dataOf(cwd, 'show', id);
    const folder = `.forge/orchestrator/tasks/${id.replaceAll('/', '+')}/attempts/${attempts.at(-1).attempt_id}`;
    return JSON.parse(readFileSync(join(cwd, folder, 'result.json'), 'utf8'));
  };

  it('what a child leaves in FORGE_RESULT_FILE is kept with its completion', async () => {
    const cwd = fanned([child('x', { run: `echo '{"size": 3}' > "$FORGE_RESULT_FILE"` })]);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect((await resultOf(cwd, 'a/files/x')).value).toEqual({ size: 3 });
  });

  it.each([
    ['no JSON', 'echo nothing', 'it is not JSON'],
    ['an empty file', 'true', 'it is not JSON'],
    ['more than 64 KiB', `printf '"%070000d"' 1`, /larger than|at most/],
  ])('there fails its attempt when it is %s', async (_what, command, why) => {
    const cwd = fanned([child('x', { run: `${command} > "$FORGE_RESULT_FILE"`, retry: { max_attempts: 1 } })]);
    await orchestrate(['run'], { cwd });
    const { state } = await dataOf(cwd, 'show', 'a/files/x');
    expect(state).toMatchObject({ state: 'failed', last_error: { class: 'result.invalid' } });
    expect(state.last_error.message).toMatch(why);
  });
});

describe('a child', () => {
  it('a child is claimed by its id or as the next task, right after its parent, and is shown as any other', async () => {
    const cwd = await made([child('x'), child('y')]);
    expect(await within(['claim', '--next'], { cwd })).toMatchObject({ task_id: 'a/files/x' });
    expect(await within(['claim', 'a/files/y'], { cwd })).toMatchObject({ task_id: 'a/files/y', generation: 1 });
    expect(await within(['claim', '--next'], { cwd })).toMatchObject({ task_id: 'b' });
    const { phases } = await within(['phases'], { cwd });
    expect(phases).toMatchObject([{ tasks: 2, shipped: 0 }]);
    const refused = await orchestrate(['claim', 'a/files/z', '--json'], { cwd });
    expect(refused.json().error).toMatchObject({ code: 'TASK_NOT_FOUND', hint: 'Did you mean a/files/x?' });
    const completed = await orchestrate(['__complete', '--', 'orchestrate', 'show', 'a/fi'], { cwd });
    expect(completed.stdout).toBe('');
  });

  it('a child is cancelled with its parent, and theirs with it; a repeat cancels those that are left', async () => {
    const cwd = await made([child('x'), child('y'), child('z')]);
    await orchestrate(['run', '--task', 'a/files/z'], { cwd });
    const { stdout } = await orchestrate(['cancel', 'a'], { cwd });
    expect(stdout).toBe('a is cancelled. So are 2 children of it.\n');
    await within(['retry', 'a/files/y'], { cwd });
    // However it is tried again: without its parent it is no work.
    const refused = await orchestrate(['claim', 'a/files/y', '--json'], { cwd });
    expect(refused.json().error).toMatchObject({
      message: 'task a/files/y is not ready: a, which made it, was cancelled',
      hint: 'Have it tried again with `forge orchestrate retry a`.',
    });
    expect(await within(['cancel', 'a'], { cwd })).toEqual({ task_id: 'a', state: 'cancelled', children: 1 });
    const { tasks } = await within(['status'], { cwd });
    expect(tasks.map(({ state }: { state: string }) => state)).toEqual([
      'cancelled',
      'cancelled',
      'cancelled',
      'shipped',
      'unclaimed',
    ]);
  });

  it('a child that is not over is cancelled when its parent is done by hand, so a run ends well', async () => {
    const cwd = await made([child('x'), child('y'), child('z')]);
    await orchestrate(['run', '--task', 'a/files/z'], { cwd });
    const { claim_id } = (await dataOf(cwd, 'show', 'a')).lease;
    await within(['release', 'a', '--claim', claim_id], { cwd });
    const { stdout } = await orchestrate(['done', 'a', 'b'], { cwd });
    expect(stdout).toBe('a is shipped, by hand. 2 children of it are cancelled.\nb is shipped, by hand.\n');
    const { tasks } = await within(['status'], { cwd });
    expect(tasks.map(({ state }: { state: string }) => state).sort()).toEqual([
      ...['cancelled', 'cancelled', 'shipped', 'shipped', 'shipped'],
    ]);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
  });

  it('a child that was cancelled with a task above it goes on with that, and one that was cancelled by itself does not', async () => {
    const cwd = await made([child('x'), child('y'), child('z')]);
    await orchestrate(['run', '--task', 'a/files/z'], { cwd });
    await within(['cancel', 'a/files/y'], { cwd });
    await within(['cancel', 'a'], { cwd });
    const { task_id, tasks } = await within(['retry', 'a'], { cwd });
    expect(task_id).toBe('a');
    expect(tasks).toEqual([
      { task_id: 'a', state: 'unclaimed' },
      { task_id: 'a/files/x', state: 'unclaimed' },
    ]);
    await within(['cancel', 'a/files/x'], { cwd });
    await within(['cancel', 'a'], { cwd });
    expect((await within(['retry', 'a'], { cwd })).tasks).toHaveLength(1);
  });

  it('whose parent has left the plan is reported by gc, and cannot be claimed', async () => {
    const cwd = await made([child('x')]);
    await within(['claim', 'a/files/x'], { cwd });
    const plan = readFileSync(join(cwd, 'plans/phases.yaml'), 'utf8');
    writeFileSync(join(cwd, 'plans/phases.yaml'), plan.replace('id: a,', 'id: other,'));
    const { reported } = await answerOf(cwd, 'gc', '--dry-run');
    const unplanned = reported.filter(
      ({ payload }: { payload: { kind?: string } }) => payload.kind === 'unplanned_task',
    );
    expect(unplanned.map((row: { task_id: string }) => row.task_id)).toEqual(['a', 'a/files/x']);
  });

  it('a child is left out, with a warning, while the set that it is in cannot be read', async () => {
    const cwd = await made([child('x')]);
    const folder = join(cwd, '.forge/orchestrator/tasks/a');
    const set = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) =>
      /fan-outs\/.*json$/.test(name),
    );
    writeFileSync(join(folder, set ?? ''), 'nothing');
    const { tasks, warnings } = await dataOf(cwd, 'status');
    expect(tasks).toHaveLength(2);
    expect(warnings[0].message).toMatch(/^the children of task a cannot be read: /);
  });
});
