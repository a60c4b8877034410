import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os, { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  type GatedWorker,
  OWN_PID,
  spawnGated,
  UNRUN_EXIT_CODE,
  type WorkerCommand,
  type WorkerExit,
  type WorkerProcess,
} from '../../src/process/gated-worker.ts';
import { Lane, type LaneJob } from '../../src/process/lane.ts';
import { groupMembers, lookUp, processStart } from '../../src/process/processes.ts';
import { bundle } from '../support/bundle.ts';
import { type Helper, killGroup, startHelper, until } from '../support/processes.ts';
import fc, { runs } from '../support/properties.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'forge-test-')));
const groups: number[] = [];
let files = 0;
let starter = '';

beforeAll(async () => {
  starter = await bundle(fileURLToPath(new URL('../support/process/starter.ts', import.meta.url)));
});

afterEach(() => {
  groups.splice(0).forEach(killGroup);
});

afterAll(() => rmSync(folder, { recursive: true }));

const newPath = () => join(folder, `file-${files++}`);

const nowhere = openSync('/dev/null', 'a');
const stdio = { stdin: 'empty', stdout: nowhere, stderr: nowhere } as const;

function options(command: WorkerCommand, more: Partial<LaneJob> = {}): LaneJob {
  return { ...command, cwd: folder, env: { PATH: process.env['PATH'] }, stdio, ...more };
}

const lanes: Lane[] = [];

/** Each worker in the lane that an earlier one has left, if there is one. */
async function startInLane(job: LaneJob): Promise<GatedWorker> {
  const lane = lanes.pop() ?? new Lane({ PATH: process.env['PATH'], LANG: 'C.UTF-8', OF_THE_LANE: 'only' });
  const worker = await lane.start(job);
  if (worker === null) throw new Error('the lane has started no worker');
  void worker.exited.then(() => lanes.push(lane));
  return worker;
}

const STARTERS = [
  ['spawned', async (job: LaneJob) => spawnGated(job)],
  ['from a lane', startInLane],
] as const;

