/** What becomes of a view that a person edits, replaces or deletes. */

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

describe('an edit on the newest version', () => {
  test('shows at once, and the next change commits it', async () => {
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

  test('of both views at once is taken over from both', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, failure_count: 7 }));
    tree.editView('build', 'lease.json', (lease) => ({ ...lease, expires_at: isoTime(T0 + 1) }));
    expect((await read()).warnings).toHaveLength(2);
    const after = await tree.change('build');
    expect(after).toMatchObject({ state: { failure_count: 7 }, lease: { expires_at: isoTime(T0 + 1) } });
    expect((await read()).warnings).toEqual([]);
  });

  test('that keeps the checksum line is an edit all the same', async () => {
    const file = tree.at('build', 'state.json');
    fs.writeFileSync(file, tree.read(file).replace('"failure_count": 0', '"failure_count": 3'));
    expect((await read()).record?.state.failure_count).toBe(3);
    expect(await tree.change('build')).toMatchObject({ state: { failure_count: 3 } });
    expect(tree.read(file)).not.toContain('"checksum": "checksum"');
  });

  test('of the state ends what was being verified, an edit of anything else does not', async () => {
    const verification = { attempt_id: id(11) };
    await tree.change('build', (before) => ({ ...before, memo: { ...before.memo, verification } }));
    tree.editView('build', 'state.json', (state) => ({ ...state, failure_count: 3 }));
    expect((await tree.change('build')).memo.verification).toEqual(verification);
    tree.editView('build', 'state.json', (state) => ({ ...state, state: 'unclaimed' }));
    expect((await tree.change('build')).memo.verification).toBeUndefined();
  });

  test('that only changes white space is taken over without a change', async () => {
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
  ])('of the generation to %i leaves it at %i: it never goes back', async (written, generation) => {
    tree.editView('build', 'lease.json', (lease) => ({ ...lease, generation: written }));
    expect((await read()).record).toMatchObject({ lease: { generation }, memo: { generation } });
    expect(await tree.change('build')).toMatchObject({ lease: { generation }, memo: { generation } });
    expect(tree.json(tree.at('build', 'lease.json'))['generation']).toBe(generation);
  });

  test('can not move the task to another id', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, task_id: 'other', failure_count: 1 }));
    tree.editView('build', 'lease.json', (lease) => ({ ...lease, task_id: 'other' }));
    const wanted = { state: { task_id: 'build', failure_count: 1 }, lease: { task_id: 'build' } };
    expect((await read()).record).toMatchObject(wanted);
    expect(await tree.change('build')).toMatchObject(wanted);
  });

  test('may say anything that a state can be', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, state: 'shipped' }));
    expect(await tree.change('build')).toMatchObject({ state: { state: 'shipped' } });
  });

  test('is seen without a thorough look too, once its time differs', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, attempt_count: 7 }));
    expect((await tree.store.read('build')).record?.state.attempt_count).toBe(7);
    expect((await tree.store.snapshot()).tasks[0]?.record?.state.attempt_count).toBe(7);
  });

  test('under a time that was kept is seen by whoever changes something', async () => {
    const file = tree.at('build', 'state.json');
    const { atime, mtime } = fs.statSync(file);
    tree.editView('build', 'state.json', (state) => ({ ...state, failure_count: 7 }));
    fs.utimesSync(file, atime, mtime);
    expect((await read()).record?.state.failure_count).toBe(7);
    expect(await tree.change('build')).toMatchObject({ state: { failure_count: 7 } });
  });

  test('is left in its place by a request that changes nothing', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, failure_count: 7 }));
    await tree.store.settle('build', tree.op());
    expect(asides()).toEqual([]);
    expect((await read()).record?.state.failure_count).toBe(7);
    expect(await tree.change('build')).toMatchObject({ state: { failure_count: 7 } });
  });

  test('made after the change was decided is moved aside, not lost', async () => {
    const before = await read();
    tree.editView('build', 'state.json', (state) => ({ ...state, note: 'do not lose me' }));
    const result = await tree.store.commit('build', { expected: 2, op: 'x', record: before.record ?? held('build') });
    expect(asides()).toHaveLength(1);
    expect(tree.json(tree.at('build', asides()[0] ?? ''))['note']).toBe('do not lose me');
    expect(result).toMatchObject({ kind: 'committed', warnings: [expect.stringContaining('was moved to')] });
    expect(await read()).toMatchObject({ version: 3, warnings: [] });
  });
});

