/** `gc --prune` removes what old tasks have no use for any more, only of those that still are as they were seen. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { cancel } from '../../src/commands/cancel.ts';
import { event } from '../../src/commands/event.ts';
import { type GcData, type GcInput, gc, isDivergent } from '../../src/commands/gc.ts';
import { logs } from '../../src/commands/logs.ts';
import { retry } from '../../src/commands/retry.ts';
import { runEnd } from '../../src/commands/run-end.ts';
import { runList } from '../../src/commands/run-list.ts';
import { runStart } from '../../src/commands/run-start.ts';
import { show } from '../../src/commands/show.ts';
import { applyPrune, planPrune } from '../../src/engine/gc/prune.ts';
import { addToJournal, openJournal, readTicks } from '../../src/engine/steps/task-journal.ts';
import { dirOf, edit } from '../support/commands/divergences.ts';
import { code, planOf, World } from '../support/commands/world.ts';
import { refused } from '../support/refused.ts';

const DAY_MS = 86_400_000;

let world: World;
beforeEach(() => {
  world = new World(planOf('build', 'other'));
});

type Pruned = NonNullable<GcData['pruned']>;
const prune = async (options: GcInput = {}): Promise<Pruned> => {
  const { pruned } = await gc.run(world.context, { prune: true, ...options });
  if (pruned === null) throw new Error('it has pruned nothing');
  return pruned;
};

/** An attempt with a log, a prompt, a draft and a note; it is over, as `state`. */
async function ended(task: string, state: 'shipped' | 'failed' | 'cancelled'): Promise<string> {
  const { attempt } = await world.start(task);
  const { artifacts } = await world.session();
  const ref = { taskId: task, attemptId: attempt };
  for (const name of ['stdout.log', 'setup.log', 'verify-1-npm.log'] as const) {
    const log = artifacts.openLog(ref, name);
    fs.writeSync(log.fd, `${name} of ${task}\n`);
    log.close();
  }
  if (!world.has(dirOf(task), 'attempts', attempt, 'prompt.md')) artifacts.writePrompt(ref, 'do it');
  fs.writeFileSync(artifacts.placeForDraft(ref, 'review'), '{}');
  await event.run(world.context, { task, attempt, type: 'note' });
  if (state === 'shipped') await world.finish(task, attempt);
  else if (state === 'failed') await world.fail(task, attempt);
  else await cancel.run(world.context, { task });
  if (state !== 'cancelled') await world.put(task, { state });
  return attempt;
}

const filesOf = (task: string, attempt: string) =>
  fs.readdirSync(world.path(dirOf(task), 'attempts', attempt), { recursive: true, encoding: 'utf8' }).sort();

/** What is left of an attempt. */
const KEPT = ['manifest.json', 'verdict.json', 'verdict.verified.json'];

