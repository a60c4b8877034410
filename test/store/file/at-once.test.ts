/** Concurrent writers, and the two drivers of the protocol. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { blocking, type Driver, performSync, yielding } from '../../../src/lib/fs/drivers.ts';
import type { FsCall, Step } from '../../../src/lib/fs/operations.ts';
import { FileStore } from '../../../src/store/file/file-store.ts';
import { readTask } from '../../../src/store/file/task-files.ts';
import { held, id, record, refusal, Tree } from '../../support/store/tree.ts';

const VERDICT = { version: 1, verdict: 'blocked' };

let tree: Tree;
beforeEach(() => {
  tree = new Tree();
});

describe('drivers of the protocol', () => {
  test('both drivers have the same effect on the disk', async () => {
    const contents = async (driver: typeof blocking) => {
      const own = new Tree();
      const store = new FileStore(own.folders, driver);
      const results: unknown[] = [];
      for (let version = 0; version < 3; version++) {
        const change = { expected: version, op: `op-${version}`, record: held('build', version + 1) };
        results.push(await store.commit('build', change));
      }
      results.push(await store.commit('build', { expected: 1, op: 'late', record: held('build') }));
      results.push(await own.create('verdict', { ...VERDICT, summary: 'v' }, 11, 'v', store));
      results.push(await own.create('verdict', { ...VERDICT, summary: 'w' }, 11, 'w', store));
      await store.settle('build', 'settle');
      results.push(await store.read('build', { thorough: true }));
      results.push(
        await refusal(() =>
          new FileStore(own.folders, driver).commit('build', { expected: 3, op: 'a/b', record: held('build') }),
        ),
      );
      const files: Record<string, string> = {};
      for (const name of own.names(own.at('build')))
        if (fs.statSync(own.at('build', name)).isFile()) files[name] = own.read(own.at('build', name));
      return { results, files };
    };
    const one = await contents(blocking);
    expect(await contents(yielding)).toEqual(one);
    expect(Object.keys(one.files)).toContain('v000000003.json');
    expect(one.results.at(-1)).toBe('IO_ERROR');
  });
});

describe('a read beside the first commit of a task', () => {
  test.each([true, false])(
    'sees all of it or nothing, whenever the commit is made (thorough: %s)',
    async (thorough) => {
      const origins = new Set<string>();
      for (let before = 0, isOver = false; !isOver; before++) {
        const task = `build-${before}`;
        const dir = tree.at(task);
        fs.mkdirSync(dir, { recursive: true });
        const reading = readTask(dir, task, thorough);
        let call = reading.next();
        for (let calls = 0; calls < before && !call.done; calls++) call = performed(reading, call.value);
        isOver = call.done === true;
        await tree.commit(task, held(task));
        while (!call.done) call = performed(reading, call.value);
        const { origin, record: seen, problem } = call.value;
        expect({ origin, state: seen?.state.state, problem }).toEqual(
          origin === 'none'
            ? { origin, state: undefined, problem: null }
            : { origin: 'record', state: 'running', problem: null },
        );
        origins.add(origin);
      }
      expect([...origins].sort()).toEqual(['none', 'record']);
    },
  );
});

/** The next call of a step, once `call` is done. */
function performed<T>(reading: Step<T>, call: FsCall): IteratorResult<FsCall, T> {
  let answer: unknown;
  try {
    answer = performSync(call);
  } catch (error) {
    return reading.throw(error);
  }
  return reading.next(answer);
}

describe('a commit beside the removal of its task', () => {
  test('is made, or conflicts and leaves nothing, whenever the task is removed', async () => {
    const ends = new Set<string>();
    for (let before = -1, isOver = false; !isOver; before++) {
      const task = `build-${before}`;
      await tree.commit(task, held(task));
      const remove = () => fs.renameSync(tree.at(task), `${tree.layout.orchestrator}/gone-${task}`);
      if (before === -1) remove();
      let calls = 0;
      const driver: Driver = async (step) => {
        let call = step.next();
        while (!call.done) {
          if (calls++ === before) remove();
          call = performed(step, call.value);
        }
        return call.value;
      };
      const answer = { version: 1, question_id: id(1), answered_at: '', answered_by: 'a', option_id: 'b' };
      const { kind } = await new FileStore(tree.folders, driver).commit(task, {
        expected: 1,
        op: `op${before}`,
        record: record(task, 'awaiting_respawn'),
        documents: [{ kind: 'answer', attemptId: id(11), value: answer }],
      });
      isOver = calls <= before;
      if (!isOver) expect(tree.has(tree.at(task))).toBe(false);
      ends.add(kind);
    }
    expect([...ends].sort()).toEqual(['committed', 'conflict']);
  });

  test('has nothing to settle once the task is removed', async () => {
    await tree.commit('build', held('build'));
    await tree.store.read('build');
    fs.rmSync(tree.at('build'), { recursive: true });
    await tree.store.settle('build', 'settle');
    expect(tree.has(tree.at('build'))).toBe(false);
  });
});

describe('concurrent commits', () => {
  test('of concurrent commits on one version exactly one succeeds, and nothing is lost', async () => {
    const WRITERS = 6;
    const EACH = 20;
    const stores = Array.from({ length: WRITERS }, () => new FileStore(tree.folders, yielding));
    const counts = await Promise.all(
      stores.map(async (store, who) => {
        let conflicts = 0;
        for (let done = 0; done < EACH; ) {
          const read = await store.read('build', { thorough: true });
          const before = read.record ?? record('build');
          const tally = {
            ...(((before as Record<string, unknown>)['tally'] as Record<string, number> | undefined) ?? {}),
          };
          tally[who] = (tally[who] ?? 0) + 1;
          const changed = { ...before, state: { ...before.state }, tally };
          const change = { expected: read.version, op: `w${who}-${done}-${conflicts}`, record: changed };
          if ((await store.commit('build', change)).kind === 'committed') done++;
          else conflicts++;
        }
        return conflicts;
      }),
    );
    const last = await tree.store.read('build', { thorough: true });
    expect(last).toMatchObject({ version: WRITERS * EACH, problem: null });
    expect(Object.values(last.record?.['tally'] as Record<string, number>)).toEqual(Array(WRITERS).fill(EACH));
    expect(counts.reduce((sum, conflicts) => sum + conflicts)).toBeGreaterThan(0);
    expect(tree.json(tree.at('build', 'state.json'))['state_version']).toBe(WRITERS * EACH);
    expect(tree.names(tree.at('build')).filter((name) => /^(\.tmp|aside)/.test(name))).toEqual([]);
  });

  test('of concurrent adopters exactly one makes the first version', async () => {
    tree.write(tree.at('build', 'state.json'), { version: 1, task_id: 'build', state: 'unclaimed' });
    const stores = Array.from({ length: 5 }, () => new FileStore(tree.folders, yielding));
    const results = await Promise.all(
      stores.map(async (store, who) => {
        const read = await store.read('build', { thorough: true });
        const change = { expected: read.version, op: `w${who}`, record: { ...(read.record as TaskRecord), who } };
        return store.commit('build', change);
      }),
    );
    expect(results.filter((result) => result.kind === 'committed')).toHaveLength(1);
    const winner = results.findIndex((result) => result.kind === 'committed');
    expect(await tree.store.read('build', { thorough: true })).toMatchObject({ version: 1, record: { who: winner } });
  });
});
