/** gc on a tree with many divergences: killed at each system call that changes something, and with each of them failing. */

import { expect, test } from 'vitest';
import { shortly } from '../support/commands/world.ts';
import { answerIn, commandLine } from '../support/faults/forge.ts';
import { expectAtOnce, expectPutRight, finishedGc, gcTree, outcomeOf } from '../support/faults/gc-tree.ts';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { copyProject, dropProject, makeProject } from '../support/faults/project.ts';
import {
  callText,
  cleanForge,
  cleanRun,
  type Fault,
  failures,
  faultyForge,
  isSteady,
  noStrace,
  type TracedCall,
} from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

/** Calls that are killed at, and calls that fail, in the sample. */
const KILLS = 10;
const FAILURES = 8;

type Tried = Awaited<ReturnType<typeof untouched>>;

/** gc without a fault: what it does, what comes of it, and by which calls. */
async function untouched() {
  const tree = await gcTree();
  const clean = copyProject(tree.dir);
  const { ran, calls } = await cleanRun(commandLine(clean, ['gc']), clean);
  const answer = answerIn(ran.stdout);
  expect(answer, ran.stderr).toMatchObject({ ok: true, data: { skipped: [], failed: [] } });
  expect(shortly(itemsOf(answer?.data, 'applied'))).toEqual(tree.planned);
  await expectAtOnce(tree, clean);
  expect((await finishedGc(clean)).applied).toEqual([]);
  await expectPutRight(tree, clean);
  const outcome = await outcomeOf(clean);
  dropProject(clean);
  // It starts git where a verdict is checked, and then the number of its other calls differs from run to run.
  return { tree, outcome, changing: calls.filter(isSteady) };
}

type Shown = { row: number; task_id: string; action: string; code?: string }[];
function itemsOf(data: Record<string, unknown> | null | undefined, part: string): Shown {
  return (data?.[part] ?? []) as Shown;
}

/** Runs gc with a fault; then everything that must hold of what it left. Returns what it had answered, and its exit code. */
async function hurt({ tree, outcome }: Tried, call: TracedCall, fault: Fault) {
  const { ran, dir } = await faultyForge(tree.dir, ['gc'], call, fault);
  const where = `after ${fault} at ${callText(call)}`;
  try {
    await expectAtOnce(tree, dir);
    const { applied } = await finishedGc(dir);
    await expectPutRight(tree, dir);
    const end = await outcomeOf(dir);
    // The free task was claimed in both, under other names.
    expect({ ...end, free: null }).toEqual({ ...outcome, free: null });
    dropProject(dir);
    return { where, ran, answer: answerIn(ran.stdout), left: applied.length };
  } catch (error) {
    throw new Error(where, { cause: error });
  }
}

/** Points at which a person's file has two names or another name, one of each kind. */
function betweenNames(calls: readonly TracedCall[]): TracedCall[] {
  return [/\/legacy\//, /\/archived\//, /\/lease\.json\.(old|orig|bak|a|b)\b/].map((moved) => {
    const at = calls.findIndex(({ name, shape }) => /^(link|rename)/.test(name) && moved.test(shape));
    const end = calls.slice(at).find(({ name }) => name.startsWith('unlink'));
    if (at < 0 || end === undefined) throw new Error(`no call has moved a file like ${moved}`);
    return end;
  });
}

describeUnless(noStrace(), 'an apply of gc', () => {
  test('gc survives SIGKILL in place of any system call that changes something', {
    timeout: LONG ? 1_800_000 : 120_000,
  }, async () => {
    const tried = await untouched();
    const points = sampled(tried.changing, KILLS, betweenNames(tried.changing));
    const lefts = await pooled(points, async (point) => (await hurt(tried, point, 'kill')).left);
    // Some were killed before the first item, some among them, some behind the last.
    expect(Math.max(...lefts)).toBe(tried.tree.planned.length);
    expect(Math.min(...lefts)).toBe(0);
    expect(new Set(lefts).size).toBeGreaterThan(4);
  });

  test('gc survives a failing system call', { timeout: LONG ? 1_800_000 : 120_000 }, async () => {
    const tried = await untouched();
    const { planned } = tried.tree;
    const some = sampled(tried.changing, FAILURES, betweenNames(tried.changing).slice(-1));
    const failed = await pooled(failures(tried.changing, some), async ({ call, fault }) => {
      const { where, ran, answer } = await hurt(tried, call, fault);
      if (answer === null) throw new Error(`${where} there was no answer:\n${ran.stderr}`);
      if (!answer.ok) {
        expect({ code: ran.code, error: answer.error }, where).toMatchObject({ code: 1, error: { code: 'IO_ERROR' } });
        return 'all';
      }
      const fails = itemsOf(answer.data, 'failed');
      const applied = itemsOf(answer.data, 'applied');
      expect(
        fails.map(({ code }) => code),
        where,
      ).toEqual(fails.map(() => 'IO_ERROR'));
      expect(ran.code, where).toBe(fails.length > 0 ? 1 : 0);
      // What failed is of one task; all others are put right.
      expect(new Set(fails.map(({ task_id }) => task_id)).size, where).toBeLessThanOrEqual(1);
      const hit = fails[0]?.task_id;
      const others = (items: Shown) => shortly(items.filter(({ task_id }) => task_id !== hit));
      expect(others(applied), where).toEqual(planned.filter((item) => item.split(' ')[1] !== hit));
      return fails.length > 0 ? 'one' : 'none';
    });
    expect(new Set(failed)).toContain('one');
  });

  test('gc survives a lease that another gc has just released', async () => {
    const lease = (generation: number) => JSON.stringify({ ...LEASE, generation });
    const dir = makeProject({
      [`${FOLDER}/state.json`]: JSON.stringify({ version: 1, task_id: 'a', state: 'claimed' }),
      [`${FOLDER}/lease.json`]: lease(1),
      [`${FOLDER}/lease.json.bak`]: lease(2),
    });
    const { calls } = await cleanForge(dir, ['gc']);
    const reads = calls.filter(({ name, shape }) => name === 'openat' && /lease\.json\.bak$/.test(shape));
    expect(reads.length).toBeGreaterThan(1);
    await pooled(reads, async (call) => {
      const { ran } = await faultyForge(dir, ['gc'], call, 'ENOENT');
      const where = `without the file at read ${call.nth}`;
      expect({ code: ran.code, answer: answerIn(ran.stdout) }, where).toMatchObject({
        code: 0,
        answer: { ok: true, data: { failed: [] } },
      });
    });
  });
});

const FOLDER = '.forge/orchestrator/tasks/a';
const LEASE = {
  version: 1,
  task_id: 'a',
  claim_id: '01a00000-0000-7000-8000-00000000000a',
  owner_run_id: '01a00000-0000-7000-8000-00000000000b',
  attempt_id: null,
  acquired_at: '2020-01-01T00:00:00.000Z',
  last_heartbeat_at: '2020-01-01T00:00:00.000Z',
  expires_at: '2020-01-01T00:00:00.000Z',
  state_version: 0,
};