describe('what goes', () => {
  test('an old shipped task loses logs, prompt, drafts and notes, and keeps record and documents', async () => {
    const attempt = await ended('build', 'shipped');
    const before = await world.record('build');
    world.wait(90 * DAY_MS);
    const pruned = await prune();
    expect(pruned).toMatchObject({ files: 9, skipped: [], failed: [], kept: [], runs: [] });
    expect(pruned.tasks).toMatchObject([
      { task_id: 'build', state: 'shipped', ended_at: before.state.updated_at, attempts: 1, files: 9 },
    ]);
    expect(pruned.bytes).toBeGreaterThan(0);
    expect(filesOf('build', attempt)).toEqual(KEPT);
    expect(await world.record('build')).toEqual(before);
    expect(await prune()).toMatchObject({ tasks: [], files: 0, bytes: 0 });
  });

  test('a preview of gc --prune says what the removal will say, and changes nothing', async () => {
    await ended('build', 'shipped');
    await ended('other', 'cancelled');
    world.wait(90 * DAY_MS);
    const before = world.footprint();
    const preview = await prune({ dry_run: true });
    expect(world.footprint()).toEqual(before);
    expect(preview.tasks).toHaveLength(2);
    expect(await prune()).toEqual(preview);
  });

  test('a task that is younger, at work or failed keeps everything', async () => {
    await ended('build', 'failed');
    await ended('other', 'shipped');
    world.wait(90 * DAY_MS - 1);
    const before = world.footprint();
    expect(await prune()).toMatchObject({ tasks: [] });
    await retry.run(world.context, { task: 'build' });
    await world.start('build');
    expect(await prune({ older_than: '91d', failed_older_than: '0' })).toMatchObject({ tasks: [] });
    expect(world.footprint().length).toBeGreaterThan(before.length);
  });

  test('a task at work loses old ticks of its repeats and nothing else, and its worker goes on', async () => {
    const { attempt } = await world.start('build');
    const session = await world.session();
    const ref = { taskId: 'build', attemptId: attempt };
    await openJournal(session, ref);
    const tick = (n: number) => ({
      name: 'ping',
      at: new Date(n).toISOString(),
      status: 'completed' as const,
      count: 1,
      tries: 1,
      ended_at: new Date(n).toISOString(),
      last_error: null,
      attempt_id: attempt,
      generation: 1,
    });
    const add = (from: number, to: number) =>
      addToJournal(session, ref, () => Array.from({ length: to - from }, (_, n) => ({ tick: tick(from + n) })));
    await add(0, 100);
    world.wait(DAY_MS);
    await add(100, 110);
    const before = await world.record('build');
    const files = () => filesOf('build', attempt).filter((name) => name.startsWith('steps/'));
    expect(files()).toHaveLength(1);
    expect(await prune({ older_than: '2d' })).toMatchObject({ tasks: [] });
    const preview = await prune({ older_than: '1h', dry_run: true });
    expect(preview.tasks).toMatchObject([{ task_id: 'build', state: 'dispatched', ended_at: null, files: 1 }]);
    expect(await prune({ older_than: '1h' })).toEqual(preview);
    expect(files()).toEqual([]);
    const after = await world.record('build');
    expect({ state: after.state, lease: after.lease }).toEqual({ state: before.state, lease: before.lease });
    await add(110, 120);
    const left = await readTicks(session, await world.record('build'));
    expect(left.map(({ at }) => Date.parse(at))).toEqual(Array.from({ length: 20 }, (_, n) => 100 + n));
    expect(await prune({ older_than: '1h' })).toMatchObject({ tasks: [] });
  });

  test('a long history of claims keeps its last lines, and says why logs are missing', async () => {
    await ended('build', 'shipped');
    const { eventLog } = await world.session();
    const stream = { log: 'claim-history', taskId: 'build' } as const;
    await eventLog.append(stream, { event: 'pruned', ts: '2029-01-01T00:00:00.000Z' });
    for (let n = 0; n < 200; n++) await eventLog.append(stream, { event: 'acquired', generation: n });
    const { bytes } = await prune({ older_than: '0', dry_run: true });
    expect((await prune({ older_than: '0' })).bytes).toBe(bytes);
    const lines = await eventLog.read(stream);
    expect(lines).toHaveLength(51);
    expect(lines[0]).toMatchObject({ event: 'pruned', ts: '2029-01-01T00:00:00.000Z' });
    expect(lines.at(-2)).toEqual({ event: 'acquired', generation: 199 });
    expect(lines.at(-1)).toMatchObject({ event: 'pruned' });
    expect(await prune({ older_than: '0' })).toMatchObject({ tasks: [] });
  });

  test('retention in the settings says how old is old, unless a flag does', async () => {
    world.write('.forge/settings.yaml', 'retention: {older_than: 30d, failed_older_than: 40d}\n');
    await ended('build', 'failed');
    await ended('other', 'shipped');
    const due = async (options: GcInput = {}) =>
      (await prune({ dry_run: true, ...options })).tasks.map(({ task_id }) => task_id);
    world.wait(30 * DAY_MS);
    expect(await due()).toEqual(['other']);
    expect(await due({ older_than: '31d' })).toEqual([]);
    expect(await due({ failed_older_than: '30d' })).toEqual(['build', 'other']);
    world.wait(10 * DAY_MS);
    expect(await due()).toEqual(['build', 'other']);
  });

  test('--older-than and --failed-older-than say how old is old', async () => {
    await ended('build', 'failed');
    await ended('other', 'shipped');
    world.wait(3 * DAY_MS);
    expect((await prune({ failed_older_than: '3d' })).tasks.map(({ task_id }) => task_id)).toEqual(['build']);
    expect((await prune({ older_than: '72h' })).tasks.map(({ task_id }) => task_id)).toEqual(['other']);
  });

  test('--task prunes only this task, and no runs', async () => {
    const { run_id } = await runStart.run(world.context, {});
    await runEnd.run(world.context, { run: run_id });
    await ended('build', 'shipped');
    await ended('other', 'shipped');
    world.wait(90 * DAY_MS);
    const { tasks, runs } = await prune({ task: ['other'] });
    expect({ tasks: tasks.map(({ task_id }) => task_id), runs }).toEqual({ tasks: ['other'], runs: [] });
    expect(await code(() => prune({ task: ['othr'] }))).toBe('TASK_NOT_FOUND');
    expect((await prune()).runs).toEqual([run_id]);
  });

  test('an old run goes that no record names, and others stay', async () => {
    const [old, open] = [await runStart.run(world.context, {}), await runStart.run(world.context, {})];
    await runEnd.run(world.context, { run: old.run_id });
    await ended('build', 'shipped');
    world.wait(90 * DAY_MS);
    expect(await prune()).toMatchObject({ runs: [old.run_id] });
    const { runs } = await runList.run(world.context, {});
    const left = runs.map(({ run_id }) => run_id);
    expect(left).toContain(open.run_id);
    expect(left).not.toContain(old.run_id);
    expect(world.has('.forge/orchestrator/runs', old.run_id)).toBe(false);
  });

  test('a symlink among the files of a worker goes, and what it points to stays', async () => {
    const attempt = await ended('build', 'shipped');
    const outside = world.write('outside/file', 'kept');
    const folder = world.path(dirOf('build'), 'attempts', attempt);
    fs.rmSync(`${folder}/logs`, { recursive: true });
    fs.symlinkSync(world.path('outside'), `${folder}/logs`);
    fs.symlinkSync(world.path('outside'), `${folder}/draft-result.json`);
    world.wait(90 * DAY_MS);
    await prune();
    expect(filesOf('build', attempt)).toEqual(KEPT);
    expect(fs.readFileSync(outside, 'utf8')).toBe('kept');
  });

  test('a symlink in place of the attempts is never followed, and does not keep other tasks from being pruned', async () => {
    await ended('build', 'shipped');
    await ended('other', 'shipped');
    world.wait(90 * DAY_MS);
    const attempts = world.path(dirOf('build'), 'attempts');
    fs.renameSync(attempts, world.path('elsewhere'));
    fs.symlinkSync(world.path('elsewhere'), attempts);
    const failed = [{ task_id: 'build', code: 'IO_ERROR', message: expect.stringContaining('is a symlink') }];
    expect(await prune({ dry_run: true })).toMatchObject({ tasks: [{ task_id: 'other' }], failed });
    expect(await prune({ task: ['other'] })).toMatchObject({ tasks: [{ task_id: 'other' }], failed: [] });
    expect(await prune()).toMatchObject({ tasks: [], failed });
  });
});

