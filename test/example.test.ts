/** `.forge.example` is consistent as it ships, and `npm start` completes it. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parsePlan } from '../src/domain/plan/parse.ts';
import { parseSettings } from '../src/domain/settings/parse.ts';
import {
  AttemptManifestSchema,
  parseRecord,
  RunManifestSchema,
  type TaskStateRecord,
  TaskStateSchema,
} from '../src/domain/task/records.ts';
import { isInFlight } from '../src/domain/task/states.ts';
import { isUuid } from '../src/lib/ids.ts';
import { jsonLines } from './support/cli.ts';
import { until, withoutForge } from './support/processes.ts';

const repo = fileURLToPath(new URL('..', import.meta.url));
const example = join(repo, '.forge.example');
const cli = join(repo, 'bin', 'forge.cjs');
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'forge-example-')));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The task that was in flight when the power failed. */
const CUT_SHORT = 'check-raw';

/** What gc finds in the example, in its order. */
const DIVERGENCES = [
  '2 check-raw mark_abandoned',
  '12 survey-raw archive_answer',
  '13 check-raw release_lease_admin',
  '14 seal-raw release_lease_admin',
];

const text = (...path: string[]) => readFileSync(join(...path), 'utf8');
const json = (...path: string[]) => JSON.parse(text(...path));
const jsonl = (...path: string[]) => jsonLines(text(...path));
const filesIn = (dir: string) =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(dir, name)).isFile())
    .sort();

