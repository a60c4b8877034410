/** The promises of every backend of the store. Each test runs on the file backend and on the one in memory. */

import { describe, expect, test } from 'vitest';
import { openStores, type Stores } from '../../src/store/open.ts';
import { memoryStores } from '../support/store/memory.ts';
import { attemptManifest, emptyFolder, held, id, record, refusal, runManifest } from '../support/store/tree.ts';

const BACKENDS: [name: string, open: (folder: string) => Stores][] = [
  ['files', (folder) => openStores({ project: folder })],
  ['memory', memoryStores],
];

const VERDICT = { version: 1, verdict: 'blocked', summary: 'first' };
const MANIFEST = attemptManifest(11);

const manifest = { kind: 'manifest', attemptId: id(11), value: MANIFEST } as const;
const verdict = (summary: string) => ({ kind: 'verdict', attemptId: id(11), value: { ...VERDICT, summary } }) as const;

describe.each(BACKENDS)('a store in %s', (_name, open) => {
  const stores = () => open(emptyFolder());

  test('a commit on the newest version succeeds, and one on an older version is a conflict', async () => {
    const { store } = stores();
    expect(await store.read('build')).toMatchObject({ version: 0, origin: 'none', record: null });
    expect(await store.commit('build', { expected: 0, op: 'a', record: held('build') })).toMatchObject({
      kind: 'committed',
      version: 1,
    });
    expect(await store.commit('build', { expected: 0, op: 'b', record: record('build') })).toEqual({
      kind: 'conflict',
    });
    expect(await store.read('build')).toMatchObject({ version: 1, record: { state: { state: 'running' } } });
    expect(await store.list()).toEqual(['build']);
  });

  test('documents are created by their commit, and not by a commit that lost', async () => {
    const { store } = stores();
    await store.commit('build', { expected: 0, op: 'a', record: record('build') });
    const late = { expected: 0, op: 'b', record: held('build'), documents: [manifest] };
    expect((await store.commit('build', late)).kind).toBe('conflict');
    expect(await store.readDocument('manifest', 'build', id(11))).toBeNull();
    await store.commit('build', { ...late, expected: 1, op: 'c' });
    expect(await store.readDocument('manifest', 'build', id(11))).toEqual(MANIFEST);
    expect((await store.listAttempts('build')).map(({ attempt_id }) => attempt_id)).toEqual([id(11)]);
  });

  test('an existing document with other content stops a commit, and one with the same content does not', async () => {
    const { store } = stores();
    expect(await store.createDocuments('build', [verdict('first')], 'a')).toBeNull();
    const { version } = await store.read('build');
    const change = { expected: version, record: held('build') };
    const other = await store.commit('build', { ...change, op: 'b', documents: [manifest, verdict('second')] });
    expect(other).toEqual({ kind: 'standing', document: verdict('first') });
    expect(await store.read('build')).toMatchObject({ version, record: null });
    expect(await store.readDocument('manifest', 'build', id(11))).toBeNull();
    const { kind, attemptId, value } = verdict('first');
    const reordered = { kind, attemptId, value: Object.fromEntries(Object.entries(value).reverse()) as typeof value };
    const same = await store.commit('build', { ...change, op: 'c', documents: [manifest, reordered] });
    expect(same.kind).toBe('committed');
  });

  test('a task that has fanned out is among the parents, by any id, and its set is read back', async () => {
    const { store } = stores();
    const set = { version: 1 as const, fan_out_id: id(70), name: 'files', children: [] };
    const documents = [{ kind: 'fan-out', attemptId: id(11), value: set } as const];
    expect(await store.parents()).toEqual([]);
    await store.commit('build', { expected: 0, op: 'a', record: record('build') });
    expect(await store.parents()).toEqual([]);
    for (const taskId of ['ship', 'build/files/x:1'])
      await store.commit(taskId, { expected: 0, op: 'b', record: record(taskId), documents });
    expect(await store.parents()).toEqual(['build/files/x:1', 'ship']);
    expect(await store.readDocument('fan-out', 'build/files/x:1', id(11), id(70))).toEqual(set);
    expect(await store.list()).toEqual(['build', 'build/files/x:1', 'ship']);
  });

  test('changesSince a cursor names the tasks that were committed since', async () => {
    const { store } = stores();
    await store.commit('build', { expected: 0, op: 'a', record: record('build') });
    const { cursor, changed } = await store.changesSince(null);
    expect(changed).toEqual(['build']);
    await store.commit('ship', { expected: 0, op: 'b', record: record('ship') });
    expect((await store.changesSince(cursor)).changed).toContain('ship');
    expect((await store.changesSince(null, ['ship'])).changed).toEqual(['ship']);
  });

  test('a run is created once, and its first end counts', async () => {
    const { store } = stores();
    await store.createRun(runManifest(id(100)), 'a');
    expect(await refusal(() => store.createRun(runManifest(id(100)), 'b'))).toBe('DUPLICATE_ID');
    expect((await store.endRun(id(100), '2030-01-01T00:01:00.000Z', 'c'))?.ended_at).toBe('2030-01-01T00:01:00.000Z');
    expect((await store.endRun(id(100), '2030-01-01T00:02:00.000Z', 'd'))?.ended_at).toBe('2030-01-01T00:01:00.000Z');
    expect(await store.endRun(id(101), '2030-01-01T00:01:00.000Z', 'e')).toBeNull();
    await store.createRun(runManifest(id(102)), 'f');
    await store.discardRun(id(102));
    expect((await store.listRuns()).map(({ run_id }) => run_id)).toEqual([id(100)]);
  });

  test('the event log returns entries in the order in which they were appended', async () => {
    const { store, eventLog } = stores();
    await store.commit('build', { expected: 0, op: 'a', record: record('build') });
    const stream = { log: 'claim-history', taskId: 'build' } as const;
    expect(await eventLog.read(stream)).toEqual([]);
    const first = await eventLog.append(stream, { event: 'acquired' });
    const second = await eventLog.append(stream, { event: 'released' });
    expect([first.from, first.to]).toEqual([0, second.from]);
    await eventLog.append({ log: 'events', taskId: 'build', attemptId: id(11) }, { type: 'note' });
    expect(await eventLog.read(stream)).toEqual([{ event: 'acquired' }, { event: 'released' }]);
    expect(await eventLog.read(stream, ['"event":"released"', '"none":1'])).toEqual([{ event: 'released' }]);
  });

  test('artifacts are addressed by their attempt and discarded with it', async () => {
    const { artifacts } = stores();
    const attempt = { taskId: 'build', attemptId: id(11) };
    const log = artifacts.openLog(attempt, 'stdout.log');
    log.close();
    expect(artifacts.readLog(attempt, 'stdout.log', 0)).toEqual({ text: '', next: 0 });
    expect(artifacts.writePrompt(attempt, 'do it')).toContain(artifacts.folder(attempt));
    expect(await refusal(() => artifacts.writePrompt(attempt, 'again'))).toBe('IO_ERROR');
    artifacts.discard(attempt);
    expect(() => artifacts.readDraft(attempt, 'verdict', 100)).toThrow('ENOENT');
  });

  test('files of an attempt that only serve to look back are removed, and nothing else of it is', async () => {
    const { store, artifacts } = stores();
    const attempt = { taskId: 'build', attemptId: id(11) };
    const change = { expected: 0, op: 'a', record: held('build'), documents: [manifest, verdict('first')] };
    await store.commit('build', change);
    expect(artifacts.leftovers('build')).toEqual([]);
    expect(artifacts.leftovers('other')).toEqual([]);
    artifacts.openLogs(attempt).close();
    artifacts.openLog(attempt, 'setup.log').close();
    artifacts.writePrompt(attempt, 'do it');
    const [left, ...more] = artifacts.leftovers('build');
    expect([left, ...more]).toMatchObject([{ attempt_id: id(11), files: 4 }]);
    expect(artifacts.removeLeftovers(attempt)).toEqual(left);
    expect(artifacts.leftovers('build')).toEqual([]);
    expect(artifacts.removeLeftovers(attempt)).toEqual({ attempt_id: id(11), files: 0, bytes: 0 });
    expect(artifacts.readLog(attempt, 'stdout.log', 0)).toEqual({ text: '', next: 0 });
    expect(await store.readDocument('manifest', 'build', id(11))).toEqual(MANIFEST);
    expect(await store.readDocument('verdict', 'build', id(11))).toEqual(verdict('first').value);
  });

  test('runs are removed whole, each by one call', async () => {
    const { store, eventLog } = stores();
    for (const n of [100, 101]) await store.createRun(runManifest(id(n)), `op-${n}`);
    await eventLog.append({ log: 'notifications', runId: id(100) }, { event: 'asked' });
    expect(await store.gc.removeRuns([id(100), id(102)])).toEqual([id(100)]);
    expect(await store.gc.removeRuns([id(100)])).toEqual([]);
    expect(await store.readRun(id(100))).toBeNull();
    expect((await store.listRuns()).map(({ run_id }) => run_id)).toEqual([id(101)]);
  });

  test('a snapshot has every task, every run and the artifacts that gc needs', async () => {
    const { store } = stores();
    await store.commit('build', {
      expected: 0,
      op: 'a',
      record: held('build'),
      documents: [manifest, verdict('first')],
    });
    await store.createRun(runManifest(id(100)), 'b');
    const { tasks, runs, seen } = await store.snapshot();
    expect(tasks).toMatchObject([{ task_id: 'build', version: 1 }]);
    expect(runs.map(({ run_id }) => run_id)).toEqual([id(100)]);
    expect(seen.artifacts('build').attempts).toMatchObject([
      { attempt_id: id(11), verdict: 'blocked', verified: false },
    ]);
  });
});
