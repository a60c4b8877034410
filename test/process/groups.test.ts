import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { rebootedSince, type WorkerIdentity } from '../../src/domain/task/identity.ts';
import { spawnGated, type WorkerExit, type WorkerProcess } from '../../src/process/gated-worker.ts';
import { stopWorker } from '../../src/process/groups.ts';
import { thisMachine } from '../../src/process/machine.ts';
import { groupMembers, lookUp } from '../../src/process/processes.ts';
import { bundle } from '../support/bundle.ts';
import { type Helper, killGroup, startHelper, until } from '../support/processes.ts';

const LONG_MS = 600_000;
const CLAIM = '01920000-0000-7000-8000-000000000001';
const folder = mkdtempSync(join(tmpdir(), 'forge-test-'));
const groups: number[] = [];
let files = 0;
let starter = '';
let stopper = '';

beforeAll(async () => {
  const helper = (name: string) => bundle(fileURLToPath(new URL(`../support/process/${name}.ts`, import.meta.url)));
  [starter, stopper] = await Promise.all([helper('starter'), helper('stopper')]);
});

afterEach(() => {
  vi.restoreAllMocks();
  groups.splice(0).forEach(killGroup);
});

afterAll(() => rmSync(folder, { recursive: true }));

const newPath = () => join(folder, `file-${files++}`);

function identify(worker: WorkerProcess): WorkerIdentity {
  groups.push(worker.pgid);
  return { ...thisMachine(), ...worker, claim_id: CLAIM, attempt_id: 'attempt-1' };
}

const workerOptions = (shell: string) => ({
  shell,
  cwd: folder,
  env: { PATH: process.env['PATH'], FORGE_CLAIM_ID: CLAIM },
  stdio: { stdin: 'empty', stdout: 'inherit', stderr: 'inherit' } as const,
});

/** A worker that runs `shell`; it must create $ready (its argument) once it is where the test wants it. */
async function running(
  shell: (ready: string) => string,
): Promise<{ worker: WorkerIdentity; exited: Promise<WorkerExit> }> {
  const ready = newPath();
  const started = spawnGated(workerOptions(shell(ready)));
  if (started.identity === null) throw new Error((await started.exited).spawnError ?? '');
  const worker = identify(started.identity);
  started.open();
  await until('the worker is ready', () => existsSync(ready));
  return { worker, exited: started.exited };
}

/** A worker of another process, still behind its gate. */
async function startedElsewhere(shell: string): Promise<{ helper: Helper; worker: WorkerIdentity }> {
  const helper = startHelper(starter, { workers: [workerOptions(shell)] });
  const [started] = (await helper.next()) as WorkerProcess[];
  if (started === undefined) throw new Error('not started');
  return { helper, worker: identify(started) };
}

const sleeping = (ready: string) => `touch ${ready}; exec sleep 1000`;
const deaf = (ready: string) => `trap '' TERM; touch ${ready}; while :; do sleep 0.05; done`;

/** A leader that ends and leaves one member behind; `prefix` goes before the member's command. */
async function orphaned(prefix = ''): Promise<WorkerIdentity> {
  const { worker, exited } = await running((ready) => `${prefix} /bin/sh -c 'touch ${ready}; exec sleep 1000' &`);
  await exited;
  await until(
    'only the member is left',
    () => lookUp(worker.pid) === 'missing' && groupMembers(worker.pgid).length === 1,
  );
  return worker;
}

