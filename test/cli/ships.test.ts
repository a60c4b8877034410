/** Merges by `run` and by hand, into a base that is checked out or not. */

import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { again, type Finishing, finishing, WORK } from '../support/finishing.ts';
import { until } from '../support/processes.ts';

const BUILD = `id: build, title: Build it, run: '${WORK}'`;
const MERGE = 'ship: {policy: merge}\nretry: {max_attempts: 2, base: 1ms}';
/** A base that is not checked out. */
const TRUNK = 'ship: {policy: merge, base: trunk}\nretry: {max_attempts: 2, base: 1ms}';

const firstParents = ({ repo }: Finishing, branch: string) =>
  repo.git('log', '--first-parent', '--format=%s', branch).split('\n');

/** Nothing of a merge in progress is left. */
function expectClean({ repo }: Finishing): void {
  expect(repo.git('for-each-ref', 'refs/forge')).toBe('');
  expect(fs.readdirSync(repo.path('.forge/worktrees')).filter((name) => name.startsWith('.forge-scratch'))).toEqual([]);
  expect(repo.git('worktree', 'list')).not.toContain('scratch');
}

/** A project with a task that is reviewed, and whose merge is up to the test. */
async function reviewed(settings = MERGE, tasks = [BUILD]): Promise<Finishing> {
  const base = settings.includes('base: trunk') ? ', base: trunk' : '';
  const play = await again(`${base} ${tasks}`, async () => {
    const first = `review: {command: "false"}\nship: {policy: merge${base}}\nretry: {max_attempts: 1}`;
    const made = finishing(tasks, first);
    made.repo.git('branch', 'trunk');
    await made.forge('run');
    made.repo.write('.forge/pass.json', '{"verdict": "pass"}');
    for (const task of tasks) {
      const id = /id: ([^,]+)/.exec(task)?.[1] ?? '';
      await made.data('review', id, '--file', '.forge/pass.json');
    }
    return made;
  });
  play.repo.write('.forge/settings.yaml', `workspace: worktree\n${settings}\n`);
  return play;
}

test('run merges what is verified into the branch of the main checkout, whose files follow', async () => {
  const play = finishing([BUILD], `${MERGE}\nverify: {commands: [test -s build.txt]}`);
  play.repo.write('notes.txt', 'mine, not committed\n');
  const { code, stderr } = await play.forge('run');
  expect([code, stderr]).toEqual([0, '']);
  expect(firstParents(play, 'main')).toEqual(["Merge branch 'forge/build' into main", 'first']);
  expect(play.repo.git('log', '-1', '--format=%b', 'main')).toBe('Build it');
  expect(play.repo.git('rev-parse', 'main^2')).toBe(play.repo.git('rev-parse', 'forge/build'));
  expect(fs.readFileSync(play.repo.path('build.txt'), 'utf8')).toBe('done\n');
  expect(play.repo.git('status', '--porcelain')).toBe('?? notes.txt');
  expectClean(play);
  const { attempts, state } = await play.data('show', 'build');
  expect(state).toMatchObject({ state: 'shipped', attempt_count: 1 });
  expect(attempts[1]).toMatchObject({
    phase: 'ship',
    ship: { merged: true, base: 'main', merge_sha: play.repo.git('rev-parse', 'main'), error: null },
  });
});

test('a base that is not checked out moves without a checkout', async () => {
  const play = finishing([BUILD], TRUNK);
  play.repo.git('branch', 'trunk');
  const before = play.repo.git('status', '--porcelain=v2', '--branch');
  expect((await play.forge('run')).code).toBe(0);
  expect(firstParents(play, 'trunk')).toEqual(["Merge branch 'forge/build' into trunk", 'first']);
  expect(firstParents(play, 'main')).toEqual(['first']);
  expect(play.repo.git('status', '--porcelain=v2', '--branch')).toBe(before);
  expectClean(play);
});

