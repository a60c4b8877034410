/** Trees that hold only state.json and lease.json, written by hand or by another tool. */

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

describe('tree written by hand', () => {
  test('a count beyond what numbers hold is refused, and the tree stays as it was', async () => {
    files({ ...STATE, state: 'unclaimed' }, { ...LEASE, generation: Number.MAX_SAFE_INTEGER });
    const claim = () =>
      tree.change('build', (before) => ({
        ...before,
        memo: { ...before.memo, generation: before.memo.generation + 1 },
      }));
    expect(await refusal(claim)).toBe('SCHEMA_INVALID');
    expect(tree.names(tree.at('build'))).toEqual(['lease.json', 'state.json']);
    expect((await read()).problem).toBeNull();
  });

  test('a tree written by hand with the fewest fields is read with defaults', async () => {
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

  test('a tree written by hand with only a lease is read', async () => {
    files(undefined, LEASE);
    expect((await read()).record).toMatchObject({
      state: { task_id: 'build', state: 'unclaimed' },
      lease: { claim_id: id(1) },
      memo: { generation: 4 },
    });
  });

  test('a tree written by hand is read although ids differ across files', async () => {
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

  test('a task written by hand has the name of its folder, whatever the files say', async () => {
    files({ ...STATE, task_id: 'other' }, { ...LEASE, task_id: 'third' });
    expect((await read()).record).toMatchObject({ state: { task_id: 'build' }, lease: { task_id: 'build' } });
  });

  test('a failed state without a reason is read as fatal', async () => {
    files({ ...STATE, state: 'failed' });
    expect(await read()).toMatchObject({ problem: null, record: { state: { state: 'failed' } } });
  });

  test('reading a tree written by hand changes nothing', async () => {
    files(STATE, LEASE);
    const before = fs.statSync(tree.at('build'), { bigint: true }).mtimeNs;
    await read();
    await tree.store.read('build');
    await tree.store.snapshot();
    expect(tree.names(tree.at('build'))).toEqual(['lease.json', 'state.json']);
    expect(fs.statSync(tree.at('build'), { bigint: true }).mtimeNs).toBe(before);
  });
});

describe('largest generation', () => {
  test.each<[where: string, lease: number, by: number, history: string, seen: number]>([
    ['in the lease', 9, 2, '', 9],
    ['in the state', 1, 8, '', 8],
    ['in the history', 1, 2, '{"event":"acquired","generation":7}\n', 7],
    ['in a torn line of the history', 1, 2, '{"event":"stolen","generation": 6,"from_gen', 6],
  ])('the largest generation %s counts', async (_where, lease, by, history, seen) => {
    files({ ...STATE, updated_by: { generation: by } }, { ...LEASE, generation: lease });
    tree.write(tree.at('build', 'claim-history.jsonl'), history);
    expect((await read()).record?.memo.generation).toBe(seen);
  });

  test('the largest generation counts when only the history is left', async () => {
    tree.write(tree.at('build', 'claim-history.jsonl'), '\n{"event":"acquired","generation":5,"sum":"x"}');
    expect(await read()).toMatchObject({
      origin: 'files',
      record: { state: { state: 'unclaimed' }, memo: { generation: 5 } },
    });
  });

  test('the largest generation is found in a long history', async () => {
    const lines = Array.from({ length: 3000 }, (_, n) =>
      JSON.stringify({ event: 'acquired', claim_id: id(n), generation: n + 1 }),
    );
    tree.write(tree.at('build', 'claim-history.jsonl'), lines.join('\n'));
    expect((await read()).record?.memo.generation).toBe(3000);
  });

  test('an unreadable history is an error, not generation 0', async () => {
    tree.write(tree.at('elsewhere', 'claim-history.jsonl'), '{"generation":99}');
    files(STATE);
    fs.symlinkSync(tree.at('elsewhere', 'claim-history.jsonl'), tree.at('build', 'claim-history.jsonl'));
    expect((await read()).problem).toContain('claim-history.jsonl');
  });
});

describe('invalid tree written by hand', () => {
  const cases: [what: string, state: unknown, lease: unknown, problem: RegExp][] = [
    ['the state is not JSON', '{"version": 1, "task_i', undefined, /^state\.json is not JSON/],
    ['the lease is not JSON', STATE, '', /^lease\.json is not JSON/],
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
      /^state\.json is not a regular file of at most 64 KiB/,
    ],
  ];
  test.each(cases)(
    'a task written by hand is refused, naming the file, when %s',
    async (_what, state, lease, problem) => {
      files(state, lease);
      const before = tree.names(tree.at('build')).map((name) => tree.read(tree.at('build', name)));
      const seen = await read();
      expect(seen).toMatchObject({ origin: 'files', record: null });
      expect(seen.problem).toMatch(problem);
      expect(await refusal(() => tree.change('build'))).toBe('SCHEMA_INVALID');
      expect(tree.names(tree.at('build')).map((name) => tree.read(tree.at('build', name)))).toEqual(before);
    },
  );

  test('a state nested too deep to be written again is refused', async () => {
    const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
    const nested = (levels: number) => JSON.stringify(STATE).replace('}', `,"note":${deep(levels)}}`);
    files(nested(90));
    expect((await read()).problem).toBeNull();
    files(nested(20_000));
    expect((await read()).problem).toMatch(/^state\.json is not JSON/);
    files(JSON.stringify({ ...STATE, note: `${'['.repeat(20_000)}"` }));
    expect((await read()).problem).toBeNull();
  });

  test('a field named like a property of Object is kept', async () => {
    files('{"version":1,"task_id":"build","state":"running","__proto__":{"state":"shipped"},"constructor":1}');
    const seen = await read();
    expect(seen.record?.state.state).toBe('running');
    expect(Object.getPrototypeOf(seen.record?.state)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)['state']).toBeUndefined();
  });
});

describe('first change', () => {
  test('the first change adopts a task written by hand as version 1 and writes its views', async () => {
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

  test('the first change counts state_version on from the files', async () => {
    files({ ...STATE, state_version: 41 });
    expect((await tree.change('build')).state.state_version).toBe(42);
    expect((await tree.change('build')).state.state_version).toBe(43);
  });

  test('a first change that ends the lease removes the lease file', async () => {
    files(STATE, LEASE);
    await tree.change('build', (before) => ({ ...before, lease: null }));
    expect(tree.names(tree.at('build'))).toEqual(['state.json', 'v000000001.json']);
  });

  test('the first change moves a file aside that was edited meanwhile', async () => {
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

  test('a first change whose record would be too large is refused and leaves the files', async () => {
    files({ ...STATE, note: 'x'.repeat(40_000) }, { ...LEASE, note: 'x'.repeat(40_000) });
    expect(await read()).toMatchObject({ problem: null });
    expect(await refusal(() => tree.change('build'))).toBe('SCHEMA_INVALID');
    expect(tree.names(tree.at('build'))).toEqual(['lease.json', 'state.json']);
    expect((await read()).record?.state.state).toBe('running');
  });

  test('the first change makes the missing folders of the tree', async () => {
    files(STATE);
    await tree.change('build');
    expect(tree.has(tree.layout.runs)).toBe(true);
    expect(tree.has(`${tree.layout.forge}/.gitignore`)).toBe(true);
  });
});