describe('what has changed since', () => {
  async function planned() {
    const session = await world.session();
    const { tasks, runs } = await session.store.snapshot();
    const none = new Set<string>();
    const seen = { nowMs: session.now(), tasks, runs, branches: none, worktrees: none, claimants: none };
    return planPrune(session, seen, { olderThanMs: 0, failedOlderThanMs: 0 });
  }

  test.each<[what: string, change: () => unknown]>([
    ['was retried', () => retry.run(world.context, { task: 'build' })],
    ['was edited by hand', () => edit(world, 'state.json', { note: 'by hand' })],
  ])('a task that %s keeps everything', async (_what, change) => {
    const attempt = await ended('build', 'failed');
    const plan = await planned();
    expect(plan.due).toHaveLength(1);
    await change();
    const before = filesOf('build', attempt);
    const result = await applyPrune(await world.session(), plan);
    expect(result).toMatchObject({
      tasks: [],
      failed: [],
      skipped: [{ task_id: 'build', why: 'it has changed since it was looked at' }],
    });
    expect(filesOf('build', attempt)).toEqual(before);
  });

  test('a task whose worker still runs keeps everything', async () => {
    const attempt = await ended('build', 'shipped');
    const { store, newOp } = await world.session();
    const { version, record } = await store.read('build', { thorough: true });
    if (record === null) throw new Error('no record');
    const owner = { host: 'mill', boot_id: 'boot-a', pid_ns: 'pid:[1]', pid: 1, started_at: 'ticks:1' };
    const worker = { ...owner, pgid: 1, claim_id: 'c', attempt_id: attempt };
    await store.commit('build', { expected: version, op: newOp(), record: { ...record, worker } });
    world.liveness = 'alive';
    world.wait(90 * DAY_MS);
    expect(await prune()).toMatchObject({ tasks: [], skipped: [{ task_id: 'build', why: 'its worker still runs' }] });
    world.liveness = 'dead';
    expect(await prune()).toMatchObject({ tasks: [{ task_id: 'build' }], skipped: [] });
  });
});

