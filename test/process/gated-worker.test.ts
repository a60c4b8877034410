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
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  type GatedWorker,
  spawnGated,
  UNRUN_EXIT_CODE,
  type WorkerCommand,
  type WorkerOptions,
  type WorkerProcess,
} from '../../src/process/gated-worker.ts';
import { groupMembers, lookUp, processStart } from '../../src/process/processes.ts';
import { bundle } from '../support/bundle.ts';
import { type Helper, killGroup, startHelper, until } from '../support/processes.ts';

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

function options(command: WorkerCommand, more: Partial<WorkerOptions> = {}): WorkerOptions {
  return {
    ...command,
    cwd: folder,
    env: { PATH: process.env['PATH'] },
    stdio: { stdin: 'empty', stdout: 'inherit', stderr: 'inherit' },
    ...more,
  };
}

function start(command: WorkerCommand, more: Partial<WorkerOptions> = {}): GatedWorker {
  const worker = spawnGated(options(command, more));
  if (worker.identity !== null) groups.push(worker.identity.pgid);
  return worker;
}

/** Runs a worker to its end and returns what it wrote to stdout and stderr. */
async function output(command: WorkerCommand, more: Partial<WorkerOptions> = {}): Promise<string> {
  const path = newPath();
  const fd = openSync(path, 'w', 0o600);
  const worker = start(command, { stdio: { stdin: 'empty', stdout: fd, stderr: fd }, ...more });
  worker.open();
  await worker.exited;
  closeSync(fd);
  return readFileSync(path, 'utf8');
}

async function startElsewhere(commands: WorkerCommand[]): Promise<{ helper: Helper; workers: WorkerProcess[] }> {
  const helper = startHelper(starter, { workers: commands.map((command) => options(command)) });
  const workers = (await helper.next()) as WorkerProcess[];
  groups.push(...workers.map((worker) => worker.pgid));
  return { helper, workers };
}

const gone = (pgid: number) => until(`group ${pgid} has ended`, () => groupMembers(pgid).length === 0);

describe('worker gate', () => {
  test("an abandoned worker exits without running, with the gate's own exit code", async () => {
    const path = newPath();
    const worker = start({ argv: ['touch', path] });
    worker.abandon();
    worker.open();
    expect(await worker.exited).toEqual({ code: UNRUN_EXIT_CODE, signal: null, spawnError: null });
    expect(existsSync(path)).toBe(false);
  });

  test('an opened worker runs, and can no longer be abandoned', async () => {
    const path = newPath();
    const worker = start({ argv: ['touch', path] });
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
    const worker = start({ argv: ['true'] });
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
    // The whole group, and so the gate that would say how it ended.
    ['kill -KILL 0', { code: null, signal: 'SIGKILL' }],
    ['kill -40 0', { code: null, signal: null }],
  ])('%s', async (shell, end) => {
    const worker = start({ shell });
    worker.open();
    expect(await worker.exited).toEqual({ ...end, spawnError: null });
  });
});

describe('started command', () => {
  test("a worker's identity is that of its gate, in a process group of its own", async () => {
    const ready = newPath();
    const worker = start({ shell: `echo $PPID > ${ready}.tmp; mv ${ready}.tmp ${ready}; exec sleep 1000` });
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
    const worker = start(command);
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
      const worker = start({ shell: `kill -${signal.slice(3)} $$; exit 5` });
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
    const fd = openSync('/dev/null', 'w');
    const worker = start(command, { stdio: { stdin: 'empty', stdout: fd, stderr: fd } });
    worker.open();
    expect(await worker.exited).toEqual({ code, signal: null, spawnError: null });
    closeSync(fd);
  });

  test('a single command killed by a signal reports the signal, without a shell in between', async () => {
    const ready = newPath();
    const worker = start({ shell: `exec /bin/sh -c 'touch ${ready}; kill -KILL $$'` });
    worker.open();
    expect(await worker.exited).toEqual({ code: null, signal: 'SIGKILL', spawnError: null });
    expect(existsSync(ready)).toBe(true);
  });
});

describe('commands that cannot be started', () => {
  const file = join(folder, 'plain-file');
  const huge = 'x'.repeat(8 * 1024 * 1024);
  test.each<[string, WorkerCommand, Partial<WorkerOptions>, RegExp]>([
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
    const worker = start(command, more);
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
