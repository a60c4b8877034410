/** The snapshot cache: used while the tree is unchanged, and every change is noticed. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Cache, NO_CACHE } from '../../../src/lib/fs/cache.ts';
import { runSync } from '../../../src/lib/fs/drivers.ts';
import { artifactsOf } from '../../../src/store/file/gc-files.ts';
import { SnapshotCache } from '../../../src/store/file/snapshot-cache.ts';
import { readTask } from '../../../src/store/file/task-files.ts';
import type { TaskSummaryRead } from '../../../src/store/port.ts';
import { until } from '../../support/processes.ts';
import fc from '../../support/properties.ts';
import { held, id, record, runManifest, T0, Tree } from '../../support/store/tree.ts';

let tree: Tree;
let kept: Map<string, string>;
let cache: Cache;
beforeEach(() => {
  tree = new Tree();
  kept = new Map();
  cache = {
    read: (name) => kept.get(name) ?? null,
    write: (name, parts) => void kept.set(name, [...parts].join('')),
  };
});

const ATTEMPT = id(11);
const OLDER = id(10);

/** A look at all tasks by what was kept; and which of them had to be read anew. */
function look({ nowMs = Date.now() + 60_000, worth = 1, from = cache } = {}) {
  const seen = new SnapshotCache(tree.layout, from, nowMs, worth);
  const anew: string[] = [];
  const listed = tree.names(tree.layout.tasks);
  expect(seen.taskIds() ?? listed).toEqual(listed);
  const reads = seen.read(listed, (task) => {
    anew.push(task);
    return runSync(readTask(tree.at(task), task, false));
  });
  const tasks = reads.map((read) => ({ read: summary(read), artifacts: seen.artifacts(read.task_id) }));
  seen.keep();
  return { tasks, anew };
}

/** What is there, whatever was kept. */
const really = () =>
  tree.names(tree.layout.tasks).map((task) => {
    const read = runSync(readTask(tree.at(task), task, false));
    return { read: summary(read), artifacts: artifactsOf(tree.layout, read).artifacts };
  });

/** What a look at a whole tree may use of a task. */
function summary({ task_id, version, origin, record, problem, warnings }: TaskSummaryRead) {
  const { state, lease = null, memo } = record ?? {};
  return {
    ...{ task_id, version, origin, problem, warnings, lease },
    state: state?.state,
    attempts: [state?.attempt_count, state?.current_attempt_id, memo?.completion?.attempt_id],
    ended: [state?.next_eligible_at ?? null, state?.failure_reason ?? null, state?.last_error ?? null],
    ids: [state?.task_id, state?.updated_by.run_id],
    counts: [memo?.generation, memo?.abandons],
    memo: [memo?.absorbed, memo?.questions, memo?.verification],
  };
}

/** Waits until the clock that the file system gives its times by has moved on. */
async function tick(): Promise<void> {
  const probe = `${tree.layout.forge}/probe`;
  const time = () => {
    fs.writeFileSync(probe, '');
    return Math.trunc(fs.statSync(probe).ctimeMs);
  };
  const before = time();
  await until('the clock of the file system moves on', () => time() > before);
}

const question = { version: 1, question_id: id(7), status: 'open' };

const JOURNAL = { key: 'k', epoch: 0, chunks: [], tail: [] };

/** Records a step of the task, where it keeps a journal. */
async function addedTo(task: string): Promise<void> {
  const { version, record: before } = await tree.store.read(task);
  const journal = before?.memo.journal as typeof JOURNAL | undefined;
  if (before === null || journal === undefined) return;
  const entry = { context: { turn } };
  const next = { ...before, memo: { ...before.memo, journal: { ...journal, tail: [...journal.tail, entry] } } };
  await tree.store.commit(task, { expected: version, op: tree.op(), record: next, added: [entry] });
}

/** Three tasks: worked on, over, and written by hand; the first with attempts that asked and were answered. */
async function grow(): Promise<void> {
  const busy = held('busy');
  await tree.change('busy', () => ({ ...busy, memo: { ...busy.memo, journal: JOURNAL } }));
  tree.write(tree.at('busy', 'attempts', OLDER, 'questions', `${id(6)}.json`), question);
  tree.write(tree.at('busy', 'attempts', ATTEMPT, 'questions', `${id(7)}.json`), question);
  tree.write(tree.at('busy', 'attempts', ATTEMPT, 'answers', `${id(7)}.json`), {});
  await tree.change('over', () => record('over', 'shipped', { attempt_count: 1, current_attempt_id: ATTEMPT }));
  tree.write(tree.at('over', 'attempts', ATTEMPT, 'manifest.json'), {});
  tree.write(tree.at('hand', 'state.json'), { version: 1, task_id: 'hand', state: 'claimed' });
  tree.write(tree.at('hand', 'lease.json'), held('hand').lease);
}

