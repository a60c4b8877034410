import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { FileStore } from '../../../src/store/file/file-store.ts';
import { RETENTION } from '../../../src/store/file/protocol.ts';
import { StateTree } from '../../../src/store/file/tree.ts';
import type { ChangeCursor } from '../../../src/store/port.ts';
import { refused } from '../../support/refused.ts';
import { emptyFolder, held, id, record, refusal, runManifest, T0, Tree } from '../../support/store/tree.ts';

let tree: Tree;
beforeEach(() => {
  tree = new Tree();
});
afterEach(() => {
  vi.useRealTimers();
});

/** The record without the stamp that a commit puts on it. */
function unstamped({ state, lease, ...rest }: TaskRecord) {
  return { ...rest, state: { ...state, state_version: 0 }, lease: lease && { ...lease, state_version: 0 } };
}

describe('task without state', () => {
  test('reading a task without state creates nothing', async () => {
    expect(await tree.store.read('build')).toEqual({
      task_id: 'build',
      version: 0,
      origin: 'none',
      record: null,
      problem: null,
      warnings: [],
      names: [],
      whole: null,
    });
    expect(await tree.store.list()).toEqual([]);
    expect(await tree.store.snapshot()).toMatchObject({ tasks: [], runs: [] });
    expect((await tree.store.changesSince(null)).changed).toEqual([]);
    expect(tree.names(tree.layout.project)).toEqual([]);
  });

  test('a task with an empty folder has no state', async () => {
    fs.mkdirSync(tree.at('build'), { recursive: true });
    expect(await tree.store.read('build')).toMatchObject({ origin: 'none', version: 0, record: null });
    expect(await tree.store.list()).toEqual(['build']);
  });
});

