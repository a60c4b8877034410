import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { yielding } from '../../../src/lib/fs/drivers.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { FileStore } from '../../../src/store/file/file-store.ts';
import { attemptManifest, held, id, refusal, runManifest, T0, Tree } from '../../support/store/tree.ts';

let tree: Tree;
beforeEach(() => {
  tree = new Tree();
});

describe('the manifest of an attempt', () => {
  const file = (n: number) => tree.at('build', 'attempts', id(n), 'manifest.json');
  const begin = async (n: number) => {
    const { version, record: before } = await tree.store.read('build');
    const documents = [{ kind: 'manifest', attemptId: id(n), value: attemptManifest(n) } as const];
    const next = { ...held('build'), memo: before?.memo ?? held('build').memo };
    return tree.store.commit('build', { expected: version, op: tree.op(), record: next, documents });
  };

  test.each<[what: string, spoil: (file: string) => void]>([
    ['is gone', (file) => fs.rmSync(file)],
    ['was cut to nothing by a power cut', (file) => fs.truncateSync(file)],
    ['was changed by its worker', (file) => tree.write(file, { ...attemptManifest(11), worktree_path: '/elsewhere' })],
  ])('counts as its commit made it where its file %s', async (_what, spoil) => {
    await begin(11);
    expect(tree.json(file(11))).toEqual(attemptManifest(11));
    spoil(file(11));
    expect(await tree.store.readDocument('manifest', 'build', id(11))).toEqual(attemptManifest(11));
    expect(await tree.store.listAttempts('build')).toEqual([attemptManifest(11)]);
    // The record has room for one.
    await begin(12);
    expect(tree.json(file(11))).toEqual(attemptManifest(11));
    expect(await tree.store.listAttempts('build')).toEqual([attemptManifest(11), attemptManifest(12)]);
  });

  test('the manifest of an attempt is shown again by the next process that changes the task, unless the attempt was removed as a whole', async () => {
    const change = async () => {
      const store = new FileStore(tree.folders);
      const { version, record } = await store.read('build');
      if (record === null) throw new Error('there is no record');
      await store.commit('build', { expected: version, op: tree.op(), record });
    };
    await begin(11);
    fs.rmSync(file(11));
    await change();
    expect(tree.json(file(11))).toEqual(attemptManifest(11));
    fs.rmSync(tree.at('build', 'attempts'), { recursive: true });
    await change();
    expect(fs.existsSync(tree.at('build', 'attempts'))).toBe(false);
  });
});

describe('attempt files', () => {
  const verdict = { version: 1, verdict: 'blocked', summary: 'first' };

  test('an attempt file is created once', async () => {
    const create = (value: object) => tree.create('verdict', value);
    expect(await create(verdict)).toBe(true);
    expect(await create({ ...verdict, summary: 'second' })).toBe(false);
    expect(await create(verdict)).toBe(true);
    expect(await tree.store.readDocument('verdict', 'build', id(11))).toEqual(verdict);
    expect(tree.names(tree.at('build', 'attempts', id(11)))).toEqual(['verdict.json']);
  });

  test('an attempt file created by many at once is one of theirs, whole', async () => {
    const values = Array.from({ length: 8 }, (_, i) => ({ ...verdict, summary: `by ${i}`.repeat(500) }));
    const stores = values.map(() => new FileStore(tree.folders, yielding));
    const made = await Promise.all(values.map((value, i) => tree.create('verdict', value, 11, `w${i}`, stores[i])));
    expect(made.filter(Boolean)).toHaveLength(1);
    expect(await tree.store.readDocument('verdict', 'build', id(11))).toEqual(values[made.indexOf(true)]);
  });

  test('a missing attempt file is null, an unknown name is refused', async () => {
    expect(await tree.store.readDocument('verdict', 'build', id(11))).toBeNull();
    expect(await tree.store.readDocument('manifest', 'build', id(11))).toBeNull();
    tree.write(tree.at('build', 'attempts', id(11), 'verdict.json'), { version: 1, verdict: 'perhaps' });
    expect(await refusal(() => tree.store.readDocument('verdict', 'build', id(11)))).toBe('SCHEMA_INVALID');
    tree.write(tree.at('build', 'attempts', id(11), 'verdict.json'), '{');
    expect(await refusal(() => tree.store.readDocument('verdict', 'build', id(11)))).toBe('SCHEMA_INVALID');
  });

  test('an attempt file with an invalid attempt id is refused', async () => {
    expect(await refusal(() => tree.store.readDocument('manifest', 'build', '../../../x'))).toBe('INVALID_ID');
    expect(
      await refusal(() =>
        tree.store.createDocuments('build', [{ kind: 'manifest', attemptId: '..', value: {} }], 'op'),
      ),
    ).toBe('INVALID_ID');
  });

  test('attempts are listed oldest first, and a damaged one hides no other', async () => {
    expect(await tree.store.listAttempts('build')).toEqual([]);
    for (const n of [13, 11, 12]) await tree.create('manifest', attemptManifest(n), n);
    tree.write(tree.at('build', 'attempts', id(12), 'manifest.json'), 'rot');
    fs.mkdirSync(tree.at('build', 'attempts', 'not-an-attempt'));
    expect((await tree.store.listAttempts('build')).map(({ attempt_id }) => attempt_id)).toEqual([id(11), id(13)]);
  });
});

