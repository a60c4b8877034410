/** Repeats: a worker that runs a command at times, parked in between. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dataOf, F, linesIn, orchestrate, project } from '../support/cli.ts';
import { LiveForge } from '../support/faults/forge.ts';

const writeEmpty = (cwd: string) => writeFileSync(join(cwd, 'ledger'), '');

function scripted(body: string, settings = 'steps: {park_after: 0}\n'): string {
  return project([`id: a, title: A, run: sh -e body.sh, retry: {max_attempts: 1}`], {
    'body.sh': body,
    '.forge/settings.yaml': settings,
  });
}

describe('a repeat', () => {
  it('a repeat runs a tick an attempt, each due at the last plus the interval, with a record and a key of its own', async () => {
    const tick = 'echo "$FORGE_TICK_AT $FORGE_STEP_KEY" >> ledger';
    const cwd = scripted(`${F} repeat poll --every 150ms --times 3 -- sh -c '${tick}'\necho behind >> after\n`);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    const [first, ...later] = linesIn(cwd).map((line) => line.split(' '));
    const startMs = Date.parse(first?.[0] ?? '');
    for (const [i, [at = '']] of later.entries()) expect((Date.parse(at) - startMs) % 150, String(i)).toBe(0);
    expect(new Set([first, ...later].map((line) => line?.[1])).size).toBe(3);
    expect(linesIn(cwd, 'after')).toEqual(['behind']);
    const { steps, ticks } = await dataOf(cwd, 'steps', 'a', '--ticks');
    expect(steps).toMatchObject([{ name: 'poll', kind: 'repeat', status: 'completed', result: { ran: 3, failed: 0 } }]);
    const ran = ticks.filter(({ status }: { status: string }) => status === 'completed');
    expect(ran.map(({ at }: { at: string }) => at)).toEqual([first, ...later].map((line) => line?.[0]));
    expect((await dataOf(cwd, 'steps', 'a')).ticks).toBeNull();
  });

  it('a repeat ends when a command says so, which is asked before the first tick and after each', async () => {
    const cwd = scripted(
      `${F} repeat none --every 1ms --till true -- sh -c 'echo none >> ledger'\n` +
        `${F} repeat two --every 1ms --till 'test $(wc -l < ledger) -ge 2' -- sh -c 'echo two >> ledger'\n`,
      '',
    );
    writeEmpty(cwd);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['two', 'two']);
  });

  it('a repeat fails its attempt where a command cannot say whether it is over, and goes on with its ticks in the next', async () => {
    const till =
      'echo asked >> asked; case $(wc -l < asked) in 3) echo no route >&2; exit 7;; 4) exit 0;; *) exit 1;; esac';
    const cwd = scripted(
      `${F} repeat poll --every 1ms --till '${till}' -- sh -c 'echo "$FORGE_TICK_AT" >> ledger'\n`,
      '',
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    const { state } = await dataOf(cwd, 'show', 'a');
    expect(state.last_error).toMatchObject({
      class: 'exit.7',
      message: expect.stringMatching(/^step poll: .*no route \(of --till\)$/),
    });
    expect((await orchestrate(['steps', 'a'], { cwd })).stdout).toMatch(/poll {2}ran 2 times.*exit\.7: /s);
    await orchestrate(['retry', 'a'], { cwd });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect((await dataOf(cwd, 'steps', 'a')).steps).toMatchObject([{ status: 'completed', result: { ran: 2 } }]);
  });

  it('a repeat goes on after a tick that has failed, or fails with it', async () => {
    const cwd = scripted(
      `${F} repeat on --every 1ms --times 2 --retry '{max_attempts: 1}' -- sh -c 'echo on >> ledger; exit 7'\n` +
        `${F} repeat off --every 1ms --on-error fail --retry '{max_attempts: 2, base: 1ms}' -- sh -c 'echo off >> ledger; exit 9'\n`,
      '',
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect(linesIn(cwd)).toEqual(['on', 'on', 'off', 'off']);
    expect((await dataOf(cwd, 'show', 'a')).state.last_error).toMatchObject({
      class: 'exit.9',
      message: expect.stringContaining('step off: '),
    });
  });

  it('a repeat is gone on with when its run was killed, with the tries that a tick has used', async () => {
    const tick = 'echo $FORGE_STEP_TRY >> ledger; test $FORGE_STEP_TRY = 2 || exit 7';
    const cwd = scripted(
      `${F} repeat poll --every 1h --times 1 --retry '{max_attempts: 2, base: 1s}' -- sh -c '${tick}'\n`,
    );
    const run = new LiveForge(cwd, ['run']);
    await run.event('parked', ({ type }) => type === 'task_parked');
    run.child.kill('SIGKILL');
    await run.ended;
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['1', '2']);
  });

  it('far behind skips what was missed with one record', async () => {
    const cwd = scripted(
      `${F} repeat poll --every 1m --start 2020-01-01T00:00:00Z --timeout 90s --till 'test -s ledger' -- sh -c 'echo "$FORGE_TICK_AT" >> ledger'\n`,
      '',
    );
    writeEmpty(cwd);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    const { ticks } = await dataOf(cwd, 'steps', 'a', '--ticks');
    expect(ticks).toHaveLength(2);
    expect(ticks[0]).toMatchObject({ status: 'skipped', at: '2020-01-01T00:00:00.000Z' });
    expect(ticks[0].count).toBe((Date.parse(linesIn(cwd)[0] ?? '') - Date.parse('2020-01-01T00:00:00Z')) / 60_000);
  });

  it.each([
    [[], /say when to repeat, by --every or by --cron/],
    [['--every', '36h', '--tz', 'UTC'], /--tz is for --cron and for days/],
    [['--cron', 'daily'], /not a cron expression/],
    [['--every', '1h', '--times', '0'], /--times/],
  ])('is refused with %j', async (args, message) => {
    const cwd = scripted(
      `${F} repeat poll ${args.map((arg) => `'${arg}'`).join(' ')} -- true 2> told || echo $? > ledger\n`,
    );
    await orchestrate(['run'], { cwd });
    expect(linesIn(cwd)).toEqual(['2']);
    expect(readFileSync(join(cwd, 'told'), 'utf8')).toMatch(message);
  });
});