describe('stopWorker', () => {
  test('stopWorker stops an obedient worker without waiting for the grace to end', async () => {
    const bye = newPath();
    const { worker, exited } = await running(
      (ready) => `exec 2>/dev/null; trap 'touch ${bye}; exit 7' TERM; touch ${ready}; while :; do sleep 0.01; done`,
    );
    expect(await stopWorker(worker, { graceMs: LONG_MS })).toBe('stopped');
    expect(await exited).toEqual({ code: 7, signal: null, spawnError: null });
    expect(existsSync(bye)).toBe(true);
  });

  test('stopWorker kills a worker that ignores SIGTERM after the grace', async () => {
    const { worker, exited } = await running(deaf);
    expect(await stopWorker(worker, { graceMs: 20 })).toBe('stopped');
    expect(await exited).toEqual({ code: null, signal: 'SIGKILL', spawnError: null });
    expect(groupMembers(worker.pgid)).toEqual([]);
  });

  test('an abort ends the grace of stopWorker', async () => {
    const { worker, exited } = await running(deaf);
    const abort = new AbortController();
    const stopping = stopWorker(worker, { graceMs: LONG_MS, signal: abort.signal });
    abort.abort();
    expect(await stopping).toBe('stopped');
    expect(await exited).toMatchObject({ signal: 'SIGKILL' });
  });

  test('stopWorker kills a paused worker after the grace', async () => {
    const { worker } = await running(sleeping);
    process.kill(worker.pid, 'SIGSTOP');
    expect(await stopWorker(worker, { graceMs: 20 })).toBe('stopped');
  });

  test('stopWorker stops a worker that still waits behind its gate, without running it', async () => {
    const path = newPath();
    const started = spawnGated(workerOptions(`touch ${path}`));
    if (started.identity === null) throw new Error('not started');
    expect(await stopWorker(identify(started.identity), { graceMs: LONG_MS })).toBe('stopped');
    started.open();
    await started.exited;
    expect(existsSync(path)).toBe(false);
  });

  test("stopWorker stops a killed starter's group, with grandchildren that ignore SIGTERM and hide their claim", async () => {
    const ready = newPath();
    const grandchild = `trap '' TERM; touch ${ready}; while :; do sleep 0.05; done`;
    const { helper, worker } = await startedElsewhere(`env -i /bin/sh -c "${grandchild}" & wait`);
    helper.send('open 0');
    await until('the grandchild runs', () => existsSync(ready));
    helper.kill('SIGKILL');
    await helper.ended;
    expect(groupMembers(worker.pgid)).not.toEqual([]);
    expect(await startHelper(stopper, { worker, graceMs: 100 }).next()).toBe('stopped');
    expect(groupMembers(worker.pgid)).toEqual([]);
  });

  test('stopWorker stops members that were seen beside the leader after the leader is gone', async () => {
    const member = (ready: string) => `env -i /bin/sh -c "trap '' TERM; touch ${ready}; exec sleep 1000"`;
    const { worker } = await running((ready) => `${member(ready)} & wait`);
    const leaderGone = {
      get aborted() {
        return lookUp(worker.pid) === 'missing';
      },
    };
    expect(await stopWorker(worker, { graceMs: LONG_MS, signal: leaderGone })).toBe('stopped');
    expect(groupMembers(worker.pgid)).toEqual([]);
  });

  test('stopWorker reports a group that has ended as gone', async () => {
    const { worker, exited } = await running((ready) => `touch ${ready}`);
    await exited;
    await until('it has left the process table', () => lookUp(worker.pid) === 'missing');
    expect(await stopWorker(worker, { graceMs: LONG_MS })).toBe('gone');
  });

  test('stopWorker reports a group with only a zombie left as gone', async () => {
    const { helper, worker } = await startedElsewhere('true');
    // A paused starter does not ask how its worker has ended.
    helper.kill('SIGSTOP');
    process.kill(worker.pid, 'SIGKILL');
    await until('it has become a zombie', () => groupMembers(worker.pgid).length === 0);
    expect(lookUp(worker.pid)).toMatchObject({ live: false, startedAt: worker.started_at });
    expect(await stopWorker(worker, { graceMs: LONG_MS })).toBe('gone');
    helper.kill('SIGKILL');
    await helper.ended;
  });

  test.skipIf(process.platform === 'darwin')(
    'stopWorker recognizes a group without its leader by the claim in a member',
    async () => {
      const worker = await orphaned();
      expect(groupMembers(worker.pgid)).not.toEqual([]);
      expect(await stopWorker(worker, { graceMs: LONG_MS })).toBe('stopped');
      expect(groupMembers(worker.pgid)).toEqual([]);
    },
  );

  test.skipIf(process.platform === 'darwin')(
    'stopWorker accepts one member with the claim as proof for members that hide it',
    async () => {
      const { worker, exited } = await running(
        (ready) => `sleep 1000 & env -i /bin/sh -c 'touch ${ready}; exec sleep 1000' &`,
      );
      await exited;
      await until(
        'only the members are left',
        () => lookUp(worker.pid) === 'missing' && groupMembers(worker.pgid).length === 2,
      );
      expect(await stopWorker(worker, { graceMs: LONG_MS })).toBe('stopped');
      expect(groupMembers(worker.pgid)).toEqual([]);
    },
  );

  describe.skipIf(process.platform === 'darwin')('what a worker has started in sessions of its own', () => {
    const dead = (pid: number) => {
      const found = lookUp(pid);
      return found === 'missing' || (typeof found !== 'string' && !found.live);
    };
    const pidIn = async (path: string) => {
      await until('the process is there', () => existsSync(path) && readFileSync(path, 'utf8').endsWith('\n'));
      return Number(readFileSync(path, 'utf8'));
    };

    test.each([
      ['ends with it', '', 'exec sleep 1000'],
      ['is killed when it ignores SIGTERM', "trap '' TERM HUP;", 'while :; do sleep 0.05; done'],
    ])('%s', async (_, before, work) => {
      const path = newPath();
      const { worker } = await running(
        (ready) =>
          `setsid sh -c '${before.replaceAll("'", `'"'"'`)} echo $$ > ${path}; ${work}' & touch ${ready}; wait`,
      );
      const pid = await pidIn(path);
      expect(await stopWorker(worker, { graceMs: 100 })).toBe('stopped');
      expect(dead(pid)).toBe(true);
    });

    test('stopWorker is stopped after the worker itself has ended', async () => {
      const path = newPath();
      const { worker, exited } = await running(
        (ready) =>
          `setsid sh -c 'echo $$ > ${path}; exec sleep 1000' & until [ -s ${path} ]; do :; done; touch ${ready}`,
      );
      await exited;
      expect(await stopWorker(worker, { graceMs: LONG_MS })).toBe('stopped');
      expect(dead(await pidIn(path))).toBe(true);
      expect(await stopWorker(worker, { graceMs: LONG_MS })).toBe('gone');
    });

    test('stopWorker is stopped although it goes on starting others', async () => {
      const path = newPath();
      const breed = `${path}.sh`;
      writeFileSync(breed, `trap '' TERM\necho $$ >> ${path}\nsleep 0.02\nsetsid sh ${breed} &\n`);
      const { worker } = await running((ready) => `setsid sh ${breed} & touch ${ready}; wait`);
      await until('some were born', () => existsSync(path) && readFileSync(path, 'utf8').split('\n').length > 3);
      expect(await stopWorker(worker, { graceMs: 50 })).toBe('stopped');
      expect(
        readFileSync(path, 'utf8')
          .trim()
          .split('\n')
          .filter((pid) => !dead(Number(pid))),
      ).toEqual([]);
    });

    test('stopWorker is left alone when it belongs to another command of the same claim', async () => {
      const path = newPath();
      const other = await running(
        (ready) => `setsid sh -c 'echo $$ > ${path}; exec sleep 1000' & touch ${ready}; wait`,
      );
      const { worker } = await running(sleeping);
      const pid = await pidIn(path);
      expect(await stopWorker(worker, { graceMs: LONG_MS })).toBe('stopped');
      expect(dead(pid)).toBe(false);
      await stopWorker(other.worker, { graceMs: LONG_MS });
    });

    test.each([
      ['is stopped, but not before that run', '$FORGE_COMMAND_PID', true],
      ['is left alone when that run belongs to another command of the same claim', '1$FORGE_COMMAND_PID', false],
    ])('and is the worker of a run that the worker has started %s', async (_what, command, stops) => {
      const path = newPath();
      const inner = `trap "ps -o stat= -p $FORGE_COMMAND_PID > ${path}.left; exit" TERM; echo $$ > ${path}; while :; do sleep 0.02; done`;
      const around = `FORGE_CLAIM_ID=other FORGE_OUTER_CLAIMS="$FORGE_CLAIM_ID:${command}; other:5;"`;
      const { worker } = await running((ready) => `env ${around} setsid sh -c '${inner}' & touch ${ready}; wait`);
      const pid = await pidIn(path);
      groups.push(pid);
      expect(await stopWorker(worker, { graceMs: LONG_MS })).toBe('stopped');
      expect(dead(pid)).toBe(stops);
      // Its parent may not have waited for it yet.
      if (stops) expect(readFileSync(`${path}.left`, 'utf8')).toMatch(/^(Z.*\n)?$/);
    });

    test('stopWorker is named when it does not end', async () => {
      const { worker } = await running((ready) => `trap '' TERM; touch ${ready}; while :; do sleep 0.05; done`);
      const abort = new AbortController();
      const told: number[] = [];
      const onWait = (left: readonly { pid: number }[]) => {
        told.push(...left.map(({ pid }) => pid));
        abort.abort();
      };
      expect(await stopWorker(worker, { graceMs: LONG_MS, signal: abort.signal, onWait })).toBe('stopped');
      expect(told).toContain(worker.pid);
    });
  });

  test('stopWorker lets a worker that is stopped end by itself', async () => {
    const done = newPath();
    const { worker } = await running(
      (ready) => `trap 'touch ${done}; exit 0' TERM; touch ${ready}; kill -STOP $$; sleep 1`,
    );
    expect(await stopWorker(worker, { graceMs: LONG_MS })).toBe('stopped');
    expect(existsSync(done)).toBe(true);
  });

  test('stopWorker reports members that outlive SIGKILL by name', async () => {
    const { worker } = await running(sleeping);
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
    await expect(stopWorker(worker, { graceMs: 0 })).rejects.toMatchObject({
      code: 'IO_ERROR',
      message: expect.stringContaining(`pid ${worker.pid}`),
      details: { pgid: worker.pgid, pids: expect.arrayContaining([worker.pid]) },
    });
    expect(kill.mock.calls).toContainEqual([-worker.pgid, 'SIGKILL']);
  });
});

