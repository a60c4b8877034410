/** `run`, `exec` and `logs` by the real command. */

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { dataOf, jsonLines, orchestrate, project, shell, startCli } from '../support/cli.ts';
import { varied } from '../support/faults/knobs.ts';
import { until } from '../support/processes.ts';

/** Says that it runs by making a file, and then goes on until it is stopped. */
const ENDLESS = 'echo begun; touch begun; while :; do sleep 1; done';

/** A million takes about a second. */
const computes = (times: number) => `i=0; while [ $i -lt ${times} ]; do i=$((i+1)); done`;

describe('run', () => {
  it('run prints a line for each event, then a summary', async () => {
    const cwd = project(['id: a, title: First, run: "true"', 'id: b, title: Second, run: "true", depends_on: [a]']);
    const { code, stdout, stderr } = await orchestrate(['run'], { cwd });
    expect(
      stdout
        .replace(/\d+\.\ds/g, '0.0s')
        .replace(/[0-9a-f-]{36}/, 'ID')
        .replace(/\d+ at/, 'n at'),
    ).toBe(
      [
        'run ID  2 tasks, n at a time',
        '',
        '▸ a         First',
        '✓ a         shipped in 0.0s',
        '▸ b         Second',
        '✓ b         shipped in 0.0s',
        '',
        '✓ all done in 0.0s: 2 shipped',
        '',
      ].join('\n'),
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it.each([
    ['worker', (command: string) => `run: '${command}'`],
    ['command that checks', (command: string) => `run: "true", verify: ['${command}']`],
  ])('run warns of processes that a %s leaves behind and that are not provably its own', async (_what, task) => {
    // It has the claim no longer in its environment once it has written its pid.
    const left = 'env -i /bin/sh -c "echo \\$\\$ >left; exec sleep 1000" & until test -s left; do sleep 0.02; done';
    const cwd = project([`id: a, title: A, ${task(left)}`]);
    onTestFinished(() => void process.kill(Number(readFileSync(join(cwd, 'left'), 'utf8')), 'SIGKILL'));
    const { code, stdout, stderr } = await orchestrate(['run'], { cwd });
    expect(code).toBe(0);
    expect((stdout + stderr).replace(/\s+/g, ' ')).toMatch(/process group \d+ on \S+ may still work on task a /);
  });

  it('run ends with what failed, the end of its output, its log, and what to do', async () => {
    const script = 'for i in $(seq 20); do echo "line $i" >&2; done; echo out; exit 3';
    const retry = 'retry: { max_attempts: 2, base: 400ms }';
    const cwd = project([
      `id: a, title: A, run: '${script}', ${retry}`,
      'id: b, title: B, run: "true", depends_on: [a]',
    ]);
    const { code, stdout } = await orchestrate(['run'], { cwd });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^↻ a +failed after \d+\.\ds, attempt 2 in \d\.\ds: exit\.3: /m);
    expect(stdout).toMatch(/^✗ a +failed after \d+\.\ds \(2 attempts, retries_exhausted\): exit\.3: /m);
    const summary = stdout.slice(stdout.indexOf('\nFailed\n'));
    expect(summary).not.toContain('line 5\n');
    expect(summary).toMatch(/│ line 6\n[\s\S]*│ line 20\n +log: (\S+stderr\.log)\n/);
    const log = /log: (\S+)/.exec(summary)?.[1] ?? '';
    expect(readFileSync(join(cwd, log), 'utf8')).toContain('line 20\n');
    expect(summary).toMatch(/\nLeft\n {2}b {2}it depends on a, which is failed\n/);
    expect(summary).toMatch(/\nNext\n {2}forge orchestrate retry a\n {2}forge orchestrate run\n$/);
  });

  it.each([
    ['id: h, title: H, owner_type: human', /a person does it/, 'show h\n  forge orchestrate done h'],
    [
      'id: h, title: H, owner_type: human, depends_on: [p]',
      /h {2}it depends on p, which is unclaimed; a person does it/,
      'why p',
    ],
    ['id: h, title: H', /no `run:`/, 'claim --next'],
    ['id: h, title: H, depends_on: [p], run: "true"', /paused/, 'why p'],
  ])('run exits with 4 and says who has to act: %s', async (task, reason, next) => {
    const { code, stdout } = await orchestrate(['run'], {
      cwd: project([task, 'id: p, title: P, status: paused, run: "true"']),
    });
    expect(code).toBe(4);
    expect(stdout).toMatch(reason);
    expect(stdout).toContain(`\nNext\n  forge orchestrate ${next}\n`);
  });

  it('run names the limit that a worker reached, and its place', async () => {
    const cwd = project(['id: a, title: A, run: "sleep 60", timeout: 300, retry: {max_attempts: 1}']);
    const { stdout, stderr } = await orchestrate(['run'], { cwd });
    expect(stdout).toContain('timeout: took longer than its timeout of 300ms (plans/phases.yaml:6)');
    expect(stderr).toContain('plans/phases.yaml:6:54 task "a": timeout: 300 is 300 ms; for 300 seconds write 300s');
  });

  it('a task without a timeout has that of the settings, and one that has its own keeps it', async () => {
    const cwd = project(
      [
        'id: a, title: A, run: "sleep 60", retry: {max_attempts: 1}',
        'id: b, title: B, run: "sleep 0.6", timeout: 1m, retry: {max_attempts: 1}',
      ],
      { '.forge/settings.yaml': 'agents: {timeout: 300ms}\n' },
    );
    const { stdout } = await orchestrate(['run'], { cwd });
    expect(stdout).toContain('timeout: took longer than its timeout of 300ms (.forge/settings.yaml:1)');
    expect(stdout).toMatch(/✓ b +shipped/);
  });

  it('retry --failed gives all that has failed a fresh start, or what failed with a class', async () => {
    const one = 'retry: {max_attempts: 1}';
    const cwd = project([
      `id: a, title: A, run: "test -e up || exit 3", ${one}`,
      `id: b, title: B, run: "test -e up || exit 4", ${one}`,
      `id: c, title: C, run: "test -e up || exit 4", ${one}`,
      'id: d, title: D, run: "true"',
    ]);
    expect((await orchestrate(['run'], { cwd })).code).toBe(1);
    const retried = async (...args: string[]) =>
      (await orchestrate(['retry', '--failed', ...args, '--json'], { cwd })).json().data;
    expect(await retried('--class', 'exit.3')).toEqual({
      task_id: null,
      state: null,
      tasks: [{ task_id: 'a', state: 'unclaimed' }],
    });
    const both = await orchestrate(['retry', 'a', '--failed'], { cwd });
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('both a task (a) and --failed') });
    expect((await orchestrate(['retry'], { cwd })).code).toBe(2);
    const { tasks } = await retried();
    expect(tasks.map(({ task_id }: { task_id: string }) => task_id)).toEqual(['b', 'c']);
    expect((await orchestrate(['retry', '--failed'], { cwd })).stdout).toBe('No such task has failed.\n');
    writeFileSync(join(cwd, 'up'), '');
    expect((await orchestrate(['run'], { cwd })).code).toBe(0);
  });

  it('status says when a worker has last written', async () => {
    const cwd = project([`id: a, title: A, run: "${ENDLESS}"`]);
    const { process: child, ended } = startCli(['orchestrate', 'run'], { cwd });
    await until('it has begun', () => existsSync(join(cwd, 'begun')));
    const [row] = (await dataOf(cwd, 'status')).tasks;
    expect(Date.parse(row.last_output_at)).toBeLessThanOrEqual(Date.now());
    expect((await orchestrate(['status'], { cwd })).stdout).toMatch(/last output \d+\.\ds ago; lease for/);
    child.kill('SIGINT');
    await ended;
    expect((await dataOf(cwd, 'status')).tasks[0].last_output_at).toBeNull();
  });

  it.runIf(process.platform === 'linux')(
    'a worker that writes and computes nothing is stopped, and one that does either goes on',
    async () => {
      const one = 'retry: {max_attempts: 1}';
      const cwd = project(
        [
          `id: silent, title: T, run: "echo begun; setsid sleep 60", ${one}`,
          `id: writes, title: T, run: "for i in 1 2 3 4 5 6 7 8; do sleep 0.3; echo x; done", ${one}`,
          `id: asks, title: T, run: "printf 'Go on? [y/N] '; exec sleep 60", ${one}`,
          `id: computes, title: T, run: "${computes(1_500_000)}", ${one}`,
        ],
        { '.forge/settings.yaml': 'agents: {stall_timeout: 1500ms, max_parallel: 4}\n' },
      );
      const { code, stdout } = await orchestrate(['run'], { cwd });
      expect(code).toBe(1);
      expect(stdout).toContain('timeout.stall: wrote and computed nothing for 1500ms (.forge/settings.yaml:1)');
      expect(stdout).toContain('timeout.prompt: it waits for an answer, and gets none: Go on? [y/N]');
      expect(stdout).toMatch(/✓ writes +shipped/);
      expect(stdout).toMatch(/✓ computes +shipped/);
    },
  );

  it.runIf(process.platform === 'linux')(
    'a worker that stood still together with its run, as in a container that is paused, is not stopped for that',
    async () => {
      const cwd = project(
        [
          `id: a, title: A, run: "echo $$ > pid; until test -e go; do :; done; ${computes(200_000)}", retry: {max_attempts: 1}`,
        ],
        { '.forge/settings.yaml': 'agents: {stall_timeout: 1s}\n' },
      );
      const { process: run, ended } = startCli(['orchestrate', 'run'], { cwd });
      await until('the worker', () => existsSync(join(cwd, 'pid')) && readFileSync(join(cwd, 'pid'), 'utf8') !== '');
      const worker = Number(readFileSync(join(cwd, 'pid'), 'utf8'));
      process.kill(worker, 'SIGSTOP');
      run.kill('SIGSTOP');
      const pausedAt = performance.now();
      await until('longer than it may do nothing', () => performance.now() - pausedAt > 1500);
      writeFileSync(join(cwd, 'go'), '');
      run.kill('SIGCONT');
      process.kill(worker, 'SIGCONT');
      expect(await ended).toMatchObject({ code: 0 });
    },
  );

  it('run --json prints an event a line, run_finished last', async () => {
    const cwd = project(['id: a, title: A, run: "echo hi"', 'id: b, title: B']);
    const { code, stdout, stderr } = await orchestrate(['run', '--json'], { cwd });
    const seen = jsonLines(stdout);
    expect(seen.map(({ type }) => type)).toEqual([
      'run_started',
      'task_started',
      'task_output',
      'task_finished',
      'task_blocked',
      'run_finished',
    ]);
    for (const event of seen) expect(event['ts']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(seen.at(2)).toMatchObject({ task_id: 'a', stream: 'stdout', text: 'hi\n' });
    expect(seen.at(-1)).toMatchObject({ counts: { shipped: 1, unclaimed: 1 }, exit_code: 4, interrupted: false });
    expect({ code, stderr }).toEqual({ code: 4, stderr: '' });
  });

  it.each([
    ['prefixed', '▸ a         A\na        | hi\na        |   you\n✓ a         shipped'],
    ['grouped', '▸ a         A\n── a stdout ──\nhi\n  you\n✓ a         shipped'],
    ['none', '\n✓ all done in'],
  ])('run --output %s shows that much of a worker that succeeds', async (mode, shown) => {
    const cwd = project(['id: a, title: A, run: "echo hi; printf \'  you\'"']);
    const { code, stdout } = await orchestrate(['run', '--output', mode], { cwd });
    expect(code).toBe(0);
    expect(stdout).toContain(shown);
    if (mode === 'none') expect(stdout.startsWith('\n✓')).toBe(true);
  });

  it.each([
    ['grouped', ['hi\n']],
    ['failures', []],
  ])('run --json --output %s gives %j as output', async (mode, texts) => {
    const cwd = project(['id: a, title: A, run: "echo hi"']);
    const { stdout } = await orchestrate(['run', '--json', '--output', mode], { cwd });
    const given = jsonLines(stdout).filter(({ type }) => type === 'task_output');
    expect(given.map(({ text }) => text)).toEqual(texts);
  });

  it('run tells without a terminal what a worker wrote last, while it works', async () => {
    const cwd = project(['id: a, title: A, run: "echo compiles; until test -e go; do sleep 0.02; done"']);
    const started = startCli(['orchestrate', 'run'], { cwd });
    await until('its last line is told', () => /^… running: a .*\n +a +\| compiles$/m.test(started.stdout()));
    writeFileSync(join(cwd, 'go'), '');
    expect((await started.ended).code).toBe(0);
  });

  it('run gives its tasks back when it is interrupted', async () => {
    const cwd = project([`id: a, title: A, run: "${ENDLESS}"`]);
    const started = startCli(['orchestrate', 'run'], { cwd });
    await until('the worker runs', () => existsSync(join(cwd, 'begun')));
    started.process.kill('SIGINT');
    const { code, stdout } = await started.ended;
    expect(code).toBe(130);
    expect(stdout).toMatch(/^■ a +stopped after .*: the run was stopped; it is awaiting_respawn$/m);
    expect(stdout).toMatch(/\n■ interrupted in .*: 1 awaiting_respawn\n[\s\S]*\nNext\n {2}forge orchestrate run\n$/);
  });

  it.each([
    ['is closed', ''],
    ['is closed, also where hangups are ignored', "trap '' HUP; "],
  ])('run stops in order when stdout %s', (_, before) => {
    const cwd = project([
      `id: a, title: A, run: "${ENDLESS}"`,
      'id: b, title: B, run: "until test -e begun; do sleep 0.01; done"',
      'id: c, title: C, run: "until test -e gone; do sleep 0.01; done", depends_on: [b]',
    ]);
    // Once the reader has gone, telling that c starts or ends fails.
    const reader = '{ sed "/b .*shipped/q"; exec <&-; touch gone; }';
    const run = `{ ${before}forge orchestrate run --max-parallel 2; echo "exit $?" >&2; }`;
    const { stdout, stderr } = shell(`${run} | ${reader}; forge orchestrate status`, { cwd });
    expect(stdout).toMatch(/^run /);
    expect(stdout).toMatch(/a +awaiting_respawn/);
    expect(stderr).toBe('exit 130\n');
  });
});

describe('tasks that write the same files', () => {
  /** Fails when another of them is at work. */
  const ALONE = 'mkdir held && sleep 0.05 && rmdir held';
  const LOCKED = ['package.json', '*.json', 'package*', '**'].map(
    (glob, i) => `id: t${i}, title: T, run: "${ALONE}", write_globs: ["${glob}"]`,
  );
  const FAIL_AT_ONCE = 'retry: {max_attempts: 1}\n';

  it('overlapping tasks with a locked file run one after the other, in one run or two', async () => {
    const cwd = project([...LOCKED, ...LOCKED.map((task) => task.replace('id: t', 'id: u'))], {
      '.forge/settings.yaml': FAIL_AT_ONCE,
    });
    const runs = await Promise.all([1, 2].map(() => orchestrate(['run', '--max-parallel', '4'], { cwd })));
    expect(runs.map(({ code }) => code)).toEqual([0, 0]);
    expect((await dataOf(cwd, 'status')).counts).toEqual({ shipped: 8 });
    const { tasks } = await dataOf(cwd, 'status');
    expect(tasks.map(({ attempt_count }: { attempt_count: number }) => attempt_count)).toEqual(tasks.map(() => 1));
  });

  it('overlapping tasks without a locked file run at once, with one warning', async () => {
    const meet = (own: string, other: string) => `touch ${own}; until test -e ${other}; do sleep 0.02; done`;
    const cwd = project([
      `id: a, title: A, run: "${meet('a', 'b')}", write_globs: ["src/**"]`,
      `id: b, title: B, run: "${meet('b', 'a')}", write_globs: [src/x.ts]`,
    ]);
    const { code, stdout } = await orchestrate(['run', '--json', '--max-parallel', '2'], { cwd });
    expect(code).toBe(0);
    const warnings = jsonLines(stdout).filter(({ type }) => type === 'warning');
    // The task that is started second overlaps with the first.
    for (const { message } of warnings)
      expect([
        'task a may conflict: task b may write src/x.ts too (here src/**, there src/x.ts)',
        'task b may conflict: task a may write src/x.ts too (here src/x.ts, there src/**)',
      ]).toContain(message);
    expect(new Set(warnings.map(({ message }) => message)).size).toBe(warnings.length);
    expect(warnings.length).toBeGreaterThan(0);
  });

  it('a run that a worker starts does not wait for the task of that worker', async () => {
    const within = 'forge orchestrate run';
    const cwd = project([
      `id: a, title: A, run: "${within} > inner; echo $? > code"`,
      // Two levels down: neither of the tasks above is waited for.
      `id: c, title: C, run: "${within} --task b > deep; test $? = 4"`,
      'id: b, title: B, depends_on: [a, c], run: "true"',
    ]);
    expect((await orchestrate(['run', '--max-parallel', '1'], { cwd })).code).toBe(0);
    expect(readFileSync(join(cwd, 'code'), 'utf8')).toBe('4\n');
    const said = (file: string) => readFileSync(join(cwd, file), 'utf8').replace(/\s+/g, ' ');
    expect(said('inner')).toContain('task a is not waited for: its worker has started this run');
    expect(said('deep')).toContain('task c is not waited for: its worker has started this run');
  });

  it('a run that a worker starts does not wait for what the task of that worker uses or writes', async () => {
    const inner = 'forge orchestrate run > inner; test $? = 4';
    const cwd = project(
      [
        `id: a, title: A, run: "${inner}", uses: [gpu], write_globs: [go.mod]`,
        'id: b, title: B, run: "true", uses: [gpu]',
        'id: c, title: C, run: "true", write_globs: [go.mod]',
        'id: d, title: D, run: "true", uses: [{gpu: 2}]',
      ],
      { '.forge/settings.yaml': 'limits: {gpu: 2}\n' },
    );
    expect((await orchestrate(['run', '--max-parallel', '1'], { cwd })).code).toBe(0);
    const shipped = readFileSync(join(cwd, 'inner'), 'utf8').match(/(\w+) +shipped in/g);
    expect(shipped).toEqual([expect.stringMatching(/^b /)]);
  });

  it('a task that needs more of a resource gets it while tasks that need less keep coming', async () => {
    const cwd = project(
      [
        'id: first, title: F, uses: [gpu], run: "until test -e go; do sleep 0.02; done"',
        'id: go, title: G, run: "touch go"',
        'id: large, title: L, uses: [{gpu: 2}], run: "true"',
        ...Array.from({ length: 12 }, (_, n) => `id: s${n}, title: S, uses: [gpu], run: "true"`),
      ],
      { '.forge/settings.yaml': 'limits: {gpu: 2}\n' },
    );
    const { stdout } = await orchestrate(['run', '--json', '--max-parallel', '3'], { cwd });
    const started = jsonLines(stdout).flatMap(({ type, task_id }) => (type === 'task_started' ? [task_id] : []));
    expect(started.slice(0, 3).sort()).toEqual(['first', 'go', 'large']);
  });

  it('two runs that workers of one run start at once do not wait for each other', async () => {
    const meet = (own: string, other: string) => `touch ${own}; until test -e ${other}; do sleep 0.02; done`;
    const inner = (own: string, other: string) =>
      `${meet(own, other)}; forge orchestrate run > ${own}.said; test $? = 4`;
    const cwd = project([`id: a, title: A, run: "${inner('a', 'b')}"`, `id: b, title: B, run: "${inner('b', 'a')}"`]);
    expect((await orchestrate(['run', '--max-parallel', '2'], { cwd })).code).toBe(0);
    const said = ['a', 'b'].map((id) => readFileSync(join(cwd, `${id}.said`), 'utf8')).join('');
    expect(said.replace(/\s+/g, ' ')).toMatch(/task [ab] is not waited for: its worker has started a run too/);
  });

  it.each(['git clean -fdxq -e plans', 'rm -rf .forge/orchestrator', 'rm -rf .forge/orchestrator/tasks/a'])(
    'a run whose worker removes the state by %s ends at once, and says who may have done it',
    async (clears) => {
      const cwd = project([`id: a, title: A, run: "${clears}", retry: {max_attempts: 2}`]);
      execFileSync('git', ['init', '--quiet'], { cwd });
      const { code, stderr } = await orchestrate(['run'], { cwd });
      expect(code).toBe(1);
      expect(stderr).toContain('the state of task a was removed while this run was using it');
      expect(stderr).toContain('git clean');
      const exec = await orchestrate(['exec', 'a', '--', 'sh', '-c', clears], { cwd });
      expect(exec).toMatchObject({ code: 3, stderr: 'a is unclaimed after attempt 1: its record is gone.\n' });
    },
  );

  it('a script ends at the first line that fails, and a shell of the plan runs it as that shell does', async () => {
    const script = (first: string) => `"${first}\\necho on >> $FORGE_TASK_ID.log"`;
    const once = 'retry: {max_attempts: 1}';
    const cwd = project([
      `id: a, title: A, run: ${script('false')}, ${once}`,
      `id: b, title: B, run: "true", verify: [${script('test -f report.xml')}], ${once}`,
      `id: c, title: C, run: ${script('false')}, shell: sh, ${once}`,
      `id: d, title: D, run: ${script('false | true')}, ${once}`,
      `id: e, title: E, run: ${script('false | true')}, shell: bash -euo pipefail, ${once}`,
      `id: f, title: F, run: "true", verify: [${script('false | true')}], shell: /bin/bash -eo pipefail, ${once}`,
    ]);
    await orchestrate(['run'], { cwd });
    const { tasks } = await dataOf(cwd, 'status');
    const states = Object.fromEntries(tasks.map(({ task_id, state }: Record<string, string>) => [task_id, state]));
    expect(states).toEqual({ a: 'failed', b: 'failed', c: 'shipped', d: 'shipped', e: 'failed', f: 'failed' });
    const ran = ['a', 'b', 'c', 'd', 'e', 'f'].filter((id) => existsSync(join(cwd, `${id}.log`)));
    expect(ran).toEqual(['c', 'd']);
  });

  it('a project whose earlier runs went on after a line that failed is told once that scripts end there', async () => {
    const cwd = project(['id: a, title: A, run: "true\\ntrue"']);
    expect((await orchestrate(['run'], { cwd })).stderr).toBe('');
    const runs = join(cwd, '.forge/orchestrator/runs');
    for (const run of readdirSync(runs)) {
      const manifest = join(runs, run, 'manifest.json');
      const { stops_at_failure: _, ...rest } = JSON.parse(readFileSync(manifest, 'utf8'));
      writeFileSync(manifest, JSON.stringify(rest));
    }
    expect((await orchestrate(['run'], { cwd })).stderr.replace(/\s+/g, ' ')).toContain(
      'end at the first line that fails',
    );
    expect((await orchestrate(['run'], { cwd })).stderr).toBe('');
  });

  it('a project of which an agent has claimed a task before its first run is not told what has changed since', async () => {
    const cwd = project(['id: a, title: A', 'id: b, title: B, run: "true\\ntrue"']);
    await orchestrate(['claim', 'a'], { cwd });
    expect((await orchestrate(['run'], { cwd })).stderr).toBe('');
  });

  it('a shipped task whose command has changed since is named by run and status', async () => {
    const cwd = project(['id: a, title: A, run: "true"', 'id: b, title: B, run: "true"']);
    await orchestrate(['run'], { cwd });
    const plan = join(cwd, 'plans/phases.yaml');
    writeFileSync(plan, readFileSync(plan, 'utf8').replace('title: B, run: "true"', 'title: B, run: "exit 0"'));
    const named = /shipped, and not done again although .* since: b\b/;
    const said = ({ stdout, stderr }: { stdout: string; stderr: string }) => (stdout + stderr).replace(/\s+/g, ' ');
    expect(said(await orchestrate(['run'], { cwd }))).toMatch(named);
    expect(said(await orchestrate(['status'], { cwd }))).toMatch(named);
  });

  it('an overlapping task starts only after the worker of a killed run is stopped', async () => {
    const cwd = project([
      `id: a, title: A, run: "echo $$ >a.pid; ${ENDLESS}", write_globs: [go.sum]`,
      'id: b, title: B, run: "ps -o stat= -p $(cat a.pid) | grep -qv Z && exit 1 || true", write_globs: [go.sum], retry: {max_attempts: 1}',
    ]);
    const first = startCli(['orchestrate', 'run', '--task', 'a'], { cwd });
    await until('a has begun', () => existsSync(join(cwd, 'begun')));
    first.process.kill('SIGKILL');
    await first.ended;
    expect((await orchestrate(['run', '--task', 'b'], { cwd })).code).toBe(0);
    const { history, state } = await dataOf(cwd, 'show', 'a');
    expect([state.state, state.failure_count]).toEqual(['abandoned', 0]);
    expect(history.at(-1)).toMatchObject({
      event: 'admin_released',
      reason: 'its owner was gone when task b, which writes the same files, was claimed',
    });
  });

  it('run --dry-run does not start overlapping tasks together', async () => {
    const cwd = project([
      'id: a, title: A, run: "true", write_globs: [go.sum]',
      'id: b, title: B, run: "true", write_globs: [go.*]',
      'id: c, title: C, run: "true", write_globs: [src/**]',
    ]);
    const dry = (await orchestrate(['run', '--dry-run', '--json'], { cwd })).json().data;
    expect(dry.would_start.map(({ task_id }: { task_id: string }) => task_id)).toEqual(['a', 'c']);
    expect(dry.waiting).toEqual([
      { task_id: 'b', code: 'OVERLAP_CONFLICT', reason: expect.stringContaining('task a may write go.sum') },
    ]);
  });

  it('run waits for an overlapping task of another owner and says so', async () => {
    const cwd = project([
      'id: a, title: A, write_globs: [go.sum]',
      'id: b, title: B, run: "true", write_globs: [go.*]',
    ]);
    const { claim_id } = (await orchestrate(['claim', 'a', '--json'], { cwd })).json().data;
    const dry = (await orchestrate(['run', '--dry-run', '--json'], { cwd })).json().data;
    expect([dry.would_start, dry.waiting[1]]).toMatchObject([[], { task_id: 'b', code: 'OVERLAP_CONFLICT' }]);
    const run = startCli(['orchestrate', 'run', '--json', '--task', 'b'], { cwd });
    let seen = '';
    run.process.stdout?.on('data', (text: string) => {
      seen += text;
    });
    await until('the run waits', () => seen.includes('"waiting"'));
    expect(jsonLines(seen.slice(0, seen.lastIndexOf('\n'))).find(({ type }) => type === 'waiting')).toMatchObject({
      for: [{ task_id: 'b', reason: 'task a may write go.sum, a locked file, too (here go.*, there go.sum)' }],
    });
    await orchestrate(['release', 'a', '--claim', claim_id], { cwd });
    expect((await run.ended).code).toBe(0);
  });
});

describe('exec', () => {
  const plan = () => project(['id: a, title: A, retry: { max_attempts: 1 }']);

  it('exec passes everything after -- to the command unchanged', async () => {
    const cwd = plan();
    const args = [
      'exec',
      'a',
      '--',
      process.execPath,
      '-p',
      'JSON.stringify(process.argv.slice(1))',
      '--',
      '--json',
      '--help',
      '-x',
    ];
    const { code, stdout, stderr } = await orchestrate(args, { cwd });
    expect(JSON.parse(stdout)).toEqual(['--json', '--help', '-x']);
    expect(stderr).toBe('a is shipped after attempt 1.\n');
    expect(code).toBe(0);
  });

  it('exec --json answers after the output of the command', async () => {
    const { stdout } = await orchestrate(['exec', '--next', '--json', '--', 'echo', 'hello'], { cwd: plan() });
    const [first, second] = stdout.split('\n');
    expect(first).toBe('hello');
    expect(JSON.parse(second ?? '')).toMatchObject({
      ok: true,
      data: { task_id: 'a', state: 'shipped', exit_code: 0 },
    });
  });

  it.each([
    ['exit 7', 7],
    ['kill -9 $$', 137],
  ])('exec exits like its command: %s', async (script, expected) => {
    const { code, stderr } = await orchestrate(['exec', 'a', '--', 'sh', '-c', script], { cwd: plan() });
    expect(code).toBe(expected);
    expect(stderr).toMatch(/^a is failed after attempt 1: /);
  });

  it('exec exits with 3 when the lease is lost', async () => {
    const cwd = plan();
    const started = startCli(['orchestrate', 'exec', 'a', '--', 'sh', '-c', ENDLESS], { cwd });
    await until('the command runs', () => existsSync(join(cwd, 'begun')));
    expect((await orchestrate(['cancel', 'a'], { cwd })).code).toBe(0);
    expect(await started.ended).toMatchObject({
      code: 3,
      stderr: 'a is cancelled after attempt 1: it was cancelled.\n',
    });
  });

  it('exec exits with 130 and gives the task back when it is interrupted', async () => {
    const cwd = plan();
    const started = startCli(['orchestrate', 'exec', 'a', '--', 'sh', '-c', ENDLESS], { cwd });
    await until('the command runs', () => existsSync(join(cwd, 'begun')));
    started.process.kill('SIGTERM');
    expect(await started.ended).toMatchObject({ code: 130, stderr: expect.stringContaining('a is awaiting_respawn') });
  });
});

describe('logs', () => {
  it('logs shows both streams with names, one without, and no control characters', async () => {
    const cwd = project([`id: a, title: A, run: 'printf "\\033[31mout\\n"; echo err >&2'`]);
    await orchestrate(['run'], { cwd });
    expect((await orchestrate(['logs', 'a'], { cwd })).stdout).toBe('==> stdout <==\nout\n\n==> stderr <==\nerr\n');
    expect((await orchestrate(['logs', 'a', '--stream', 'stderr'], { cwd })).stdout).toBe('err\n');
    const { data } = (await orchestrate(['logs', 'a', '--json'], { cwd })).json();
    expect(data).toMatchObject({ task_id: 'a', stdout: '\u001b[31mout\n', stderr: 'err\n' });
    expect(readFileSync(data.files.stdout, 'utf8')).toBe(data.stdout);
  });

  /** A task that ran, and the paths of its logs. */
  async function ran(command: string) {
    const cwd = project([`id: a, title: A, run: '${command}'`]);
    await orchestrate(['run'], { cwd });
    const { data } = (await orchestrate(['logs', 'a', '--json'], { cwd })).json();
    return { cwd, data, files: data.files as Record<'stdout' | 'stderr', string> };
  }

  it('a task that says nothing leaves the record, its view, its manifest and its history', async () => {
    const { cwd } = await ran('true');
    const names = readdirSync(join(cwd, '.forge/orchestrator/tasks/a'), { recursive: true, withFileTypes: true });
    expect(
      names
        .filter((entry) => entry.isFile())
        .map(({ name }) => name.replace(/^v0+\d/, 'v'))
        .sort(),
    ).toEqual(['claim-history.jsonl', 'manifest.json', 'state.json', 'v.json', 'v.json']);
    expect(names.filter((entry) => entry.isDirectory())).toHaveLength(2);
    const { stdout, stderr, code } = await orchestrate(['logs', 'a', '--follow'], { cwd });
    expect({ stdout, code }).toEqual({ stdout: '', code: 0 });
    expect(stderr).toMatch(/^nothing in .*stderr\.log\n$/m);
  });

  it('a task that fails without a word keeps what it was told, and the summary names the command that shows its logs', async () => {
    const cwd = project(["id: a, title: A, run: 'exit 3', retry: {max_attempts: 1}"]);
    const { stdout } = await orchestrate(['run'], { cwd });
    expect(stdout).toContain('\n    log: forge orchestrate logs a\n');
    const names = readdirSync(join(cwd, '.forge/orchestrator/tasks/a/attempts'), { recursive: true, encoding: 'utf8' });
    expect(names.map((name) => name.replace(/^[^/]*\/?/, '')).sort()).toEqual(['', 'manifest.json', 'prompt.md']);
  });

  it('logs --json of many pieces is the text of both files', async () => {
    const { cwd, data, files } = await ran('echo; echo >&2');
    writeFileSync(files.stdout, 'é漢😀"\\\n\u001b[0m'.repeat(20_000));
    writeFileSync(files.stderr, 'x'.repeat(200_000));
    const both = { ...data, stdout: readFileSync(files.stdout, 'utf8'), stderr: readFileSync(files.stderr, 'utf8') };
    const json = async (...more: string[]) =>
      (await orchestrate(['logs', 'a', '--json', ...more], { cwd })).json().data;
    expect(await json()).toEqual(both);
    expect(await json('--follow')).toEqual(both);
    expect(await json('--stream', 'stderr')).toEqual({ ...both, stdout: '' });
    expect(await json('--stream', 'stdout')).toEqual({ ...both, stderr: '' });
  });

  it.each(varied(['--json', '']))('logs (%s) of a log larger than its memory prints all of it', async (form) => {
    const { cwd, files } = await ran('printf end >&2');
    const size = 128 << 20;
    writeFileSync(files.stdout, Buffer.alloc(size, 'x'));
    const peak = join(cwd, 'peak');
    const hook = join(cwd, 'hook.cjs');
    writeFileSync(
      hook,
      `process.on('exit', () => require('fs').writeFileSync(${JSON.stringify(peak)}, String(process.resourceUsage().maxRSS)))`,
    );
    const { stdout } = shell(`forge orchestrate logs a ${form} | tail -c 30`, {
      cwd,
      env: { NODE_OPTIONS: `--max-old-space-size=32 --require ${hook}` },
    });
    expect(stdout).toMatch(/end(","truncated":false}})?\n$/);
    // In KiB.
    expect(Number(readFileSync(peak, 'utf8'))).toBeLessThan(size / 1024);
  });

  it('logs shows of a line that was drawn again and again what it showed last, and --json all of it', async () => {
    const cwd = project([
      `id: a, title: A, run: 'for i in $(seq 1 9000); do printf "at %d%%\\r" $i; done; printf "done\\nat 1\\rat 2"; echo err >&2'`,
    ]);
    await orchestrate(['run'], { cwd });
    expect((await orchestrate(['logs', 'a'], { cwd })).stdout).toBe(
      '==> stdout <==\ndone\nat 2\n\n==> stderr <==\nerr\n',
    );
    const { data } = (await orchestrate(['logs', 'a', '--json'], { cwd })).json();
    expect(data.stdout).toMatch(/^at 1%\rat 2%\r[\s\S]*at 9000%\rdone\nat 1\rat 2$/);
  });

  it('logs names the files when there is no output', async () => {
    const cwd = project(['id: a, title: A, run: "true"']);
    await orchestrate(['run'], { cwd });
    expect(await orchestrate(['logs', 'a'], { cwd })).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('stdout.log'),
    });
  });

  it('logs --follow continues until the attempt is over', async () => {
    const cwd = project([
      `id: a, title: A, run: "echo one; touch begun; until test -e go; do sleep 0.01; done; echo two"`,
    ]);
    const running = startCli(['orchestrate', 'run'], { cwd });
    await until('the worker runs', () => existsSync(join(cwd, 'begun')));
    const follower = startCli(['orchestrate', 'logs', 'a', '--follow'], { cwd });
    let seen = '';
    follower.process.stdout?.on('data', (text: string) => {
      seen += text;
    });
    await until('the first line is shown', () => seen.includes('one'));
    shell('touch go', { cwd });
    expect(await follower.ended).toMatchObject({ code: 0, stdout: '==> stdout <==\none\ntwo\n' });
    expect((await running.ended).code).toBe(0);
  });
});