test('ship names the merge commit, and ships merged work without another merge', async () => {
  const play = await reviewed(TRUNK);
  const data = await play.data('ship', 'build');
  expect(data).toMatchObject({ state: 'shipped', base: 'trunk', merge_sha: play.repo.git('rev-parse', 'trunk') });
  expect((await play.forge('ship', 'build')).code).toBe(3);

  const other = await reviewed(TRUNK);
  other.repo.git('update-ref', 'refs/heads/trunk', 'refs/heads/forge/build');
  expect(await other.data('ship', 'build')).toMatchObject({ state: 'shipped', base: 'trunk', merge_sha: null });
  expect(firstParents(other, 'trunk')[0]).toBe('build');
});

describe('failed merges', () => {
  test('a conflict sends the task back and says what to do', async () => {
    const play = await reviewed(TRUNK);
    const trunk = play.repo.git('commit-tree', '-p', 'trunk', '-m', 'theirs', conflicting(play));
    play.repo.git('update-ref', 'refs/heads/trunk', trunk);
    const result = await play.forge('ship', 'build', '--json');
    expect(result.code).toBe(1);
    expect(result.json()).toMatchObject({
      error: { code: 'VERIFICATION_FAILED', details: { class: 'ship.conflict' } },
      data: { state: 'awaiting_respawn' },
    });
    expect(result.json().error.message).toContain(
      'forge/build conflicts with trunk in build.txt; merge trunk into forge/build',
    );
    expect(play.repo.git('rev-parse', 'trunk')).toBe(trunk);
    expect((await play.data('render-worker-prompt', 'build')).prompt).toContain('Merge that branch into yours');
    expectClean(play);
  });

  test('a merge that fails verification sends the task back', async () => {
    const task = `id: build, title: B, run: '${WORK}', verify: ["test ! -e theirs.txt || test ! -e build.txt"]`;
    const play = await reviewed(TRUNK, [task]);
    const trunk = play.repo.branch('theirs', { 'theirs.txt': 'theirs\n' }, 'trunk');
    play.repo.git('update-ref', 'refs/heads/trunk', trunk);
    const result = await play.forge('ship', 'build', '--json');
    expect(result.json().error.details.class).toBe('ship.verify');
    expect(result.json().error.message).toContain('merged with trunk, test ! -e theirs.txt');
    expect(play.repo.git('rev-parse', 'trunk')).toBe(trunk);
    expectClean(play);
  });

  test('a branch that has moved since it was verified is not merged', async () => {
    const play = await reviewed(TRUNK);
    play.repo.commit({ 'more.txt': 'more\n' }, play.repo.path('.forge/worktrees/build'));
    expect((await play.forge('ship', 'build', '--json')).json().error.details.class).toBe('ship.moved');
    expect(firstParents(play, 'trunk')).toEqual(['first']);
  });
});

/** A tree like that of trunk with another `build.txt`. */
function conflicting({ repo }: Finishing): string {
  repo.branch('other', { 'build.txt': 'theirs\n' }, 'trunk');
  return repo.git('rev-parse', 'other^{tree}');
}

