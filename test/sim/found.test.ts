/** Faults of the protocol that long simulations have found, each reproduced in all its orders of calls. */

import { describe, expect, test } from 'vitest';
import { withAdded } from '../../src/domain/steps/journal.ts';
import { freshRecord, type TaskRecord } from '../../src/domain/task/records.ts';
import { type FsCall, type Step, syncDir } from '../../src/lib/fs/operations.ts';
import { isoTime } from '../../src/lib/time.ts';
import { createdFor } from '../../src/store/file/documents.ts';
import { add, type CommitResult, commit, compact, readHead } from '../../src/store/file/protocol.ts';
import { COMPACTED } from '../../src/store/file/record-file.ts';
import { commitTask, settleTask } from '../../src/store/file/task-files.ts';
import { held } from '../support/store/tree.ts';
import { Disk, File, Folder, fault, ROOT } from './disk.ts';
import { Process, run } from './process.ts';
import { Random } from './random.ts';

const DIR = `${ROOT}/a`;
const RECORD = freshRecord('a', isoTime(1_700_000_000_000));

function diskWithFolder(): { disk: Disk; folder: Folder } {
  const disk = new Disk(new Random(1));
  const folder = new Folder();
  disk.place(disk.root, 'a', folder);
  return { disk, folder };
}

const upTo = (calls: number) => Array.from({ length: calls + 1 }, (_, index) => index);

describe('an incomplete listing', () => {
  /** Reads the head while two commits and a compaction happen during each of the first `times` listings. */
  function headRead(times: number) {
    const { disk, folder } = diskWithFolder();
    let newest = 0;
    const commitNext = () => {
      run(disk, commit(DIR, { expected: newest, op: `op-${++newest}`, record: RECORD }));
    };
    commitNext();
    let listings = 0;
    const reader = new Process(readHead(DIR));
    reader.run((call) => {
      if (call.call !== 'list' || listings++ >= times) return disk.perform(call);
      const before = [...folder.entries.keys()];
      commitNext();
      commitNext();
      run(disk, compact(DIR, newest, { kept: 1, compactAt: 1 }));
      return before.filter((name) => folder.entries.has(name));
    });
    return { head: reader.result, newest, listings };
  }

  test.each([1, 2, 3, 10])(
    'a reader finds the record although %i listings in a row miss the versions that changed meanwhile',
    (times) => {
      const { head, newest, listings } = headRead(times);
      expect(head).toMatchObject({ n: newest, version: { op: `op-${newest}` } });
      expect(listings).toBe(times + 1);
    },
  );
});

test('a reader finds the record although a listing shows only the damaged version before it', () => {
  const { disk, folder } = diskWithFolder();
  run(disk, commit(DIR, { expected: 0, op: 'op-1', record: RECORD }));
  disk.place(folder, 'v000000002.json', new File('spoiled', 'spoiled', 0));
  let listings = 0;
  const reader = new Process(readHead(DIR));
  reader.run((call) => {
    if (call.call !== 'list' || ++listings !== 2) return disk.perform(call);
    const before = [...folder.entries.keys()];
    run(disk, commit(DIR, { expected: 2, op: 'op-3', record: RECORD }));
    run(disk, compact(DIR, 3, { kept: 2, compactAt: 1 }));
    return before.filter((name) => folder.entries.has(name));
  });
  expect(reader.result).toMatchObject({ n: 3, version: { op: 'op-3' } });
  expect(listings).toBe(3);
});

test('a folder with the mark of a compaction and damaged versions alone is read as having none that is whole', () => {
  const { disk, folder } = diskWithFolder();
  disk.place(folder, COMPACTED, new File('', '', 0));
  disk.place(folder, 'v000000017.json', new File('spoiled', 'spoiled', 0));
  expect(run(disk, readHead(DIR))).toMatchObject({ n: 17, version: null, voided: ['v000000017.json'] });
});

test('a folder with the mark of a compaction and no version is read as having no version', () => {
  const { disk, folder } = diskWithFolder();
  disk.place(folder, COMPACTED, new File('', '', 0));
  expect(run(disk, readHead(DIR))).toMatchObject({ n: 0, version: null, names: [COMPACTED] });
});

describe('a line whose file has a name that is not durable yet', () => {
  const journal = { key: 'k', epoch: 0, chunks: [], tail: [] };
  const base = held('a');
  const HELD: TaskRecord = { ...base, memo: { ...base.memo, journal } };

  /** Adds a line to the newest version. */
  function* added(op: string): Step<CommitResult | null> {
    const { version } = yield* readHead(DIR);
    if (version === null) return null;
    const entry = { context: { [op]: true } };
    const record = withAdded(version.record, [entry]);
    return record && (yield* add(DIR, version, { op, record, added: [entry] }));
  }

  test.each(upTo(10))(
    'a power cut leaves it once it is reported as done, while the line before it is at its call %i',
    (calls) => {
      const { disk, folder } = diskWithFolder();
      const linker = new Process(commit(DIR, { expected: 0, op: 'linker', record: HELD }));
      linker.run((call) => {
        // It is paused before it syncs the folder.
        if (call.call === 'syncDir') throw fault('EIO');
        return disk.perform(call);
      });
      const first = new Process(added('first'));
      first.run((call) => disk.perform(call), calls);
      const second = run(disk, added('second'));
      if (second?.kind !== 'committed' || !second.durable) return;
      const [file] = [...folder.settled.values()].filter((entry) => entry instanceof File);
      expect((file as File | undefined)?.synced).toContain('"op":"second"');
    },
  );
});

