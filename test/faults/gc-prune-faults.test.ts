/** `gc --prune`, killed at each system call that changes something, and with each of them failing. */

import fs from 'node:fs';
import { expect, test } from 'vitest';
import { doctor } from '../../src/commands/doctor.ts';
import { gc } from '../../src/commands/gc.ts';
import { logs } from '../../src/commands/logs.ts';
import { phases } from '../../src/commands/phases.ts';
import { runList } from '../../src/commands/run-list.ts';
import { show } from '../../src/commands/show.ts';
import { status } from '../../src/commands/status.ts';
import { steps } from '../../src/commands/steps.ts';
import { answerIn, ask, callOn, LiveForge, type RunEvent } from '../support/faults/forge.ts';
import { letLockRunOut } from '../support/faults/gc-tree.ts';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { dropProject, listing, makeProject, planOf } from '../support/faults/project.ts';
import {
  callText,
  cleanForge,
  type Fault,
  failures,
  faultyForge,
  noStrace,
  type TracedCall,
} from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

/** Calls that are killed at, and calls that fail, in the sample. */
const KILLS = 12;
const FAILURES = 8;

const PRUNE = ['gc', '--prune', '--older-than', '0', '--failed-older-than', '0'];
const OLD = ['done', 'broken'];
const WAITING = 'waiting';

const PARENT = 'parent';
const CHILDREN = ['a', 'b'].map((name) => `${PARENT}/files/${name}`);

/** Makes two children, and waits for them. */
const SCRIPT = [
  ...CHILDREN.map((id) => JSON.stringify({ name: id.split('/')[2], run: 'echo child' })).map(
    (line) => `echo '${line}' >> lines`,
  ),
  '"$FORGE_CLI" orchestrate fan-out files --from lines',
  '"$FORGE_CLI" orchestrate join files',
].join('\n');

/** Two tasks that are over, one with children that is over, one that waits, and a run that no record names. */
async function oldTree(): Promise<string> {
  const tasks = [
    { id: 'done', more: 'run: "echo one; echo two >&2"' },
    { id: 'broken', more: 'run: "echo half; exit 3", retry: {max_attempts: 2, base: 0}' },
    { id: PARENT, more: `run: ${JSON.stringify(SCRIPT)}` },
    { id: WAITING, more: 'run: "echo tried; exit 4", retry: {max_attempts: 9, base: 1d, cap: 1d}' },
  ];
  const dir = makeProject({ 'plans/phases.yaml': planOf(tasks) });
  const run = new LiveForge(dir, ['run']);
  const about = (type: string, task: string) => (event: RunEvent) => event.type === type && event['task_id'] === task;
  await run.event('the failure of the one that waits', about('task_retry', WAITING));
  for (const task of [...OLD, PARENT]) await run.event(`the end of ${task}`, about('task_finished', task));
  run.signal('SIGINT');
  await run.ended;
  const { answer } = await ask(dir, 'run', 'start');
  if (answer.ok) await ask(dir, 'run', 'end', '--run', String(answer.data['run_id']));
  return dir;
}

const attemptsOf = (dir: string, task: string) => `${dir}/.forge/orchestrator/tasks/${task}/attempts`;
const oldFiles = (dir: string) =>
  OLD.flatMap((task) => fs.readdirSync(attemptsOf(dir, task), { recursive: true, encoding: 'utf8' })).filter((name) =>
    /\/(logs|draft-|prompt\.md|events\.jsonl)/.test(name),
  );

/** What holds as soon as a removal was cut short: every read works, and where a log is missing it is said why. */
async function expectReadable(dir: string, waiting: object): Promise<void> {
  const call = callOn(dir);
  expect(listing(attemptsOf(dir, WAITING)), 'what waits keeps everything').toEqual(waiting);
  await expectChildrenOver(dir);
  for (const task of OLD) {
    const { attempts, state } = await show.run(call, { task });
    expect(state?.state).toBe(task === 'done' ? 'shipped' : 'failed');
    expect(attempts).toHaveLength(task === 'done' ? 1 : 2);
    for (const { attempt_id: attempt } of attempts) {
      const { stdout, pruned_at } = await logs.run(call, { task, attempt });
      expect(stdout !== '' || pruned_at !== null, `${task} has its log, or says who removed it`).toBe(true);
    }
  }
  const { checks } = await doctor.run(call, {});
  expect(checks.filter(({ status: found }) => found === 'fail')).toEqual([]);
  expect((await gc.run(call, { dry_run: true })).planned).toEqual([]);
}

/** Children are tasks that are over, or none at all; what they came to is known. */
async function expectChildrenOver(dir: string): Promise<void> {
  const call = callOn(dir);
  const { tasks } = await status.run(call, {});
  const states = new Map(tasks.map(({ task_id, state }) => [task_id, state]));
  expect([...OLD, PARENT, WAITING].map((task) => states.get(task) ?? 'gone')).not.toContain('gone');
  for (const child of CHILDREN) expect(['shipped', undefined]).toContain(states.get(child));
  expect(await phases.run(call, { ready: true })).toMatchObject({ ready: [] });
  const { steps: done } = await steps.run(call, { task: PARENT });
  expect(done.map(({ result }) => result)).toEqual([{ children: 2 }, { children: 2, not_shipped: {} }]);
}