describe('commit', () => {
  test('a commit is read back whole, with unknown fields', async () => {
    const written: TaskRecord = {
      ...held('build', 7),
      'x-note': { deep: [1, { two: 'three' }] },
    };
    Object.assign(written.state, { last_error: { class: 'exit.1', message: 'no', odd: true }, 'x-state': 1 });
    Object.assign(written.lease ?? {}, { 'x-lease': 'kept' });
    const result = await tree.commit('build', written);
    expect(result).toMatchObject({ kind: 'committed', version: 1, warnings: [] });
    const read = await tree.store.read('build', { thorough: true });
    expect(read).toMatchObject({ origin: 'record', version: 1, problem: null, warnings: [] });
    expect(unstamped(read.record as TaskRecord)).toEqual(unstamped(written));
    if (result.kind === 'committed') expect(read.record).toEqual(result.record);
  });

  test('a commit writes two views that people and other tools can read', async () => {
    await tree.commit('build', held('build', 3));
    expect(tree.json(tree.at('build', 'state.json'))).toMatchObject({
      version: 1,
      task_id: 'build',
      state: 'running',
      state_version: 1,
      attempt_count: 1,
      current_attempt_id: id(11),
      failure_count: 0,
      updated_at: isoTime(T0),
    });
    expect(tree.json(tree.at('build', 'lease.json'))).toMatchObject({
      version: 1,
      claim_id: id(1),
      task_id: 'build',
      attempt_id: id(11),
      owner_run_id: id(100),
      generation: 3,
      state_version: 1,
    });
    expect(tree.read(tree.at('build', 'state.json'))).toMatch(/^\{\n {2}"version": 1,\n/);
  });

  test('a commit that ends the lease removes its view', async () => {
    await tree.commit('build', held('build'));
    await tree.change('build', (before) => ({ ...before, lease: null }));
    expect(tree.names(tree.at('build'))).toEqual(['state.json', 'v000000001.json', 'v000000002.json']);
  });

  test('a commit increments version and state_version', async () => {
    for (let n = 1; n <= 3; n++) {
      const after = await tree.change('build');
      expect(after.state.state_version).toBe(n);
      expect(await tree.store.read('build')).toMatchObject({ version: n });
    }
  });

  test('a commit on an older version is a conflict and changes nothing', async () => {
    await tree.commit('build', record('build', 'unclaimed'));
    await tree.commit('build', record('build', 'cancelled'));
    const before = tree.names(tree.at('build'));
    for (const expected of [0, 1, 3]) {
      const change = { expected, op: tree.op(), record: record('build', 'failed') };
      expect(await tree.store.commit('build', change)).toEqual({ kind: 'conflict' });
    }
    expect(tree.names(tree.at('build'))).toEqual(before);
    expect((await tree.store.read('build')).record?.state.state).toBe('cancelled');
  });

  test('a commit leaves no unfinished file', async () => {
    for (let i = 0; i < 3; i++) await tree.change('build');
    expect(tree.names(tree.at('build')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('commits keep a bounded number of versions and continue from the newest', async () => {
    for (let i = 0; i < RETENTION.compactAt * 2; i++) await tree.change('build');
    const versions = tree.names(tree.at('build')).filter((name) => /^v\d+\.json$/.test(name));
    expect(versions.length).toBeLessThanOrEqual(RETENTION.compactAt);
    expect(versions.length).toBeGreaterThanOrEqual(RETENTION.kept);
    expect(await tree.store.read('build')).toMatchObject({ version: RETENTION.compactAt * 2, problem: null });
    expect((await tree.change('build')).state.state_version).toBe(RETENTION.compactAt * 2 + 1);
  });

  test('a commit for a task id that could leave its folder is refused', async () => {
    for (const bad of ['', '..', 'a/b', '../../x', '.git'])
      expect(await refusal(() => tree.commit(bad, record('build')))).toBe('INVALID_ID');
    expect(tree.names(tree.layout.project)).toEqual([]);
  });

  test('a commit of a record that is too large is refused and changes nothing', async () => {
    await tree.commit('build', record('build', 'unclaimed'));
    const large = (size: number) => tree.change('build', (before) => ({ ...before, 'x-large': 'x'.repeat(size) }));
    expect(await refusal(() => large(70_000))).toBe('SCHEMA_INVALID');
    expect(await tree.store.read('build')).toMatchObject({ version: 1, problem: null });
    expect(await refusal(() => large(50_000))).toBe('done');
    expect((await tree.store.read('build', { thorough: true })).warnings).toEqual([]);
  });

  test('a commit whose view would be too large is refused', async () => {
    // Small as a version, but every element takes a line of its own in a view.
    const list = Array.from({ length: 15_000 }, () => 1);
    const change = () => tree.change('build', (before) => ({ ...before, state: { ...before.state, 'x-list': list } }));
    expect(await refusal(change)).toBe('SCHEMA_INVALID');
    expect(await tree.store.read('build')).toMatchObject({ origin: 'none' });
  });
});

describe('damaged version', () => {
  const damage: [what: string, spoil: (text: string) => string][] = [
    ['is cut short', (text) => text.slice(0, -20)],
    ['is empty', () => ''],
    ['was edited', (text) => text.replace('cancelled', 'unclaimed')],
    ['has a flipped bit', (text) => text.replace('2030', '2031')],
    ['is not JSON under a seal that holds', () => ',"sum":"00000000"}\n'],
  ];
  test.each(damage)(
    'a version that %s is void, the one before it counts, and a warning says so',
    async (_what, spoil) => {
      await tree.commit('build', record('build', 'unclaimed'));
      await tree.commit('build', record('build', 'cancelled'));
      const file = tree.at('build', 'v000000002.json');
      fs.writeFileSync(file, spoil(tree.read(file)));
      const read = await tree.store.read('build', { thorough: true });
      expect(read).toMatchObject({ version: 2, problem: null, record: { state: { state: 'unclaimed' } } });
      expect(read.warnings).toContain('v000000002.json is damaged; the version before it stands');
      await tree.change('build', (before) => ({ ...before, state: { ...before.state, state: 'failed' } }));
      expect(await tree.store.read('build')).toMatchObject({
        version: 3,
        warnings: [],
        record: { state: { state: 'failed' } },
      });
      expect(tree.json(tree.at('build', 'state.json'))['state']).toBe('failed');
    },
  );

  test('a generation that only a damaged version names is not given out again', async () => {
    await tree.commit('build', record('build', 'unclaimed'));
    const { memo } = (await tree.store.read('build')).record ?? record('build', 'unclaimed');
    const claimed = { ...memo, generation: memo.generation + 1 };
    await tree.change('build', (before) => ({ ...before, memo: claimed }));
    fs.writeFileSync(tree.at('build', 'v000000002.json'), 'x');
    expect((await tree.store.read('build')).record?.memo.generation).toBe(claimed.generation);
  });

  test('a task with only damaged versions is unreadable, not untouched', async () => {
    await tree.commit('build', record('build', 'unclaimed'));
    fs.writeFileSync(tree.at('build', 'v000000001.json'), 'x');
    expect(await tree.store.read('build')).toMatchObject({
      origin: 'record',
      record: null,
      problem: 'none of v000000001.json is whole',
    });
  });

  test('a version of an unknown format is reported and left alone', async () => {
    await tree.commit('build', record('build', 'unclaimed'));
    const { crc32 } = await import('../../../src/lib/checksum.ts');
    const open = '{"format":3,"n":2,"op":"x","content":"of another age"';
    const text = `${open},"sum":"${crc32(open)}"}\n`;
    fs.writeFileSync(tree.at('build', 'v000000002.json'), text);
    const read = await tree.store.read('build');
    expect(read).toMatchObject({ record: null, problem: 'version 2: format 3 was written by a newer forge' });
    expect(await refusal(() => tree.change('build'))).toBe('SCHEMA_INVALID');
    expect(tree.read(tree.at('build', 'v000000002.json'))).toBe(text);
  });

  test('a damaged task does not hide other tasks', async () => {
    await tree.commit('bad', record('bad'));
    await tree.commit('good', record('good'));
    fs.writeFileSync(tree.at('bad', 'v000000001.json'), 'x');
    const { tasks } = await tree.store.snapshot();
    expect(tasks.map((read) => [read.task_id, read.problem === null])).toEqual([
      ['bad', false],
      ['good', true],
    ]);
  });
});

describe('tree', () => {
  test('the tree is private, whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      await tree.commit('build', held('build'));
      await tree.create('manifest', { version: 1 });
      await tree.eventLog.append({ log: 'claim-history', taskId: 'build' }, { event: 'acquired' });
      await tree.store.createRun(runManifest(id(100)), tree.op());
      await tree.eventLog.append({ log: 'notifications', runId: id(100) }, { type: 'note' });
    } finally {
      process.umask(umask);
    }
    const modes = new Map<string, string>();
    const walk = (dir: string): void => {
      for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
        const place = path.join(dir, entry.name);
        modes.set(path.relative(tree.layout.project, place), (fs.statSync(place).mode & 0o777).toString(8));
        if (entry.isDirectory()) walk(place);
      }
    };
    walk(tree.layout.project);
    expect(modes.size).toBeGreaterThan(12);
    for (const [place, mode] of modes) {
      expect(`${place} ${mode}`).toBe(
        `${place} ${fs.statSync(path.join(tree.layout.project, place)).isDirectory() ? '700' : '600'}`,
      );
    }
  });

  test("the tree's .gitignore ignores all but what a person writes", async () => {
    await tree.commit('build', record('build'));
    const ignored = tree.read(path.join(tree.layout.forge, '.gitignore')).split('\n');
    expect(ignored).toEqual(expect.arrayContaining(['orchestrator/', 'logs/', 'worktrees/']));
    expect(ignored).not.toEqual(expect.arrayContaining(['settings.yaml']));
  });

  test('an existing .gitignore is not changed', async () => {
    tree.write(path.join(tree.layout.forge, '.gitignore'), 'mine\n');
    await tree.commit('build', record('build'));
    expect(tree.read(path.join(tree.layout.forge, '.gitignore'))).toBe('mine\n');
  });

  test('the tree lists its tasks by id, also one in the place of whose folder a file is, and nothing else', async () => {
    for (const task of ['b', 'a', 'Z', 'a-1']) await tree.commit(task, record(task));
    tree.write(path.join(tree.layout.tasks, 'lost'), 'a file');
    tree.write(path.join(tree.layout.tasks, '.DS_Store'), 'a file');
    fs.mkdirSync(path.join(tree.layout.tasks, '.hidden'));
    fs.mkdirSync(path.join(tree.layout.tasks, 'not a task'));
    const listed = ['Z', 'a', 'a-1', 'b', 'lost'];
    expect(await tree.store.list()).toEqual(listed);
    const { tasks } = await tree.store.snapshot();
    expect(tasks.map((read) => read.task_id)).toEqual(listed);
    expect(tasks.at(-1)).toMatchObject({ record: null, problem: `${tree.at('lost')} is not a folder` });
  });
});

describe('changes since', () => {
  const changedSince = async (cursor: ChangeCursor) => (await tree.store.changesSince(cursor)).changed;

  test('a task is among the changes after a commit', async () => {
    await tree.commit('build', record('build'));
    const { cursor } = await tree.store.changesSince(null);
    await tree.change('build');
    expect(await changedSince(cursor)).toEqual(['build']);
  });

  test('a task is not among the changes without one, once the last change is old enough', async () => {
    await tree.commit('build', record('build'));
    const old = new Date(Date.now() - 60_000);
    fs.utimesSync(tree.at('build'), old, old);
    const { cursor } = await tree.store.changesSince(null);
    expect(await changedSince(cursor)).toEqual([]);
  });

  test('a task that had no folder is among the changes once it has one, and not before', async () => {
    await tree.commit('build', record('build'));
    const old = new Date(Date.now() - 60_000);
    for (const folder of [tree.at('build'), path.dirname(tree.at('build'))]) fs.utimesSync(folder, old, old);
    const look = (cursor: ChangeCursor | null) => tree.store.changesSince(cursor, ['build', 'test']);
    const first = await look(null);
    expect(first.changed).toEqual(['build']);
    const second = await look(first.cursor);
    expect(second.changed).toEqual([]);
    await tree.commit('test', record('test'));
    expect((await look(second.cursor)).changed).toEqual(['test']);
  });

  test('a task is among the changes after a look that failed before it came to it', async () => {
    await tree.commit('build', record('build'));
    const old = new Date(Date.now() - 60_000);
    for (const folder of [tree.at('build'), path.dirname(tree.at('build'))]) fs.utimesSync(folder, old, old);
    const { cursor } = await tree.store.changesSince(null, ['build', 'test']);
    await tree.commit('test', record('test'));
    fs.utimesSync(path.dirname(tree.at('test')), new Date(Date.now() - 30_000), new Date(Date.now() - 30_000));
    await expect(tree.store.changesSince(cursor, ['build', 'no task', 'test'])).rejects.toThrow();
    expect((await tree.store.changesSince(cursor, ['build', 'test'])).changed).toEqual(['test']);
  });

  test('a cursor can be used again after a look that its caller could make nothing of', async () => {
    await tree.commit('build', record('build'));
    await tree.commit('test', record('test'));
    const { cursor } = await tree.store.changesSince(null);
    await tree.change('build');
    fs.rmSync(tree.at('test'), { recursive: true });
    const first = await tree.store.changesSince(cursor);
    expect(first.changed).toEqual(['build', 'test']);
    expect(await changedSince(cursor)).toEqual(['build', 'test']);
    expect(await changedSince(first.cursor)).toEqual([]);
  });

  test.each([
    ['of whole seconds', 1_800_000_000_000, 1900],
    ['of milliseconds', 1_800_000_000_010, 90],
  ])('a commit is among the changes that a clock %s may not tell from the one before', async (_clock, at, laterMs) => {
    await tree.commit('build', record('build'));
    const commit = async () => {
      await tree.change('build', (before) => before);
      fs.utimesSync(tree.at('build'), new Date(at), new Date(at));
    };
    await commit();
    vi.useFakeTimers({ toFake: ['Date'], now: at + laterMs });
    const { cursor } = await tree.store.changesSince(null);
    expect(await changedSince(cursor)).toEqual([]);
    await commit();
    expect(await changedSince(cursor)).toEqual(['build']);
  });

  test('a task that was read with a cursor is not among the changes since, and what is committed afterwards is', async () => {
    await tree.commit('build', record('build'));
    const { cursor } = await tree.store.changesSince(null);
    await tree.change('build');
    await tree.store.read('build', { cursor });
    expect(await changedSince(cursor)).toEqual([]);
    await tree.change('build', (before) => before);
    expect(await changedSince(cursor)).toEqual(['build']);
  });

  test('a task that is no longer asked for is among the changes, once', async () => {
    await tree.commit('build', record('build'));
    await tree.commit('test', record('test'));
    const { cursor } = await tree.store.changesSince(null, ['build', 'test']);
    const later = await tree.store.changesSince(cursor, ['build']);
    expect(later.changed).toEqual(['test']);
    expect((await tree.store.changesSince(later.cursor, ['build'])).changed).toEqual([]);
  });

  test("a task is among the changes once more when the file system's clock tells each from the last one", async () => {
    await tree.commit('build', record('build'));
    const { cursor } = await tree.store.changesSince(null);
    expect(await changedSince(cursor)).toEqual([]);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 10_000 });
    const later = await tree.store.changesSince(cursor);
    expect(later.changed).toEqual(['build']);
    expect(await changedSince(later.cursor)).toEqual([]);
  });
});