describe('blocked merges', () => {
  test("uncommitted changes in the base's checkout keep the task waiting, uncharged", async () => {
    const play = await reviewed();
    play.repo.write('build.txt', 'mine\n');
    const main = play.repo.git('rev-parse', 'main');
    const result = await play.forge('ship', 'build');
    expect(result.code).toBe(4);
    // Where its lines end depends on the length of the path.
    expect(result.stderr.replaceAll(/\s+/g, ' ')).toContain('would be overwritten: build.txt');
    expect(fs.readFileSync(play.repo.path('build.txt'), 'utf8')).toBe('mine\n');
    expect(play.repo.git('rev-parse', 'main')).toBe(main);
    expect(await play.state('build')).toMatchObject({ state: 'merge_pending', failure_count: 0 });
    fs.rmSync(play.repo.path('build.txt'));
    expect(await play.data('ship', 'build')).toMatchObject({ state: 'shipped' });
  });

  test('why a run has given a merge up is kept until it is merged', async () => {
    const play = await reviewed();
    play.repo.write('.git/index.lock', '');
    expect((await play.forge('run')).code).toBe(4);
    const { held } = await play.data('why', 'build');
    expect(held).toMatchObject({
      message: expect.stringContaining('index.lock'),
      hint: expect.stringContaining('remove the lock'),
    });
    fs.rmSync(play.repo.path('.git/index.lock'));
    await play.data('ship', 'build');
    expect((await play.data('why', 'build')).held).toBeNull();
  });

  test('a main checkout with a detached HEAD keeps the task waiting, uncharged', async () => {
    const play = finishing([BUILD], `${MERGE}\nreview: {command: ./review.sh}`);
    play.repo.git('checkout', '--quiet', '--detach');
    expect((await play.forge('run', '--max-parallel', '1')).code).toBe(4);
    const result = await play.forge('ship', 'build');
    expect([result.code, result.stderr]).toEqual([4, expect.stringContaining('is on no branch')]);
  });

  test('a base that is no branch keeps the task waiting, uncharged', async () => {
    const play = await reviewed('ship: {policy: merge, base: nowhere}');
    const result = await play.forge('ship', 'build');
    expect([result.code, result.stderr]).toEqual([2, expect.stringContaining('ship.base: there is no branch nowhere')]);
    expect((await play.state('build')).state).toBe('reviewed');
  });

  test('an unmerged dependency keeps the task waiting, uncharged', async () => {
    const play = await reviewed(TRUNK, [BUILD, `id: next, title: N, run: '${WORK}'`]);
    const plan = fs.readFileSync(play.repo.path('plans/phases.yaml'), 'utf8');
    play.repo.write('plans/phases.yaml', plan.replace('id: next,', 'id: next, depends_on: [build],'));
    const early = await play.forge('ship', 'next');
    expect([early.code, early.stderr]).toEqual([4, expect.stringMatching(/it depends on\s+build, which is reviewed/)]);
    expect((await play.forge('run')).code).toBe(0);
    expect(firstParents(play, 'trunk').slice(0, 2)).toEqual([
      "Merge branch 'forge/next' into trunk",
      "Merge branch 'forge/build' into trunk",
    ]);
  });
});

test('work is merged into the branch that it was started for, whatever is checked out by then', async () => {
  const play = await reviewed();
  play.repo.git('checkout', '--quiet', '-b', 'other');
  expect(await play.data('ship', 'build')).toMatchObject({ state: 'shipped', base: 'main' });
  expect(firstParents(play, 'main')[0]).toBe("Merge branch 'forge/build' into main");
  expect(firstParents(play, 'other')).toEqual(['first']);
  expect(play.repo.git('status', '--porcelain', '--untracked-files=no', '--', ':!.forge')).toBe('');
});

test('a merge whose verification changes its files does not count', async () => {
  const verify = '[ ! -e other.txt ] || echo changed >> build.txt';
  const play = await reviewed(TRUNK, [`id: build, title: B, run: '${WORK}', verify: ["${verify}"]`]);
  play.repo.git('update-ref', 'refs/heads/trunk', play.repo.branch('other', { 'other.txt': 'o\n' }, 'trunk'));
  const trunk = play.repo.git('rev-parse', 'trunk');
  const result = await play.forge('ship', 'build', '--json');
  expect(result.json().error).toMatchObject({ details: { class: 'ship.verify' } });
  expect(result.json().error.message).toContain('the checks have changed build.txt');
  expect(play.repo.git('rev-parse', 'trunk')).toBe(trunk);
});

test('a title is only text in the merge message', async () => {
  const play = finishing([`id: build, title: "odd \\0 \\e[31m title", run: '${WORK}'`], MERGE);
  expect((await play.forge('run')).code).toBe(0);
  expect(play.repo.git('log', '-1', '--format=%b', 'main')).toMatch(/^odd .*title$/);
  expect(play.repo.git('log', '-1', '--format=%b', 'main')).not.toContain('\u001b');
});

test('a merge is made again when the base moves during verification', async () => {
  const moves = 'git update-ref refs/heads/trunk $(git commit-tree -p trunk -m theirs trunk^{tree})';
  const once = `if [ $FORGE_PHASE = ship ] && mkdir $FORGE_DIR/.forge/moved; then ${moves}; fi`;
  const task = `id: build, title: B, run: '${WORK}', verify: ["${once.replaceAll('$', '$')}"]`;
  const play = finishing([task], TRUNK);
  play.repo.git('config', 'user.name', 'x');
  play.repo.git('config', 'user.email', 'x@x');
  play.repo.git('branch', 'trunk');
  const { code, stdout } = await play.forge('run');
  expect([code, stdout]).toEqual([0, expect.stringContaining('all done')]);
  expect(firstParents(play, 'trunk')).toEqual(["Merge branch 'forge/build' into trunk", 'theirs', 'first']);
  expectClean(play);
});