describe('an edit on an older version', () => {
  test('is named at once, not obeyed, and moved aside by the next change', async () => {
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

  test('of a lease that is over is moved aside', async () => {
    const old = tree.json(tree.at('build', 'lease.json'));
    await tree.change('build', (before) => ({ ...before, lease: null }));
    tree.write(tree.at('build', 'lease.json'), { ...old, owner_run_id: id(999) });
    expect((await read()).record?.lease).toBeNull();
    await tree.change('build');
    expect(tree.has(tree.at('build', 'lease.json'))).toBe(false);
    expect(asides()).toHaveLength(1);
  });
});

describe('what can not be an edit', () => {
  test.each([
    ['no JSON', '{"state": "runn'],
    ['empty', ''],
    ['no object', '[]'],
    ['without a state_version', '{"version":1,"task_id":"build","state":"failed"}'],
    ['with a state_version that is no number', '{"version":1,"state_version":"2","state":"failed"}'],
  ])('%s: is named, not obeyed, and moved aside', async (_what, text) => {
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

  test('on the newest version, of a state that there is not: changes are refused until it is mended', async () => {
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

  test('of a later version is refused on an older state_version too', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, version: 2, state_version: 1 }));
    expect(await refusal(() => tree.change('build'))).toBe('SCHEMA_INVALID');
  });

  test('too large a file is named and moved aside', async () => {
    tree.editView('build', 'state.json', (state) => ({ ...state, note: 'x'.repeat(70_000) }));
    expect((await read()).warnings[0]).toContain('no regular file of at most 64 KiB');
    await tree.change('build');
    expect(asides()).toHaveLength(1);
    expect((await read()).warnings).toEqual([]);
  });

  test('a folder in its place is named and moved aside', async () => {
    fs.rmSync(tree.at('build', 'lease.json'));
    fs.mkdirSync(tree.at('build', 'lease.json', 'inner'), { recursive: true });
    expect((await read()).warnings[0]).toMatch(/^lease\.json is no regular file/);
    await tree.change('build');
    expect(tree.names(tree.at('build', asides()[0] ?? ''))).toEqual(['inner']);
    expect(tree.json(tree.at('build', 'lease.json'))['generation']).toBe(5);
  });

  test('a symlink in its place is never followed', async () => {
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

describe('a deleted view', () => {
  test.each(['state.json', 'lease.json'] as const)(
    '%s: the record stands, and the next change writes it again',
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

  test('of a deleted lease frees nothing', async () => {
    fs.rmSync(tree.at('build', 'lease.json'));
    expect((await tree.store.read('build')).record?.lease?.claim_id).toBe(id(1));
  });

  test('is written again by settling, too', async () => {
    fs.rmSync(tree.at('build', 'state.json'));
    await tree.store.settle('build', tree.op());
    expect(tree.json(tree.at('build', 'state.json'))['state_version']).toBe(2);
  });
});

describe('a view that a paused writer put over a newer one', () => {
  test('is no edit: it is ours, and is written over', async () => {
    const old = tree.read(tree.at('build', 'state.json'));
    await tree.change('build', (before) => ({ ...before, state: { ...before.state, failure_count: 2 } }));
    fs.writeFileSync(tree.at('build', 'state.json'), old);
    expect(await read()).toMatchObject({ version: 3, warnings: [], record: { state: { failure_count: 2 } } });
    await tree.change('build');
    expect(asides()).toEqual([]);
    expect(tree.json(tree.at('build', 'state.json'))).toMatchObject({ failure_count: 2, state_version: 4 });
  });
});
