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
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { type GatedWorker, OWN_PID, spawnGated, type WorkerOptions } from '../../src/process/gated-worker.ts';
import { Lane, type LaneJob } from '../../src/process/lane.ts';
import { Lanes } from '../../src/process/lanes.ts';
import { groupMembers, lookUp, processStart } from '../../src/process/processes.ts';
import { killGroup, until } from '../support/processes.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'forge-test-')));
const nowhere = openSync('/dev/null', 'a');
const started: GatedWorker[] = [];
const ends: { end(): void }[] = [];
let files = 0;

afterEach(() => {
  for (const { identity } of started.splice(0)) if (identity !== null) killGroup(identity.pgid);
  for (const each of ends.splice(0)) each.end();
});

afterAll(() => rmSync(folder, { recursive: true }));

const newPath = () => join(folder, `file-${files++}`);

function job(shell: string, more: Partial<LaneJob> = {}): LaneJob {
  const stdio = { stdin: 'empty', stdout: nowhere, stderr: nowhere } as const;
  return { shell, cwd: folder, env: { PATH: process.env['PATH'] }, stdio, ...more };
}

function newLane(): Lane {
  const lane = new Lane({});
  ends.push(lane);
  return lane;
}

async function startIn(lane: Lane, shell: string): Promise<{ worker: GatedWorker; pid: number; lanePid: number }> {
  const worker = await lane.start(job(shell));
  const pid = worker?.identity?.pid;
  if (worker === null || pid === undefined) throw new Error('the lane has started no worker');
  started.push(worker);
  return { worker, pid, lanePid: parentOf(pid) };
}

const parentOf = (pid: number) =>
  Number(
    readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) . /s, '')
      .split(' ')[0],
  );

async function kill(lane: Lane, pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await until('the lane is gone', () => lane.isGone);
}

const UNKNOWN = { code: null, signal: null, spawnError: null };

describe('a lane that is killed', () => {
  test('a lane that is killed starts no more workers', async () => {
    const lane = newLane();
    const { worker, lanePid } = await startIn(lane, 'exit 4');
    worker.open();
    expect(await worker.exited).toMatchObject({ code: 4 });
    await kill(lane, lanePid);
    expect(await lane.start(job('true'))).toBe(null);
  });

  test('a lane that is killed leaves no worker that has not come to its gate', async () => {
    const lane = newLane();
    const { worker, lanePid } = await startIn(lane, 'true');
    worker.open();
    await worker.exited;
    const path = newPath();
    process.kill(lanePid, 'SIGSTOP');
    const next = lane.start(job(`touch ${path}`));
    process.kill(lanePid, 'SIGKILL');
    expect(await next).toBe(null);
    expect(existsSync(path)).toBe(false);
  });

  test('a lane that is killed leaves its worker behind the gate, which runs when it is opened', async () => {
    const lane = newLane();
    const path = newPath();
    const { worker, pid, lanePid } = await startIn(lane, `touch ${path}`);
    await kill(lane, lanePid);
    expect(processStart(pid)).toBe(worker.identity?.started_at);
    worker.open();
    expect(await worker.exited).toEqual(UNKNOWN);
    expect(existsSync(path)).toBe(true);
  });

  test('a lane that is killed leaves its worker behind the gate, which exits when it is abandoned', async () => {
    const lane = newLane();
    const path = newPath();
    const { worker, lanePid } = await startIn(lane, `touch ${path}`);
    await kill(lane, lanePid);
    worker.abandon();
    expect(await worker.exited).toEqual(UNKNOWN);
    expect(existsSync(path)).toBe(false);
  });

  test('a lane that is killed leaves its worker running, whose end is unknown and comes when it is gone', async () => {
    const lane = newLane();
    const [ready, wish, done] = [newPath(), newPath(), newPath()];
    const { worker, pid, lanePid } = await startIn(
      lane,
      `touch ${ready}; until [ -e ${wish} ]; do sleep 0.01; done; touch ${done}`,
    );
    worker.open();
    await until('the worker runs', () => existsSync(ready));
    await kill(lane, lanePid);
    expect(groupMembers(pid)).not.toEqual([]);
    writeFileSync(wish, '');
    expect(await worker.exited).toEqual(UNKNOWN);
    expect([existsSync(done), groupMembers(pid)]).toEqual([true, []]);
  });
});

test('a lane ends with its worker, when that outlives the end of the socket', async () => {
  const lane = newLane();
  const [ready, wish] = [newPath(), newPath()];
  const { worker, lanePid } = await startIn(lane, `touch ${ready}; until [ -e ${wish} ]; do sleep 0.01; done; exit 6`);
  worker.open();
  await until('the worker runs', () => existsSync(ready));
  lane.end();
  expect(lane.isGone).toBe(false);
  writeFileSync(wish, '');
  expect(await worker.exited).toMatchObject({ code: 6 });
  await until('the lane is gone', () => lookUp(lanePid) === 'missing');
});

test('a lane that its worker has stopped reports how that ended', async () => {
  const { worker } = await startIn(newLane(), 'kill -STOP $PPID; exit 5');
  worker.open();
  expect(await worker.exited).toMatchObject({ code: 5 });
});

