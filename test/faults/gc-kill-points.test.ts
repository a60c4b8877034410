/** A removal by gc that is killed before any of its git commands is finished by the next one, with one rescue. */

import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeEach, expect, test } from 'vitest';
import { openSession, type Session } from '../../src/commands/shared/session.ts';
import { pruneBranch, removeWorktree } from '../../src/git/gc-look.ts';
import { ensureWorkspace } from '../../src/git/worktree.ts';
import { bundle } from '../support/bundle.ts';
import { planOf, World } from '../support/commands/world.ts';
import { sized } from '../support/faults/knobs.ts';
import { gitCall, repositoryOf } from '../support/git/world.ts';
import { startHelper } from '../support/processes.ts';
import { GIT_ENV, type Repository } from '../support/repository.ts';

/** Of the points that are reached, every so manieth is tried. */
const STEP = sized(8, 4, 1);

let world: World;
let repo: Repository;

beforeEach(() => {
  world = new World(planOf('build'), 'version: 1\n');
  repo = repositoryOf(world);
});

const session = (): Promise<Session> => openSession(gitCall(world));
const trees = () => repo.path('.forge/worktrees');
const lines = (...args: string[]) =>
  repo
    .git(...args)
    .split('\n')
    .filter(Boolean);
const rescues = () => lines('for-each-ref', '--format=%(refname)', 'refs/forge');
const shaOf = (name: string) => repo.git('rev-parse', '--verify', name);

/** A git that kills the process that starts it for the n-th time. */
function deadly(nth: number): Record<string, string> {
  const [real, dir] = [repo.git('--exec-path'), repo.path('.git/odd')];
  fs.rmSync(dir, { recursive: true, force: true });
  // A file is made by one process alone, so that two at the same moment are counted as two.
  const count = `set -C; n=1; until true >${dir}/$n; do n=$((n + 1)); done 2>/dev/null`;
  repo.write(
    '.git/odd/git',
    `#!/bin/sh\n${count}\n[ $n = ${nth} ] && kill -9 $PPID && exit 9\nexec ${real}/git "$@"\n`,
  );
  fs.chmodSync(`${dir}/git`, 0o755);
  return { ...GIT_ENV, PATH: `${dir}:${GIT_ENV.PATH}` };
}

/** Kills the removal before its n-th git command. False when it has ended before that. */
async function killedAt(nth: number, what: object): Promise<boolean> {
  const remover = await bundle(fileURLToPath(new URL('../support/faults/remover.ts', import.meta.url)));
  const { signal, code } = await startHelper(remover, { project: repo.root, env: deadly(nth), ...what }).ended;
  expect(signal ?? code).toBe(signal === null ? 0 : 'SIGKILL');
  letLocksRunOut();
  return signal !== null;
}

/** Locks of a killed process run out after a while; here they do at once. */
function letLocksRunOut(): void {
  for (const dir of [trees(), repo.path('.git')].filter((each) => fs.existsSync(each))) {
    const locks = fs.readdirSync(dir).filter((name) => /^\.forge-lock-|^forge-pruning\.lock$/.test(name));
    for (const name of locks) fs.utimesSync(`${dir}/${name}`, 1, 1);
  }
}

test('the removal of a branch survives SIGKILL before every git command', async () => {
  let points = 0;
  for (let killed = true; killed; ) {
    const at = `killed before git ${1 + points * STEP}`;
    const sha = repo.branch('forge/lib', { 'lib.txt': `${points}` });
    const branch = { branch: 'forge/lib', sha, merged: false };
    killed = await killedAt(1 + points * STEP, { branch });
    expect((await pruneBranch(await session(), branch)).kind, at).toBe(killed ? 'done' : 'skipped');
    expect(lines('for-each-ref', 'refs/heads/forge'), at).toEqual([]);
    expect(rescues().map(shaOf), at).toEqual([sha]);
    repo.git('update-ref', '-d', rescues()[0] as string);
    points++;
  }
  expect(points).toBeGreaterThan(sized(1, 2, 8));
}, 600_000);

test('the removal of a worktree survives SIGKILL before every git command', async () => {
  let points = 0;
  for (let killed = true; killed; ) {
    const at = `killed before git ${1 + points * STEP}`;
    const place = (await ensureWorkspace(await session(), { id: 'build', depends_on: [] })).path;
    const head = repo.commit({ 'work.txt': `${points}` }, place);
    repo.write('code.txt', `half ${points}\n`, place);
    repo.write('staged.txt', `${points}\n`, place);
    repo.in(place, 'add', 'staged.txt');
    fs.rmSync(`${place}/staged.txt`);
    const worktree = { path: place, branch: 'forge/build', head };
    killed = await killedAt(1 + points * STEP, { worktree });
    expect((await removeWorktree(await session(), worktree)).kind, at).toBe(killed ? 'done' : 'skipped');
    expect(fs.readdirSync(trees()), at).toEqual(['.gitignore']);
    expect(rescues(), at).toHaveLength(1);
    const [ref] = rescues() as [string];
    expect(repo.git('show', `${ref}:code.txt`), at).toBe(`half ${points}`);
    expect(repo.git('show', `${ref}^2:staged.txt`), at).toBe(`${points}`);
    expect(shaOf(`${ref}^1`), at).toBe(head);
    repo.git('update-ref', '-d', ref);
    repo.git('update-ref', '-d', 'refs/heads/forge/build');
    points++;
  }
  expect(points).toBeGreaterThan(sized(3, 7, 30));
}, 600_000);
