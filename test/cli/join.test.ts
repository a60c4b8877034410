/** Joins: a task waits for its children without a slot, and is told what has become of them. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dataOf, F, linesIn, orchestrate, project, within } from '../support/cli.ts';

const child = (name: string, run = 'true', more: object = {}) => JSON.stringify({ name, run, ...more });

/** A project whose task `a` does this. */
function scripted(body: string, children: readonly string[] = [], retry = '{max_attempts: 2, base: 1ms}'): string {
  return project([`id: a, title: A, run: sh -e body.sh, retry: ${retry}`], {
    'body.sh': body,
    'children.jsonl': children.join('\n'),
  });
}

const FAN = `echo pass >> passes\n${F} fan-out files --from children.jsonl > counted\n`;

describe('join', () => {
  it('join parks the task without a slot until its children are over, and prints each with what it left', async () => {
    const cwd = scripted(
      `${FAN}${F} join files > joined\ncat joined >> all; test -e again || { touch again; exit 9; }\n`,
      [child('x', `echo '{"size": 3}' > "$FORGE_RESULT_FILE"`), child('y')],
    );
    const run = await orchestrate(['run', '--max-parallel', '1'], { cwd });
    expect(run).toMatchObject({ code: 0 });
    // Parked, then failed after the join, then through.
    expect(linesIn(cwd, 'passes')).toHaveLength(3);
    const told = ['{"name":"x","state":"shipped","result":{"size":3}}', '{"name":"y","state":"shipped","result":null}'];
    expect(linesIn(cwd, 'all')).toEqual([...told, ...told]);
    const { steps } = await dataOf(cwd, 'steps', 'a');
    expect(steps).toMatchObject([
      { name: 'files', kind: 'fan-out' },
      { name: 'forge.join.files', kind: 'join', status: 'completed', result: { children: 2, not_shipped: {} } },
    ]);
    expect((await dataOf(cwd, 'show', 'a')).state.failure_count).toBe(1);
  });

  it('join of an empty fan-out, and of several at once, goes on as soon as all are over', async () => {
    const more = child('one');
    const cwd = scripted(
      `: > none; ${F} fan-out none --from none; ${F} join none > first\n${FAN}echo '${more}' | ${F} fan-out more --from -\n${F} join more files --json > joined\n`,
      [child('x'), child('y')],
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(readFileSync(join(cwd, 'first'), 'utf8')).toBe('');
    const { children } = JSON.parse(linesIn(cwd, 'joined').at(-1) ?? '').data;
    expect(children.map((each: { fan_out: string; name: string }) => `${each.fan_out}/${each.name}`)).toEqual([
      'more/one',
      'files/x',
      'files/y',
    ]);
  });

  it('join says while it waits how many are over, and the task is ready when all are', async () => {
    const cwd = scripted(`${FAN}${F} join files\n`, [child('x', 'true', { env: { A: 'b' } }), child('y', 'exit 1')]);
    const { claim_id, run_id } = await within(['claim', 'a'], { cwd });
    const { attempt_id } = await within(['dispatch', 'a', '--claim', claim_id, '--run', run_id], { cwd });
    const env = { FORGE_TASK_ID: 'a', FORGE_ATTEMPT_ID: attempt_id };
    await orchestrate(['fan-out', 'files', '--from', 'children.jsonl'], { cwd, env });
    const parked = await orchestrate(['join', 'files', '--json'], { cwd, env });
    expect(parked).toMatchObject({ code: 4 });
    expect(parked.json().error).toMatchObject({
      code: 'PARKED',
      message: 'the task is parked: it waits for the children of files',
    });
    expect(await orchestrate(['run', '--task', 'a/files/x'], { cwd })).toMatchObject({ code: 0 });
    const why = () => within(['why', 'a'], { cwd });
    expect((await why()).reasons).toMatchObject([
      { code: 'TASK_PARKED', message: 'it waits for the children of files (1 of 2 are over)' },
    ]);
    await within(['cancel', 'a/files/y'], { cwd });
    expect(await why()).toMatchObject({ ready: true, reasons: [] });
    expect(await within(['claim', '--next'], { cwd })).toMatchObject({ task_id: 'a' });
  });

  it('join fails with the children that have, which no policy tries again; retry of such a child lets the task go on', async () => {
    const bad = child('bad', 'test -e mended', { retry: { max_attempts: 1 } });
    const cwd = scripted(`${FAN}${F} join files > joined\n`, [child('good', 'echo good >> ledger'), bad]);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    const { state } = await dataOf(cwd, 'show', 'a');
    expect(state).toMatchObject({ state: 'failed', failure_reason: 'fatal', last_error: { class: 'join.failed' } });
    expect(state.last_error.message).toContain('1 of 2 children did not ship: files/bad (exit.1: exited with code 1)');
    expect(linesIn(cwd, 'passes')).toHaveLength(2);
    const { tasks } = await within(['retry', 'a/files/bad'], { cwd });
    expect(tasks).toEqual([
      { task_id: 'a/files/bad', state: 'unclaimed' },
      { task_id: 'a', state: 'unclaimed' },
    ]);
    const { writeFileSync } = await import('node:fs');
    writeFileSync(join(cwd, 'mended'), '');
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd, 'ledger')).toEqual(['good']);
    expect(linesIn(cwd, 'joined')).toHaveLength(2);
  });

  it('join that allows failures goes on, and lists them in later attempts as in the first', async () => {
    const bad = child('bad', 'exit 1', { retry: { max_attempts: 1 } });
    const cwd = scripted(`${FAN}${F} join files --allow-failed >> all\ntest -e again || { touch again; exit 9; }\n`, [
      child('x'),
      bad,
    ]);
    const run = await orchestrate(['run', '--json'], { cwd });
    const told = ['{"name":"x","state":"shipped","result":null}', '{"name":"bad","state":"failed","result":null}'];
    expect(linesIn(cwd, 'all')).toEqual([...told, ...told]);
    expect((await dataOf(cwd, 'show', 'a')).state.state).toBe('shipped');
    // Its parent has gone on without it.
    expect(run.code).toBe(0);
    expect(JSON.parse(run.stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
      failed: [{ task_id: 'a/files/bad', goes_on: true }],
      exit_code: 0,
    });
    expect((await dataOf(cwd, 'inbox')).items).toEqual([]);
  });

  it('a task with continue_on_error does not fail a run, nor stop it, by a child of its that has failed', async () => {
    const bad = child('bad', 'exit 1', { retry: { max_attempts: 1 } });
    const cwd = project(
      [
        'id: a, title: A, run: sh -e body.sh, retry: {max_attempts: 1}, continue_on_error: true',
        'id: b, title: B, run: echo b > ledger, depends_on: [a]',
      ],
      { 'body.sh': `${FAN}${F} join files\n`, 'children.jsonl': bad },
    );
    expect(await orchestrate(['run', '--on-failure', 'stop'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd, 'ledger')).toEqual(['b']);
    expect((await dataOf(cwd, 'show', 'a')).state).toMatchObject({
      state: 'failed',
      last_error: { class: 'join.failed' },
    });
  });

  it('a child that has failed does not stop a run while its parent may go on without it', async () => {
    const bad = child('bad', 'exit 1', { retry: { max_attempts: 1 } });
    const cwd = project(
      [
        'id: a, title: A, run: sh -e body.sh',
        'id: b, title: B, run: echo b >> ledger, depends_on: [a]',
        'id: c, title: C, run: echo c >> ledger; exit 1, depends_on: [b], retry: {max_attempts: 1}',
        'id: d, title: D, run: echo d >> ledger, depends_on: [b]',
      ],
      { 'body.sh': `${FAN}${F} join files --allow-failed\n`, 'children.jsonl': [bad, child('x')].join('\n') },
    );
    const run = () => orchestrate(['run', '--on-failure', 'stop', '--max-parallel', '1'], { cwd });
    expect(await run()).toMatchObject({ code: 1 });
    expect(linesIn(cwd, 'ledger')).toEqual(['b', 'c']);
  });

  it('a run stops once the parent of a child that has failed has failed over it', async () => {
    const bad = child('bad', 'exit 1', { retry: { max_attempts: 1 } });
    const cwd = project(
      ['id: a, title: A, run: sh -e body.sh', 'id: b, title: B, run: echo b >> ledger, priority: P2'],
      {
        'body.sh': `${FAN}${F} join files\n`,
        'children.jsonl': [bad, child('x', 'echo x >> ledger')].join('\n'),
      },
    );
    expect(await orchestrate(['run', '--on-failure', 'stop', '--max-parallel', '1'], { cwd })).toMatchObject({
      code: 1,
    });
    expect(linesIn(cwd, 'ledger')).toEqual(['x']);
  });

  it('a run that ends before the parent of a child that has failed ends with 4; one of the child alone with 1', async () => {
    const bad = child('bad', 'exit 1', { retry: { max_attempts: 1 } });
    const cwd = scripted(`${FAN}${F} wait-for go\n${F} join files --allow-failed\n`, [bad]);
    const run = async (...args: string[]) => {
      const { code, stdout } = await orchestrate(['run', ...args, '--json'], { cwd });
      return { code, failed: JSON.parse(stdout.trim().split('\n').at(-1) ?? '').failed };
    };
    expect(await run()).toMatchObject({ code: 4, failed: [{ task_id: 'a/files/bad', goes_on: true }] });
    // A person may still mend it before it is joined.
    expect((await dataOf(cwd, 'inbox')).items).toMatchObject([{ kind: 'signal' }, { kind: 'failed' }]);
    expect(await run('--only', 'a/files/bad')).toMatchObject({ code: 1, failed: [{ goes_on: false }] });
    await within(['signal', 'a', 'go'], { cwd });
    expect(await run()).toMatchObject({ code: 0 });
  });

  it('join whose output a script keeps before it reads it ends the script while the task is parked', async () => {
    const cwd = scripted(
      `${FAN}joined=$(${F} join files)\necho "$joined" | while read -r line; do echo "$line" >> all; done\necho behind >> all\n`,
      [child('x')],
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd, 'all')).toEqual(['{"name":"x","state":"shipped","result":null}', 'behind']);
  });

  it('join of a name that was never fanned out is UNKNOWN_FANOUT', async () => {
    const cwd = scripted(`${F} join nothing --json > answer || true\n`);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(JSON.parse(linesIn(cwd, 'answer').at(-1) ?? '').error).toMatchObject({ code: 'UNKNOWN_FANOUT' });
  });
});

describe('a task that ends', () => {
  it('a task that ends without a join of a fan-out has failed', async () => {
    const cwd = scripted(FAN, [child('x')]);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    const { state } = await dataOf(cwd, 'show', 'a');
    expect(state).toMatchObject({ state: 'failed', attempt_count: 1, last_error: { class: 'fanout.unjoined' } });
    expect(state.last_error.message).toMatch(/^it ended without a join of files/);
  });
});
