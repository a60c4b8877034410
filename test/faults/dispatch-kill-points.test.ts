/**
 * `dispatch` in a real repository, which makes the worktree of the task: killed alone at any of its system calls, and
 * together with its git. The same call again gives the attempt, and a whole worktree, without a person.
 */

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { complete } from '../../src/commands/complete.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { doctor } from '../../src/commands/doctor.ts';
import type { CommandContext } from '../../src/commands/shared/session.ts';
import { status } from '../../src/commands/status.ts';
import { why } from '../../src/commands/why.ts';
import { auditTask } from '../support/faults/audit.ts';
import { callOn, commandLine } from '../support/faults/forge.ts';
import { LONG, pooled, sampled, sized } from '../support/faults/knobs.ts';
import { copyProject, dropProject, freshPlace, listing, makeProject, planOf } from '../support/faults/project.ts';
import { MINE, TASK, VERDICT } from '../support/faults/scenarios.ts';
import { aroundCommits, callText, cleanRun, faultyRun, isSteady, noStrace } from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

/** Points of forge in the sample. */
const SAMPLE = 5;
/** Of the points that git reaches, every `STEP`th is tried. */
const STEP = sized(34, 17, 1);
/** Calls of git that change something, or that come right before one that does. */
const GIT_CALLS = 'openat,mkdir,rename,unlink,rmdir,link,write';
const STAND_IN = path.join(import.meta.dirname, '../support/faults/bin');

/** Kills forge and every process of its git at once, if FAULT_FORGE is set; only a forge to be killed has it. */
const KILL_ALL = 'test -z "$FAULT_FORGE" || kill -9 "$FAULT_FORGE" 0';

interface Claimed {
  dir: string;
  args: string[];
  call: CommandContext;
}

/** A repository whose task is claimed. */
async function claimed(): Promise<Claimed> {
  const dir = freshPlace();
  const repository = new Repository(dir);
  repository.commit({
    'plans/phases.yaml': planOf([{ id: TASK }]),
    '.forge/settings.yaml': 'workspace: worktree\n',
    'a.txt': 'a\n',
    'deep/b.txt': 'b\n',
  });
  const call = callIn(dir);
  const { run_id } = await claim.run(call, { task: TASK, claim_id: MINE });
  return { dir, call, args: ['dispatch', TASK, '--claim', MINE, '--run', run_id] };
}

function callIn(dir: string): CommandContext {
  const call = callOn(dir);
  return { ...call, ctx: { ...call.ctx, env: GIT_ENV } };
}

/** The command line of a forge whose git knows only the settings of the repository, and which tells its own pid. */
function command(dir: string, args: readonly string[], env: Record<string, string> = {}): string[] {
  const variables = Object.entries({ ...GIT_ENV, ...env }).map(([name, value]) => `${name}=${value}`);
  return ['env', ...variables, 'sh', '-c', 'FAULT_FORGE=$$ exec "$@"', 'sh', ...commandLine(dir, args)];
}

/** By which signal a command ended; null when by none. */
function signalOf([program = '', ...args]: readonly string[]): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: '/', stdio: 'ignore' });
    child.once('error', reject);
    child.once('close', (_code, signal) => resolve(signal));
  });
}

/** What git, and those who wait for it, may still be writing to when forge has been killed. */
const BUSY = /^(\.forge\/logs|\.forge\/worktrees|\.git)$/;

/** Every verb works at once, and the same dispatch gives the attempt and its worktree. Then the work is done. */
async function expectDispatched(dir: string, args: readonly string[]): Promise<void> {
  const call = callIn(dir);
  const files = listing(dir, BUSY);
  expect((await status.run(call, {})).tasks).toMatchObject([{ task_id: TASK }]);
  expect((await why.run(call, { task: TASK })).ready).toBe(false);
  expect(listing(dir, BUSY)).toEqual(files);
  endLocks(dir);
  const options = { task: TASK, claim: MINE, run: args.at(-1) ?? '', phase: 'implement' as const };
  const opened = await dispatch.run(call, options);
  const tree = `${dir}/.forge/worktrees/${TASK}`;
  expect(opened).toMatchObject({ attempt_number: 1, worktree_path: tree });
  expect(await dispatch.run(call, options)).toEqual(opened);
  expect(auditTask(dir, TASK).record?.state).toMatchObject({ state: 'dispatched', attempt_count: 1 });
  await expectWhole(dir, tree);
  new Repository(dir).commit({ 'work.txt': 'done\n' }, tree);
  const file = `${makeProject({ 'verdict.json': VERDICT })}/verdict.json`;
  const { state } = await complete.run(call, { task: TASK, attempt: opened.attempt_id, verdict_file: file });
  expect(state).toBe('shipped');
}

