import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { doubtfulFileSystem, openToOthers, symlinksIn, writableTree } from '../../../src/store/file/checks.ts';
import { emptyFolder, record, Tree } from '../../support/store/tree.ts';

let tree: Tree;
beforeEach(() => {
  tree = new Tree();
});

describe("doctor's checks of the tree", () => {
  test('without a tree the project folder must be writable', () => {
    expect(writableTree(tree.layout)).toEqual({ ok: true, path: tree.layout.project });
    expect(symlinksIn(tree.layout)).toEqual([]);
    expect(openToOthers(tree.layout)).toEqual([]);
  });

  test('the deepest existing folder of the tree must be writable', async () => {
    fs.mkdirSync(tree.layout.forge);
    expect(writableTree(tree.layout).path).toBe(tree.layout.forge);
    await tree.commit('build', record('build'));
    expect(writableTree(tree.layout).path).toBe(tree.layout.tasks);
  });

  // Root may write everywhere.
  test.skipIf(process.getuid?.() === 0)('a folder without permission is told', async () => {
    await tree.commit('build', record('build'));
    fs.chmodSync(tree.layout.tasks, 0o500);
    expect(writableTree(tree.layout)).toEqual({ ok: false, path: tree.layout.tasks });
    fs.chmodSync(tree.layout.tasks, 0o700);
  });

  test('symlinks in the tree are reported, wherever they lead', async () => {
    await tree.commit('build', record('build'));
    fs.symlinkSync(emptyFolder(), tree.at('linked'));
    fs.symlinkSync('/nowhere/at/all', tree.at('broken'));
    fs.rmSync(tree.layout.runs, { recursive: true });
    fs.symlinkSync(emptyFolder(), tree.layout.runs);
    expect(symlinksIn(tree.layout).sort()).toEqual([tree.layout.runs, tree.at('broken'), tree.at('linked')].sort());
  });

  test.each([
    [0o700, false],
    [0o755, false],
    [0o770, true],
    [0o702, true],
  ])('a folder of mode %o is open to others: %s', async (mode, open) => {
    await tree.commit('build', record('build'));
    fs.chmodSync(tree.layout.tasks, mode);
    expect(openToOthers(tree.layout)).toEqual(open ? [tree.layout.tasks] : []);
  });

  test('a missing file system is not reported as doubtful', () => {
    expect(doubtfulFileSystem({ ...tree.layout, project: '/nowhere/at/all' })).toBeNull();
  });
});