describe('settle', () => {
  test('settle writes views again that a killed writer left outdated', async () => {
    await tree.commit('build', held('build'));
    const stale = tree.read(tree.at('build', 'state.json'));
    await tree.change('build', (before) => ({ ...before, lease: null, state: { ...before.state, state: 'failed' } }));
    fs.writeFileSync(tree.at('build', 'state.json'), stale);
    await tree.store.settle('build', tree.op());
    expect(tree.json(tree.at('build', 'state.json'))).toMatchObject({ state: 'failed', state_version: 2 });
    expect(await tree.store.read('build')).toMatchObject({ version: 2 });
  });
});

function layoutUnder(project: string) {
  const forge = `${project}/.forge`;
  const orchestrator = `${forge}/orchestrator`;
  return {
    project,
    forge,
    orchestrator,
    tasks: `${orchestrator}/tasks`,
    runs: `${orchestrator}/runs`,
    task: (task: string) => `${orchestrator}/tasks/${task}`,
  };
}

describe('file system errors', () => {
  test('a file system error is IO_ERROR with the operation and a hint', async () => {
    const folder = emptyFolder();
    fs.writeFileSync(path.join(folder, '.forge'), 'a file');
    const store = new FileStore(new StateTree({ ...tree.layout, ...layoutUnder(folder) }));
    const { code, message, hint, details } = await refused(() =>
      store.commit('build', { expected: 0, op: 'x', record: record('build') }),
    );
    expect(code).toBe('IO_ERROR');
    expect(message).toContain(`${folder}/.forge`);
    expect(details['errno']).toBe('ENOTDIR');
    expect(hint).toContain('should be a folder is a file');
  });
});