describe('runs', () => {
  test('a run is created once, read, ended once, and listed by id', async () => {
    await tree.store.createRun(runManifest(id(102), { name: 'second' }), tree.op());
    await tree.store.createRun(runManifest(id(101)), tree.op());
    expect(await refusal(() => tree.store.createRun(runManifest(id(101)), tree.op()))).toBe('DUPLICATE_ID');
    expect(await tree.store.readRun(id(102))).toEqual(runManifest(id(102), { name: 'second' }));
    expect(await tree.store.readRun(id(103))).toBeNull();
    const ended = { ...runManifest(id(101)), ended_at: isoTime(T0 + 5) };
    expect(await tree.store.endRun(id(101), isoTime(T0 + 5), tree.op())).toEqual(ended);
    expect(await tree.store.endRun(id(101), isoTime(T0 + 9), tree.op())).toEqual(ended);
    expect(await tree.store.endRun(id(103), isoTime(T0), tree.op())).toBeNull();
    expect(await tree.store.listRuns()).toEqual([ended, runManifest(id(102), { name: 'second' })]);
    expect(tree.names(tree.layout.run(id(101)))).toEqual(['manifest.json']);
  });

  test('a run keeps unknown fields when it ends', async () => {
    await tree.store.createRun({ ...runManifest(id(101)), 'x-team': 'mill' }, tree.op());
    expect(await tree.store.endRun(id(101), isoTime(T0), tree.op())).toMatchObject({ 'x-team': 'mill' });
    expect(await tree.store.readRun(id(101))).toMatchObject({ 'x-team': 'mill', ended_at: isoTime(T0) });
  });

  test('an unreadable run is refused by name and left out of the list', async () => {
    await tree.store.createRun(runManifest(id(101)), tree.op());
    tree.write(`${tree.layout.run(id(102))}/manifest.json`, { version: 2 });
    expect(await refusal(() => tree.store.readRun(id(102)))).toBe('SCHEMA_INVALID');
    expect((await tree.store.listRuns()).map((manifest) => manifest.run_id)).toEqual([id(101)]);
  });

  test('a run can be discarded', async () => {
    await tree.store.createRun(runManifest(id(101)), tree.op());
    await tree.store.discardRun(id(101));
    expect(await tree.store.readRun(id(101))).toBeNull();
    expect(await tree.store.listRuns()).toEqual([]);
  });
});

describe('logs', () => {
  test('a log returns its entries, oldest first', async () => {
    const stream = { log: 'claim-history', taskId: 'build' } as const;
    expect(await tree.eventLog.read(stream)).toEqual([]);
    fs.mkdirSync(tree.at('build'), { recursive: true });
    await tree.eventLog.append(stream, { event: 'acquired', generation: 1 });
    await tree.eventLog.append(stream, { event: 'released', generation: 1 });
    expect(await tree.eventLog.read(stream)).toEqual([
      { event: 'acquired', generation: 1 },
      { event: 'released', generation: 1 },
    ]);
  });

  test('logs of attempts and runs are in their folders', async () => {
    await tree.eventLog.append({ log: 'events', taskId: 'build', attemptId: id(11) }, { type: 'note' });
    await tree.store.createRun(runManifest(id(101)), tree.op());
    await tree.eventLog.append({ log: 'notifications', runId: id(101) }, { type: 'done' });
    expect(tree.has(tree.at('build', 'attempts', id(11), 'events.jsonl'))).toBe(true);
    expect(tree.has(`${tree.layout.run(id(101))}/notifications.jsonl`)).toBe(true);
  });

  test('a log that cannot be written or read is an error', async () => {
    const stream = { log: 'events', taskId: 'build', attemptId: id(11) } as const;
    fs.mkdirSync(tree.at('build', 'attempts', id(11), 'events.jsonl'), { recursive: true });
    expect(await refusal(() => tree.eventLog.append(stream, {}))).toBe('IO_ERROR');
    expect(await refusal(() => tree.eventLog.read(stream))).toBe('IO_ERROR');
  });
});
