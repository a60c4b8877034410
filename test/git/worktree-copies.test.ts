/** Symlinks among the files that worktrees get copies of. */

import fs from 'node:fs';
import { beforeEach, expect, test } from 'vitest';
import { openSession } from '../../src/commands/shared/session.ts';
import { ensureWorkspace } from '../../src/git/worktree.ts';
import { planOf, World } from '../support/commands/world.ts';
import { gitCall, repositoryOf } from '../support/git/world.ts';
import type { Repository } from '../support/repository.ts';

let world: World;
let repo: Repository;

beforeEach(() => {
  world = new World(planOf('build'), 'agents: {worktree_copy: ["deps", "deps/**"]}\n');
  repo = repositoryOf(world, { '.gitignore': 'deps\n' });
  repo.write('deps/lint/cli.sh', 'echo linted\n');
});

function link(name: string, leadsTo: string): void {
  fs.mkdirSync(repo.path('deps/bin'), { recursive: true });
  fs.symlinkSync(leadsTo, repo.path(name));
}

async function made(): Promise<(name: string) => string | null> {
  const { path: at } = await ensureWorkspace(await openSession(gitCall(world)), {
    id: 'build',
    depends_on: [],
  });
  return (name) => {
    const there = fs.lstatSync(`${at}/${name}`, { throwIfNoEntry: false });
    return there?.isSymbolicLink() === true ? fs.readlinkSync(`${at}/${name}`) : null;
  };
}

test.each([
  ['to a file', 'deps/bin/lint', '../lint/cli.sh'],
  ['to a folder', 'deps/bin/all', '../lint/'],
  ['that leads nowhere in the project', 'deps/bin/gone', '../gone'],
  ['that leads back to itself', 'deps/bin/loop', 'loop'],
])('a relative link is copied as one: %s', async (_, name, leadsTo) => {
  link(name, leadsTo);
  expect((await made())(name)).toBe(leadsTo);
  expect(world.warnings).toEqual([]);
});

test.each([
  ['an absolute path', () => repo.path('deps/lint/cli.sh')],
  ['a place outside', () => '../../../elsewhere'],
  ['the state tree', () => '../../.forge/settings.yaml'],
  ["git's own files", () => '../../.git/config'],
])('a link to %s is left out, and a warning names it', async (_, leadsTo) => {
  link('deps/bin/lint', leadsTo());
  expect((await made())('deps/bin/lint')).toBeNull();
  expect(world.warnings).toEqual([
    expect.stringContaining('not copied into the worktree of task build: deps/bin/lint;'),
  ]);
});

test('a link that leads out by way of another one is left out', async () => {
  link('deps/out', '..');
  link('deps/bin/lint', '../out/../../elsewhere');
  const linkIn = await made();
  expect([linkIn('deps/out'), linkIn('deps/bin/lint')]).toEqual([null, null]);
});

test('a folder that is itself a link out of the project is left out, and a warning names it', async () => {
  fs.rmSync(repo.path('deps'), { recursive: true });
  fs.symlinkSync('/usr', repo.path('deps'));
  expect((await made())('deps')).toBeNull();
  expect(world.warnings[0]).toContain('deps; of links only those are copied that stay in the project');
});