function planOfExample() {
  const parsed = parsePlan(text(example, 'plans/phases.yaml'), 'phases.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed;
}

function stateOf(forge: string, taskId: string): TaskStateRecord {
  const parsed = parseRecord(TaskStateSchema, json(forge, 'orchestrator/tasks', taskId, 'state.json'));
  if (!parsed.ok) throw new Error(`${taskId}: ${parsed.why}`);
  return parsed.value;
}

/** Checks every line of a SHA256SUMS, and that it lists every file of the folder. */
function expectSealed(dir: string, without: readonly string[] = []) {
  const lines = text(dir, 'SHA256SUMS').trimEnd().split('\n');
  const sealed = lines.map((line) => line.slice(66));
  for (const line of lines) {
    const content = readFileSync(join(dir, line.slice(66)));
    expect(line.slice(0, 64), line.slice(66)).toBe(createHash('sha256').update(content).digest('hex'));
  }
  expect(sealed).toEqual(filesIn(dir).filter((name) => name !== 'SHA256SUMS' && !without.includes(name)));
}

describe('the example as it ships', () => {
  test('the plan of the example has no problems and no warnings, and each task for a worker has a command', () => {
    const { plan, warnings } = planOfExample();
    expect(warnings).toEqual([]);
    expect(plan.tasks.filter((task) => task.run === null && !task.human)).toEqual([]);
    expect(plan.tasks.filter((task) => task.human && task.status !== 'done')).toEqual([]);
    expect(plan.phases).toHaveLength(2);
    expect(plan.phases[1]?.blocked_by).toBe(plan.phases[0]?.id);
  });

  test('every file that a command of the example names exists', () => {
    const named = planOfExample().plan.tasks.flatMap(({ run }) => run?.match(/\.forge\/\S+/g) ?? []);
    expect(named.length).toBeGreaterThan(10);
    for (const path of named) expect(existsSync(join(example, path.slice('.forge/'.length))), path).toBe(true);
  });

  test('the settings of the example have no problems and no warnings', () => {
    const parsed = parseSettings(text(example, 'settings.yaml'), 'settings.yaml');
    expect(parsed).toMatchObject({ ok: true, warnings: [] });
  });

  test('the state tree of the example is valid and consistent', () => {
    const { plan } = planOfExample();
    const tasks = readdirSync(join(example, 'orchestrator/tasks'));
    expect(tasks.length).toBeGreaterThan(1);
    for (const task of tasks) {
      expect(plan.byId.get(task)?.run, task).toEqual(expect.any(String));
      const state = stateOf(example, task);
      const attempts = readdirSync(join(example, 'orchestrator/tasks', task, 'attempts')).sort();
      expect(state).toMatchObject({
        task_id: task,
        state: task === CUT_SHORT ? 'running' : 'shipped',
        attempt_count: attempts.length,
        current_attempt_id: attempts.at(-1),
      });
      const history = jsonl(example, 'orchestrator/tasks', task, 'claim-history.jsonl');
      expect(history.at(-1)).toMatchObject({
        event: task === CUT_SHORT ? 'acquired' : 'released',
        ...state.updated_by,
        ts: task === CUT_SHORT ? expect.any(String) : state.updated_at,
      });
      for (const [i, attempt] of attempts.entries()) {
        const manifest = json(example, 'orchestrator/tasks', task, 'attempts', attempt, 'manifest.json');
        const parsed = parseRecord(AttemptManifestSchema, manifest);
        if (!parsed.ok) throw new Error(`${attempt}: ${parsed.why}`);
        const { run_id, claim_id, generation } = parsed.value;
        expect([attempt, run_id, claim_id].every(isUuid)).toBe(true);
        expect(parsed.value).toMatchObject({ attempt_id: attempt, task_id: task, attempt_number: i + 1 });
        expect(history).toContainEqual(expect.objectContaining({ event: 'acquired', run_id, claim_id, generation }));
        const run = parseRecord(RunManifestSchema, json(example, 'orchestrator/runs', run_id, 'manifest.json'));
        expect(run).toMatchObject({ ok: true, value: { run_id } });
      }
    }
  });

  test('the results of the shipped tasks of the example exist unchanged', () => {
    expectSealed(join(example, 'workshop/raw'));
    const log = filesIn(join(example, 'orchestrator/tasks/survey-raw')).filter((name) => name.endsWith('stdout.log'));
    // Logs are ignored by git by default, so a checkout may lack them.
    for (const name of log.slice(-1)) {
      expect(text(example, 'orchestrator/tasks/survey-raw', name)).toBe(text(example, 'workshop/raw/SURVEY.txt'));
    }
  });
});

interface Ended {
  code: number | null;
  stdout: string;
}

/** `npm start` without the build; `scratch` is where its copies go. */
function start(scratch: string): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [join(repo, 'scripts/start.mjs'), scratch], {
    cwd: repo,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...withoutForge(process.env), FORGE_DIR: '/nowhere' },
  });
  let stdout = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, stdout })));
  return { child, ended };
}

function forge(project: string, ...args: string[]) {
  const { status, stdout } = spawnSync(process.execPath, [cli, 'orchestrate', ...args, '--dir', project], {
    encoding: 'utf8',
    env: withoutForge(process.env),
  });
  return { status, stdout };
}

function statesIn(project: string): Record<string, string> {
  const tasks = readdirSync(join(project, '.forge/orchestrator/tasks'));
  return Object.fromEntries(tasks.map((task) => [task, stateOf(join(project, '.forge'), task).state]));
}

function expectAllShipped(project: string) {
  const states = statesIn(project);
  for (const task of planOfExample().plan.tasks.filter(({ human }) => !human)) {
    expect(states[task.id], task.id).toBe('shipped');
  }
}

