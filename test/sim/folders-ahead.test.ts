/** First commits into folders that were made ahead, in all orders of the calls of two processes. */

import { expect, test } from 'vitest';
import { freshRecord } from '../../src/domain/task/records.ts';
import type { FsCall, Step } from '../../src/lib/fs/operations.ts';
import { isoTime } from '../../src/lib/time.ts';
import { FoldersAhead } from '../../src/store/file/folders-ahead.ts';
import { commitTask, type FolderCommit } from '../../src/store/file/task-files.ts';
import { Disk, Folder, fault, ROOT } from './disk.ts';
import { Process } from './process.ts';
import { Random } from './random.ts';

const folderOf = (taskId: string) => `${ROOT}/${taskId}`;

/** The first version of each of `taskIds`, one after the other; `reported` gets the ids of those that count as durable. */
function* committing(taskIds: readonly string[], op: string, reported: Set<string>, ahead?: FoldersAhead): Step<void> {
  for (const id of taskIds) {
    const record = freshRecord(id, isoTime(1_700_000_000_000));
    const request = { expected: 0, op: `${op}-${id}`, record, ...(ahead === undefined ? {} : { ahead }) };
    const result: FolderCommit = yield* commitTask(folderOf(id), request);
    if (result.kind === 'committed' && result.warnings.length === 0) reported.add(id);
  }
}

/** Ids whose first version is left by every power cut from now on. */
function certain(disk: Disk): string[] {
  return [...disk.root.settled].flatMap(([id, entry]) =>
    entry instanceof Folder && entry.settled.has('v000000001.json') ? [id] : [],
  );
}

const upTo = (calls: number) => Array.from({ length: calls + 1 }, (_, index) => index);

function aheadOf(taskIds: readonly string[]): FoldersAhead {
  const ahead = new FoldersAhead(folderOf);
  ahead.next = () => taskIds;
  return ahead;
}

test('a first commit into a folder made ahead is durable when it is reported, in any order of its calls with those of another', () => {
  const lost: string[] = [];
  let both = 0;
  for (const own of upTo(60)) {
    for (const others of upTo(30)) {
      const disk = new Disk(new Random(1));
      const reported = new Set<string>();
      const perform = (call: FsCall) => disk.perform(call);
      const first = new Process(committing(['a', 'b', 'c'], 'p', reported, aheadOf(['a', 'b', 'c'])));
      const second = new Process(committing(['b', 'c'], 'q', reported));
      for (const [turn, calls] of [
        [first, own],
        [second, others],
        [first, undefined],
        [second, undefined],
      ] as const) {
        turn.run(perform, calls);
        const safe = certain(disk);
        lost.push(...[...reported].filter((id) => !safe.includes(id)).map((id) => `${id} after ${own}, ${others}`));
      }
      both += reported.size;
    }
  }
  expect(lost).toEqual([]);
  expect(both).toBe(61 * 31 * 3);
});

test('folders made ahead cost one sync of the folder above for all of them', () => {
  const disk = new Disk(new Random(1));
  const synced: string[] = [];
  const ids = ['a', 'b', 'c', 'd'];
  new Process(committing(ids, 'p', new Set(), aheadOf(ids))).run((call) => {
    if (call.call === 'syncDir') synced.push(call.path);
    return disk.perform(call);
  });
  expect(synced.filter((path) => path === ROOT)).toHaveLength(1);
  expect(certain(disk)).toEqual(ids);
});

test.each([
  ['was removed since', (call: FsCall) => call.call === 'create' && call.path.startsWith(folderOf('a/')), null],
  ['could not be made', null, (call: FsCall) => call.call === 'mkdir' && call.path === folderOf('b')],
  ['was made when the sync failed', null, (call: FsCall) => call.call === 'syncDir' && call.path === ROOT],
])('a first commit makes its folder itself where the one made ahead %s', (_, removes, fails) => {
  const disk = new Disk(new Random(1));
  const reported = new Set<string>();
  let failed = false;
  const ahead = aheadOf(['a', 'b']);
  const perform = (call: FsCall) => {
    if (!failed && fails?.(call) === true) {
      failed = true;
      throw fault('EIO');
    }
    if (removes?.(call) === true && disk.root.entries.has('b')) disk.perform({ call: 'rmdir', path: folderOf('b') });
    return disk.perform(call);
  };
  const attempt = (id: string) => {
    try {
      new Process(committing([id], 'p', reported, ahead)).run(perform);
    } catch (error) {
      expect(error).toBe(fault('EIO'));
    }
  };
  attempt('a');
  attempt('b');
  expect([...reported].at(-1)).toBe('b');
  expect(certain(disk)).toContain('b');
});
