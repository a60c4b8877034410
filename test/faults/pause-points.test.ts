/**
 * A claim that is paused before a system call while others take the task, give it back, and write so many versions
 * that old ones are removed; an answer that is paused while another one or the deadline comes first. When it continues, it
 * must notice.
 */

import { expect, test } from 'vitest';
import { answer } from '../../src/commands/answer.ts';
import { claim } from '../../src/commands/claim.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { heartbeat } from '../../src/commands/heartbeat.ts';
import { release } from '../../src/commands/release.ts';
import { runStart } from '../../src/commands/run-start.ts';
import { RETENTION } from '../../src/store/file/protocol.ts';
import { auditTask, expectViewsOf } from '../support/faults/audit.ts';
import { answerIn, asked, callOn } from '../support/faults/forge.ts';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { pausedRun } from '../support/faults/pause.ts';
import { dropProject, makeProject, planOf } from '../support/faults/project.ts';
import { ledgerIn, nextIsTold, parked } from '../support/faults/question-scenarios.ts';
import { MINE, OTHER, TASK } from '../support/faults/scenarios.ts';
import { callText, cleanForge, noStrace, type TracedCall } from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

/** Points in the sample. */
const SAMPLE = 6;
/** Pauses at a time. */
const WIDTH = 6;

/** What is seen of a file is no more worth a pause than that it is closed; the long run pauses there too. */
function worthAPause(calls: readonly TracedCall[]): readonly TracedCall[] {
  return sampled(
    calls.filter(({ name }) => LONG || !/^(close|statx?|newfstatat)$/.test(name)),
    SAMPLE,
  );
}

/** Others come and go. Returns the generations that they were given. */
async function others(dir: string): Promise<number[]> {
  const call = callOn(dir);
  const { run_id } = await runStart.run(call, {});
  const given: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    const his = await asked(claim.run(call, { task: TASK, run: run_id }));
    if (!his.ok) {
      expect(his.code).toBe('LEASE_EXISTS');
      return given;
    }
    given.push(his.data.generation);
    if (turn === 2) {
      const { claim_id } = his.data;
      const { attempt_id } = await dispatch.run(call, { task: TASK, claim: claim_id, run: run_id, phase: 'implement' });
      for (let beat = 0; beat < RETENTION.compactAt; beat++)
        await heartbeat.run(call, { task: TASK, attempt: attempt_id });
    }
    await release.run(call, { task: TASK, claim: his.data.claim_id });
  }
  return given;
}