describe('npm start', () => {
  let project = '';
  let result: Ended;

  beforeAll(async () => {
    const { child, ended } = start(join(folder, 'scratch'));
    project = join(folder, 'scratch', `example-${child.pid}`);
    result = await ended;
  });

  test('npm start ends with 0 and everything shipped', () => {
    expect(result.code).toBe(0);
    expectAllShipped(project);
  });

  test('npm start reconciles the state first and prints how', () => {
    const [before = ''] = result.stdout.split('▸');
    for (const item of DIVERGENCES) {
      const [row, task, action] = item.split(' ');
      expect(before).toMatch(new RegExp(`^✓ ${task} +${action} \\(row ${row}\\)`, 'm'));
    }
    expect(before).toContain('4 applied, 0 skipped, 0 failed, 0 reports');
    expect(forge(project, 'gc', '--detailed-exitcode')).toEqual({ status: 0, stdout: 'no divergences found\n' });
  });

  test('npm start repeats only the task of an earlier run that was cut short', () => {
    for (const task of readdirSync(join(example, 'orchestrator/tasks'))) {
      const [before, after] = [stateOf(example, task), stateOf(join(project, '.forge'), task)];
      const again = task === CUT_SHORT ? 1 : 0;
      expect(after.attempt_count, task).toBe(before.attempt_count + again);
      expect(after.failure_count, task).toBe(before.failure_count);
      expect(readdirSync(join(project, '.forge/orchestrator/tasks', task, 'attempts'))).toHaveLength(
        after.attempt_count,
      );
    }
  });

  test('npm start retries the fetch by the policy of each failure', () => {
    const state = stateOf(join(project, '.forge'), 'fetch-calibration');
    const counts = state.retry_counts ?? {};
    expect(Object.keys(counts).sort()).toEqual(['mirror.corrupt', 'rate_limit']);
    expect(counts['mirror.corrupt']).toBe(1);
    expect(counts['rate_limit']).toBeGreaterThanOrEqual(1);
    expect(state.attempt_count).toBe(state.failure_count + 1);
    expect(state.last_error).toMatchObject({ class: 'rate_limit', exit_code: 75 });
    const fetches = jsonl(project, 'forge-report/data/fetches.jsonl');
    expect(fetches.map(({ attempt }) => attempt)).toEqual(fetches.map((_, i) => i + 1));
    expect(fetches.map(({ mirror }) => mirror).slice(0, 2)).toEqual(['north', 'south']);
    expect(fetches.at(-1)).toMatchObject({ mirror: 'south', outcome: 'sound copy' });
    const north = text(example, 'workshop/mirrors/north/calibration.json');
    expect(text(project, 'forge-report/quarantine/north.json')).toBe(north);
  });

  test('the figures in the report of the example follow from its readings', () => {
    const page = text(project, 'forge-report/index.html');
    const figures = Object.fromEntries([...page.matchAll(/data-figure="(\w+)">([^<]+)</g)].map((m) => [m[1], m[2]]));
    const [pier, breakwater] = [pierLevels(), breakwaterLevels()];
    const levels = pier.good.map(({ level }) => level);
    expect(figures).toMatchObject({
      lines: String(pier.lines + breakwater.lines),
      used: String(pier.good.length + breakwater.good.length),
      highest: `${Math.max(...levels).toFixed(2)} m`,
      lowest: `−${Math.abs(Math.min(...levels)).toFixed(2)} m`,
    });
    const clock = Number(figures['clock']?.replace(' min', ''));
    expect(Math.abs(clock - crossingsApart(pier.good, breakwater.good))).toBeLessThan(1.5);
    expect(page).toContain('<svg');
    expect(page.match(/<circle class="(high|top)"/g)?.length).toBeGreaterThanOrEqual(28);
  });

  test('the report of the example has checksums and is packed', () => {
    const report = join(project, 'forge-report');
    expectSealed(report, ['harbour-tides.tar.gz']);
    const listed = spawnSync('tar', ['-tzf', join(report, 'harbour-tides.tar.gz')], { encoding: 'utf8' });
    expect(listed.stdout.split('\n')).toEqual(expect.arrayContaining(['index.html', 'tide.svg', 'SHA256SUMS']));
  });

  test('npm start posts the report at every board, each a task that its parent has waited for', () => {
    for (const board of ['pier', 'breakwater', 'office']) {
      expect(json(project, 'forge-boards', board, 'posted.json')).toEqual({
        day: expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
      });
      expect(stateOf(join(project, '.forge'), `post+boards+${board}`).state).toBe('shipped');
    }
    expect(stateOf(join(project, '.forge'), 'post')).toMatchObject({ state: 'shipped', failure_count: 0 });
    const { steps } = JSON.parse(forge(project, 'steps', 'post', '--json').stdout).data;
    expect(steps.map(({ kind }: { kind: string }) => kind)).toEqual(['step', 'wait', 'fan-out', 'join']);
  });

  test('npm start prints a summary and commands to try, and each command works', () => {
    expect(result.stdout).toContain(text(project, 'forge-report/summary.txt'));
    const commands = [...result.stdout.matchAll(/^ {2}node (.*)$/gm)].map(([, line]) => line?.split(' ') ?? []);
    expect(commands).toHaveLength(3);
    for (const args of commands) {
      const tried = spawnSync(process.execPath, args, {
        cwd: repo,
        encoding: 'utf8',
        env: withoutForge(process.env),
      });
      expect(tried.status, args.join(' ')).toBe(0);
      expect(tried.stdout).not.toBe('');
    }
  });

  test('a second run of the example finds nothing to do', () => {
    const before = statesIn(project);
    expect(forge(project, 'run').status).toBe(0);
    expect(statesIn(project)).toEqual(before);
    expect(stateOf(join(project, '.forge'), 'pack').attempt_count).toBe(1);
  });

  test('the next npm start removes the copy of the last one and no other folder', async () => {
    const scratch = join(folder, 'again');
    mkdirSync(join(scratch, 'example-mine'), { recursive: true });
    const cutShort = async () => {
      const { child, ended } = start(scratch);
      const copy = join(scratch, `example-${child.pid}`);
      await until('the copy', () => existsSync(join(copy, '.forge/plans')));
      child.kill('SIGINT');
      await ended;
      return basename(copy);
    };
    await cutShort();
    const last = await cutShort();
    expect(readdirSync(scratch).sort()).toEqual([last, 'example-mine'].sort());
  });
});

