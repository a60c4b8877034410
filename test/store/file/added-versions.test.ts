/** Versions that are lines of the newest file: what an attempt adds to its journal. */

import fs from 'node:fs';
import { beforeEach, expect, test } from 'vitest';
import { type Chunk, type Entry, journalOf } from '../../../src/domain/steps/journal.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { performSync } from '../../../src/lib/fs/drivers.ts';
import type { FsCall, Step } from '../../../src/lib/fs/operations.ts';
import { FileStore } from '../../../src/store/file/file-store.ts';
import fc, { runs } from '../../support/properties.ts';
import { held, id, record, Tree } from '../../support/store/tree.ts';

const TASK = 'build';

let tree: Tree;
let here: FileStore;
beforeEach(async () => {
  tree = new Tree();
  here = new FileStore(tree.folders);
  await tree.commit(TASK, withJournal([]));
});

function withJournal(tail: readonly Entry[]): TaskRecord {
  const base = held(TASK);
  return { ...base, memo: { ...base.memo, journal: { key: 'k', epoch: 0, chunks: [], tail } } };
}

const value = (of: unknown): Entry => ({ context: { value: of } });

/** Another process, which knows nothing. */
const another = () => new FileStore(tree.folders);

/** Holds the first who comes to it until it is opened. */
function gate() {
  let [arrive, open] = [() => {}, () => {}];
  const reached = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const pass = () => {
    arrive();
    return opened;
  };
  return { reached, open, pass };
}

/** Gives a step what `perform` returns or throws. */
function outcomeOf(perform: () => unknown) {
  try {
    const result = perform();
    return <T>(step: Step<T>) => step.next(result);
  } catch (error) {
    return <T>(step: Step<T>) => step.throw(error);
  }
}

const files = () => tree.names(tree.at(TASK)).filter((name) => name.startsWith('v0'));
const textOf = (file: string) => tree.read(tree.at(TASK, file));

async function seen(store = another()): Promise<{ version: number; record: TaskRecord; tail: readonly Entry[] }> {
  const { version, record: found } = await store.read(TASK);
  if (found === null) throw new Error('the task has no record');
  return { version, record: found, tail: journalOf(found)?.tail ?? [] };
}

/** Adds to the journal as a step does, decided on what `store` has read. */
async function add(store: FileStore, entries: readonly Entry[], read?: Awaited<ReturnType<typeof seen>>) {
  const { version, record: before, tail } = read ?? (await seen(store));
  const journal = { ...(before.memo.journal as object), tail: [...tail, ...entries] };
  const next = { ...before, memo: { ...before.memo, journal } };
  return store.commit(TASK, { expected: version, op: tree.op(), record: next, added: entries });
}

test('what an attempt adds to its journal is a line of the newest file, which other processes read', async () => {
  expect(await add(here, [value(1)])).toMatchObject({ kind: 'committed', version: 2, warnings: [] });
  expect(await add(another(), [value(2)])).toMatchObject({ kind: 'committed', version: 3, warnings: [] });
  expect(files()).toEqual(['v000000001.json']);
  for (const store of [here, another()])
    expect(await seen(store)).toMatchObject({ version: 3, tail: [value(1), value(2)] });
});

test('whatever is added one after the other by several processes is read as it was committed', async () => {
  const entries = fc.array(fc.jsonValue({ maxDepth: 2 }).map(value), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(entries, fc.boolean()), { minLength: 1, maxLength: 8 }), async (all) => {
      for (const [added, isOther] of all) {
        const before = await seen();
        const done = await add(isOther ? another() : here, added);
        expect(done).toMatchObject({ kind: 'committed', version: before.version + 1 });
        const after = await seen();
        expect(after.version).toBe(before.version + 1);
        expect(after.tail).toEqual(JSON.parse(JSON.stringify([...before.tail, ...added])));
        expect(after.record.state).toEqual(before.record.state);
        expect(after.record.lease).toEqual(before.record.lease);
      }
    }),
    runs(30),
  );
});

test('of two that add to the same version the first is committed, and the other is told so', async () => {
  const [one, two] = [another(), another()];
  const [first, second] = [await seen(one), await seen(two)];
  expect(await add(one, [value('one')], first)).toMatchObject({ kind: 'committed', version: 2 });
  expect(await add(two, [value('two')], second)).toEqual({ kind: 'conflict' });
  expect(await seen()).toMatchObject({ version: 2, tail: [value('one')] });
  expect(await add(two, [value('two')])).toMatchObject({ kind: 'committed', version: 3 });
  expect((await seen()).tail).toEqual([value('one'), value('two')]);
});

