/** The live view on a real terminal: `run` and `status --watch` as a person sees them. */

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { showLive } from '../../src/cli/live.ts';
import { PLAIN } from '../../src/cli/render-context.ts';
import type { Screen } from '../../src/cli/screen.ts';
import { lookUp } from '../../src/process/processes.ts';
import { dataOf, FORGE, orchestrate, project, startCli } from '../support/cli.ts';
import { varied } from '../support/faults/knobs.ts';
import { describeUnless } from '../support/possible.ts';
import { until } from '../support/processes.ts';
import { noTerminal, Terminal, type TerminalOptions } from '../support/terminal.ts';

/** Says that it runs by making a file, and goes on until a file says that it may end. */
const worker = (name: string, says = `${name} works`) =>
  `echo ${says}; touch ${name}.begun; until test -e ${name}.go; do sleep 0.05; done`;

const go = (cwd: string, ...names: string[]) => {
  for (const name of names) writeFileSync(join(cwd, `${name}.go`), '');
};

function terminal(args: readonly string[], options: TerminalOptions, command?: string[]): Terminal {
  const made = new Terminal(args, options, command);
  onTestFinished(() => made.kill());
  return made;
}

const run = (options: TerminalOptions, ...args: string[]) => terminal(['orchestrate', 'run', ...args], options);

/** Times and ids, which differ from run to run. */
const steady = (text: string) =>
  text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}/g, 'ID')
    .replace(/\d+\.\ds/g, '0.0s')
    .replace(/, \d+ at a time/, ', n at a time');

/** What starts a painting, and nothing else that `run` writes does. */
const PAINTING = '\x1b[?7l';

const WINDOW = /shipped, .*running|critical path left|^──/m;

