/** Views that a person edits, replaces or deletes. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { isoTime } from '../../../src/lib/time.ts';
import { held, id, record, refusal, T0, Tree } from '../../support/store/tree.ts';

let tree: Tree;
beforeEach(async () => {
  tree = new Tree();
  await tree.commit('build', record('build', 'claimed'));
  await tree.commit('build', held('build', 5));
});

const read = () => tree.store.read('build', { thorough: true });
const asides = () => tree.names(tree.at('build')).filter((name) => name.startsWith('aside-'));

describe('edit of the newest version', () => {
  test('an edit of the newest version is visible at once and committed by the next change', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, failure_count: 7, note: 'by hand' }));
    const seen = await read();
    expect(seen).toMatchObject({ version: 2, problem: null, record: { state: { failure_count: 7, note: 'by hand' } } });
    expect(seen.warnings).toEqual(['state.json was edited by hand; the next change takes it over']);
    await tree.change('build', (before) => ({ ...before, lease: before.lease && { ...before.lease, beat: 1 } }));
    expect(await read()).toMatchObject({
      version: 3,
      warnings: [],
      record: { state: { failure_count: 7, note: 'by hand', state_version: 3 }, lease: { beat: 1 } },
    });
    expect(tree.json(tree.at('build', 'state.json'))).toMatchObject({ failure_count: 7, state_version: 3 });
    expect(asides()).toEqual([]);
  });

  test('edits of both views are committed together', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, failure_count: 7 }));
    tree.editView('build', 'lease.json', (lease) => ({ ...lease, expires_at: isoTime(T0 + 1) }));
    expect((await read()).warnings).toHaveLength(2);
    const after = await tree.change('build');
    expect(after).toMatchObject({ state: { failure_count: 7 }, lease: { expires_at: isoTime(T0 + 1) } });
    expect((await read()).warnings).toEqual([]);
  });

  test('an edit that keeps the checksum line is still an edit', async () => {
    const file = tree.at('build', 'state.json');
    fs.writeFileSync(file, tree.read(file).replace('"failure_count": 0', '"failure_count": 3'));
    expect((await read()).record?.state.failure_count).toBe(3);
    expect(await tree.change('build')).toMatchObject({ state: { failure_count: 3 } });
    expect(tree.read(file)).not.toContain('"checksum": "checksum"');
  });

  test.each(['state.json', 'lease.json'] as const)(
    'a %s without its last line end is not an edit, and is written again',
    async (name) => {
      const file = tree.at('build', name);
      fs.writeFileSync(file, tree.read(file).trimEnd());
      expect((await read()).warnings).toEqual([]);
      await tree.change('build');
      expect(tree.read(file)).toMatch(/\}\n$/);
      expect(tree.json(file)).toMatchObject({ state_version: 3 });
      expect(asides()).toEqual([]);
    },
  );

  test('an edit of the state ends a running verification, another edit does not', async () => {
    const verification = { attempt_id: id(11) };
    await tree.change('build', (before) => ({ ...before, memo: { ...before.memo, verification } }));
    tree.editView('build', 'state.json', (state) => ({ ...state, failure_count: 3 }));
    expect((await tree.change('build')).memo.verification).toEqual(verification);
    tree.editView('build', 'state.json', (state) => ({ ...state, state: 'unclaimed' }));
    expect((await tree.change('build')).memo.verification).toBeUndefined();
  });

  test('an edit of white space alone is accepted without a change', async () => {
    const file = tree.at('build', 'state.json');
    fs.writeFileSync(file, JSON.stringify(JSON.parse(tree.read(file))));
    const { checksum: _checksum, ...state } = tree.json(file);
    expect((await read()).record?.state).toMatchObject(state);
    await tree.change('build');
    expect(asides()).toEqual([]);
    expect((await read()).warnings).toEqual([]);
  });

  test.each([
    [2, 5],
    [5, 5],
    [9, 9],
  ])('an edit of the generation to %i leaves it at %i: it never goes back', async (written, generation) => {
    tree.editView('build', 'lease.json', (lease) => ({ ...lease, generation: written }));
    expect((await read()).record).toMatchObject({ lease: { generation }, memo: { generation } });
    expect(await tree.change('build')).toMatchObject({ lease: { generation }, memo: { generation } });
    expect(tree.json(tree.at('build', 'lease.json'))['generation']).toBe(generation);
  });

  test("an edit cannot change the task's id", async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, task_id: 'other', failure_count: 1 }));
    tree.editView('build', 'lease.json', (lease) => ({ ...lease, task_id: 'other' }));
    const wanted = { state: { task_id: 'build', failure_count: 1 }, lease: { task_id: 'build' } };
    expect((await read()).record).toMatchObject(wanted);
    expect(await tree.change('build')).toMatchObject(wanted);
  });

  test('an edit may set any state', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, state: 'shipped' }));
    expect(await tree.change('build')).toMatchObject({ state: { state: 'shipped' } });
  });

  test('an edit is visible without a thorough read once its time differs', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, attempt_count: 7 }));
    expect((await tree.store.read('build')).record?.state.attempt_count).toBe(7);
    expect((await tree.store.snapshot()).tasks[0]?.record?.state.attempt_count).toBe(7);
  });

  test('an edit with an unchanged time is noticed by the next change', async () => {
    const file = tree.at('build', 'state.json');
    const { atime, mtime } = fs.statSync(file);
    tree.editView('build', 'state.json', (state) => ({ ...state, failure_count: 7 }));
    fs.utimesSync(file, atime, mtime);
    expect((await read()).record?.state.failure_count).toBe(7);
    expect(await tree.change('build')).toMatchObject({ state: { failure_count: 7 } });
  });

  test('a request without a change leaves an edit in place', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, failure_count: 7 }));
    await tree.store.settle('build', tree.op());
    expect(asides()).toEqual([]);
    expect((await read()).record?.state.failure_count).toBe(7);
    expect(await tree.change('build')).toMatchObject({ state: { failure_count: 7 } });
  });

  test('a change of what no view shows leaves the views, and an edit that is made meanwhile for the next change', async () => {
    const views = ['state.json', 'lease.json'].map((name) => tree.at('build', name));
    const before = views.map((file) => fs.statSync(file).ino);
    const { record, version } = await read();
    if (record === null) throw new Error('there is a record');
    const more = { ...record, memo: { ...record.memo, abandons: 5 } };
    const commit = (expected: number, op: string) => tree.store.commit('build', { expected, op, record: more });
    expect(await commit(version, 'x')).toMatchObject({ kind: 'committed', record: { state: record.state } });
    expect(views.map((file) => fs.statSync(file).ino)).toEqual(before);

    tree.editView('build', 'state.json', (state) => ({ ...state, failure_count: 7 }));
    const { state_version } = record.state;
    expect((await tree.change('build')).state).toMatchObject({ failure_count: 7, state_version: state_version + 2 });
    expect(asides()).toEqual([]);
  });

  test('a state that was read from an older version is written as a new one', async () => {
    const { record, version } = await read();
    if (record === null) throw new Error('there is a record');
    await tree.change('build');
    const late = await tree.store.commit('build', { expected: version + 1, op: 'late', record });
    expect(late).toMatchObject({ kind: 'committed', record: { state: { state_version: version + 2 } } });
  });

  test('an edit made after the decision is moved aside, not lost', async () => {
    const before = await read();
    tree.editView('build', 'state.json', (state) => ({ ...state, note: 'do not lose me' }));
    const record = before.record ?? held('build');
    const changed = { ...record, state: { ...record.state } };
    const result = await tree.store.commit('build', { expected: 2, op: 'x', record: changed });
    expect(asides()).toHaveLength(1);
    expect(tree.json(tree.at('build', asides()[0] ?? ''))['note']).toBe('do not lose me');
    expect(result).toMatchObject({ kind: 'committed', warnings: [expect.stringContaining('was moved to')] });
    expect(await read()).toMatchObject({ version: 3, warnings: [] });
  });
});

describe('edit of an older version', () => {
  test('an edit of an older version is reported, ignored, and moved aside by the next change', async () => {
    const old = tree.json(tree.at('build', 'state.json'));
    await tree.change('build', (before) => ({ ...before, state: { ...before.state, failure_count: 2 } }));
    const written = JSON.stringify({ ...old, failure_count: 9, note: 'too late' });
    fs.writeFileSync(tree.at('build', 'state.json'), written);
    const seen = await read();
    expect(seen).toMatchObject({ version: 3, problem: null, record: { state: { failure_count: 2 } } });
    expect(seen.warnings).toEqual([
      'state.json was edited on version 2, but the task is at 3; the next change moves it aside',
    ]);
    await tree.change('build');
    expect(asides()).toHaveLength(1);
    expect(tree.read(tree.at('build', asides()[0] ?? ''))).toBe(written);
    expect(tree.json(tree.at('build', 'state.json'))).toMatchObject({ failure_count: 2, state_version: 4 });
    expect((await read()).warnings).toEqual([]);
  });

  test('an edit of a released lease is moved aside', async () => {
    const old = tree.json(tree.at('build', 'lease.json'));
    await tree.change('build', (before) => ({ ...before, lease: null }));
    tree.write(tree.at('build', 'lease.json'), { ...old, owner_run_id: id(999) });
    expect((await read()).record?.lease).toBeNull();
    await tree.change('build');
    expect(tree.has(tree.at('build', 'lease.json'))).toBe(false);
    expect(asides()).toHaveLength(1);
  });
});

describe('invalid edits', () => {
  test.each([
    ['no JSON', '{"state": "runn'],
    ['empty', ''],
    ['no object', '[]'],
    ['without a state_version', '{"version":1,"task_id":"build","state":"failed"}'],
    ['with a state_version that is not a number', '{"version":1,"state_version":"2","state":"failed"}'],
  ])('a view that is %s is reported, ignored, and moved aside', async (_what, text) => {
    fs.writeFileSync(tree.at('build', 'state.json'), text);
    const seen = await read();
    expect(seen).toMatchObject({ problem: null, record: { state: { state: 'running' } } });
    expect(seen.warnings).toEqual([
      'state.json is not what forge wrote and names no state_version; the next change moves it aside',
    ]);
    await tree.change('build');
    expect(tree.read(tree.at('build', asides()[0] ?? ''))).toBe(text);
    expect(tree.json(tree.at('build', 'state.json'))['state']).toBe('running');
  });

  test('an edit of the newest version to an unknown state blocks changes until it is fixed', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, state: 'sleeping' }));
    const text = tree.read(tree.at('build', 'state.json'));
    const seen = await read();
    expect(seen.problem).toMatch(/^state\.json was edited and can't be read: state: /);
    expect(await refusal(() => tree.change('build'))).toBe('SCHEMA_INVALID');
    expect(tree.read(tree.at('build', 'state.json'))).toBe(text);
    tree.editView('build', 'state.json', (state) => ({ ...state, state: 'running' }));
    expect(await refusal(() => tree.change('build'))).toBe('done');
  });

  test.each(['state.json', 'lease.json'] as const)('%s of a later version is refused and left alone', async (view) => {
    tree.editView('build', view, (part) => ({ ...part, version: 2 }));
    const text = tree.read(tree.at('build', view));
    expect((await read()).problem).toMatch(new RegExp(`^${view} was edited.*written by a newer forge`));
    expect(await refusal(() => tree.change('build'))).toBe('SCHEMA_INVALID');
    expect(tree.read(tree.at('build', view))).toBe(text);
  });

  test('a view of a later version is refused also with an older state_version', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, version: 2, state_version: 1 }));
    expect(await refusal(() => tree.change('build'))).toBe('SCHEMA_INVALID');
  });

  test('a view that is too large is reported and moved aside', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, note: 'x'.repeat(70_000) }));
    expect((await read()).warnings[0]).toContain('not a regular file of at most 64 KiB');
    await tree.change('build');
    expect(asides()).toHaveLength(1);
    expect((await read()).warnings).toEqual([]);
  });

  test('a folder in place of a view is reported and moved aside', async () => {
    fs.rmSync(tree.at('build', 'lease.json'));
    fs.mkdirSync(tree.at('build', 'lease.json', 'inner'), { recursive: true });
    expect((await read()).warnings[0]).toMatch(/^lease\.json is not a regular file/);
    await tree.change('build');
    expect(tree.names(tree.at('build', asides()[0] ?? ''))).toEqual(['inner']);
    expect(tree.json(tree.at('build', 'lease.json'))['generation']).toBe(5);
  });

  test('a symlink in place of a view is never followed', async () => {
    const outside = `${tree.layout.project}/outside.json`;
    tree.write(outside, { ...tree.json(tree.at('build', 'state.json')), failure_count: 9 });
    const text = tree.read(outside);
    fs.rmSync(tree.at('build', 'state.json'));
    fs.symlinkSync(outside, tree.at('build', 'state.json'));
    expect((await read()).record?.state.failure_count).toBe(0);
    await tree.change('build');
    expect(tree.read(outside)).toBe(text);
    expect(fs.lstatSync(tree.at('build', 'state.json')).isFile()).toBe(true);
    expect(fs.lstatSync(tree.at('build', asides()[0] ?? '')).isSymbolicLink()).toBe(true);
  });
});

describe('deleted view', () => {
  test.each(['state.json', 'lease.json'] as const)(
    'deleting %s leaves the record, and the next change writes the view again',
    async (view) => {
      fs.rmSync(tree.at('build', view));
      expect(await read()).toMatchObject({
        version: 2,
        problem: null,
        record: { state: { state: 'running' }, lease: { generation: 5 } },
      });
      await tree.change('build');
      expect(tree.json(tree.at('build', view))['state_version']).toBe(3);
    },
  );

  test('deleting the lease view does not free the task', async () => {
    fs.rmSync(tree.at('build', 'lease.json'));
    expect((await tree.store.read('build')).record?.lease?.claim_id).toBe(id(1));
  });

  test('settling writes a deleted view again', async () => {
    fs.rmSync(tree.at('build', 'state.json'));
    await tree.store.settle('build', tree.op());
    expect(tree.json(tree.at('build', 'state.json'))['state_version']).toBe(2);
  });
});

describe('view of a paused writer', () => {
  test('an old view by a paused writer is not an edit and is overwritten', async () => {
    const old = tree.read(tree.at('build', 'state.json'));
    await tree.change('build', (before) => ({ ...before, state: { ...before.state, failure_count: 2 } }));
    fs.writeFileSync(tree.at('build', 'state.json'), old);
    expect(await read()).toMatchObject({ version: 3, warnings: [], record: { state: { failure_count: 2 } } });
    await tree.change('build');
    expect(asides()).toEqual([]);
    expect(tree.json(tree.at('build', 'state.json'))).toMatchObject({ failure_count: 2, state_version: 4 });
  });
});
