/** Branches of tasks follow their base until they have commits of their own. */

import fs from 'node:fs';
import { beforeEach, expect, test } from 'vitest';
import { renderWorkerPrompt } from '../../src/commands/render-worker-prompt.ts';
import { openSession } from '../../src/commands/shared/session.ts';
import { why } from '../../src/commands/why.ts';
import { freshRecord } from '../../src/domain/task/records.ts';
import { baseChanges } from '../../src/git/base-changes.ts';
import { lookAtGit } from '../../src/git/gc-look.ts';
import { workspaceForNext } from '../../src/git/worktree.ts';
import { planOf, World } from '../support/commands/world.ts';
import { gitCall, repositoryOf } from '../support/git/world.ts';
import type { Repository } from '../support/repository.ts';

let world: World;
let repo: Repository;
const call = () => gitCall(world);

beforeEach(() => {
  world = new World(planOf('lib', 'build'), 'workspace: worktree\n');
  repo = repositoryOf(world);
});

/** The worktree as the next attempt at `build` gets it. */
async function next({ depends_on = [] as string[], begunFor = null as string | null } = {}) {
  const record = freshRecord('build', '2030-01-01T00:00:00.000Z');
  return workspaceForNext(await openSession(call()), { id: 'build', depends_on }, record, begunFor);
}

const head = (at: string) => repo.in(at, 'rev-parse', 'HEAD');

test('a branch without commits of its own follows the base, with its worktree', async () => {
  const { path: at } = await next();
  const main = repo.commit({ 'code.txt': 'two\n', 'new.txt': 'n' });
  expect(await next()).toMatchObject({ created: false, behind: null });
  expect([head(at), repo.git('rev-parse', 'forge/build')]).toEqual([main, main]);
  expect(fs.readFileSync(`${at}/code.txt`, 'utf8')).toBe('two\n');
  expect(repo.in(at, 'status', '--porcelain')).toBe('');
  expect(world.warnings).toEqual([]);
});

test('a branch that was left behind without its worktree follows the base when the worktree is made again', async () => {
  repo.git('branch', 'forge/build');
  const main = repo.commit({ 'new.txt': 'n' });
  const { path: at, behind } = await next();
  expect([head(at), behind]).toEqual([main, null]);
});

test('a branch that follows the base gets the work of its dependencies', async () => {
  await next({ depends_on: ['lib'] });
  const main = repo.commit({ 'new.txt': 'n' });
  const lib = repo.branch('forge/lib', { 'lib.txt': 'l' }, 'main~1');
  const { path: at } = await next({ depends_on: ['lib'] });
  expect(repo.in(at, 'rev-parse', 'HEAD^1', 'HEAD^2')).toBe(`${main}\n${lib}`);
});

test('a branch that is at the base gets the work of dependencies that was done since', async () => {
  await next({ depends_on: ['lib'] });
  const lib = repo.branch('forge/lib', { 'lib.txt': 'l' });
  const { path: at, behind } = await next({ depends_on: ['lib'] });
  expect([head(at), behind]).toEqual([lib, null]);
  expect(fs.readFileSync(`${at}/lib.txt`, 'utf8')).toBe('l');
});

test('a branch with commits of its own stays, and how far it is behind is told to the run, its worker and why', async () => {
  const { path: at } = await next();
  const work = repo.commit({ 'work.txt': 'w' }, at);
  for (const name of ['a', 'b', 'c']) repo.commit({ [name]: name });
  expect((await next()).behind).toEqual({ branch: 'forge/build', commits: 3, base: 'main' });
  expect(head(at)).toBe(work);
  expect(world.warnings).toEqual(['forge/build is 3 commits behind main']);
  expect((await why.run(call(), { task: 'build' })).notes).toEqual(['forge/build is 3 commits behind main']);
  const { prompt } = await renderWorkerPrompt.run(call(), { task: 'build' });
  expect(prompt).toContain('forge/build is 3 commits behind main. Merge `main` into it');
});

test('a prompt names the commits that the branch lacks, and the files that both sides have changed', async () => {
  const { path: at } = await next();
  repo.commit({ 'both.txt': 'mine', 'own.txt': 'o' }, at);
  const lacked = repo.commit({ 'both.txt': 'theirs', 'new.txt': 'n' });
  const { prompt } = await renderWorkerPrompt.run(call(), { task: 'build' });
  expect(prompt).toMatch(new RegExp(`\\n${lacked.slice(0, 7)}\\w* .*\\n\`\`\`\\n`));
  expect(prompt).toContain('Your branch has changed these files as well:\n\n```data\nboth.txt\n```');
});

test('what is new on the base since it was at a commit is told where the branch has it', async () => {
  const before = head(repo.root);
  await next();
  const changes = async (since: string | null) => baseChanges(await openSession(call()), 'build', null, since);
  expect(await changes(before)).toBeNull();
  const after = repo.commit({ 'new.txt': 'n' });
  await next();
  expect(await changes(null)).toBeNull();
  expect(await changes(before)).toMatchObject({ base: 'main', count: 1, both: [] });
  expect(await changes(after)).toBeNull();
  expect(await changes('0'.repeat(40))).toBeNull();
});

test('a branch follows the branch that its task was begun for, whatever is checked out since', async () => {
  const { path: at } = await next();
  const main = repo.commit({ 'new.txt': 'n' });
  repo.git('checkout', '--quiet', '-b', 'other');
  repo.commit({ 'other.txt': 'o' });
  await next({ begunFor: 'main' });
  expect(head(at)).toBe(main);
});

test('uncommitted changes that a move would overwrite keep the branch where it is, and are named', async () => {
  const { path: at } = await next();
  const before = head(at);
  repo.write('code.txt', 'mine\n', at);
  repo.commit({ 'code.txt': 'two\n' });
  expect((await next()).behind).toMatchObject({ commits: 1 });
  expect([head(at), fs.readFileSync(`${at}/code.txt`, 'utf8')]).toEqual([before, 'mine\n']);
  expect(world.warnings[0]).toMatch(/^forge\/build can't follow main: /);
});

test('a worktree in which another branch is checked out stays', async () => {
  const { path: at } = await next();
  repo.in(at, 'checkout', '--quiet', '-b', 'mine');
  const before = head(at);
  repo.commit({ 'new.txt': 'n' });
  await next();
  expect([head(at), repo.git('rev-parse', 'forge/build')]).toEqual([before, before]);
});

test('a branch that has only followed the base proves no work', async () => {
  await next();
  repo.commit({ 'new.txt': 'n' });
  await next();
  const look = await lookAtGit(await openSession(call()), world.project);
  expect(await look.mergedSha('build', null)).toBeNull();
});