const inPlace = (task: string, ...names: string[]) => {
  const file = tree.at(task, ...names);
  fs.mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true });
  // Of the same length, without another file or another name.
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '{"version": 1 }';
  fs.writeFileSync(file, text.includes('e') ? text.replace('e', 'E') : text.replace('E', 'e'));
};
const gone = (task: string, ...names: string[]) => fs.rmSync(tree.at(task, ...names), { recursive: true, force: true });

let generation = 40;
let turn = 0;

/** What may happen to a task; each may be done again. */
const ACTS: Record<string, (task: string) => unknown> = {
  'a commit': (task) => tree.change(task).catch(() => {}),
  'an entry more in its journal': addedTo,
  'an edit of state.json in place': (task) => inPlace(task, 'state.json'),
  'an edit of lease.json in place': (task) => inPlace(task, 'lease.json'),
  'another state.json in its place': (task) => {
    tree.write(tree.at(task, 'next'), { version: 1, task_id: task, state: 'failed' });
    fs.renameSync(tree.at(task, 'next'), tree.at(task, 'state.json'));
  },
  'state.json removed': (task) => gone(task, 'state.json'),
  'lease.json removed': (task) => gone(task, 'lease.json'),
  'a stray lease': (task) => tree.write(tree.at(task, 'lease.json.bak'), held(task, 9).lease),
  'a stray lease edited': (task) => inPlace(task, 'lease.json.bak'),
  'an attempt more': (task) => tree.write(tree.at(task, 'attempts', id(12), 'questions', `${id(8)}.json`), question),
  'an attempt less': (task) => gone(task, 'attempts', ATTEMPT),
  'no attempts': (task) => gone(task, 'attempts'),
  'a verdict, and then another in the same file': (task) => {
    const verdict = turn++ % 2 === 0 ? 'blocked' : 'changes_needed';
    tree.write(tree.at(task, 'attempts', ATTEMPT, 'verdict.json'), { verdict });
  },
  'a verdict edited': (task) => inPlace(task, 'attempts', ATTEMPT, 'verdict.json'),
  'its twin': (task) => tree.write(tree.at(task, 'attempts', ATTEMPT, 'verdict.verified.json'), {}),
  'a question': (task) => tree.write(tree.at(task, 'attempts', ATTEMPT, 'questions', `${id(9)}.json`), question),
  'a question edited': (task) => inPlace(task, 'attempts', ATTEMPT, 'questions', `${id(7)}.json`),
  'a question removed': (task) => gone(task, 'attempts', ATTEMPT, 'questions', `${id(7)}.json`),
  'questions of an older attempt removed': (task) => gone(task, 'attempts', OLDER, 'questions'),
  'an answer': (task) => tree.write(tree.at(task, 'attempts', ATTEMPT, 'answers', `${id(6)}.json`), {}),
  'an answer edited': (task) => inPlace(task, 'attempts', ATTEMPT, 'answers', `${id(7)}.json`),
  'an answer removed': (task) => gone(task, 'attempts', ATTEMPT, 'answers', `${id(7)}.json`),
  'a claim in the history': (task) => tree.write(tree.at(task, 'claim-history.jsonl'), '{"generation": 3}\n'),
  'a claim more in the history': (task) =>
    fs.appendFileSync(tree.at(task, 'claim-history.jsonl'), `{"generation": ${++generation}}\n`),
  'the whole folder replaced': (task) => {
    fs.cpSync(tree.at(task), tree.at('.copy'), { recursive: true });
    gone(task);
    fs.renameSync(tree.at('.copy'), tree.at(task));
  },
};

const TASKS = ['busy', 'hand', 'over'];