describe.each(STARTERS)('a worker that is %s', (how, startOne) => {
  async function start(command: WorkerCommand, more: Partial<LaneJob> = {}): Promise<GatedWorker> {
    const worker = await startOne(options(command, more));
    if (worker.identity !== null) groups.push(worker.identity.pgid);
    return worker;
  }

  /** Runs a worker to its end and returns what it wrote to stdout and stderr. */
  async function output(command: WorkerCommand, more: Partial<LaneJob> = {}): Promise<string> {
    const path = newPath();
    const fd = openSync(path, 'a', 0o600);
    const worker = await start(command, { stdio: { stdin: 'empty', stdout: fd, stderr: fd }, ...more });
    worker.open();
    await worker.exited;
    closeSync(fd);
    return readFileSync(path, 'utf8');
  }

  /** What a worker sees of its arguments and its environment, but for the pid that it is known by. */
  async function told({ args = [], env }: { args?: string[]; env: Record<string, string> }) {
    const argv = ['/bin/sh', '-c', 'cat /proc/$$/cmdline /proc/$$/environ', 'sh', ...args];
    const words = (await output({ argv }, { env })).split('\0').slice(4, -1);
    const variables = words.slice(args.length).filter((word) => !word.startsWith(`${OWN_PID}=`));
    const pairs = variables.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]);
    return { args: words.slice(0, args.length), env: Object.fromEntries(pairs) };
  }

  async function endOf(shell: string): Promise<WorkerExit> {
    const worker = await start({ shell });
    worker.open();
    return worker.exited;
  }

  async function startElsewhere(commands: WorkerCommand[]): Promise<{ helper: Helper; workers: WorkerProcess[] }> {
    const workers = commands.map((command) => options(command));
    const helper = startHelper(starter, { workers, lanes: how === 'from a lane' });
    const started = (await helper.next()) as WorkerProcess[];
    groups.push(...started.map((worker) => worker.pgid));
    return { helper, workers: started };
  }

  /** One letter, as ps has it. */
  const stateOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '')[0];

  const gone = (pgid: number) => until(`group ${pgid} has ended`, () => groupMembers(pgid).length === 0);

  describe('worker gate', () => {
    test("an abandoned worker exits without running, with the gate's own exit code", async () => {
      const path = newPath();
      const worker = await start({ argv: ['touch', path] });
      worker.abandon();
      worker.open();
      expect(await worker.exited).toEqual({ code: UNRUN_EXIT_CODE, signal: null, spawnError: null });
      expect(existsSync(path)).toBe(false);
    });

    test('an opened worker runs, and can no longer be abandoned', async () => {
      const path = newPath();
      const worker = await start({ argv: ['touch', path] });
      worker.open();
      worker.abandon();
      worker.open();
      expect(await worker.exited).toEqual({ code: 0, signal: null, spawnError: null });
      expect(existsSync(path)).toBe(true);
    });

    test('workers whose starter is killed before it opens their gates exit without running', async () => {
      const paths = [newPath(), newPath()];
      const { helper, workers } = await startElsewhere(paths.map((path) => ({ argv: ['touch', path] })));
      expect(workers.map((worker) => groupMembers(worker.pgid).length)).toEqual([1, 1]);
      helper.kill('SIGKILL');
      for (const worker of workers) await gone(worker.pgid);
      expect(paths.map((path) => existsSync(path))).toEqual([false, false]);
    });

    test('a running worker holds no other gate open', async () => {
      const ready = newPath();
      const paths = [newPath(), newPath()];
      const { helper, workers } = await startElsewhere([
        { argv: ['touch', paths[0] ?? ''] },
        { shell: `touch ${ready}; exec sleep 1000` },
        { argv: ['touch', paths[1] ?? ''] },
      ]);
      helper.send('open 1');
      await until('the second worker runs', () => existsSync(ready));
      helper.kill('SIGKILL');
      await gone(workers[0]?.pgid ?? 0);
      await gone(workers[2]?.pgid ?? 0);
      expect(groupMembers(workers[1]?.pgid ?? 0)).not.toEqual([]);
      expect(paths.map((path) => existsSync(path))).toEqual([false, false]);
    });

    test('a running worker outlives its starter', async () => {
      const [ready, wish, done] = [newPath(), newPath(), newPath()];
      const { helper, workers } = await startElsewhere([
        { shell: `touch ${ready}; until [ -e ${wish} ]; do sleep 0.01; done; touch ${done}` },
      ]);
      helper.send('open 0');
      await until('the worker runs', () => existsSync(ready));
      helper.kill('SIGKILL');
      await helper.ended;
      writeFileSync(wish, '');
      await gone(workers[0]?.pgid ?? 0);
      expect(existsSync(done)).toBe(true);
    });

    test('a worker that was killed behind its gate reports only its exit', async () => {
      const worker = await start({ argv: ['true'] });
      const pid = worker.identity?.pid ?? Number.NaN;
      process.kill(pid, 'SIGKILL');
      // Without giving the event loop a turn: the gate is opened towards a reader that has just died.
      for (let found = lookUp(pid); typeof found !== 'string' && found.live; ) found = lookUp(pid);
      worker.open();
      expect(await worker.exited).toEqual({ code: null, signal: 'SIGKILL', spawnError: null });
      worker.open();
      worker.abandon();
    });
  });

  describe("a command's end", () => {
    test.each<[string, { code: number | null; signal: string | null }]>([
      ['true', { code: 0, signal: null }],
      ['exit 3', { code: 3, signal: null }],
      ['exit 128', { code: 128, signal: null }],
      ['exit 137', { code: 137, signal: null }],
      ['exit 143', { code: 143, signal: null }],
      ['exit 168', { code: 168, signal: null }],
      ['exit 255', { code: 255, signal: null }],
      ['/nowhere/to/be/found', { code: 127, signal: null }],
      ['kill -KILL $$', { code: null, signal: 'SIGKILL' }],
      ['kill -TERM $$', { code: null, signal: 'SIGTERM' }],
      ['kill -INT $$', { code: null, signal: 'SIGINT' }],
      ['kill -PIPE $$', { code: null, signal: 'SIGPIPE' }],
      ['kill -USR1 $$', { code: null, signal: 'SIGUSR1' }],
      ['kill -34 $$', { code: null, signal: 'SIG34' }],
      ['kill -40 $$; sleep 1', { code: null, signal: 'SIG40' }],
      ['kill -64 $$', { code: null, signal: 'SIG64' }],
      // The whole group, and so the gate that would say how it ended; a lane is not in it.
      ['kill -KILL 0', { code: null, signal: 'SIGKILL' }],
      ['kill -40 0', { code: null, signal: how === 'from a lane' ? 'SIG40' : null }],
    ])('%s', async (shell, end) => {
      const worker = await start({ shell });
      worker.open();
      expect(await worker.exited).toEqual({ ...end, spawnError: null });
    });

    test('every exit code is told, but for those of a signal that a shell does not report', async () => {
      const codes = [0, 1, 2, UNRUN_EXIT_CODE, ...Array.from({ length: 131 }, (_, more) => 125 + more)];
      const ends: unknown[] = [];
      for (const code of codes) ends.push(await endOf(`exit ${code}`));
      const silent = new Map([
        [130, 'SIGINT'],
        [141, 'SIGPIPE'],
      ]);
      const wanted = (code: number) => ({ code: silent.has(code) ? null : code, signal: silent.get(code) ?? null });
      expect(ends).toEqual(codes.map((code) => ({ ...wanted(code), spawnError: null })));
    });

    test('every signal is told, unless it has no effect', async () => {
      const { signals } = os.constants;
      const nameOf = (n: number) => Object.entries(signals).find(([, value]) => value === n)?.[0] ?? `SIG${n}`;
      const stops = [signals.SIGSTOP, signals.SIGTSTP, signals.SIGTTIN, signals.SIGTTOU];
      const harmless = [signals.SIGCHLD, signals.SIGCONT, signals.SIGURG, signals.SIGWINCH];
      // 32 and 33 are the C library's own.
      const all = Array.from({ length: 64 }, (_, n) => n + 1).filter((n) => ![...stops, 32, 33].includes(n));
      const ends: unknown[] = [];
      for (const n of all) ends.push(await endOf(`kill -${n} $$; exit 5`));
      const wanted = all.map((n) =>
        harmless.includes(n) ? { code: 5, signal: null } : { code: null, signal: nameOf(n) },
      );
      expect(ends).toEqual(wanted.map((end) => ({ ...end, spawnError: null })));
    });

    test('a stopped worker has not ended until it goes on', async () => {
      const worker = await start({ shell: 'kill -STOP $$; exit 5' });
      const pid = worker.identity?.pid ?? 0;
      worker.open();
      await until('it is stopped', () => groupMembers(pid).some((member) => stateOf(member.pid) === 'T'));
      // What would be said of the first is said before.
      await endOf('true');
      const told = await Promise.race([worker.exited, 'nothing']);
      process.kill(-pid, 'SIGCONT');
      expect([told, await worker.exited]).toEqual(['nothing', { code: 5, signal: null, spawnError: null }]);
    });
  });

  describe('started command', () => {
    test("a worker's identity is that of the leader of a process group of its own, whose pid the command knows", async () => {
      const ready = newPath();
      const worker = await start({
        shell: `echo $FORGE_COMMAND_PID > ${ready}.tmp; mv ${ready}.tmp ${ready}; exec sleep 1000`,
      });
      const recorded = worker.identity;
      worker.open();
      await until('the worker runs', () => existsSync(ready));
      const pid = Number(readFileSync(ready, 'utf8'));
      expect(recorded).toEqual({ pid, pgid: pid, started_at: processStart(pid) });
    });

    test('a worker gets its arguments unchanged', async () => {
      const odd = ['a b', '', '$HOME', '`id`', "it's", '"', '*', '-n', 'line\nbreak', '\\'];
      const text = await output({
        argv: [process.execPath, '-p', 'JSON.stringify(process.argv.slice(1))', '--', ...odd],
      });
      expect(JSON.parse(text)).toEqual(odd);
    });

    const odd = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'));
    const TRAPS = [
      "'",
      '"',
      '\\',
      '\\\n',
      '\n',
      '$HOME',
      '`id`',
      '!!',
      '-n',
      '--',
      '~',
      '*',
      '\x01',
      '\x7f',
      'ä€😀',
      ' ',
    ];
    const text = fc.array(fc.oneof(fc.constantFrom(...TRAPS), odd)).map((parts) => parts.join(''));
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,9}$/).map((rest) => `X${rest}`);

    test('a worker gets exactly the arguments and the environment that are given', async () => {
      const given = fc.record({ args: fc.array(text, { maxLength: 4 }), env: fc.dictionary(name, text) });
      await fc.assert(
        fc.asyncProperty(given, async ({ args, env }) => {
          const seen = await told({ args, env: { PATH: '/usr/bin:/bin', ...env } });
          expect(seen).toEqual({ args, env: { PATH: '/usr/bin:/bin', PWD: folder, ...env } });
        }),
        runs(80),
      );
    });

    test('a worker gets an argument and a variable of 60 kB each', async () => {
      const [arg, value] = ["'".repeat(20_000), 'ä'.repeat(30_000)];
      const seen = await told({ args: [arg], env: { PATH: '/usr/bin:/bin', LONG: value } });
      expect(seen).toEqual({ args: [arg], env: { PATH: '/usr/bin:/bin', PWD: folder, LONG: value } });
    });

    test.each<[string, Record<string, string>, Record<string, string>]>([
      ['that names it otherwise', { PWD: `${folder}/.` }, { PWD: `${folder}/.` }],
      ['of another folder', { PWD: '/', OLDPWD: '/usr' }, { PWD: folder, OLDPWD: '/usr' }],
      ['that is relative', { PWD: '.' }, { PWD: folder }],
    ])('a worker gets a PWD of its folder, when one is given %s', async (_, env, wanted) => {
      const more = { PATH: '/usr/bin:/bin', SHLVL: '3', LC_ALL: 'C', LANG: 'xx_YY' };
      expect((await told({ env: { ...more, ...env } })).env).toEqual({ ...more, ...wanted });
    });

    test('a worker has default signals, no terminal, the umask of its starter and no other file', async () => {
      const status = "grep -E '^(Sig(Blk|Ign)|Umask)' /proc/self/status";
      // This process may have inherited some, which any child of it has.
      const files = 'for fd in /proc/$$/fd/*; do case $fd in */[012]) ;; *) readlink $fd ;; esac; done; true';
      const inherited = execFileSync('/bin/sh', ['-c', files], { encoding: 'utf8' });
      const text = await output({ shell: `${status}; cut -d ' ' -f 7 /proc/$$/stat; pwd -P; ${files}` });
      const none = '0'.repeat(16);
      const umask = process.umask().toString(8).padStart(4, '0');
      expect(text.split(/\s/)).toEqual(
        ['Umask:', umask, 'SigBlk:', none, 'SigIgn:', none, '0', folder].concat(inherited.split('\n')),
      );
    });

    test("a worker's command line has its shell to itself", async () => {
      expect(await output({ shell: 'echo "$# $0 [$_forge_gate]"; false || echo second; exit 3' })).toBe(
        '0 /bin/sh []\nsecond\n',
      );
    });

    test('a worker gets the given environment, and the pid that it is known by', async () => {
      const names =
        'Object.keys(process.env).filter((name) => !["PWD", "SHLVL", "_", "OLDPWD", "__CF_USER_TEXT_ENCODING"].includes(name))';
      const env = { PATH: '/usr/bin:/bin', FORGE_CLAIM_ID: 'claim', _forge_gate: 'mine', UNSET: undefined };
      const text = await output({ argv: [process.execPath, '-p', `JSON.stringify(${names}.sort())`] }, { env });
      expect(JSON.parse(text)).toEqual(['FORGE_CLAIM_ID', 'FORGE_COMMAND_PID', 'PATH']);
    });

    test('a worker starts in the given working directory', async () => {
      expect(await output({ argv: ['pwd'] })).toBe(`${folder}\n`);
    });

    test.each<[string, WorkerCommand]>([
      ['argv', { argv: ['cat'] }],
      ['shell', { shell: 'cat' }],
    ])("a worker's empty stdin ends at once (%s)", async (_, command) => {
      const worker = await start(command);
      worker.open();
      expect(await worker.exited).toMatchObject({ code: 0 });
    });

    test('a worker does not inherit the file descriptor of the gate', async () => {
      const probe = '{ true >&3; } 2>/dev/null && echo write; { true <&3; } 2>/dev/null && echo read; echo probed';
      expect(await output({ shell: probe })).toBe('probed\n');
      expect(await output({ argv: ['/bin/sh', '-c', probe] })).toBe('probed\n');
    });

    test.each(['SIGPIPE', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGALRM'])(
      '%s has its default effect on a worker',
      async (signal) => {
        const worker = await start({ shell: `kill -${signal.slice(3)} $$; exit 5` });
        worker.open();
        expect(await worker.exited).toEqual({ code: null, signal, spawnError: null });
      },
    );

    test.each<[string, WorkerCommand, number]>([
      ['a command', { argv: ['/bin/sh', '-c', 'exit 42'] }, 42],
      ['a command line', { shell: 'exit 43' }, 43],
      ['a command line that looks like an option', { shell: '-e' }, 127],
      ['a command that does not exist', { argv: ['./no-such-command'] }, 127],
      ['a command that cannot be executed', { argv: ['/'] }, 126],
    ])('a worker reports the exit code of %s', async (_, command, code) => {
      const worker = await start(command);
      worker.open();
      expect(await worker.exited).toEqual({ code, signal: null, spawnError: null });
    });

    test('a single command killed by a signal reports the signal, without a shell in between', async () => {
      const ready = newPath();
      const worker = await start({ shell: `exec /bin/sh -c 'touch ${ready}; kill -KILL $$'` });
      worker.open();
      expect(await worker.exited).toEqual({ code: null, signal: 'SIGKILL', spawnError: null });
      expect(existsSync(ready)).toBe(true);
    });
  });
});