test('lines of any number of processes that add at once, each too late but the first, leave the versions before them as they are', async () => {
  const all = await Promise.all(
    Array.from({ length: 12 }, async () => {
      const store = another();
      return { store, read: await seen(store) };
    }),
  );
  const results: string[] = [];
  for (const [at, { store, read }] of all.entries())
    results.push((await add(store, [value(`${at}${'x'.repeat(15_000)}`)], read)).kind);
  expect(results).toEqual(['committed', ...Array(11).fill('conflict')]);
  const after = await seen();
  expect(after).toMatchObject({ version: 2, tail: [{ context: { value: expect.stringMatching(/^0x/) } }] });
  expect(await add(another(), [value('next')])).toMatchObject({ kind: 'committed', version: 3 });
  expect((await seen()).tail).toEqual([...after.tail, value('next')]);
});

test('a file is closed before the next one also by a process that is late to learn of its own commit before', async () => {
  const [linking, writing] = [gate(), gate()];
  const gates: Partial<Record<FsCall['call'], ReturnType<typeof gate>>> = { syncDir: linking };
  const slow = new FileStore(tree.folders, async (step) => {
    let next = step.next();
    while (next.done !== true) {
      const call = next.value;
      await gates[call.call]?.pass();
      next = outcomeOf(() => performSync(call))(step);
    }
    return next.value;
  });
  const change = async ({ version, record: before }: Awaited<ReturnType<typeof seen>>) =>
    slow.commit(TASK, { expected: version, op: tree.op(), record: { ...before, state: { ...before.state } } });
  const first = change(await seen(slow));
  await linking.reached;
  await tree.change(TASK);
  const decidedOn = await seen(slow);
  linking.open();
  expect(await first).toMatchObject({ kind: 'committed', version: 2 });
  Object.assign(gates, { syncDir: undefined, syncFile: writing });
  const second = change(decidedOn);
  await writing.reached;
  const added = await add(another(), [value('step')]);
  writing.open();
  expect([added.kind, (await second).kind].sort()).toEqual(['committed', 'conflict']);
  expect((await seen()).tail).toEqual(added.kind === 'committed' ? [value('step')] : []);
});

test('a document of a change that a line was faster than is not there afterwards', async () => {
  const late = another();
  const attemptId = id(11);
  const { version, record: before } = await seen(late);
  await add(here, [value(1)]);
  const part: Chunk = { version: 1, chunk_id: id(5), entries: [] };
  const documents = [{ kind: 'steps' as const, attemptId, value: part }];
  const change = { expected: version, op: tree.op(), record: before, documents };
  expect(await late.commit(TASK, change)).toEqual({ kind: 'conflict' });
  expect(tree.names(tree.at(TASK, 'attempts', attemptId, 'steps'))).toEqual([]);
});

test('a task that was read just after a line of it was added is not among those that have changed since', async () => {
  const { cursor } = await here.changesSince(null);
  await add(here, [value(1)]);
  await here.read(TASK, { cursor });
  expect((await here.changesSince(cursor)).changed).toEqual([]);
});

test('any other change makes a file of its own, after which nothing is added to the one before', async () => {
  const late = another();
  const before = await seen(late);
  await tree.change(TASK, ({ lease: _, ...rest }) => ({ ...rest, ...record(TASK, 'unclaimed'), memo: rest.memo }));
  expect(files()).toEqual(['v000000001.json', 'v000000002.json']);
  expect(await add(late, [value('late')], before)).toEqual({ kind: 'conflict' });
  expect(await seen()).toMatchObject({ version: 2, tail: [], record: { lease: null } });
});

test('a change that was decided before a line was added conflicts with it', async () => {
  const slow = another();
  const { version, record: before } = await seen(slow);
  await add(here, [value(1)]);
  const change = { expected: version, op: tree.op(), record: { ...before, state: { ...before.state } } };
  expect(await slow.commit(TASK, change)).toEqual({ kind: 'conflict' });
  expect(await seen()).toMatchObject({ version: 2, tail: [value(1)] });
});