describe("groups that are not provably the worker's", () => {
  const machine = thisMachine();
  const otherBoot = { boot_id: '00000000-0000-0000-0000-000000000000' };
  test.each<[string, (worker: WorkerIdentity) => Partial<WorkerIdentity>, 'gone' | 'unverified']>([
    [
      'when the number belongs to a process that started at another time',
      () => ({ started_at: 'ticks:1' }),
      'unverified',
    ],
    ['when the start time is in a form of another tool', () => ({ started_at: '2026-01-01T00:00:00Z' }), 'unverified'],
    ['when the worker ran on another host', () => ({ host: 'elsewhere.invalid' }), 'unverified'],
    ['when the worker ran in another pid namespace', () => ({ pid_ns: 'pid:[1]' }), 'unverified'],
    [
      'when the machine was started again since',
      () => otherBoot,
      rebootedSince({ ...machine, ...otherBoot }, machine) ? 'gone' : 'unverified',
    ],
    [
      'when the recorded process shares a group with others, and is gone',
      (worker) => ({ pid: worker.pid + 1, started_at: 'ticks:1' }),
      'gone',
    ],
    ['when the group is 0', () => ({ pid: 0, pgid: 0, started_at: 'ticks:1' }), 'unverified'],
    ['when the group is not a number that a group can have', () => ({ pid: 1.5, pgid: 1.5 }), 'unverified'],
  ])('stopWorker signals no process %s', async (_, change, result) => {
    const { worker } = await running(sleeping);
    const kill = vi.spyOn(process, 'kill');
    const changed = { ...worker, ...change(worker) };
    expect(await stopWorker(changed, { graceMs: 0 })).toBe(result);
    // Signal 0 only checks for existence.
    expect(kill.mock.calls.filter(([, signal]) => signal !== 0)).toEqual([]);
    expect(groupMembers(worker.pgid).map((member) => member.pid)).toContain(worker.pid);
  });

  test('stopWorker signals no process when the leader is gone and no member carries the claim', async () => {
    const worker = await orphaned('env -i');
    expect(await stopWorker(worker, { graceMs: 0 })).toBe('unverified');
    expect(groupMembers(worker.pgid)).toHaveLength(1);
  });

  test('stopWorker signals no process when the leader is gone and the members carry another claim', async () => {
    const worker = await orphaned();
    expect(await stopWorker({ ...worker, claim_id: '01920000-0000-7000-8000-000000000002' }, { graceMs: 0 })).toBe(
      'unverified',
    );
    expect(groupMembers(worker.pgid)).toHaveLength(1);
  });

  test("stopWorker signals no process when the group is the caller's own", async () => {
    const helper = startHelper(stopper, { self: true, graceMs: 0 }, { detached: true });
    expect(await helper.next()).toBe('unverified');
    expect(await helper.ended).toEqual({ code: 0, signal: null });
  });
});