describeUnless(noTerminal, 'run on a terminal', () => {
  it('run goes on while its terminal is stopped by Ctrl-S, and shows all of it after Ctrl-Q', async () => {
    const many = Array.from({ length: 40 }, (_, i) => `id: t${i}, title: ${'A long title '.repeat(12)}, run: "true"`);
    const cwd = project([
      `id: a, title: First, run: "${worker('a')}"`,
      ...many.map((task) => `${task}, depends_on: [a]`),
    ]);
    const seen = run({ cwd }, '--max-parallel', '8');
    await seen.sees(/^▸ a/m);
    seen.type('\x13');
    go(cwd, 'a');
    const shipped = async () => {
      const { tasks } = await dataOf(cwd, 'status');
      return tasks.every(({ state }: { state: string }) => state === 'shipped');
    };
    while (!(await shipped())) expect(seen.text).not.toContain('all done');
    seen.type('\x11');
    expect(await seen.ended).toEqual({ code: 0 });
    expect(seen.text).toContain('✓ t39');
    expect(seen.text).toContain('all done');
  });

  it('run shows what runs and waits below its log, and removes it at the end', async () => {
    const cwd = project([
      `id: a, title: First, run: "${worker('a', 'a is at \\u65e5\\u672c')}"`,
      `id: b, title: Second, run: "${worker('b')}"`,
      'id: c, title: Third, run: "true", depends_on: [a, b]',
      'id: d, title: Fourth, run: "exit 3", depends_on: [c], retry: { max_attempts: 1 }',
    ]);
    const seen = run({ cwd }, '--max-parallel', '2');
    await seen.sees(/^● a +\d+s +First +a is at 日本$/m);
    await seen.sees(/^● b +\d+s +Second +b works$/m);
    await seen.sees(/^· c waits for a, b$/m);
    await seen.sees(/^0\/4 shipped, 2 running, 2 waiting · \d+s$/m);
    await seen.sees(/^critical path left: 3 tasks \(a › c › d\)$/m);
    // Two that start at the same time may do so in any order.
    const started = '▸ [ab] +(First|Second)';
    const begin = new RegExp(`^run ID {2}4 tasks, n at a time\n\n${started}\n${started}\n─+\n● `);
    expect(steady(seen.text)).toMatch(begin);
    go(cwd, 'a');
    await seen.sees(/^✓ a +shipped in .*\n─+\n● b .*\n· c waits for b\n(.*\n)?1\/4 shipped/m);
    go(cwd, 'b');
    expect(await seen.ended).toEqual({ code: 1 });
    expect(seen.raw).toContain(PAINTING);
    const log = steady(seen.text).split('\n');
    expect([...log.slice(0, 2), ...log.slice(2, 4).sort(), ...log.slice(4)]).toEqual([
      'run ID  4 tasks, n at a time',
      '',
      '▸ a         First',
      '▸ b         Second',
      '✓ a         shipped in 0.0s',
      '✓ b         shipped in 0.0s',
      '▸ c         Third',
      '✓ c         shipped in 0.0s',
      '▸ d         Fourth',
      '✗ d         failed after 0.0s (retries_exhausted): exit.3: exited with code 3',
      '',
      '✗ failed in 0.0s: 1 failed, 3 shipped',
      '',
      'Failed',
      '  d  exit.3: exited with code 3',
      '    log: forge orchestrate logs d',
      '',
      'Next',
      '  forge orchestrate retry d',
      '  forge orchestrate run',
    ]);
  });

  it('run with a live view loses no line of its log', async () => {
    const cwd = project(Array.from({ length: 40 }, (_, n) => `id: t${n}, title: T, run: "true"`));
    const seen = run({ cwd, rows: 12 }, '--max-parallel', '4');
    expect(await seen.ended).toEqual({ code: 0 });
    for (const sign of ['▸', '✓']) {
      const ids = [...seen.text.matchAll(new RegExp(`^${sign} (t\\d+) `, 'gm'))].map(([, id]) => id);
      expect(ids.sort()).toEqual(Array.from({ length: 40 }, (_, n) => `t${n}`).sort());
    }
    expect(seen.text).not.toMatch(WINDOW);
  });

  it.each([
    ['rings for a task that fails', [], true],
    ['does not ring with --no-bell', ['--no-bell'], false],
  ])('run on a terminal %s', async (_what, args, rings) => {
    const cwd = project(['id: a, title: A, run: exit 3, retry: {max_attempts: 1}']);
    const seen = run({ cwd }, ...args);
    expect(await seen.ended).toEqual({ code: 1 });
    expect(seen.raw.includes('\x07')).toBe(rings);
  });

  it('run shows stderr above its live view', async () => {
    const cwd = project([`id: a, title: A, run: "${worker('a')}"`]);
    const seen = run({ cwd });
    await seen.sees(/● a .*a works/);
    const plan = join(cwd, 'plans/phases.yaml');
    const good = readFileSync(plan, 'utf8');
    writeFileSync(plan, `${good}:::`);
    await seen.sees(/going on\s+with the plan as it was before[\s\S]*\n─+\n● a /);
    writeFileSync(plan, good);
    go(cwd, 'a');
    expect(await seen.ended).toEqual({ code: 0 });
    expect(seen.text).not.toMatch(WINDOW);
  });

  it('the live view of run is repainted after a resize and leaves nothing behind', async () => {
    const cwd = project([
      `id: a, title: "${'A long title '.repeat(5)}", run: "${worker('a', 'working '.repeat(12))}"`,
      `id: b, title: B, run: "${worker('b')}"`,
      'id: c, title: C, run: "true", depends_on: [a, b]',
    ]);
    const seen = run({ cwd, columns: 100 }, '--max-parallel', '2');
    await seen.sees(/^● b .*b works$/m);
    for (const [columns, rows] of [
      [50, 24],
      [30, 24],
      [90, 24],
      [41, 15],
      [120, 40],
    ] as const) {
      seen.resize(columns, rows);
      await seen.sees(new RegExp(`^─{${columns - 1}}$`, 'm'));
      const text = seen.text.split('\n');
      // One window, whole, with no row of an older one above or below it.
      expect(text.filter((line) => line.startsWith('──'))).toHaveLength(1);
      expect(text.filter((line) => /^0\/3 shipped/.test(line))).toHaveLength(1);
      const above = text.slice(0, text.indexOf('─'.repeat(columns - 1))).sort();
      expect(above).toEqual(['', expect.stringMatching(/^run /), expect.stringMatching(/^▸ a /), '▸ b         B']);
    }
    go(cwd, 'a', 'b');
    expect(await seen.ended).toEqual({ code: 0 });
    expect(seen.text).not.toMatch(WINDOW);
    expect(seen.text).toMatch(/^✓ all done in .*: 3 shipped$/m);
  });

  it('the live view of run stays until the workers have stopped after Ctrl-C', async () => {
    const stubborn = `trap 'touch told' TERM; ${worker('a')}`;
    const cwd = project([`id: a, title: A, run: "${stubborn}"`], {
      '.forge/settings.yaml': 'agents: {kill_grace_ms: 10m}\n',
    });
    const seen = run({ cwd });
    await seen.sees(/● a .*a works/);
    seen.type('\x03');
    await until('the worker is told', () => existsSync(join(cwd, 'told')));
    await seen.sees(/^── stopping; Ctrl-C again does not wait for the workers ─+\n● a /m);
    go(cwd, 'a');
    expect(await seen.ended).toEqual({ code: 130 });
    expect(seen.text).not.toMatch(WINDOW);
    expect(seen.text).not.toContain('^C');
    expect(seen.text).toMatch(/^■ interrupted in /m);
  });

  it.each(varied(['SIGTERM', 'SIGINT', 'SIGHUP'] as const))(
    'the live view of run is removed after %s',
    async (signal) => {
      const cwd = project([`id: a, title: A, run: "${worker('a')}"`]);
      const seen = run({ cwd });
      await seen.sees(/● a .*a works/);
      process.kill(await seen.pid(), signal);
      expect(await seen.ended).toEqual({ code: 130 });
      expect(seen.text).not.toMatch(WINDOW);
      expect(seen.text).toMatch(/^■ interrupted in [\s\S]*forge orchestrate run$/m);
    },
  );

  it('the live view of run is removed when the run ends with an error, which is shown below the log', async () => {
    const cwd = project([`id: a, title: A, run: "${worker('a')}"`]);
    const seen = run({ cwd });
    await seen.sees(/● a .*a works/);
    rmSync(join(cwd, '.forge/orchestrator'), { recursive: true });
    writeFileSync(join(cwd, '.forge/orchestrator'), '');
    go(cwd, 'a');
    expect(await seen.ended).toEqual({ code: 1 });
    expect(seen.text).not.toMatch(WINDOW);
    expect(seen.text).toMatch(/^▸ a +A\n(.*\n)*error\[IO_ERROR\]: /m);
  });

  it.skipIf(process.platform === 'darwin')(
    'the live view of run is removed on Ctrl-Z and comes back (needs /proc)',
    async () => {
      const cwd = project([`id: a, title: A, run: "${worker('a')}"`]);
      const seen = run({ cwd });
      await seen.sees(/● a .*a works/);
      const pid = await seen.pid();
      seen.type('\x1a');
      await until('it is stopped', () => / T /.test(processState(pid)));
      await until('the window is gone', () => !WINDOW.test(seen.text));
      process.kill(pid, 'SIGCONT');
      await seen.sees(/● a .*a works/);
      go(cwd, 'a');
      expect(await seen.ended).toEqual({ code: 0 });
      expect(seen.text).not.toMatch(WINDOW);
    },
  );

  it('run under nohup goes on when the terminal is closed, whatever shell has started it', async () => {
    const cwd = project(['id: a, title: A, run: "touch begun; until test -e go; do sleep 0.02; done"']);
    // The shell notes no command in the environment, and ignores no signal. Once it is gone the run has got SIGHUP.
    const run = `env -u _ nohup ${process.execPath} ${FORGE} orchestrate run > said 2>&1; true`;
    const seen = terminal(['-c', run], { cwd }, ['/bin/sh']);
    await until('the worker', () => existsSync(join(cwd, 'begun')));
    seen.close();
    await seen.ended;
    writeFileSync(join(cwd, 'go'), '');
    await until('its end', () => readFileSync(join(cwd, 'said'), 'utf8').includes('all done'));
  });

  it('run ends with its own exit code when its terminal is gone, and a shell ignores that', async () => {
    const cwd = project(['id: a, title: A, run: "touch begun; until test -e go; do sleep 0.02; done"']);
    const run = `trap '' HUP; ${process.execPath} ${FORGE} orchestrate run > said 2>&1; exit $?`;
    const seen = terminal(['-c', run], { cwd }, ['/bin/sh']);
    await until('the worker', () => existsSync(join(cwd, 'begun')));
    seen.close();
    writeFileSync(join(cwd, 'go'), '');
    expect(await seen.ended).toEqual({ code: 0 });
  });

  it('run stops in order when the terminal is closed', async () => {
    const cwd = project([`id: a, title: A, run: "trap 'sleep 0.5; touch told; exit 1' TERM; ${worker('a')}"`]);
    const seen = terminal(['-c', `exec ${process.execPath} ${FORGE} orchestrate run 2> err`], { cwd }, ['/bin/sh']);
    await seen.sees(/● a .*a works/);
    seen.close();
    // Node by itself would abort when it finds its terminal gone.
    expect(await seen.ended).toMatchObject({ code: 130 });
    expect(readFileSync(join(cwd, 'err'), 'utf8')).not.toContain('error[');
    // Had it not waited for the worker, the worker would not have come to say so.
    expect(existsSync(join(cwd, 'told'))).toBe(true);
    const { stdout } = await orchestrate(['status', '--json'], { cwd });
    expect(JSON.parse(stdout).data.tasks).toMatchObject([
      { task_id: 'a', state: 'awaiting_respawn', last_error: null },
    ]);
  });
});