test.each([
  ['all but the line end of its last line', (text: string) => text.slice(0, -1)],
  ['half of its last line', (text: string) => text.slice(0, -20)],
  ['zeros in place of its last line', (text: string) => text.replace(/[^\n]+\n$/, (line) => '\0'.repeat(line.length))],
  ['a last line that follows from another version', (text: string) => text.replace(/[^\n]+\n$/, '$&$&')],
])('a file with %s has the versions before it, and the next one gets a file of its own', async (_, damaged) => {
  await add(here, [value(1)]);
  await add(here, [value(2)]);
  const whole = textOf('v000000001.json');
  const text = damaged(whole);
  fs.writeFileSync(tree.at(TASK, 'v000000001.json'), text);
  const left = text.startsWith(whole) ? [value(1), value(2)] : [value(1)];
  expect((await seen()).tail).toEqual(left);
  expect(await add(another(), [value(3)])).toMatchObject({ kind: 'committed', version: left.length + 2 });
  expect(files()).toEqual(['v000000001.json', `v00000000${left.length + 2}.json`]);
  expect((await seen()).tail).toEqual([...left, value(3)]);
  // As where who made that file was killed before it was there.
  fs.rmSync(tree.at(TASK, `v00000000${left.length + 2}.json`));
  expect((await seen()).tail).toEqual(left);
});

test('a change that was decided on a line which the disk has spoiled conflicts with the version that has its number now', async () => {
  const late = another();
  await add(here, [value('spoiled')]);
  const { version, record: before } = await seen(late);
  const file = tree.at(TASK, 'v000000001.json');
  fs.writeFileSync(file, tree.read(file).replace('spoiled', 'sp*iled'));
  const now = await tree.change(TASK);
  expect((await seen()).version).toBe(version);
  const change = { expected: version, op: tree.op(), record: { ...before, state: { ...before.state } } };
  expect(await late.commit(TASK, change)).toEqual({ kind: 'conflict' });
  expect((await seen()).record).toEqual(now);
});

test('a record that nearly fills its file is not added to, and is changed as any other', async () => {
  const { memo, ...rest } = withJournal([]);
  const large = { ...rest, memo, 'x-note': 'x'.repeat(64_000) };
  await tree.change(TASK, () => large);
  expect(await add(another(), [value(1)])).toMatchObject({ kind: 'committed', version: 3 });
  expect(files()).toEqual(['v000000001.json', 'v000000002.json', 'v000000003.json']);
  expect(await seen()).toMatchObject({ version: 3, tail: [value(1)], record: { 'x-note': large['x-note'] } });
});

test.each(['x', 'ü', '語', '😀'])('a file that has grown long with %s is followed by another', async (letter) => {
  const long = letter.repeat(4800 / letter.length);
  for (let n = 0; n < 4; n++) expect(await add(another(), [value(`${n}${long}`)])).toMatchObject({ kind: 'committed' });
  expect(files().length).toBeGreaterThan(1);
  expect((await seen()).tail).toHaveLength(4);
  for (const file of files()) expect(Buffer.byteLength(textOf(file))).toBeLessThan(64 * 1024);
});

test("a person's edit of a view is taken over by a change that was decided on it, and not left out of a line", async () => {
  await add(here, [value(1)]);
  tree.editView(TASK, 'state.json', (state) => ({ ...state, note: 'by hand' }));
  const read = await here.read(TASK, { thorough: true });
  if (read.record === null) throw new Error('the task has no record');
  const edited = { version: read.version, record: read.record, tail: journalOf(read.record)?.tail ?? [] };
  expect(await add(here, [value(2)], edited)).toMatchObject({ kind: 'committed', version: 3 });
  const after = await seen();
  expect(after.record.state['note']).toBe('by hand');
  expect(after.tail).toEqual([value(1), value(2)]);
});

test('what is added by hand as no entry is reported, and the task left alone', async () => {
  await add(here, [value(1)]);
  const file = tree.at(TASK, 'v000000001.json');
  const { crc32 } = await import('../../../src/lib/checksum.ts');
  const op = /"op":"(op-\d+)"[^\n]*\n$/.exec(textOf('v000000001.json'))?.[1];
  const open = JSON.stringify({ after: op, op: 'hand', entries: [{ context: 5 }] }).slice(0, -1);
  fs.appendFileSync(file, `${open},"sum":"${crc32(open)}"}\n`);
  expect(await another().read(TASK)).toMatchObject({ record: null, problem: expect.stringContaining('version 1: ') });
});
