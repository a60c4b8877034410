/** What coding agents say of their sessions is kept, told, gone on with, and counted against budgets. The agents here are scripts. */

import { chmodSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { answerOf, dataOf, folder, jsonLines, linesIn, orchestrate, project } from '../support/cli.ts';

const SETTINGS = '.forge/settings.yaml';

const line = (value: object) => JSON.stringify(value);
const init = (id: string) => line({ type: 'system', subtype: 'init', session_id: id, model: 'opus' });
const result = (cost: number) =>
  line({
    type: 'result',
    subtype: 'success',
    is_error: false,
    total_cost_usd: cost,
    usage: { input_tokens: 900, output_tokens: 100 },
  });
/** One block of a message; blocks of one message have one id. */
const block = (id: string, tokens: number) =>
  line({
    type: 'assistant',
    message: { id, content: [{ type: 'text', text: 'I am at it.' }], usage: { input_tokens: tokens } },
  });

/** The PATH with a program of this name that is this shell script in front. */
function program(name: string, script: string): { PATH: string } {
  const bin = folder();
  writeFileSync(join(bin, name), `#!/bin/sh\ncat > /dev/null\necho "$@" >> calls\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
  return { PATH: [bin, dirname(process.execPath), '/usr/bin', '/bin'].join(':') };
}

const claude = (script: string) => program('claude', script);

const say = (...lines: string[]) => lines.map((each) => `echo '${each}'`).join('\n');
const calls = (cwd: string) => linesIn(cwd, 'calls');
const twice = 'retry: {max_attempts: 2, base: 1ms}\n';

describe('a session', () => {
  it('a session is told by show with the command that goes on with it, and summed up by status and run', async () => {
    const env = claude(say(init('S-1'), result(0.5)));
    const cwd = project(['id: a, title: A, verify: ["true"]', 'id: b, title: B'], {
      [SETTINGS]: 'agents: {worker: claude}\n',
    });
    const run = await orchestrate(['run'], { cwd, env });
    expect(run).toMatchObject({ code: 0 });
    expect(run.stdout).toContain('\n  used 2.0k tokens, $1.00\n');
    const shown = await dataOf(cwd, 'show', 'a');
    expect(shown.attempts).toMatchObject([
      {
        session: {
          agent: 'claude',
          session_id: 'S-1',
          model: 'opus',
          input_tokens: 900,
          output_tokens: 100,
          cost: 0.5,
        },
      },
    ]);
    expect(shown.attempts[0].verified.session).toEqual(shown.attempts[0].session);
    expect(shown.resume).toBe(`cd ${cwd} && claude --resume S-1`);
    const { stdout } = await orchestrate(['show', 'a'], { cwd });
    expect(stdout).toContain('claude, opus, session S-1, 1.0k tokens, $0.50');
    expect(stdout).toContain(`  cd ${cwd} && claude --resume S-1\n`);
    expect((await dataOf(cwd, 'status')).spent).toMatchObject({ attempts: 2, tokens: 2000, cost: 1 });
    expect((await orchestrate(['status'], { cwd })).stdout).toContain('used 2.0k tokens, $1.00');
  });

  it('a session is gone on with by the next attempt where the settings say so', async () => {
    const env = claude(`${say(init('S-1'), result(0.1))}\ntest -e tried || { touch tried; exit 1; }`);
    const cwd = project(['id: a, title: A'], { [SETTINGS]: `agents: {worker: claude, resume: true}\n${twice}` });
    expect(await orchestrate(['run'], { cwd, env })).toMatchObject({ code: 0 });
    expect(calls(cwd).map((call) => call.endsWith(' --resume S-1'))).toEqual([false, true]);
    expect((await dataOf(cwd, 'status')).spent).toMatchObject({ attempts: 2, cost: 0.2 });
  });

  it('a session that counts on where it is gone on with is counted once', async () => {
    const turn = (tokens: number) =>
      say(
        line({ type: 'thread.started', thread_id: 'T-1' }),
        line({ type: 'turn.completed', usage: { input_tokens: tokens } }),
      );
    const env = program('codex', `test -e tried && { ${turn(2500)}\nexit 0; }\n${turn(1000)}\ntouch tried; exit 1`);
    const cwd = project(['id: a, title: A'], { [SETTINGS]: `agents: {worker: codex, resume: true}\n${twice}` });
    expect(await orchestrate(['run'], { cwd, env })).toMatchObject({ code: 0 });
    const { attempts } = await dataOf(cwd, 'show', 'a');
    expect(attempts.map(({ session }: { session: { input_tokens: number } }) => session.input_tokens)).toEqual([
      1000, 1500,
    ]);
    expect((await dataOf(cwd, 'status')).spent).toMatchObject({ tokens: 2500 });
  });

  it('a session that can not be gone on with is not tried again', async () => {
    const env = claude(
      `case "$*" in *--resume*) echo "No conversation found" >&2; exit 1;; esac\n${say(init('S-1'))}\ntest -e tried || { touch tried; exit 1; }`,
    );
    const cwd = project(['id: a, title: A'], {
      [SETTINGS]: 'agents: {worker: claude, resume: true}\nretry: {max_attempts: 3, base: 1ms}\n',
    });
    expect(await orchestrate(['run'], { cwd, env })).toMatchObject({ code: 0 });
    expect(calls(cwd).map((call) => call.includes('--resume'))).toEqual([false, true, false]);
  });

  it('a session is counted whole where its log is cut', async () => {
    const twenty = Array.from({ length: 20 }, (_, at) => block(`m$round-${at}`, 100)).join('\n');
    const env = claude(
      `for round in 1 2 3; do\ncat <<END\n${twenty}\nEND\n` +
        'until [ "$(cat .forge/orchestrator/tasks/a/attempts/*/*/stdout.log | wc -c)" -le 2000 ]; do sleep 0.02; done; done',
    );
    const settings = 'agents: {worker: claude}\nlogs: {max_bytes: 2000}\nretry: {max_attempts: 1}\n';
    const cwd = project(['id: a, title: A, timeout: 20s'], { [SETTINGS]: settings });
    expect(await orchestrate(['run'], { cwd, env })).toMatchObject({ code: 0 });
    expect((await dataOf(cwd, 'status')).spent).toMatchObject({ tokens: 6000 });
  });

  it('a session of an attempt whose owner was killed is counted when the task is taken up again', async () => {
    const env = claude(
      `${say(init('S-1'), block('m1', 400), block('m1', 400), block('m2', 500))}\ntest -e tried || { touch tried; kill -9 "$(ps -o ppid= -p $(ps -o ppid= -p $PPID))"; exec sleep 60; }\n${say(result(0.3))}`,
    );
    const cwd = project(['id: a, title: A'], { [SETTINGS]: `agents: {worker: claude}\n${twice}` });
    await orchestrate(['run'], { cwd, env });
    await orchestrate(['run'], { cwd, env });
    const { spent, counts } = await dataOf(cwd, 'status');
    expect(counts).toEqual({ shipped: 1 });
    expect(spent).toMatchObject({ attempts: 2, tokens: 1900, cost: 0.3 });
  });
});

describe('a budget', () => {
  it('a budget of a task stops its worker over it; only a retry by a person begins anew', async () => {
    const env = claude(`${say(init('S-1'), block('m1', 4000), block('m2', 4000))}\nexec sleep 60`);
    const cwd = project(['id: a, title: A, budget: {tokens: 5k}'], {
      [SETTINGS]: `agents: {worker: claude}\n${twice}`,
    });
    expect(await orchestrate(['run'], { cwd, env })).toMatchObject({ code: 1 });
    expect(calls(cwd)).toHaveLength(1);
    const { state } = await dataOf(cwd, 'show', 'a');
    expect(state).toMatchObject({
      state: 'failed',
      failure_reason: 'fatal',
      last_error: { class: 'budget', message: 'its budget is used up: 8.0k of 5.0k tokens' },
    });
    await orchestrate(['retry', 'a'], { cwd });
    expect(await orchestrate(['run'], { cwd, env })).toMatchObject({ code: 1 });
    expect(calls(cwd)).toHaveLength(2);
  });

  it('a budget of a task keeps it from another attempt', async () => {
    const env = claude(`${say(init('S-1'), result(3))}\nexit 1`);
    const cwd = project(['id: a, title: A'], {
      [SETTINGS]: `agents: {worker: claude}\nbudget: {task: {cost: 2}}\n${twice}`,
    });
    expect(await orchestrate(['run'], { cwd, env })).toMatchObject({ code: 4 });
    const [reason] = (await dataOf(cwd, 'why', 'a')).reasons;
    expect(reason).toEqual({
      code: 'BUDGET',
      message: 'its budget is used up: $3.00 of $2.00; raise it, or begin anew with `forge orchestrate retry a`',
    });
    expect(await orchestrate(['claim', 'a'], { cwd })).toMatchObject({ code: 4 });
    expect(await orchestrate(['retry', 'a'], { cwd })).toMatchObject({ code: 0 });
    expect((await dataOf(cwd, 'why', 'a')).reasons).toEqual([]);
  });

  it('a budget of a run ends it: what is at work is given back, and what is ready is not started', async () => {
    const env = claude(`${say(init('S-1'), block('m1', 9000))}\nexec sleep 60`);
    const tasks = ['id: a, title: A', 'id: b, title: B, depends_on: []'];
    const cwd = project(tasks, {
      [SETTINGS]: 'agents: {worker: claude, max_parallel: 1}\nbudget: {run: {tokens: 5k}}\n',
    });
    const run = await orchestrate(['run', '--json'], { cwd, env });
    expect(run.code).toBe(4);
    const events = jsonLines(run.stdout);
    expect(events.filter(({ type }) => type === 'warning')).toMatchObject([
      { message: 'the budget of the run is used up: 9.0k of 5.0k tokens; nothing more is started' },
    ]);
    expect(events.filter(({ type }) => type === 'task_interrupted')).toMatchObject([
      { task_id: 'a', why: 'the budget of the run is used up: 9.0k of 5.0k tokens' },
    ]);
    expect(events.find(({ task_id, type }) => type === 'task_blocked' && task_id === 'b').reasons).toMatchObject([
      { code: 'NOT_STARTED', message: expect.stringContaining('the budget of the run is used up') },
    ]);
    expect(calls(cwd)).toHaveLength(1);
  });

  it.each(['run', 'project'])(
    'in attempts of a %s lets those end that have begun, and begins no other',
    async (what) => {
      const tasks = ['a', 'b', 'c'].map((id) => `id: ${id}, title: A, run: "sleep 1"`);
      const cwd = project(tasks, { [SETTINGS]: `agents: {max_parallel: 3}\nbudget: {${what}: {attempts: 2}}\n` });
      const run = await orchestrate(['run'], { cwd });
      expect(run).toMatchObject({ code: 4 });
      expect((await dataOf(cwd, 'status')).counts).toEqual({ shipped: 2, unclaimed: 1 });
      expect(run.stdout).toContain(`the budget of the ${what} is used up: 2 of 2 attempts`);
      expect((await orchestrate(['run'], { cwd })).code).toBe(what === 'run' ? 0 : 4);
    },
  );

  it('a budget of the project holds all its tasks, until it is raised', async () => {
    const env = claude(say(init('S-1'), result(3)));
    const tasks = ['id: a, title: A', 'id: b, title: B', 'id: c, title: C, run: "true"'];
    const cwd = project(tasks, {
      [SETTINGS]: 'agents: {worker: claude, max_parallel: 1}\nbudget: {project: {cost: 2}}\n',
    });
    expect(await orchestrate(['run'], { cwd, env })).toMatchObject({ code: 4 });
    expect((await dataOf(cwd, 'why', 'b')).reasons).toMatchObject([
      { code: 'BUDGET', message: expect.stringContaining('the budget of the project is used up: $3.00 of $2.00') },
    ]);
    writeFileSync(join(cwd, SETTINGS), 'agents: {worker: claude, max_parallel: 1}\nbudget: {project: {cost: 20}}\n');
    expect(await orchestrate(['run'], { cwd, env })).toMatchObject({ code: 0 });
  });

  it('a budget of the project counts what agents of all its runs use while they work', async () => {
    const env = claude(`${say(init('S-1'), block('m1', 3000))}\nexec sleep 60`);
    const cwd = project(['id: a, title: A', 'id: b, title: B'], {
      [SETTINGS]: 'agents: {worker: claude, max_parallel: 1}\nbudget: {project: {tokens: 5k}}\n',
    });
    const runs = await Promise.all([orchestrate(['run'], { cwd, env }), orchestrate(['run'], { cwd, env })]);
    expect(runs.map(({ code }) => code)).toEqual([4, 4]);
    expect(runs.map(({ stdout }) => stdout.includes('6.0k of 5.0k tokens'))).toContain(true);
    expect((await dataOf(cwd, 'status')).spent).toMatchObject({ attempts: 2, tokens: 6000 });
  });

  it('a budget in time and attempts holds for commands too', async () => {
    const cwd = project(
      [
        'id: a, title: A, run: "exec sleep 60", budget: {wall_clock: 100ms}',
        'id: b, title: B, run: "exit 1", budget: {attempts: 2}',
      ],
      { [SETTINGS]: 'retry: {max_attempts: 5, base: 1ms}\n' },
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect((await dataOf(cwd, 'show', 'a')).state.last_error.class).toBe('budget');
    expect((await dataOf(cwd, 'why', 'b')).reasons).toMatchObject([
      { code: 'BUDGET', message: expect.stringContaining('2 of 2 attempts') },
    ]);
  });

  it('a budget in attempts counts those whose owners were killed', async () => {
    const kill = 'kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $$)); exec sleep 60';
    const cwd = project([`id: a, title: A, run: "${kill}", budget: {attempts: 1}`], { [SETTINGS]: '' });
    await orchestrate(['run'], { cwd });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 4 });
    expect((await dataOf(cwd, 'why', 'a')).reasons).toMatchObject([
      { code: 'BUDGET', message: expect.stringContaining('1 of 1 attempts') },
    ]);
  });

  it('a budget in attempts counts those of agents that claim by themselves', async () => {
    const cwd = project(['id: a, title: A, budget: {attempts: 1}'], { [SETTINGS]: 'retry: {base: 1ms}\n' });
    const { claim_id, run_id } = await answerOf(cwd, 'claim', 'a');
    const { attempt_id } = await answerOf(cwd, 'dispatch', 'a', '--claim', claim_id, '--run', run_id);
    await answerOf(cwd, 'complete', 'a', '--attempt', attempt_id, '--failed', '--error-class', 'tests.flaky');
    expect((await dataOf(cwd, 'why', 'a')).reasons).toMatchObject([
      { code: 'BUDGET', message: expect.stringContaining('1 of 1 attempts') },
    ]);
    expect(await orchestrate(['claim', 'a'], { cwd })).toMatchObject({ code: 4 });
  });
});
