/** A symlink in the tree never decides where forge reads or writes. */

import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { RunManifest } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { treeChecks } from '../../../src/store/file/checks.ts';
import { journalIn } from '../../../src/store/journal.ts';
import { emptyFolder, held, id, refusal, T0, Tree } from '../../support/store/tree.ts';

const RUN: RunManifest = { version: 1, run_id: id(100), started_at: isoTime(T0), name: null, host: 'mill' };

let tree: Tree;
let outside: string;
beforeEach(async () => {
  tree = new Tree();
  outside = emptyFolder();
  await tree.commit('build', held('build'));
  await tree.create('manifest', { version: 1 });
  await tree.store.createRun(RUN, tree.op());
});

/** Moves `place` out of the tree and leaves a symlink to it. */
function moveOut(place: string): string {
  const target = path.join(outside, path.basename(place));
  fs.renameSync(place, target);
  fs.symlinkSync(target, place);
  return target;
}

/** Every path below `dir` with its content. */
function contents(dir: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of fs.readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const place = path.join(entry.parentPath, entry.name);
    found[place] = entry.isFile() ? fs.readFileSync(place, 'utf8') : '';
  }
  return found;
}

type Request = (store: Tree) => unknown;

const ON_TASKS: [what: string, request: Request][] = [
  ['reading a task', ({ store }) => store.read('build')],
  ['changing a task', ({ store }) => store.commit('build', { expected: 1, op: 'x', record: held('build') })],
  ['changing a new task', ({ store }) => store.commit('other', { expected: 0, op: 'x', record: held('other') })],
  ['settling a task', ({ store }) => store.settle('build', 'x')],
  ['a file of an attempt', (on) => on.create('manifest', {}, 12)],
  ['the manifest of an attempt', ({ store }) => store.readDocument('manifest', 'build', id(11))],
  ['a verdict', ({ store }) => store.readDocument('verdict', 'build', id(11))],
  ['a log', ({ eventLog }) => eventLog.read({ log: 'claim-history', taskId: 'build' })],
  [
    'a line of a log',
    ({ eventLog }) => eventLog.append({ log: 'claim-history', taskId: 'build' }, { event: 'acquired' }),
  ],
];

const ON_RUNS: [what: string, request: Request][] = [
  ['opening a run', ({ store }) => store.createRun({ ...RUN, run_id: id(101) }, 'x')],
  ['reading a run', ({ store }) => store.readRun(id(100))],
  ['ending a run', ({ store }) => store.endRun(id(100), isoTime(T0), 'x')],
  ['taking a run back', ({ store }) => store.discardRun(id(100))],
  [
    'a line of a log of a run',
    ({ eventLog }) => eventLog.append({ log: 'notifications', runId: id(100) }, { type: 'done' }),
  ],
];

const ON_ALL: [what: string, request: Request][] = [
  ['listing tasks', ({ store }) => store.list()],
  ['a snapshot', ({ store }) => store.snapshot()],
];

/** Each is refused, and what the links lead to stays as it is. */
async function expectRefused(...requests: (() => unknown)[]): Promise<void> {
  const before = contents(outside);
  for (const request of requests) expect(await refusal(request)).toBe('IO_ERROR');
  expect(contents(outside)).toEqual(before);
}

describe('symlinked orchestrator folder', () => {
  test.each([...ON_TASKS, ...ON_RUNS, ...ON_ALL])(
    '%s is refused when the orchestrator folder is a symlink',
    async (_what, request) => {
      moveOut(tree.layout.orchestrator);
      await expectRefused(() => request(tree));
    },
  );
});

describe('symlinked tasks folder', () => {
  test.each([...ON_TASKS, ...ON_ALL])('%s is refused when the tasks folder is a symlink', async (_what, request) => {
    moveOut(tree.layout.tasks);
    await expectRefused(() => request(tree));
  });
});

describe('symlinked runs folder', () => {
  test.each([...ON_RUNS, ['a list of runs', ({ store }) => store.listRuns()] satisfies [string, Request]])(
    '%s is refused when the runs folder is a symlink',
    async (_what, request) => {
      moveOut(tree.layout.runs);
      await expectRefused(() => request(tree));
    },
  );
});

describe('symlinked task', () => {
  const ELSEWHERE = ['reading a task', 'changing a new task'];
  test.each(ON_TASKS.filter(([what]) => !ELSEWHERE.includes(what)))(
    '%s is refused when the task is a symlink',
    async (_what, request) => {
      moveOut(tree.at('build'));
      await expectRefused(() => request(tree));
    },
  );

  test('nothing is read of a symlinked task, which is listed with what is wrong, and doctor reports it', async () => {
    moveOut(tree.at('build'));
    const before = contents(outside);
    const problem = `${tree.at('build')} is a symlink, which is never followed`;
    const nothing = { task_id: 'build', version: 0, record: null, warnings: [], problem };
    expect(await tree.store.read('build', { thorough: true })).toMatchObject(nothing);
    expect((await tree.store.snapshot()).tasks).toMatchObject([nothing]);
    expect(contents(outside)).toEqual(before);
    const found = treeChecks(tree.layout).map(({ look }) => look());
    expect(found.find(({ name }) => name === 'symlinks')?.message).toBe(
      `${tree.at('build')}: symlinks are never followed`,
    );
  });
});

