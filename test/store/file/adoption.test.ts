/** Trees that hold only the two files, by hand or by another tool. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { id, refusal, T0, Tree } from '../../support/store/tree.ts';

let tree: Tree;
beforeEach(() => {
  tree = new Tree();
});

const STATE = { version: 1, task_id: 'build', state: 'running' };
const LEASE = {
  version: 1,
  claim_id: id(1),
  task_id: 'build',
  attempt_id: null,
  owner_run_id: id(100),
  generation: 4,
  acquired_at: isoTime(T0),
  expires_at: isoTime(T0 + 60_000),
  last_heartbeat_at: null,
  state_version: 0,
};

function files(state: unknown, lease?: unknown): void {
  if (state !== undefined) tree.write(tree.at('build', 'state.json'), state);
  if (lease !== undefined) tree.write(tree.at('build', 'lease.json'), lease);
}

const read = () => tree.store.read('build', { thorough: true });

describe('is read as it stands', () => {
  test('with the fewest fields that mean something', async () => {
    files(STATE);
    const seen = await read();
    expect(seen).toMatchObject({ origin: 'files', version: 0, problem: null, warnings: [] });
    expect(seen.record).toMatchObject({
      state: {
        state: 'running',
        state_version: 0,
        attempt_count: 0,
        current_attempt_id: null,
        failure_count: 0,
        updated_by: { run_id: null, claim_id: null, generation: 0 },
      },
      lease: null,
      worker: null,
      memo: { generation: 0 },
    });
  });

  test('with a lease alone', async () => {
    files(undefined, LEASE);
    expect((await read()).record).toMatchObject({
      state: { task_id: 'build', state: 'unclaimed' },
      lease: { claim_id: id(1) },
      memo: { generation: 4 },
    });
  });

  test('with ids that do not agree across files', async () => {
    files(
      { ...STATE, current_attempt_id: id(11), updated_by: { run_id: id(7), claim_id: id(8), generation: 2 } },
      LEASE,
    );
    const seen = await read();
    expect(seen).toMatchObject({ problem: null, warnings: [] });
    expect(seen.record).toMatchObject({
      state: { current_attempt_id: id(11), updated_by: { claim_id: id(8) } },
      lease: { claim_id: id(1), attempt_id: null },
    });
  });

  test('under the name of its folder, whatever the files say', async () => {
    files({ ...STATE, task_id: 'other' }, { ...LEASE, task_id: 'third' });
    expect((await read()).record).toMatchObject({ state: { task_id: 'build' }, lease: { task_id: 'build' } });
  });

  test('with a failed state that names no reason', async () => {
    files({ ...STATE, state: 'failed' });
    expect(await read()).toMatchObject({ problem: null, record: { state: { state: 'failed' } } });
  });

  test('and looking at it changes nothing', async () => {
    files(STATE, LEASE);
    const before = fs.statSync(tree.at('build'), { bigint: true }).mtimeNs;
    await read();
    await tree.store.read('build');
    await tree.store.snapshot();
    expect(tree.names(tree.at('build'))).toEqual(['lease.json', 'state.json']);
    expect(fs.statSync(tree.at('build'), { bigint: true }).mtimeNs).toBe(before);
  });
});

describe('the largest generation seen', () => {
  test.each<[where: string, lease: number, by: number, history: string, seen: number]>([
    ['in the lease', 9, 2, '', 9],
    ['in the state', 1, 8, '', 8],
    ['in the history', 1, 2, '{"event":"acquired","generation":7}\n', 7],
    ['in a torn line of the history', 1, 2, '{"event":"stolen","generation": 6,"from_gen', 6],
  ])('%s counts', async (_where, lease, by, history, seen) => {
    files({ ...STATE, updated_by: { generation: by } }, { ...LEASE, generation: lease });
    tree.write(tree.at('build', 'claim-history.jsonl'), history);
    expect((await read()).record?.memo.generation).toBe(seen);
  });

  test('counts also where everything but the history was deleted', async () => {
    tree.write(tree.at('build', 'claim-history.jsonl'), '\n{"event":"acquired","generation":5,"sum":"x"}');
    expect(await read()).toMatchObject({
      origin: 'files',
      record: { state: { state: 'unclaimed' }, memo: { generation: 5 } },
    });
  });

  test('counts in a long history too', async () => {
    const lines = Array.from({ length: 3000 }, (_, n) =>
      JSON.stringify({ event: 'acquired', claim_id: id(n), generation: n + 1 }),
    );
    tree.write(tree.at('build', 'claim-history.jsonl'), lines.join('\n'));
    expect((await read()).record?.memo.generation).toBe(3000);
  });

  test('is not guessed where the history is not to be read', async () => {
    tree.write(tree.at('elsewhere', 'claim-history.jsonl'), '{"generation":99}');
    files(STATE);
    fs.symlinkSync(tree.at('elsewhere', 'claim-history.jsonl'), tree.at('build', 'claim-history.jsonl'));
    expect((await read()).problem).toContain('claim-history.jsonl');
  });
});

describe('is refused as a whole, naming the file, when', () => {
  const cases: [what: string, state: unknown, lease: unknown, problem: RegExp][] = [
    ['the state is no JSON', '{"version": 1, "task_i', undefined, /^state\.json is not JSON/],
    ['the lease is no JSON', STATE, '', /^lease\.json is not JSON/],
    ['the state is a list', [STATE], undefined, /^state\.json: expected an object, found a list/],
    ['the state is null', 'null', undefined, /^state\.json: expected an object, found null/],
    ['the state is none that we know', { ...STATE, state: 'sleeping' }, undefined, /^state\.json: state: /],
    ['a count is below 0', { ...STATE, failure_count: -1 }, undefined, /^state\.json: failure_count: /],
    ['a time is none', { ...STATE, next_eligible_at: 'soon' }, undefined, /^state\.json: next_eligible_at: /],
    ['the lease never ends', STATE, { ...LEASE, expires_at: null }, /^lease\.json: expires_at: /],
    ['the lease has no claim', STATE, { ...LEASE, claim_id: 7 }, /^lease\.json: claim_id: /],
    [
      'the state is of a later version',
      { ...STATE, version: 2 },
      undefined,
      /^state\.json: version 2 was written by a newer forge/,
    ],
    [
      'the lease is of a later version',
      STATE,
      { ...LEASE, version: 3 },
      /^lease\.json: version 3 was written by a newer forge/,
    ],
    [
      'the state is too large',
      { ...STATE, note: 'x'.repeat(70_000) },
      undefined,
      /^state\.json is no regular file of at most 64 KiB/,
    ],
  ];
  test.each(cases)('%s', async (_what, state, lease, problem) => {
    files(state, lease);
    const before = tree.names(tree.at('build')).map((name) => tree.read(tree.at('build', name)));
    const seen = await read();
    expect(seen).toMatchObject({ origin: 'files', record: null });
    expect(seen.problem).toMatch(problem);
    expect(await refusal(() => tree.change('build'))).toBe('SCHEMA_INVALID');
    expect(tree.names(tree.at('build')).map((name) => tree.read(tree.at('build', name)))).toEqual(before);
  });

  test('the state is nested deeper than it could be written again', async () => {
    const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
    const nested = (levels: number) => JSON.stringify(STATE).replace('}', `,"note":${deep(levels)}}`);
    files(nested(90));
    expect((await read()).problem).toBeNull();
    files(nested(20_000));
    expect((await read()).problem).toMatch(/^state\.json is not JSON/);
    files(JSON.stringify({ ...STATE, note: `${'['.repeat(20_000)}"` }));
    expect((await read()).problem).toBeNull();
  });

  test('a name of the prototype is a field like any other', async () => {
    files('{"version":1,"task_id":"build","state":"running","__proto__":{"state":"shipped"},"constructor":1}');
    const seen = await read();
    expect(seen.record?.state.state).toBe('running');
    expect(Object.getPrototypeOf(seen.record?.state)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)['state']).toBeUndefined();
  });
});

describe('the first change', () => {
  test('adopts it: a version is made of what it said, and the views follow', async () => {
    files({ ...STATE, 'x-team': 'mill', attempt_count: 3 }, { ...LEASE, 'x-why': 'by hand' });
    await tree.change('build', (before) => ({ ...before, state: { ...before.state, failure_count: 1 } }));
    const seen = await read();
    expect(seen).toMatchObject({ origin: 'record', version: 1, problem: null, warnings: [] });
    expect(seen.record).toMatchObject({
      state: { state: 'running', attempt_count: 3, failure_count: 1, 'x-team': 'mill', state_version: 1 },
      lease: { generation: 4, 'x-why': 'by hand', state_version: 1 },
      memo: { generation: 4 },
    });
    expect(tree.json(tree.at('build', 'state.json'))).toMatchObject({ failure_count: 1, 'x-team': 'mill' });
    expect(tree.json(tree.at('build', 'lease.json'))).toMatchObject({ 'x-why': 'by hand' });
    expect(tree.names(tree.at('build'))).toEqual(['lease.json', 'state.json', 'v000000001.json']);
  });

  test('counts state_version on from what the files said', async () => {
    files({ ...STATE, state_version: 41 });
    expect((await tree.change('build')).state.state_version).toBe(42);
    expect((await tree.change('build')).state.state_version).toBe(43);
  });

  test('that ends the lease removes the file that a person wrote', async () => {
    files(STATE, LEASE);
    await tree.change('build', (before) => ({ ...before, lease: null }));
    expect(tree.names(tree.at('build'))).toEqual(['state.json', 'v000000001.json']);
  });

  test('moves a file aside that was edited again in between', async () => {
    files(STATE);
    const seen = await read();
    files({ ...STATE, state: 'failed', note: 'do not lose me' });
    const change = { expected: seen.version, op: 'x', record: seen.record as TaskRecord };
    const result = await tree.store.commit('build', change);
    const asides = tree.names(tree.at('build')).filter((name) => name.startsWith('aside-'));
    expect(asides).toHaveLength(1);
    expect(tree.json(tree.at('build', asides[0] ?? ''))['note']).toBe('do not lose me');
    expect(result).toMatchObject({ kind: 'committed', warnings: [expect.stringContaining(asides[0] ?? 'none')] });
    expect(await read()).toMatchObject({ version: 1, record: { state: { state: 'running' } } });
  });

  test('of two files that are large together is refused, and leaves them as they are', async () => {
    files({ ...STATE, note: 'x'.repeat(40_000) }, { ...LEASE, note: 'x'.repeat(40_000) });
    expect(await read()).toMatchObject({ problem: null });
    expect(await refusal(() => tree.change('build'))).toBe('SCHEMA_INVALID');
    expect(tree.names(tree.at('build'))).toEqual(['lease.json', 'state.json']);
    expect((await read()).record?.state.state).toBe('running');
  });

  test('makes the parts of the tree that are missing', async () => {
    files(STATE);
    await tree.change('build');
    expect(tree.has(tree.layout.runs)).toBe(true);
    expect(tree.has(`${tree.layout.forge}/.gitignore`)).toBe(true);
  });
});