describe('edit moved aside by two publishers', () => {
  const EDIT = '{ "note": "cut sho';

  /** The disk after two publishers have made their calls in turns of the given lengths. */
  function published(turns: readonly number[]): { folder: Folder; edit: File } {
    const { disk, folder } = diskWithFolder();
    const edit = new File(EDIT, EDIT, 0);
    run(disk, commitTask(DIR, { expected: 0, op: 'first', record: RECORD }));
    run(disk, syncDir(DIR));
    disk.place(folder, 'state.json', edit);
    const publishers = [new Process(settleTask(DIR, 'p1')), new Process(settleTask(DIR, 'p2'))];
    for (const [index, calls] of turns.entries()) publishers[index % 2]?.run((call) => disk.perform(call), calls);
    return { folder, edit };
  }

  /** Whether the file keeps a name after any power cut: a durable one, unchanged since or only moved elsewhere. */
  function isSafe({ folder, edit }: ReturnType<typeof published>): boolean {
    return [...folder.settled].some(([name, entry]) => {
      const [change, next] = folder.journal.filter((each) => each.name === name);
      return entry === edit && (change === undefined || (change.moved && next === undefined));
    });
  }

  /** Calls of a publisher that moves the edit aside; the turns of the two of them add up to more. */
  const TURN = upTo(14);

  test('an edit that two publishers move aside survives every power cut, in any order of their calls', () => {
    const turns = TURN.flatMap((a) => TURN.flatMap((b) => upTo(3).flatMap((c) => TURN.map((d) => [a, b, c, d]))));
    expect(turns.filter((each) => !isSafe(published(each)))).toEqual([]);
    const { folder, edit } = published([14, 14]);
    const names = [...folder.entries].flatMap(([name, entry]) => (entry === edit ? name : []));
    expect(names).toEqual(['aside-p1-0-state.json']);
  });
});

describe('document of a commit that is reported as not made', () => {
  const PART = `${ROOT}/q/part.json`;
  const isLink = (call: FsCall) => call.call === 'link' && call.to === `${DIR}/v000000002.json`;
  const isLook = (call: FsCall) => call.call === 'read' && call.path === `${DIR}/v000000002.json`;

  /** Whether the document is there after its commit on version 1, whose calls `perform` makes. */
  function isKept(perform: (disk: Disk, call: FsCall) => unknown): boolean {
    const { disk } = diskWithFolder();
    disk.place(disk.root, 'q', new Folder());
    run(disk, commit(DIR, { expected: 0, op: 'first', record: RECORD }));
    const request = { expected: 1, op: 'mine', record: RECORD };
    const file = { path: PART, text: '{}', doing: 'writing', above: [ROOT], standing: () => null };
    const process = new Process(createdFor([file], 'mine', { dir: DIR, request, step: commit(DIR, request) }));
    try {
      process.run((call) => perform(disk, call));
    } catch (error) {
      expect(error).toBe(fault('EIO'));
    }
    expect(process.result ?? { kind: 'conflict' }).toEqual({ kind: 'conflict' });
    return disk.file(PART) !== null;
  }

  const others = (disk: Disk, from: number) => {
    for (const n of [from, from + 1, from + 2])
      run(disk, commit(DIR, { expected: n, op: `other-${n}`, record: RECORD }));
  };

  test('document of a commit that is reported as not made stays when the link was made, its error did not say so, and the look at it fails', () => {
    const kept = isKept((disk, call) => {
      if (isLook(call)) throw fault('EIO');
      const result = disk.perform(call);
      if (isLink(call)) throw fault('EIO');
      return result;
    });
    expect(kept).toBe(true);
  });

  test.each(['EIO', 'EEXIST'])(
    'stays when the link was made and reported as %s, and others have built on it and removed it since',
    (code) => {
      const kept = isKept((disk, call) => {
        const result = disk.perform(call);
        if (!isLink(call)) return result;
        others(disk, 2);
        run(disk, compact(DIR, 5, { kept: 1, compactAt: 1 }));
        throw fault(code);
      });
      expect(kept).toBe(true);
    },
  );

  test('document of a commit that is reported as not made is removed when another commit was first', () => {
    const kept = isKept((disk, call) => {
      if (isLink(call)) others(disk, 1);
      return disk.perform(call);
    });
    expect(kept).toBe(false);
  });

  test.each(['create', 'write', 'link'])('is removed when the commit fails at its %s', (name) => {
    const kept = isKept((disk, call) => {
      const path = call.call === 'link' ? call.to : call.call === 'create' ? call.path : '';
      const isWrite = call.call === 'write' && call.text !== '{}';
      if (call.call === name && (path.startsWith(DIR) || isWrite)) throw fault('EIO');
      return disk.perform(call);
    });
    expect(kept).toBe(false);
  });
});