/** Lets ten seconds pass, after which the locks of a killed process are stale. */
function endLocks(dir: string): void {
  const folder = `${dir}/.forge/worktrees`;
  if (!fs.existsSync(folder)) return;
  for (const name of fs.readdirSync(folder).filter((name) => name.startsWith('.forge-'))) {
    const lock = `${folder}/${name}`;
    if (fs.statSync(lock).isDirectory()) fs.utimesSync(lock, 1, 1);
  }
}

async function expectWhole(dir: string, tree: string): Promise<void> {
  const repository = new Repository(dir);
  expect(repository.in(tree, 'symbolic-ref', 'HEAD')).toBe(`refs/heads/forge/${TASK}`);
  expect(repository.in(tree, 'rev-parse', 'HEAD')).toBe(repository.git('rev-parse', 'main'));
  expect(repository.in(tree, 'status', '--porcelain')).toBe('');
  expect(fs.readFileSync(`${tree}/deep/b.txt`, 'utf8')).toBe('b\n');
  expect(repository.git('worktree', 'list').split('\n')).toHaveLength(2);
  expect(repository.git('worktree', 'list', '--porcelain')).not.toMatch(/^(locked|prunable)/m);
  const inGit = fs.readdirSync(`${dir}/.git`, { recursive: true, encoding: 'utf8' });
  expect(inGit.filter((name) => name.endsWith('.lock'))).toEqual([]);
  const beside = fs.readdirSync(path.dirname(tree)).filter((name) => !name.endsWith('.tmp'));
  expect(beside.sort()).toEqual(['.gitignore', TASK]);
  repository.git('fsck', '--strict');
  const { checks } = await doctor.run(callIn(dir), {});
  // In tests git has no identity.
  expect(checks.filter(({ name, status }) => status !== 'ok' && name !== 'identity')).toEqual([]);
}

describeUnless(noStrace(), 'a dispatch that makes a worktree', () => {
  test('dispatch survives SIGKILL of forge at each of its own system calls', {
    timeout: LONG ? 1_200_000 : 120_000,
  }, async () => {
    const { dir, args } = await claimed();
    const clean = copyProject(dir);
    const { calls } = await cleanRun(command(clean, args), clean);
    await expectWhole(clean, `${clean}/.forge/worktrees/${TASK}`);
    const steady = calls.filter(isSteady);
    expect(steady.length).toBeGreaterThan(7);
    await pooled(sampled(steady, SAMPLE, aroundCommits(steady).slice(-1)), async (point) => {
      const killed = await faultyRun(
        () => copyProject(dir),
        (copy) => command(copy, args),
        point,
        'kill',
      );
      await expectDispatched(killed.dir, args).catch((error: unknown) => {
        throw new Error(`after SIGKILL at ${callText(point)}`, { cause: error });
      });
      dropProject(killed.dir);
    });
  });

  test('dispatch survives SIGKILL of forge and git at the system calls of git', {
    timeout: LONG ? 1_200_000 : 120_000,
  }, async () => {
    const { dir, args } = await claimed();
    const env = { FAULT_PATH: GIT_ENV.PATH, PATH: `${STAND_IN}:${GIT_ENV.PATH}`, FAULT_CALLS: GIT_CALLS };
    let point = 1;
    for (; ; point += STEP) {
      const copy = copyProject(dir);
      const signal = await signalOf(command(copy, args, { ...env, FAULT_POINT: String(point) }));
      if (signal === null) break;
      expect(signal).toBe('SIGKILL');
      await expectDispatched(copy, args).catch((error: unknown) => {
        throw new Error(`after SIGKILL at call ${point} of git`, { cause: error });
      });
      dropProject(copy);
    }
    expect(point).toBeGreaterThan(51);
  });
});

describe('dispatch killed with every process of its git', () => {
  test('dispatch survives SIGKILL of all processes in the middle of the checkout', async () => {
    const { dir, args } = await claimed();
    const repository = new Repository(dir);
    fs.writeFileSync(`${dir}/.git/info/attributes`, 'deep/* filter=fault\n');
    repository.git('config', 'filter.fault.smudge', `${KILL_ALL}; cat`);
    expect(await signalOf(command(dir, args))).toBe('SIGKILL');
    await expectDispatched(dir, args);
  });

  test('dispatch survives SIGKILL of all processes right after the checkout', async () => {
    const { dir, args } = await claimed();
    fs.mkdirSync(`${dir}/.git/hooks`, { recursive: true });
    fs.writeFileSync(`${dir}/.git/hooks/post-checkout`, `#!/bin/sh\n${KILL_ALL}\n`, { mode: 0o755 });
    expect(await signalOf(command(dir, args))).toBe('SIGKILL');
    await expectDispatched(dir, args);
  });
});