describe('afterwards', () => {
  test('show and logs say of a pruned attempt that its logs were removed, and of a later one nothing', async () => {
    const first = await ended('build', 'failed');
    world.wait(DAY_MS);
    await prune({ failed_older_than: '1d' });
    const pruned_at = world.at(DAY_MS);
    expect((await show.run(world.context, { task: 'build' })).attempts).toMatchObject([{ pruned_at }]);
    expect(await logs.run(world.context, { task: 'build' })).toMatchObject({ pruned_at, stdout: '' });
    world.wait(1);
    await retry.run(world.context, { task: 'build' });
    const second = await ended('build', 'failed');
    const { attempts, history } = await show.run(world.context, { task: 'build' });
    expect(attempts).toMatchObject([{ pruned_at }, { pruned_at: null }]);
    expect(history).toMatchObject([{}, {}, { event: 'pruned', attempts: 1, files: 9, ts: pruned_at }, {}, {}]);
    expect(await logs.run(world.context, { task: 'build', attempt: first })).toMatchObject({ pruned_at });
    expect(await logs.run(world.context, { task: 'build', attempt: second })).toMatchObject({
      pruned_at: null,
      stdout: 'stdout.log of build\n',
    });
  });

  test('gc finds nothing in a pruned tree, and the log says what was pruned', async () => {
    await ended('build', 'shipped');
    await prune({ older_than: '0' });
    expect(await gc.run(world.context, { dry_run: true })).toMatchObject({ planned: [], reported: [], pruned: null });
    expect(fs.readFileSync(world.path('.forge/logs/orchestrate.jsonl'), 'utf8')).toMatch(
      /"type":"pruned","task_id":"build","attempts":1,"files":9,/,
    );
  });

  test('isDivergent says whether there is something to prune, or left over', async () => {
    await ended('build', 'shipped');
    const options = { prune: true, older_than: '0' };
    const dry = { ...options, dry_run: true };
    expect(isDivergent(await gc.run(world.context, dry), dry)).toBe(true);
    expect(isDivergent(await gc.run(world.context, options), options)).toBe(false);
    expect(isDivergent(await gc.run(world.context, dry), dry)).toBe(false);
  });
});

describe('what gc --prune refuses', () => {
  test.each<[what: string, options: GcInput, message: RegExp]>([
    ['--row', { prune: true, row: [2] }, /^--prune does not go with --row$/],
    ['--shipped', { prune: true, shipped: true }, /^--prune does not go with --shipped$/],
    ['--remove-orphan-worktrees', { prune: true, remove_orphan_worktrees: true }, /--remove-orphan-worktrees$/],
    ['--out', { prune: true, out: 'p.json' }, /--out$/],
    ['--plan', { prune: true, plan: 'p.json' }, /--plan$/],
    ['an age that is none', { prune: true, older_than: 'soon' }, /^--older-than soon: it is not a duration$/],
    ['an age of failed tasks that is none', { prune: true, failed_older_than: '-1d' }, /^--failed-older-than -1d: /],
    ['--failed-older-than without --prune', { failed_older_than: '1d' }, /^--failed-older-than is about/],
    ['--older-than alone', { older_than: '1d' }, /^--older-than is about what --shipped or --prune removes$/],
  ])('gc refuses %s before it changes anything', async (_what, options, message) => {
    await ended('build', 'shipped');
    world.wait(100 * DAY_MS);
    const before = world.footprint();
    const error = await refused(() => gc.run(world.context, options));
    expect(error).toMatchObject({ code: 'INVALID_ARGS', message: expect.stringMatching(message) });
    expect(error.hint).not.toBe('');
    expect(world.footprint()).toEqual(before);
  });

  test('gc --prune finds nothing where there is no state tree, and makes none', async () => {
    expect(await prune()).toMatchObject({ tasks: [], runs: [] });
    expect(world.has('.forge')).toBe(false);
  });
});