test('a word for a gate that is gone reaches no later worker', async () => {
  const lane = newLane();
  const { worker, pid } = await startIn(lane, 'true');
  process.kill(pid, 'SIGKILL');
  expect(await worker.exited).toMatchObject({ signal: 'SIGKILL' });
  worker.open();
  const path = newPath();
  const next = await startIn(lane, `touch ${path}`);
  next.worker.abandon();
  expect(await next.worker.exited).toMatchObject({ code: 97 });
  expect(existsSync(path)).toBe(false);
});

describe('workers from lanes', () => {
  function newLanes(spawnsFirst = 0): Lanes {
    const lanes = new Lanes({ PATH: process.env['PATH'] }, { spawnsFirst });
    ends.push(lanes);
    return lanes;
  }

  async function start(
    lanes: Lanes,
    options: WorkerOptions = job('true'),
  ): Promise<{ worker: GatedWorker; from: number }> {
    const worker = await lanes.start(options);
    started.push(worker);
    const from = parentOf(worker.identity?.pid ?? 0);
    worker.open();
    return { worker, from };
  }

  /** Starts one after the other until one comes from a lane. */
  async function warm(lanes: Lanes): Promise<number> {
    for (;;) {
      const { worker, from } = await start(lanes);
      await worker.exited;
      if (from !== process.pid) return from;
    }
  }

  test('the first ones are spawned', async () => {
    const lanes = newLanes(2);
    const parents = [await start(lanes), await start(lanes)].map(({ from }) => from);
    expect(parents).toEqual([process.pid, process.pid]);
    expect(await warm(lanes)).not.toBe(process.pid);
  });

  test('a lane has one worker at a time, and then another', async () => {
    const lanes = newLanes();
    const lane = await warm(lanes);
    const [one, other] = [await start(lanes, job('sleep 1000')), await start(lanes)];
    expect([one.from, other.from === lane]).toEqual([lane, false]);
    process.kill(-(one.worker.identity?.pid ?? 0), 'SIGTERM');
    expect(await one.worker.exited).toMatchObject({ signal: 'SIGTERM' });
    // There may be a second lane by now.
    const next = [await start(lanes, job('sleep 1000')), await start(lanes, job('sleep 1000'))];
    expect(next.map(({ from }) => from)).toContain(lane);
  });

  test('a lane that is killed is replaced', async () => {
    const lanes = newLanes();
    const lane = await warm(lanes);
    process.kill(lane, 'SIGKILL');
    const { worker } = await start(lanes);
    expect(await worker.exited).toMatchObject({ code: 0 });
    expect(await warm(lanes)).not.toBe(lane);
  });

  test.each<[string, Partial<LaneJob>, Partial<WorkerOptions>]>([
    ['whose folder is missing', { cwd: join(folder, 'none') }, {}],
    ['whose environment is too long', { env: { HUGE: 'x'.repeat(8 * 1024 * 1024) } }, {}],
    ['with a NUL', { env: { ODD: 'a\0b' } }, {}],
  ])('a worker %s is reported as by a spawn', async (_, more) => {
    const lanes = newLanes();
    await warm(lanes);
    const options = job('true', more);
    const ends = [await lanes.start(options), spawnGated(options)].map(({ exited }) => exited);
    const [end, wanted] = await Promise.all(ends);
    expect(wanted?.spawnError).not.toBe(null);
    expect(end).toEqual(wanted);
    expect(await warm(lanes)).not.toBe(process.pid);
  });

  test('a worker with a variable that bash may set at any moment is not for a lane', async () => {
    expect(await newLane().start(job('true', { env: { PIPESTATUS: 'odd' } }))).toBe(null);
  });

  test('variables that bash has a use of its own for are handed on as by a spawn', async () => {
    const lanes = newLanes();
    await warm(lanes);
    const known = execFileSync('/bin/bash', ['-c', 'compgen -v'], { encoding: 'utf8' }).trim().split('\n');
    const more = [
      'TMOUT',
      'POSIXLY_CORRECT',
      'LC_ALL',
      'LC_CTYPE',
      'LANG',
      'CDPATH',
      'HISTSIZE',
      'LINES',
      'CHILD_MAX',
      'GLOBIGNORE',
    ];
    const seen = async (name: string, start: (options: WorkerOptions) => GatedWorker | Promise<GatedWorker>) => {
      const path = newPath();
      const fd = openSync(path, 'a');
      const stdio = { stdin: 'empty', stdout: fd, stderr: fd } as const;
      const env = { PATH: process.env['PATH'], [name]: '/odd value' };
      const worker = await start(job("tr '\\0' '\\n' < /proc/$$/environ", { env, stdio }));
      started.push(worker);
      worker.open();
      await worker.exited;
      closeSync(fd);
      return readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => !line.startsWith(OWN_PID))
        .sort();
    };
    for (const name of new Set([...known, ...more, 'BASH_FUNC_f%%', 'not-a-name'])) {
      const both = [seen(name, (options) => lanes.start(options)), seen(name, spawnGated)];
      const [inLane, bySpawn] = await Promise.all(both);
      expect(inLane, name).toEqual(bySpawn);
    }
  });
});
