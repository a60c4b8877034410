/** Projects in repositories that are not simply `.git` in the top folder. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { folder, orchestrate } from '../support/cli.ts';
import { WORK } from '../support/finishing.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

const { PATH: _, ...env } = GIT_ENV;

/** Each makes the layout below `top`, of a repository with a commit, and returns the project's folder and the checkout of main. */
const LAYOUTS: Record<string, (top: string, source: Repository) => { at: string; main: string }> = {
  'beside a bare repository and its worktrees': (top, source) => {
    source.git('clone', '-q', '--bare', source.root, `${top}/.bare`);
    fs.writeFileSync(`${top}/.git`, 'gitdir: ./.bare\n');
    source.in(top, 'worktree', 'add', '-q', 'main', 'main');
    return { at: top, main: `${top}/main` };
  },
  'in a worktree of a bare repository': (top, source) => {
    source.git('clone', '-q', '--bare', source.root, `${top}/.bare`);
    source.in(`${top}/.bare`, 'worktree', 'add', '-q', '../main', 'main');
    return { at: `${top}/main`, main: `${top}/main` };
  },
  'in a submodule': (top, source) => {
    const outer = new Repository(top);
    outer.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', source.root, 'inner');
    outer.git('commit', '--quiet', '--message', 'inner');
    return { at: `${top}/inner`, main: `${top}/inner` };
  },
  'in a worktree alone, of a branch that the main checkout is not on': (top, source) => {
    source.git('worktree', 'add', '-q', '-b', 'feature', `${top}/feature`);
    return { at: `${top}/feature`, main: `${top}/feature` };
  },
  'in a checkout apart from its repository': (top, source) => {
    source.git('clone', '-q', `--separate-git-dir=${top}/apart.git`, source.root, `${top}/main`);
    return { at: `${top}/main`, main: `${top}/main` };
  },
};

function layout(name: string) {
  const top = folder();
  const source = new Repository(folder());
  source.commit({ '.gitignore': '.env\n', 'base.txt': 'base\n' });
  const made = LAYOUTS[name]?.(top, source);
  if (made === undefined) throw new Error(`there is no layout ${name}`);
  const write = (file: string, text: string) => source.write(file, text, made.at);
  const task = (id: string, more: string) => `{id: ${id}, title: T, run: 'test -f .env && ${WORK}'${more}}`;
  write(
    'plans/phases.yaml',
    `project: p\nphases: [{id: p, name: P, tasks: [${task('build', '')}, ${task('ship', ', depends_on: [build]')}]}]\n`,
  );
  write('.forge/settings.yaml', 'workspace: worktree\nship: {policy: merge}\nretry: {max_attempts: 1}\n');
  write('.forge/.gitignore', '*\n');
  fs.writeFileSync(`${made.main}/.env`, 'KEY=1\n');
  return { ...made, source, top };
}

test.each(Object.keys(LAYOUTS))('a project %s is worked on in worktrees and merged', async (name) => {
  const { at, main, source } = layout(name);
  expect(await orchestrate(['run'], { cwd: at, env })).toMatchObject({ code: 0, stderr: '' });
  expect(source.in(main, 'ls-files')).toContain('ship.txt');
  expect(fs.readFileSync(`${main}/ship.txt`, 'utf8')).toBe('done\n');
  expect(source.in(main, 'status', '--porcelain', '--untracked-files=no')).toBe('');
  const cleared = await orchestrate(['gc', '--shipped', '--json'], { cwd: at, env });
  expect(cleared.json().data.applied).toHaveLength(4);
  const doctor = await orchestrate(['doctor', '--json'], { cwd: path.join(at, 'plans'), env });
  expect(doctor.code).toBe(0);
});

test('all worktrees of a bare repository share the state tree of the worktree of its branch', async () => {
  const { at, top, source } = layout('in a worktree of a bare repository');
  source.in(at, 'add', 'plans');
  source.in(at, 'commit', '-q', '-m', 'plan');
  source.in(at, 'worktree', 'add', '-q', `${top}/feature`);
  const claim = (cwd: string) => orchestrate(['claim', '--next', '--json'], { cwd, env });
  expect((await claim(at)).json().data).toMatchObject({ task_id: 'build' });
  expect(fs.existsSync(`${top}/feature/plans/phases.yaml`)).toBe(true);
  expect((await claim(`${top}/feature`)).json()).toMatchObject({ ok: false });
  expect((await claim(`${top}/feature/plans`)).json()).toMatchObject({ ok: false });
});

test('without a worktree of its branch, that worktree of a bare repository counts which has a state tree', async () => {
  const { at, top, source } = layout('in a worktree of a bare repository');
  source.in(at, 'add', 'plans');
  source.in(at, 'commit', '-q', '-m', 'plan');
  for (const name of ['one', 'two']) source.in(at, 'worktree', 'add', '-q', `${top}/${name}`);
  source.in(at, 'worktree', 'remove', '--force', at);
  const claim = (cwd: string) => orchestrate(['claim', '--next', '--json'], { cwd, env });
  expect((await claim(`${top}/two`)).json().data).toMatchObject({ task_id: 'build' });
  expect((await claim(`${top}/one`)).json()).toMatchObject({ ok: false });
});

test('the project of a worktree alone is found from its start, from its folders and from the worktrees of its tasks', async () => {
  const { at, source } = layout('in a worktree alone, of a branch that the main checkout is not on');
  source.in(at, 'add', '--force', 'plans');
  source.in(at, 'commit', '-q', '-m', 'plan');
  const found = async (cwd: string) =>
    (await orchestrate(['phases', '--json'], { cwd, env })).json().data?.phases.length;
  expect(await found(at)).toBe(1);
  expect((await orchestrate(['claim', 'build', '--json'], { cwd: `${at}/plans`, env })).code).toBe(0);
  const made = (await orchestrate(['ensure-worktree', 'build', '--json'], { cwd: at, env })).json().data;
  for (const cwd of [at, `${at}/plans`, made.worktree_path, `${made.worktree_path}/plans`]) {
    const { counts } = (await orchestrate(['status', '--json'], { cwd, env })).json().data;
    expect(counts).toMatchObject({ claimed: 1, unclaimed: 1 });
  }
});

test('beside a bare repository whose branch is checked out nowhere, work is merged all the same', async () => {
  const { at, main, source } = layout('beside a bare repository and its worktrees');
  source.in(at, 'worktree', 'remove', '--force', main);
  const plan = fs.readFileSync(`${at}/plans/phases.yaml`, 'utf8').replaceAll('test -f .env && ', '');
  fs.writeFileSync(`${at}/plans/phases.yaml`, plan);
  expect(await orchestrate(['run'], { cwd: at, env })).toMatchObject({ code: 0, stderr: '' });
  expect(source.in(at, 'ls-tree', '--name-only', 'main')).toContain('ship.txt');
});

test('init in a worktree of a repository whose main checkout has a project says that commands use that one', async () => {
  const source = new Repository(folder());
  source.commit({ 'plans/phases.yaml': 'project: p\nphases: [{id: p, name: P, tasks: [{id: a, title: A}]}]\n' });
  const cwd = path.join(folder(), 'feature');
  source.git('worktree', 'add', '-q', '-b', 'feature', cwd);
  const { code, stderr } = await orchestrate(['init'], { cwd, env });
  expect([code, stderr]).toEqual([0, expect.stringContaining(`commands in this one use ${source.root}; with --dir`)]);
  expect((await orchestrate(['init', '--dir', '.'], { cwd, env })).stderr).toBe('');
  expect((await orchestrate(['init'], { cwd: source.root, env })).stderr).toBe('');
});