describe('commands that cannot be started', () => {
  const file = join(folder, 'plain-file');
  const huge = 'x'.repeat(8 * 1024 * 1024);
  test.each<[string, WorkerCommand, Partial<LaneJob>, RegExp]>([
    [
      'a missing working directory',
      { argv: ['true'] },
      { cwd: join(folder, 'none') },
      /none: the folder does not exist \(ENOENT\)$/,
    ],
    [
      'a working directory that is a file',
      { argv: ['true'] },
      { cwd: file },
      /plain-file: it is not a folder \(ENOTDIR\)$/,
    ],
    ['an argument too long', { argv: ['true', huge] }, {}, /too long \(E2BIG\)$/],
    ['a command line too long', { shell: huge }, {}, /too long \(E2BIG\)$/],
    ['an environment too long', { argv: ['true'] }, { env: { HUGE: huge } }, /too long \(E2BIG\)$/],
    ['a NUL in an argument', { argv: ['true', 'a\0b'] }, {}, /null bytes/],
    ['no command', { argv: [] }, {}, /^there is no command to run$/],
    ['an empty command', { argv: [''] }, {}, /^there is no command to run$/],
    ['a command that looks like an option', { argv: ['-c', 'true'] }, {}, /^a command cannot start with a dash: -c$/],
  ])('a worker with %s reports an error and never runs', async (_, command, more, message) => {
    writeFileSync(file, '');
    const worker = spawnGated(options(command, more));
    expect(worker.identity).toBe(null);
    worker.open();
    worker.abandon();
    const exit = await worker.exited;
    expect(exit).toMatchObject({ code: null, signal: null });
    expect(exit.spawnError).toMatch(message);
    expect(exit.tooLong === true).toBe(String(message).includes('E2BIG'));
  });

  test('a worker is not started when this process has no file descriptor left', async () => {
    const helper = startHelper(starter, { workers: [options({ argv: ['true'] })], exhaustFiles: true });
    expect(await helper.next()).toEqual([null]);
    expect(await helper.next()).toEqual({
      index: 0,
      exit: {
        code: null,
        signal: null,
        spawnError: `cannot start a worker in ${folder}: too many files are open (EMFILE)`,
      },
    });
    helper.kill('SIGKILL');
    await helper.ended;
  });
});