/** A removal that comes after finishes, and the one after that finds nothing. Returns what was left for it. */
async function finished(dir: string, waiting: object): Promise<number> {
  letLockRunOut(dir);
  const options = { prune: true, older_than: '0', failed_older_than: '0' };
  const { pruned } = await gc.run(callOn(dir), options);
  expect(pruned).toMatchObject({ skipped: [], failed: [] });
  expect(oldFiles(dir)).toEqual([]);
  const tree = `${dir}/.forge/orchestrator`;
  expect(fs.readdirSync(`${tree}/tasks`).sort()).toEqual([...OLD, PARENT, WAITING].sort());
  expect(fs.readdirSync(tree)).not.toContain('trash');
  const { runs } = await runList.run(callOn(dir), {});
  expect(fs.readdirSync(`${dir}/.forge/orchestrator/runs`)).toEqual(runs.map(({ run_id }) => run_id));
  expect(await gc.run(callOn(dir), options)).toMatchObject({ pruned: { tasks: [], runs: [], files: 0 } });
  await expectReadable(dir, waiting);
  return pruned?.tasks.length ?? 0;
}

async function untouched() {
  const dir = await oldTree();
  const waiting = listing(attemptsOf(dir, WAITING));
  const { ran, calls, dir: clean } = await cleanForge(dir, PRUNE);
  expect(answerIn(ran.stdout), ran.stderr).toMatchObject({ ok: true, data: { pruned: { skipped: [], failed: [] } } });
  expect(oldFiles(dir).length).toBeGreaterThan(6);
  expect(await finished(clean, waiting)).toBe(0);
  dropProject(clean);
  return { dir, waiting, changing: calls.filter(({ changes, name }) => changes && name !== 'close') };
}

async function hurt({ dir, waiting }: Awaited<ReturnType<typeof untouched>>, call: TracedCall, fault: Fault) {
  const { ran, dir: copy } = await faultyForge(dir, PRUNE, call, fault);
  const where = `after ${fault} at ${callText(call)}`;
  try {
    await expectReadable(copy, waiting);
    const left = await finished(copy, waiting);
    dropProject(copy);
    return { where, ran, left };
  } catch (error) {
    throw new Error(where, { cause: error });
  }
}

describeUnless(noStrace(), 'a removal by gc --prune', () => {
  test('gc --prune survives SIGKILL in place of any system call that changes something', {
    timeout: LONG ? 1_800_000 : 180_000,
  }, async () => {
    const tried = await untouched();
    const renamed = tried.changing.filter(({ name, shape }) => name.startsWith('rename') && shape.includes('/runs/'));
    expect(renamed.length).toBeGreaterThan(0);
    const after = tried.changing.indexOf(renamed.at(-1) as TracedCall) + 1;
    // Between the record of the parent and its children, and between the children.
    const moved = tried.changing.filter(({ name, shape }) => name.startsWith('rename') && shape.includes('/trash/'));
    expect(moved).toHaveLength(CHILDREN.length);
    const points = sampled(tried.changing, KILLS, [...moved, ...tried.changing.slice(after, after + 1)]);
    const lefts = await pooled(points, async (point) => (await hurt(tried, point, 'kill')).left);
    expect(Math.max(...lefts)).toBe(OLD.length + 1);
    expect(Math.min(...lefts)).toBe(0);
  });

  test('gc --prune answers a failing system call as an error of the disk, and works when it is repeated', {
    timeout: LONG ? 1_800_000 : 180_000,
  }, async () => {
    const tried = await untouched();
    const unlinked = tried.changing.filter(({ name }) => name.startsWith('unlink'));
    const some = sampled(tried.changing, FAILURES, unlinked.slice(3, 4));
    const ends = await pooled(failures(tried.changing, some), async ({ call, fault }) => {
      const { where, ran } = await hurt(tried, call, fault);
      const answer = answerIn(ran.stdout);
      if (answer === null) throw new Error(`${where} there was no answer:\n${ran.stderr}`);
      if (!answer.ok) {
        expect({ code: ran.code, error: answer.error }, where).toMatchObject({ code: 1, error: { code: 'IO_ERROR' } });
        return 'all';
      }
      const { failed } = answer.data['pruned'] as { failed: { code: string }[] };
      expect(ran.code, where).toBe(failed.length > 0 ? 1 : 0);
      expect(
        failed.map(({ code }) => code),
        where,
      ).toEqual(failed.map(() => 'IO_ERROR'));
      return failed.length > 0 ? 'some' : 'none';
    });
    expect(new Set(ends)).toContain('some');
  });
});

test('two gc --prune at once remove everything once', async () => {
  const dir = await oldTree();
  const waiting = listing(attemptsOf(dir, WAITING));
  const preview = (await ask(dir, ...PRUNE, '--dry-run')).answer;
  const files = preview.ok ? (preview.data['pruned'] as { files: number }).files : 0;
  expect(files).toBeGreaterThan(oldFiles(dir).length);
  const both = await Promise.all([1, 2].map(() => ask(dir, ...PRUNE)));
  const removed = both.map(({ answer }) => (answer.ok ? (answer.data['pruned'] as { files: number }).files : -1));
  expect(removed.sort()).toEqual([0, files]);
  expect(await finished(dir, waiting)).toBe(0);
});