describe('cached task', () => {
  beforeEach(async () => {
    await grow();
    expect(look().anew).toEqual(TASKS);
  });

  test('a cached task equals the task on disk and is not read again', () => {
    const again = look();
    expect(again.anew).toEqual([]);
    expect(again.tasks).toEqual(really());
    expect(again.tasks.map(({ artifacts }) => artifacts.attempts.length)).toEqual([2, 0, 0]);
  });

  test.each(Object.entries(ACTS))('the snapshot cache does not hide %s', async (_, act) => {
    for (const task of TASKS) {
      await tick();
      await act(task);
      expect(look().tasks).toEqual(really());
      await tick();
      await act(task);
      expect(look().tasks).toEqual(really());
    }
  });

  test('a cached child, whose folder has another name, is not read again', async () => {
    const child = 'build/files/a';
    await tree.commit(child, record(child, 'shipped'));
    const lookAt = () => {
      const seen = new SnapshotCache(tree.layout, cache, Date.now() + 60_000, 1);
      const anew: string[] = [];
      const [read] = seen.read([child], (taskId) => {
        anew.push(taskId);
        return runSync(readTask(tree.layout.task(taskId), taskId, false));
      });
      seen.artifacts(child);
      seen.keep();
      return { anew, state: read?.record?.state.state };
    };
    expect(lookAt()).toEqual({ anew: [child], state: 'shipped' });
    expect(lookAt()).toEqual({ anew: [], state: 'shipped' });
    await tree.change(child, (before) => ({ ...before, state: { ...before.state, state: 'cancelled' } }));
    expect(lookAt()).toEqual({ anew: [child], state: 'cancelled' });
  });

  test('the snapshot cache always equals the tree, in any order of changes', async () => {
    const deeds = fc.array(fc.tuple(fc.constantFrom(...TASKS), fc.constantFrom(...Object.keys(ACTS))), {
      minLength: 1,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(deeds, { maxLength: 6 }), async (rounds) => {
        for (const round of rounds) {
          await tick();
          for (const [task, deed] of round) {
            fs.mkdirSync(tree.at(task), { recursive: true });
            await ACTS[deed]?.(task);
          }
          expect(look().tasks).toEqual(really());
          expect(look().tasks).toEqual(really());
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('snapshot cache file', () => {
  test('a task that has just changed is not cached', async () => {
    const nowMs = Date.now();
    await grow();
    look({ nowMs });
    expect(look({ nowMs }).anew).toEqual(TASKS);
  });

  test('a small difference does not rewrite the snapshot cache', async () => {
    await grow();
    look({ worth: 4 });
    expect(look({ worth: 3 }).anew).toEqual(TASKS);
    await tick();
    await tree.change('over');
    expect(look({ worth: 2 }).anew).toEqual(['over']);
    expect(look({ worth: 1 }).anew).toEqual(['over']);
    expect(look().anew).toEqual([]);
    gone('busy');
    await tick();
    await tree.change('over');
    look();
    expect(kept.get('tree')).not.toMatch(/^busy/m);
  });

  test('an incomplete snapshot cache file is ignored', async () => {
    await grow();
    look();
    const whole = kept.get('tree') ?? '';
    for (let begin = 0; begin < whole.length; begin += 97) {
      for (const left of [
        `${whole.slice(0, begin)}${'\0'.repeat(90)}${whole.slice(begin + 90)}`,
        whole.slice(0, begin),
      ]) {
        kept.set('tree', left);
        expect(look({ worth: 100 }).tasks).toEqual(really());
      }
    }
  });

  test('a damaged task is not cached and reported each time', async () => {
    await grow();
    tree.write(tree.at('hand', 'state.json'), '{');
    await tree.change('over');
    tree.editView('over', 'state.json', (view) => ({ ...view, failure_count: 3 }));
    look();
    const again = look();
    expect(again.anew).toEqual(['hand', 'over']);
    expect(again.tasks.flatMap(({ read }) => [read.problem, ...read.warnings])).toEqual([
      null,
      expect.stringContaining('not JSON'),
      null,
      expect.stringContaining('edited by hand'),
    ]);
  });

  test('without a cache nothing is cached', async () => {
    await grow();
    look({ from: NO_CACHE });
    expect(look({ from: NO_CACHE }).anew).toEqual(TASKS);
    expect(kept.size).toBe(0);
  });
});

describe('cached runs', () => {
  const manifest = (run: number) => `${tree.layout.run(id(run))}/manifest.json`;
  const open = (nowMs = Date.now() + 60_000) => new SnapshotCache(tree.layout, cache, nowMs, 1);
  let before = 0;

  /** The runs by what was kept, and whether they had to be listed. */
  async function runsOf(seen: SnapshotCache) {
    let listed = false;
    const runs = await seen.runs(() => {
      listed = true;
      return tree.store.listRuns();
    });
    expect(runs).toEqual(await tree.store.listRuns());
    return listed;
  }

  /** A look at everything, one task of which has changed, so that what was seen is written down. */
  async function look(nowMs?: number) {
    await tick();
    await tree.change('over');
    const seen = open(nowMs);
    await runsOf(seen);
    for (const { task_id } of seen.read(TASKS, (task) => runSync(readTask(tree.at(task), task, false))))
      seen.artifacts(task_id);
    seen.keep();
    await tick();
  }

  beforeEach(async () => {
    before = Date.now();
    await grow();
    for (const run of [100, 101]) await tree.store.createRun(runManifest(id(run)), `op-${run}`);
  });

  test('cached runs runs are listed again only when they have changed', async () => {
    await look();
    expect(await runsOf(open())).toBe(false);
    await look();
    expect(await runsOf(open())).toBe(false);
  });

  test.each<[string, () => unknown]>([
    ['a run more', () => tree.store.createRun(runManifest(id(102)), 'op-102')],
    ['a run less', () => fs.rmSync(tree.layout.run(id(100)), { recursive: true })],
    ['a run that has ended', () => tree.store.endRun(id(101), new Date(T0).toISOString(), id(1))],
    ['a manifest edited in place', () => tree.write(manifest(100), runManifest(id(100), { name: 'night' }))],
    ['a manifest that is gone', () => fs.rmSync(manifest(100))],
  ])('cached runs do not hide %s', async (_, act) => {
    await look();
    await act();
    expect(await runsOf(open())).toBe(true);
  });

  test('cached runs runs are listed each time while one is unreadable or has just changed', async () => {
    await look(before);
    expect(await runsOf(open())).toBe(true);
    tree.write(manifest(100), 'no manifest');
    await look();
    expect(await runsOf(open())).toBe(true);
  });
});
