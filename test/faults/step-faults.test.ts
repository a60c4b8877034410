/** Steps and waits, killed in place of each of their system calls on the tree; an effect is never made again once it is recorded. */

import fs from 'node:fs';
import { expect, test } from 'vitest';
import { signal } from '../../src/commands/signal.ts';
import { steps } from '../../src/commands/steps.ts';
import { auditTask } from '../support/faults/audit.ts';
import { answerIn, ask, callOn, PROJECT } from '../support/faults/forge.ts';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { project, TASK, worked } from '../support/faults/scenarios.ts';
import { aroundCommits, callText, cleanForge, faultyForge, isSteady, noStrace } from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

const SAMPLE = 6;
const LIMITS = { timeout: LONG ? 1_200_000 : 120_000 };

/** Its effect is a line in the project that is worked on. */
const EFFECT = ['--', 'sh', '-c', `echo made >> ${PROJECT}/ledger; echo told`];

interface Case {
  name: string;
  args: readonly string[];
  says: object;
  /** Whether it leaves a line for what it records. */
  effect: boolean;
}

const CASES: readonly Case[] = [
  {
    name: 'step',
    args: ['step', 'one', '--retry', '{max_attempts: 1}', ...EFFECT],
    says: { stdout: 'told\n' },
    effect: true,
  },
  {
    name: 'repeat',
    args: ['repeat', 'one', '--every', '1h', '--times', '1', ...EFFECT],
    says: { ran: 1 },
    effect: true,
  },
  { name: 'wait', args: ['wait', 'one', '--until', '2020-01-01T00:00:00Z'], says: {}, effect: false },
  { name: 'wait-until', args: ['wait-until', 'one', '--', 'true'], says: {}, effect: false },
  { name: 'wait-for', args: ['wait-for', 'one'], says: { data: { x: 1 } }, effect: false },
];

async function prepared(args: readonly string[]) {
  const dir = project();
  const attempt = await worked(dir, { beats: 0 });
  await signal.run(callOn(dir), { task: TASK, signal: 'one', data: '{"x": 1}' });
  const own = ['--task', TASK, '--attempt', attempt];
  const split = args.includes('--') ? args.indexOf('--') : args.length;
  return { dir, args: [...args.slice(0, split), ...own, ...args.slice(split)] };
}

const effects = (dir: string) =>
  fs.existsSync(`${dir}/ledger`) ? fs.readFileSync(`${dir}/ledger`, 'utf8').trimEnd().split('\n').length : 0;

/** Whether the journal has it; then its effect has been made. */
async function isRecorded(dir: string): Promise<boolean> {
  const { steps: found } = await steps.run(callOn(dir), { task: TASK });
  return found.some(({ status }) => status === 'completed');
}

/** What a fault has left is gone on with: the effect is made again only where it was not recorded. */
async function expectGoesOn(dir: string, args: readonly string[], { says, effect }: Case, where: string) {
  const [recorded, before] = [await isRecorded(dir), effects(dir)];
  if (recorded && effect) expect(before, where).toBeGreaterThan(0);
  const { answer } = await ask(dir, ...args);
  // The attempt may have passed it already, as far as it knows.
  if (!answer.ok) expect(answer.error.code, where).toBe('STEP_REPEATED');
  else expect(answer.data, where).toMatchObject({ status: 'completed', ...says, recorded });
  if (effect) expect(effects(dir), where).toBe(before + (recorded ? 0 : 1));
  expect(await isRecorded(dir), where).toBe(true);
}

describeUnless(noStrace(), 'what a worker waits for or does', () => {
  test.each(CASES)('a $name that is killed in place of any system call is gone on with', LIMITS, async (each) => {
    const { dir, args } = await prepared(each.args);
    const { ran, calls } = await cleanForge(dir, args);
    expect(answerIn(ran.stdout)).toMatchObject({ ok: true, data: { status: 'completed' } });
    const steady = calls.filter(isSteady);
    const points = sampled(steady, SAMPLE, aroundCommits(steady));
    const made = await pooled(points, async (point) => {
      const killed = await faultyForge(dir, args, point, 'kill');
      const recorded = await isRecorded(killed.dir);
      await expectGoesOn(killed.dir, args, each, `SIGKILL at ${callText(point)}`);
      return recorded;
    });
    expect(new Set(made)).toEqual(new Set([true, false]));
  });

  test(
    'a wait that parks its task, killed in place of any system call, has parked it or is repeated',
    LIMITS,
    async () => {
      const { dir, args } = await prepared(['wait', 'long', '--for', '1h']);
      const { ran, calls } = await cleanForge(dir, args);
      expect(answerIn(ran.stdout)).toMatchObject({ ok: false, error: { code: 'PARKED' } });
      const steady = calls.filter(isSteady);
      const points = sampled(steady, SAMPLE, aroundCommits(steady));
      const deadlines = await pooled(points, async (point) => {
        const killed = await faultyForge(dir, args, point, 'kill');
        const where = `SIGKILL at ${callText(point)}`;
        const state = () => auditTask(killed.dir, TASK).record;
        const wasParked = state()?.state.state === 'waiting';
        const first = (await steps.run(callOn(killed.dir), { task: TASK })).steps.find(({ name }) => name === 'long');
        const { answer } = await ask(killed.dir, ...args);
        expect(answer, where).toMatchObject({ ok: false, error: { code: 'PARKED' } });
        expect(state(), where).toMatchObject({
          state: { state: 'waiting', wake_at: expect.anything(), failure_count: 0 },
          lease: null,
        });
        const { steps: found } = await steps.run(callOn(killed.dir), { task: TASK });
        const again = found.find(({ name }) => name === 'long');
        if (first !== undefined) expect(again?.deadline, where).toEqual(first.deadline);
        return wasParked;
      });
      expect(new Set(deadlines)).toEqual(new Set([true, false]));
    },
  );
});