test('with ship.policy none a reviewed task is shipped as it is', async () => {
  const play = await reviewed('ship: {policy: none}');
  expect(await play.data('ship', 'build')).toMatchObject({ state: 'shipped', base: null, merge_sha: null });
  expect(firstParents(play, 'main')).toEqual(['first']);
});

test('run --dry-run shows what would be reviewed and merged', async () => {
  const play = await reviewed(`${TRUNK}\nreview: {command: ./review.sh}`, [
    BUILD,
    `id: other, title: O, run: '${WORK}'`,
  ]);
  const { would_finish, waiting } = await play.data('run', '--dry-run');
  expect(would_finish).toMatchObject([
    { task_id: 'build', phase: 'ship' },
    { task_id: 'other', phase: 'ship' },
  ]);
  expect(waiting).toEqual([]);
  expect((await play.forge('run', '--dry-run')).stdout).toContain('Would merge (2)');
});

test('doctor reports the base and what blocks merges', async () => {
  const play = await reviewed();
  const merges = async () =>
    (await play.forge('doctor', '--json')).json().data.checks.find(({ name }: { name: string }) => name === 'merges');
  expect(await merges()).toMatchObject({
    status: 'ok',
    message: `what is reviewed is merged into main; the files in ${play.at} follow`,
  });
  play.repo.git('checkout', '--quiet', '--detach');
  expect(await merges()).toMatchObject({ status: 'fail', fix: expect.stringContaining('ship.base') });
  play.repo.write('.forge/settings.yaml', `workspace: worktree\n${TRUNK}\n`);
  expect((await merges()).message).toContain('into trunk; it is checked out nowhere');
});

test('cancel removes what a killed merge left', async () => {
  const verify = 'case $FORGE_PHASE in ship) echo $$ > $FORGE_DIR/.forge/pid; exec sleep 600;; esac';
  const play = finishing([`id: build, title: B, run: '${WORK}', verify: ["${verify}"]`], TRUNK);
  play.repo.git('branch', 'trunk');
  const run = play.start('run');
  const pid = () => Number(fs.existsSync(play.repo.path('.forge/pid')) ? play.read('pid') : 0);
  await until('the merge is being verified', () => pid() > 0);
  run.process.kill('SIGKILL');
  await run.ended;
  expect(await play.data('cancel', 'build')).toMatchObject({ state: 'cancelled' });
  expectClean(play);
  await until('the check has ended', () => !isAlive(pid()));
  expect(firstParents(play, 'trunk')).toEqual(['first']);
});

/** Whether the process lives; a zombie does not. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('worktrees after the merge', () => {
  const tree = (play: Finishing, task = 'build') => play.repo.path('.forge/worktrees', task);

  test.each([
    ['worktrees: {keep: 0}', false],
    ['worktrees: {keep: 1d}', true],
    ['', true],
  ])('a run keeps the worktree of a shipped task as the settings say: %j', async (settings, kept) => {
    const play = finishing([`id: build, title: B, run: '${WORK}'`], `${MERGE}\n${settings}`);
    expect((await play.forge('run')).code).toBe(0);
    expect(fs.existsSync(tree(play))).toBe(kept);
    expect(play.repo.git('for-each-ref', 'refs/heads/forge') !== '').toBe(kept);
    const { checks } = await play.data('doctor');
    const { message } = checks.find(({ name }: { name: string }) => name === 'worktrees');
    expect(message).toMatch(kept ? /^shipped tasks have 1 worktree, which take \d/ : /^there are no worktrees/);
  });

  test('a run removes nothing of a task whose branch is not merged', async () => {
    const play = finishing([`id: build, title: B, run: '${WORK}'`], 'worktrees: {keep: 0}');
    expect((await play.forge('run')).code).toBe(0);
    expect(fs.existsSync(tree(play))).toBe(true);
  });
});