describe('symlinked run', () => {
  test('a symlinked run is not listed, read or ended', async () => {
    moveOut(tree.layout.run(id(100)));
    const before = contents(outside);
    expect(await refusal(() => tree.store.readRun(id(100)))).toBe('IO_ERROR');
    expect(await refusal(() => tree.store.endRun(id(100), isoTime(T0), 'x'))).toBe('IO_ERROR');
    expect(await refusal(() => tree.store.createRun(RUN, 'x'))).toBe('IO_ERROR');
    expect(await tree.store.listRuns()).toEqual([]);
    expect(contents(outside)).toEqual(before);
  });
});

describe('symlinked attempt', () => {
  const places = test.each([
    ['the attempt', () => tree.at('build', 'attempts', id(11))],
    ['the attempts folder', () => tree.at('build', 'attempts')],
  ]);

  places('a symlink in place of %s is never written through', async (_what, place) => {
    moveOut(place());
    await expectRefused(
      () => tree.create('verdict', {}),
      () => tree.folders.ensureAttempt('build', id(11)),
    );
  });

  places('a symlink in place of %s is never read through', async (_what, place) => {
    moveOut(place());
    const stream = { log: 'events', taskId: 'build', attemptId: id(11) } as const;
    expect(await refusal(() => tree.store.readDocument('manifest', 'build', id(11)))).toBe('IO_ERROR');
    expect(await refusal(() => tree.store.readDocument('verdict', 'build', id(11)))).toBe('IO_ERROR');
    expect(await refusal(() => tree.eventLog.read(stream))).toBe('IO_ERROR');
  });
});

describe('symlinked files', () => {
  test('a symlinked version is void, and its target is not read', async () => {
    await tree.change('build', (before) => ({ ...before, state: { ...before.state, failure_count: 9 } }));
    moveOut(tree.at('build', 'v000000002.json'));
    const read = await tree.store.read('build', { thorough: true });
    expect(read).toMatchObject({ version: 2, record: { state: { failure_count: 0 } } });
    expect(read.warnings[0]).toContain('v000000002.json is damaged');
  });

  test('a symlinked log is neither read nor written', async () => {
    const stream = { log: 'claim-history', taskId: 'build' } as const;
    await tree.eventLog.append(stream, { event: 'acquired' });
    const target = moveOut(tree.at('build', 'claim-history.jsonl'));
    const text = fs.readFileSync(target, 'utf8');
    expect(await refusal(() => tree.eventLog.append(stream, { event: 'released' }))).toBe('IO_ERROR');
    expect(await refusal(() => tree.eventLog.read(stream))).toBe('IO_ERROR');
    expect(fs.readFileSync(target, 'utf8')).toBe(text);
  });

  test.each(['orchestrate.jsonl', 'logs'])(
    'the journal writes nothing through a symlink in place of %s',
    async (what) => {
      const journal = journalIn(tree.layout, () => T0, 1_000_000);
      await journal([{ type: 'warning', task_id: 'build', message: 'one' }]);
      const logs = path.dirname(tree.layout.log);
      moveOut(what === 'logs' ? logs : tree.layout.log);
      const before = contents(outside);
      await journal([{ type: 'warning', task_id: 'build', message: 'two' }]);
      expect(contents(outside)).toEqual(before);
    },
  );
});

describe('symlinked .forge', () => {
  test.each([...ON_TASKS, ...ON_RUNS, ...ON_ALL])('%s is refused when .forge is a symlink', async (_what, request) => {
    moveOut(tree.layout.forge);
    await expectRefused(() => request(tree));
  });
});

test('doctor reports a .forge that is a symlink', () => {
  moveOut(tree.layout.forge);
  const found = treeChecks(tree.layout).map(({ look }) => look());
  expect(found.find(({ name }) => name === 'symlinks')).toMatchObject({
    status: 'fail',
    message: `${tree.layout.forge}: symlinks are never followed`,
  });
});

describe('symlinked folders of an attempt and of the tree', () => {
  const attempt = { taskId: 'build', attemptId: id(11) };

  test('a symlink in place of the logs is not read through, and makes way for a log', () => {
    tree.artifacts.openLog(attempt, 'stdout.log').close();
    const logs = moveOut(tree.at('build', 'attempts', id(11), 'logs'));
    fs.writeFileSync(path.join(logs, 'stdout.log'), 'precious');
    expect(tree.artifacts.readLog(attempt, 'stdout.log', 0).text).toBe('');
    tree.artifacts.openLog(attempt, 'stdout.log').close();
    expect(fs.readFileSync(path.join(logs, 'stdout.log'), 'utf8')).toBe('precious');
  });

  test('a symlink in place of the index is neither read nor written through', async () => {
    const index = path.dirname(tree.layout.questionIndex);
    fs.mkdirSync(index, { recursive: true });
    fs.writeFileSync(tree.layout.questionIndex, 'precious');
    const target = moveOut(index);
    expect(await tree.store.findQuestion(id(12), tree.op())).toBeNull();
    expect(fs.readFileSync(path.join(target, 'questions.json'), 'utf8')).toBe('precious');
  });

  test('a symlink in place of what names the holder of the lock of gc is replaced, and its target kept', async () => {
    const target = path.join(outside, 'precious');
    fs.writeFileSync(target, 'precious');
    fs.symlinkSync(target, path.join(tree.layout.orchestrator, '.gc.lock.holder'));
    await tree.store.gc.takeTurn(
      'me',
      () => {},
      async () => {},
    );
    expect(fs.readFileSync(target, 'utf8')).toBe('precious');
  });
});
