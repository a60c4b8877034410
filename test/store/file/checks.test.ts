import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { treeChecks } from '../../../src/store/file/checks.ts';
import type { Layout } from '../../../src/store/file/tree.ts';
import { emptyFolder, record, Tree } from '../../support/store/tree.ts';

let tree: Tree;
beforeEach(() => {
  tree = new Tree();
});

/** What the check of that name says. */
function saidOf(name: string, layout: Layout = tree.layout) {
  const check = treeChecks(layout).find((each) => each.name === name);
  if (check === undefined) throw new Error(`there is no check ${name}`);
  return check.look();
}

describe("doctor's checks of the tree", () => {
  test('a project without a tree passes every check', () => {
    for (const name of ['writable', 'symlinks', 'permissions', 'file system']) {
      expect(saidOf(name)).toMatchObject({ name, status: 'ok', fix: null });
    }
  });

  // Root may write everywhere.
  test.skipIf(process.getuid?.() === 0)('the deepest existing folder of the tree must be writable', async () => {
    fs.mkdirSync(tree.layout.forge, { mode: 0o500 });
    expect(saidOf('writable')).toMatchObject({
      status: 'fail',
      message: `${tree.layout.forge} cannot be written (EACCES)`,
    });
    fs.chmodSync(tree.layout.forge, 0o700);
    await tree.commit('build', record('build'));
    fs.chmodSync(tree.layout.tasks, 0o500);
    expect(saidOf('writable')).toMatchObject({
      status: 'fail',
      message: `${tree.layout.tasks} cannot be written (EACCES)`,
    });
    fs.chmodSync(tree.layout.tasks, 0o700);
    expect(saidOf('writable').status).toBe('ok');
  });

  test.each([
    ['a file without a name', undefined],
    ['a file that is removed at once, where there is no other kind', null],
  ])('the write that is tried makes %s', (_what, unnamed) => {
    tree.folders.ensure();
    const before = fs.readdirSync(tree.layout.project, { recursive: true });
    const times = (dir: string) => fs.statSync(dir).mtimeMs;
    const changed = times(tree.layout.tasks);
    const [check] = treeChecks(tree.layout, unnamed);
    expect(check?.look()).toMatchObject({ name: 'writable', status: 'ok' });
    expect(fs.readdirSync(tree.layout.project, { recursive: true })).toEqual(before);
    expect(times(tree.layout.tasks)).toBe(changed);
  });

  test('symlinks in the tree are reported, wherever they lead', async () => {
    await tree.commit('build', record('build'));
    fs.symlinkSync(emptyFolder(), tree.at('linked'));
    fs.symlinkSync('/nowhere/at/all', tree.at('broken'));
    fs.rmSync(tree.layout.runs, { recursive: true });
    fs.symlinkSync(emptyFolder(), tree.layout.runs);
    const { status, message } = saidOf('symlinks');
    expect(status).toBe('fail');
    expect(message.replace(/: .*/, '').split(', ').sort()).toEqual(
      [tree.layout.runs, tree.at('broken'), tree.at('linked')].sort(),
    );
  });

  test.each([
    [0o700, 'ok'],
    [0o755, 'ok'],
    [0o770, 'warn'],
    [0o702, 'warn'],
  ])('a folder of mode %o is open to others: %s', async (mode, status) => {
    await tree.commit('build', record('build'));
    fs.chmodSync(tree.layout.tasks, mode);
    expect(saidOf('permissions')).toMatchObject({
      status,
      fix: status === 'ok' ? null : `chmod go-w ${tree.layout.tasks}`,
    });
  });

  test('a missing file system is not reported as doubtful', () => {
    expect(saidOf('file system', { ...tree.layout, project: '/nowhere/at/all' }).status).toBe('ok');
  });
});