/** The line of the process table. */
function processState(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, 'utf8');
}

describeUnless(noTerminal, 'where a live view is painted on a terminal', () => {
  const plan = () => project(['id: a, title: A, run: "echo hi; sleep 0.3"']);

  it.each<[why: string, args: string[], env: Record<string, string>]>(
    varied(
      [
        ['with --json', ['--json'], {}],
        ['in CI', [], { CI: 'true' }],
        ['with CI=1', [], { CI: '1' }],
        ['on a dumb terminal', [], { TERM: 'dumb' }],
        ['on a terminal of no type', [], { TERM: '' }],
      ],
      2,
    ),
  )('no live view is painted %s', async (_why, args, env) => {
    const seen = run({ cwd: plan(), env }, ...args);
    expect(await seen.ended).toEqual({ code: 0 });
    expect(seen.raw).not.toMatch(/\x1b\[(\?|\d*[A-L])/);
  });

  it.each<[why: string, env: Record<string, string>]>(
    varied([
      ['CI is empty', { CI: '' }],
      ['CI=false', { CI: 'false' }],
      ['CI=0', { CI: '0' }],
    ]),
  )('a live view is painted where %s', async (_why, env) => {
    const cwd = project([`id: a, title: A, run: "${worker('a')}"`]);
    const seen = run({ cwd, env });
    await until('the view is painted', () => seen.raw.includes(PAINTING));
    go(cwd, 'a');
    expect(await seen.ended).toEqual({ code: 0 });
  });

  it.each(
    varied([
      ['stdout goes through a pipe', '| cat'],
      ['stdout goes to a file', '> out; cat out'],
    ]),
  )('no live view is painted where %s', async (_how, rest) => {
    const line = `set -m; ${process.execPath} ${FORGE} orchestrate run ${rest}`;
    const seen = terminal(['-c', line], { cwd: plan() }, ['/bin/sh']);
    await seen.ended;
    expect(seen.text).toMatch(/^✓ all done/m);
    expect(seen.raw).not.toContain(PAINTING);
  });

  it.skipIf(process.platform === 'darwin')('no live view is painted in the background (unknown on macOS)', async () => {
    const line = `set -m; ${process.execPath} ${FORGE} orchestrate run & wait`;
    const seen = terminal(['-c', line], { cwd: plan() }, ['/bin/sh']);
    await seen.ended;
    expect(seen.text).toMatch(/^✓ all done/m);
    expect(seen.raw).not.toContain(PAINTING);
  });

  it('a live view is painted on stdout when stderr goes to a file', async () => {
    const cwd = plan();
    const line = `${process.execPath} ${FORGE} orchestrate run 2> err`;
    const seen = terminal(['-c', line], { cwd }, ['/bin/sh']);
    expect(await seen.ended).toEqual({ code: 0 });
    expect(seen.raw).toContain(PAINTING);
    expect(readFileSync(join(cwd, 'err'), 'utf8')).toBe('');
  });
});

describeUnless(noTerminal, 'status --watch on a terminal', () => {
  const watch = (options: TerminalOptions, ...args: string[]) =>
    terminal(['orchestrate', 'status', '--watch', ...args], options);

  it('status --watch shows what another process does until Ctrl-C', async () => {
    const cwd = project([
      `id: a, title: First, run: "${worker('a')}"`,
      `id: b, title: Second, run: "${worker('b')}", depends_on: [a]`,
      'id: c, title: Third',
    ]);
    const seen = watch({ cwd });
    await seen.sees(/^· c: an agent may claim it\n· b waits for a\n0\/3 shipped, 2 ready, 1 waiting$/m);
    const other = startCli(['orchestrate', 'run'], { cwd });
    await seen.sees(/^● a +\d+s +First +a works$/m);
    go(cwd, 'a');
    await seen.sees(/^● b +\d+s +Second +b works$/m);
    seen.resize(60, 30);
    await seen.sees(/^── Ctrl-C .*─\n/);
    go(cwd, 'b');
    await other.ended;
    await seen.sees(/^2\/3 shipped, 1 ready$/m);
    seen.type('\x03');
    expect(await seen.ended).toEqual({ code: 0 });
    expect(seen.text).toBe('');
  });

  it('status --watch shows a question and the command that answers it', async () => {
    const options = '[{"id": "keep", "label": "Keep it"}, {"id": "drop", "label": "Drop it"}]';
    const ask = `"$NODE" "$FORGE" orchestrate question --decision-key format --question "Keep the old one?" --options-file options.json`;
    const cwd = project([`id: a, title: A, run: '${ask}'`], { 'options.json': options });
    const seen = watch({ cwd, columns: 110 });
    await seen.sees(/0\/1 shipped/);
    const other = startCli(['orchestrate', 'run'], { cwd, env: { NODE: process.execPath, FORGE } });
    onTestFinished(() => void other.process.kill('SIGKILL'));
    await seen.sees(/^\? a asks: Keep the old one\?\n {4}forge orchestrate answer a OPTION {2}\(keep, drop\)$/m);
    expect((await orchestrate(['answer', 'a', '2'], { cwd })).code).toBe(0);
    await until('the question is gone', () => !seen.text.includes('?'));
  });

  it('status --watch --run shows only the tasks of that run', async () => {
    const cwd = project(['id: a, title: A, run: "true"', 'id: b, title: B']);
    const { data } = (await orchestrate(['claim', 'b', '--json'], { cwd })).json();
    const seen = watch({ cwd }, '--run', data.run_id);
    await seen.sees(/^● b +\d+s +B\n0\/1 shipped, 1 running$/m);
    process.kill(await seen.pid(), 'SIGTERM');
    expect(await seen.ended).toEqual({ code: 0 });
  });

  it('status --watch is refused with a reason where nothing may be drawn', async () => {
    const cwd = project(['id: a, title: A']);
    const seen = watch({ cwd, env: { CI: 'true' } });
    expect(await seen.ended).toEqual({ code: 2 });
    expect(seen.text.replace(/\s+/g, ' ')).toMatch(/^error\[INVALID_ARGS\]: status --watch .*CI is set.*status --json/);
  });
});

describeUnless(noTerminal, 'exec on a terminal', () => {
  const exec = (cwd: string, script: string) =>
    terminal(['orchestrate', 'exec', 'a', '--', 'sh', '-c', script], { cwd });
  const standing = async (cwd: string) => (await dataOf(cwd, 'show', 'a')).state;

  it('exec gives its command the terminal: its size, its keys, and /dev/tty', async () => {
    const cwd = project(['id: a, title: A']);
    const seen = exec(cwd, 'test -t 0 && stty size < /dev/tty; read line < /dev/tty; echo "got $line"');
    await seen.sees(/^24 80$/m);
    seen.type('hello\r');
    await seen.sees(/^got hello$/m);
    expect(await seen.ended).toEqual({ code: 0 });
    expect(await standing(cwd)).toMatchObject({ state: 'shipped' });
  });

  it('exec leaves Ctrl-C to its command', async () => {
    const cwd = project(['id: a, title: A']);
    const seen = exec(cwd, "trap 'echo caught' INT; echo ready; until test -e go; do sleep 0.02; done; echo over");
    await seen.sees(/^ready$/m);
    seen.type('\x03');
    await seen.sees(/caught$/m);
    writeFileSync(join(cwd, 'go'), '');
    expect(await seen.ended).toEqual({ code: 0 });
    expect(await standing(cwd)).toMatchObject({ state: 'shipped' });
  });

  it('exec gives the task back uncharged when Ctrl-C ends its command', async () => {
    const cwd = project(['id: a, title: A']);
    // No shell: dash forgets a SIGINT that comes while it is about to start something.
    const seen = terminal(['orchestrate', 'exec', 'a', '--', 'cat'], { cwd });
    seen.type('hello\r');
    await seen.sees(/^hello\nhello$/m);
    seen.type('\x03');
    expect(await seen.ended).toEqual({ code: 130 });
    expect(await standing(cwd)).toMatchObject({ state: 'awaiting_respawn', failure_count: 0 });
  });

  it('exec gives the task back uncharged when its command has ended of SIGINT and exec itself has heard none', async () => {
    const cwd = project(['id: a, title: A']);
    expect(await exec(cwd, 'kill -INT $$').ended).toEqual({ code: 130 });
    expect(await standing(cwd)).toMatchObject({ state: 'awaiting_respawn', failure_count: 0 });
  });

  it('the command of an exec that was killed is stopped before the task is given out again', async () => {
    const cwd = project(['id: a, title: A']);
    const seen = exec(cwd, 'trap "" HUP; echo $$ > pid; echo ready; while :; do sleep 1; done');
    await seen.sees(/^ready$/m);
    const pid = await seen.pid();
    process.kill(pid, 'SIGKILL');
    await until('it is gone', () => isGone(pid));
    expect((await orchestrate(['claim', 'a'], { cwd })).code).toBe(0);
    expect(isGone(Number(readFileSync(join(cwd, 'pid'), 'utf8')))).toBe(true);
  });
});

function isGone(pid: number): boolean {
  const found = lookUp(pid);
  return found === 'missing' || (typeof found !== 'string' && !found.live);
}

describe('the view', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function view(): { looks: () => number; close: () => void } {
    let looks = 0;
    const output = { put: () => {}, isFull: () => false, detour: () => false };
    const screen = { output, renderContext: () => ({ palette: PLAIN, width: 80, nowMs: 0 }), warn: () => {} };
    const look = () => {
      looks++;
      return null;
    };
    const close = showLive(screen as unknown as Screen, { look, note: () => null });
    return { looks: () => looks, close };
  }

  it('the watcher reads a few times a second, and at once after a resize', () => {
    const { looks, close } = view();
    vi.advanceTimersByTime(10_000);
    const [before] = [looks()];
    expect(before).toBeGreaterThanOrEqual(20);
    expect(before).toBeLessThanOrEqual(100);
    // Half way between two looks, and long enough after the last one.
    vi.advanceTimersByTime(125);
    expect(looks()).toBe(before);
    process.stdout.emit('resize');
    expect(looks()).toBe(before + 1);
    close();
  });

  it('a closed watcher leaves no timers and listeners', () => {
    const events = ['SIGTSTP', 'SIGCONT', 'exit'] as const;
    const listeners = () => [
      ...events.map((name) => process.listenerCount(name)),
      process.stdout.listenerCount('resize'),
    ];
    const before = listeners();
    const { close } = view();
    expect(listeners()).toEqual(before.map((count) => count + 1));
    close();
    expect(listeners()).toEqual(before);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('status --watch without a terminal', () => {
  it.each([[[]], [['--json']]])(
    'status --watch without a terminal is refused with an alternative: %j',
    async (args) => {
      const cwd = project(['id: a, title: A']);
      const { code, stdout, stderr } = await orchestrate(['status', '--watch', ...args], { cwd });
      expect(code).toBe(2);
      expect(stdout + stderr).toMatch(/INVALID_ARGS/);
      expect(stdout + stderr).toMatch(/`forge orchestrate status --json`/);
    },
  );
});