describeUnless(noStrace(), 'a pause before a system call', () => {
  test('claim paused at any system call gets the task once, with a generation of its own', {
    timeout: LONG ? 1_200_000 : 120_000,
  }, async () => {
    const dir = makeProject({ 'plans/phases.yaml': planOf([{ id: TASK }]) });
    const { run_id } = await runStart.run(callOn(dir), {});
    const first = await claim.run(callOn(dir), { task: TASK, run: run_id });
    await release.run(callOn(dir), { task: TASK, claim: first.claim_id });
    const args = ['claim', TASK, '--claim-id', MINE, '--run', run_id];
    const { calls } = await cleanForge(dir, args);
    const late = await pooled(
      worthAPause(calls),
      async (point) => {
        const given: number[] = [first.generation];
        const paused = await pausedRun(dir, args, point, async (copy) => void given.push(...(await others(copy))));
        const where = `paused at ${callText(point)}\n${paused.stderr}`;
        const answer = answerIn(paused.stdout);
        if (answer?.ok !== true) throw new Error(`${where}: ${paused.stdout}`);
        const mine = answer.data['generation'];
        expect(given, where).not.toContain(mine);
        expect(mine, where).toBe(Math.max(...given) + 1);
        const { record } = auditTask(paused.dir, TASK);
        if (record === null) throw new Error(`${where}: the record is gone`);
        expect(record.lease, where).toMatchObject({ claim_id: MINE, generation: mine });
        expectViewsOf(paused.dir, TASK, record);
        dropProject(paused.dir);
        return given.length > 1;
      },
      WIDTH,
    );
    // Before its commit the others get in; after it they don't.
    expect(new Set(late)).toEqual(new Set([true, false]));
  });

  test.each([
    ['with leases that outlast the pause', ''],
    // The pause outlasts a lease, so the paused owner counts as gone.
    ['with leases that do not', 'agents: {lease_ttl_ms: 800, heartbeat_interval_ms: 100, steal_grace_ms: 0}\n'],
  ])(
    'of overlapping claims paused at any system call one goes on, %s',
    { timeout: LONG ? 1_200_000 : 120_000 },
    async (_what, settings) => {
      const globs = 'write_globs: [go.sum]';
      const dir = makeProject({
        'plans/phases.yaml': planOf([
          { id: TASK, more: globs },
          { id: 'rival', more: globs },
        ]),
        '.forge/settings.yaml': settings,
      });
      const run = (await runStart.run(callOn(dir), {})).run_id;
      const args = ['claim', TASK, '--claim-id', MINE, '--run', run];
      const { calls } = await cleanForge(dir, args);
      const winners = await pooled(
        worthAPause(calls),
        async (point) => {
          const open = (copy: string, task: string, claimId: string) =>
            asked(dispatch.run(callOn(copy), { task, claim: claimId, run, phase: 'implement' }));
          const paused = await pausedRun(dir, args, point, async (copy) => {
            const claimed = () => asked(claim.run(callOn(copy), { task: 'rival', claim_id: OTHER, run }));
            let theirs = await claimed();
            // Where leases are short, the paused process soon loses its own.
            while (settings !== '' && !theirs.ok) theirs = await claimed();
            if (theirs.ok) await open(copy, 'rival', OTHER);
          });
          if (answerIn(paused.stdout)?.ok === true) await open(paused.dir, TASK, MINE);
          // Only attempts that were not abandoned since count.
          const begun = [TASK, 'rival'].filter((task) => {
            const { record } = auditTask(paused.dir, task);
            return record?.state.state === 'dispatched' && record.lease !== null;
          });
          const where = `paused at ${callText(point)}\n${paused.stdout}`;
          expect(begun.length, where).toBeLessThanOrEqual(1);
          // Where leases are too short, both may lose theirs.
          if (settings === '') expect(begun, where).toHaveLength(1);
          dropProject(paused.dir);
          return begun[0];
        },
        WIDTH,
      );
      if (settings === '') expect(new Set(winners)).toEqual(new Set([TASK, 'rival']));
      else expect(winners).toContain('rival');
    },
  );

  test('answer paused at any system call is the only answer, or is refused with it', {
    timeout: LONG ? 1_200_000 : 120_000,
  }, async () => {
    const { dir, id } = await parked({ over: true, default: 'wait' });
    const before = auditTask(dir, TASK);
    const args = ['answer', id, '--option', 'keep', '--by', 'ada'];
    const { calls } = await cleanForge(dir, args);
    const taken = worthAPause(calls);
    const [first] = taken;
    // Before anything is done both orders are tried, in which others come first.
    const points = [
      ...taken.map((point, at) => ({ point, answersFirst: at % 2 === 0 })),
      ...(first === undefined ? [] : [{ point: first, answersFirst: false }]),
    ];
    const chosen = await pooled(
      points,
      async ({ point, answersFirst }) => {
        const where = `paused at ${callText(point)}`;
        let his: { ok: boolean; code?: string } | null = null;
        const paused = await pausedRun(dir, args, point, async (copy) => {
          const call = callOn(copy);
          const answers = async () => {
            his = await asked(answer.run(call, { question: id, option: 'drop', by: 'bob' }));
          };
          // The deadline is over, so the next claim settles the question with its default.
          if (answersFirst) await answers();
          expect(await asked(claim.run(call, { next: true, claim_id: OTHER })), where).toMatchObject({ ok: true });
          if (!answersFirst) await answers();
        });
        const { settled, open } = ledgerIn(paused.dir);
        expect({ open, settled: settled.length }, where).toEqual({ open: null, settled: 1 });
        const option = settled[0]?.option_id ?? '';
        const told = (mine: string) => (mine === option ? { ok: true } : { ok: false, code: 'ILLEGAL_TRANSITION' });
        expect(his, where).toMatchObject(told('drop'));
        const mine = answerIn(paused.stdout);
        expect(mine?.ok === false ? { ok: false, code: mine.error.code } : mine, where).toMatchObject(told('keep'));
        const { newest, record } = auditTask(paused.dir, TASK);
        expect(newest, `${where}: the task has moved on once, and was claimed`).toBe(before.newest + 2);
        expect(record?.lease?.claim_id, where).toBe(OTHER);
        await nextIsTold(paused.dir, option);
        dropProject(paused.dir);
        return option;
      },
      WIDTH,
    );
    // Each of them is first somewhere.
    expect(new Set(chosen)).toEqual(new Set(['keep', 'drop', 'wait']));
  });
});