describe('a copy of the example', () => {
  const copy = (name: string) => {
    const project = join(folder, name);
    cpSync(example, join(project, '.forge'), { recursive: true });
    return project;
  };
  const found = (project: string) => {
    const { planned, reported } = JSON.parse(forge(project, 'gc', '--dry-run', '--json').stdout).data;
    expect(reported).toEqual([]);
    return planned.map(({ row, task_id, action }: Record<string, string>) => `${row} ${task_id} ${action}`);
  };

  test('gc --dry-run shows the divergences of the example and changes nothing', () => {
    const project = copy('looked-at');
    const files = filesIn(project);
    const { status, stdout } = forge(project, 'gc', '--dry-run');
    expect(status).toBe(0);
    expect(stdout).toContain('4 to do, 0 reports; apply with `forge orchestrate gc`');
    expect(found(project)).toEqual(DIVERGENCES);
    expect(forge(project, 'gc', '--dry-run', '--detailed-exitcode').status).toBe(10);
    expect(filesIn(project)).toEqual(files);
    expect(files.map((name) => text(project, name))).toEqual(
      files.map((name) => text(example, name.slice('.forge/'.length))),
    );
  });

  test('gc reconciles the example once', () => {
    const project = copy('put-right');
    expect(forge(project, 'gc').status).toBe(0);
    expect(statesIn(project)).toEqual({ 'check-raw': 'abandoned', 'seal-raw': 'shipped', 'survey-raw': 'shipped' });
    expect(found(project)).toEqual([]);
  });

  test('run takes over the task of the example that was cut short, without a gc before', () => {
    const project = copy('run-at-once');
    expect(forge(project, 'run', '--task', 'check-raw').status).toBe(0);
    expect(stateOf(join(project, '.forge'), CUT_SHORT)).toMatchObject({ state: 'shipped', attempt_count: 2 });
    expect(forge(project, 'gc').status).toBe(0);
    expect(found(project)).toEqual([]);
  });
});

test('Ctrl-C at npm start leaves nothing in flight or failed, and the next run finishes the work', async () => {
  const { child, ended } = start(join(folder, 'interrupted'));
  const project = join(folder, 'interrupted', `example-${child.pid}`);
  const fetch = join(project, '.forge/orchestrator/tasks/fetch-calibration/state.json');
  await until('the first task', () => existsSync(fetch));
  child.kill('SIGINT');
  expect((await ended).code).toBe(130);
  const states = Object.values(statesIn(project)) as TaskStateRecord['state'][];
  expect(states.filter(isInFlight)).toEqual([]);
  expect(states).not.toContain('failed');
  expect(forge(project, 'run').status).toBe(0);
  expectAllShipped(project);
});

// ---------------------------------------------------------------- the figures of the report, calculated independently

interface Reading {
  t: number;
  level: number;
}

const MINUTE_MS = 60_000;

function calibration(gauge: string): (value: number) => number {
  const { metres_per_unit, zero_m } = json(example, 'workshop/mirrors/south/calibration.json').gauges[gauge];
  return (value) => value * metres_per_unit + zero_m;
}

function pierLevels() {
  const lines = text(example, 'workshop/raw/pier-2025-03.csv').trimEnd().split('\n').slice(1);
  const toMetres = calibration('pier');
  const byTime = new Map<number, number>();
  for (const line of lines) {
    const [day = '', time = '', mm = ''] = line.split(',');
    const t = Date.UTC(2025, 2, Number(day), Number(time.slice(0, 2)), Number(time.slice(3)));
    if (mm !== '' && Number(mm) > -9999) byTime.set(t, toMetres(Number(mm)));
  }
  return { lines: lines.length, good: withoutSpikes(byTime, 0.75) };
}

function breakwaterLevels() {
  const lines = text(example, 'workshop/raw/breakwater-2025-03.jsonl').trimEnd().split('\n');
  const toMetres = calibration('breakwater');
  const byTime = new Map<number, number>();
  for (const line of lines) {
    const match = /^\{"t":(\d+),"ft":(-?[\d.]+)\}$/.exec(line);
    if (match) byTime.set(Number(match[1]) * 1000, toMetres(Number(match[2])));
  }
  return { lines: lines.length, good: withoutSpikes(byTime, 1.15) };
}

/** Another rule than the workshop's: a good reading is within `limit` metres of the median of five. */
function withoutSpikes(byTime: ReadonlyMap<number, number>, limit: number): Reading[] {
  const all = [...byTime].map(([t, level]) => ({ t, level })).sort((a, b) => a.t - b.t);
  return all.filter(({ level }, i) => {
    const five = all.slice(Math.max(0, i - 2), i + 3).map((near) => near.level);
    const median = five.sort((a, b) => a - b)[Math.floor(five.length / 2)] ?? level;
    return Math.abs(level - median) < limit;
  });
}

/** Another way to compare clocks: by how many minutes the second gauge's rises through zero are later, as the median. */
function crossingsApart(first: readonly Reading[], second: readonly Reading[]): number {
  const [before, after] = [risesThroughZero(first), risesThroughZero(second)];
  const delays = before.flatMap((t) => {
    const near = after.find((other) => Math.abs(other - t) < 120 * MINUTE_MS);
    return near === undefined ? [] : [(near - t) / MINUTE_MS];
  });
  return delays.sort((a, b) => a - b)[Math.floor(delays.length / 2)] ?? Number.NaN;
}

function risesThroughZero(readings: readonly Reading[]): number[] {
  return readings.flatMap((b, i) => {
    const a = readings[i - 1];
    if (a === undefined || a.level >= 0 || b.level < 0 || b.t - a.t > 60 * MINUTE_MS) return [];
    return [a.t + ((b.t - a.t) * -a.level) / (b.level - a.level)];
  });
}
