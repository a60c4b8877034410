/** Two gc at once on one tree, and repeated gc beside a run and an agent. */

import fs from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { answer } from '../../src/commands/answer.ts';
import { claim } from '../../src/commands/claim.ts';
import { complete } from '../../src/commands/complete.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import type { GcData } from '../../src/commands/gc.ts';
import { heartbeat } from '../../src/commands/heartbeat.ts';
import { question } from '../../src/commands/question.ts';
import { groupMembers } from '../../src/process/processes.ts';
import { handState, OPTIONS } from '../support/commands/divergences.ts';
import { shortly } from '../support/commands/world.ts';
import { auditTask, taskDir } from '../support/faults/audit.ts';
import { type Answer, ask, callOn, LiveForge } from '../support/faults/forge.ts';
import { expectAtOnce, expectPutRight, finishedGc, type GcTree, gcTree } from '../support/faults/gc-tree.ts';
import { sized } from '../support/faults/knobs.ts';
import { Play } from '../support/faults/play.ts';
import { makeProject } from '../support/faults/project.ts';
import { VERDICT } from '../support/faults/scenarios.ts';
import { killGroup, until } from '../support/processes.ts';

const ROUNDS = sized(1, 3, 10);

function startGc(dir: string): LiveForge {
  const live = new LiveForge(dir, ['gc']);
  onTestFinished(() => live.signal('SIGKILL'));
  return live;
}

/** What a gc has done that ended well. */
async function doneBy(live: LiveForge): Promise<GcData> {
  const { code } = await live.ended;
  const [said] = live.events as unknown as Answer[];
  expect({ code, said }, live.stderr).toMatchObject({ code: 0, said: { ok: true, data: { failed: [] } } });
  return (said as Answer & { ok: true }).data as unknown as GcData;
}

/** Everything that was planned was applied by one of them. */
function expectOnce(tree: GcTree, done: readonly GcData[]): void {
  expect(done.flatMap(({ applied }) => shortly(applied)).sort()).toEqual([...tree.planned].sort());
  const moved = done.flatMap(({ legacy }) => legacy.moved.map(({ from }) => from));
  expect(moved.sort()).toEqual(['.forge/answers/old.json', '.forge/questions/old.json']);
}

async function expectAllRight(tree: GcTree): Promise<void> {
  await expectAtOnce(tree, tree.dir);
  expect((await finishedGc(tree.dir)).applied).toEqual([]);
  await expectPutRight(tree, tree.dir);
}

describe('two gc at once', () => {
  test('two gc at once take turns', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const tree = await gcTree({ copies: 3 });
      const both = [startGc(tree.dir), startGc(tree.dir)];
      expectOnce(tree, await Promise.all(both.map(doneBy)));
      await expectAllRight(tree);
    }
  });

  test('two gc that wait too long for a third name it and apply everything once', async () => {
    const trees = await Promise.all(Array.from({ length: ROUNDS }, () => gcTree({ copies: 3 })));
    await Promise.all(
      trees.map(async (tree) => {
        const lock = holdLock(tree.dir);
        const both = [startGc(tree.dir), startGc(tree.dir)];
        expectOnce(tree, await Promise.all(both.map(doneBy)));
        for (const { stderr } of both) expect(stderr).toContain('another gc is at work (another host)');
        expect(fs.existsSync(lock) && fs.existsSync(`${lock}.holder`), 'the lock is still its holder’s').toBe(true);
        fs.rmdirSync(lock);
        fs.rmSync(`${lock}.holder`);
        await expectAllRight(tree);
      }),
    );
  });
});

/** Holds the lock for a third, who gives signs of life for a long time to come. */
function holdLock(dir: string): string {
  const lock = `${dir}/.forge/orchestrator/.gc.lock`;
  fs.mkdirSync(lock);
  fs.writeFileSync(`${lock}.holder`, 'another host');
  const later = Date.now() / 1000 + 3600;
  fs.utimesSync(lock, later, later);
  return lock;
}

const LATE = 'zz-late';
const LATE_ITEM = `2 ${LATE} mark_abandoned`;

/** The first of two is in the middle of its work, at a check that waits; the second has waited for it in vain. */
async function caughtInTheMiddle() {
  const check = 'echo $FORGE_COMMAND_PID >> checks; until test -e gate; do sleep 0.05; done';
  const tree = await gcTree({ more: `verify: ${JSON.stringify([check])}` });
  const checks = () => {
    const file = `${tree.dir}/checks`;
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n').map(Number) : [];
  };
  onTestFinished(() => checks().forEach(killGroup));
  const first = startGc(tree.dir);
  await until('the first one checks', () => checks().length === 1);
  // What the first has not seen is done by the second, right before it comes to what is being checked.
  handState({ write: (name, text) => String(makeProject({ [name]: text }, tree.dir)) }, LATE, 'running');
  const second = startGc(tree.dir);
  await until('the second one goes on', () => second.stderr.includes(`(process ${first.pid} on `));
  await until('the second one is at what only it has planned', () => auditTask(tree.dir, LATE).record);
  return { tree, first, second, checks, open: () => fs.writeFileSync(`${tree.dir}/gate`, '') };
}

describe('gc during another gc', () => {
  test('a gc during another one names it, and both apply everything once', async () => {
    const { tree, first, second, checks, open } = await caughtInTheMiddle();
    open();
    expectOnce({ ...tree, planned: [LATE_ITEM, ...tree.planned] }, await Promise.all([first, second].map(doneBy)));
    expect(checks()).toHaveLength(1);
    await expectAllRight(tree);
  });

  test('a gc during another one does what is left when that is killed', async () => {
    const { tree, first, second, checks, open } = await caughtInTheMiddle();
    first.signal('SIGKILL');
    expect(await first.ended).toMatchObject({ signal: 'SIGKILL' });
    await until('the second one checks', () => checks().length === 2);
    expect(groupMembers(checks()[0] as number), 'the check of the first was stopped').toEqual([]);
    open();
    const { applied } = await doneBy(second);
    const left = tree.planned.slice(tree.planned.indexOf('8 handed-in reverify_verdict'));
    expect(shortly(applied)).toEqual([LATE_ITEM, ...left]);
    await expectAllRight(tree);
    expect(checks().flatMap(groupMembers)).toEqual([]);
  });
});

describe('gc beside a run and an agent', () => {
  /** By `run`; one of them goes on until all else is done. */
  const RUN = ['t0', 't1', 't2', 't3', 't4', 't5'].map((id, at) => ({
    id,
    kind: at % 3 === 1 ? ('flaky' as const) : ('plain' as const),
    work: 0.3,
    after: at < 2 ? [] : [`t${at - 2}`],
  }));
  const AGENT = ['a0', 'a1', 'a2', 'a3'];
  /** Frequent heartbeats, so that every gc meets some, and long leases, so that none is lost. */
  const AGENTS = { self_heartbeat_ms: 50, retry_backoff_ms_max: 20 };

  test('gc beside a run changes nothing in flight, and all tasks are done', { timeout: 300_000 }, async () => {
    const tasks = [...RUN, { id: 'last', gate: 'end' }, ...AGENT.map((id) => ({ id, byHand: true }))];
    const play = new Play(tasks, AGENTS);
    onTestFinished(() => play.cleanUp());
    const run = play.forge('run', '--max-parallel', '4');
    let over = false;
    const work = Promise.all(AGENT.map((task) => agentWorks(play, task)))
      .then(() => until('all but the last', () => RUN.every(({ id }) => play.has(`done-${id}`))))
      .finally(() => {
        over = true;
      });
    const done: GcData[] = [];
    while (!over || done.length < ROUNDS) {
      const { code, answer: said } = await ask(play.dir, 'gc');
      expect({ code, said }).toMatchObject({ code: 0, said: { ok: true, data: { failed: [] } } });
      done.push((said as Answer & { ok: true }).data as unknown as GcData);
    }
    await work;
    play.open('end');
    expect(await run.ended, run.stderr).toEqual({ code: 0, signal: null });
    // gc may find an answer before its writer has moved the task; it has nothing else to do.
    expect(done.flatMap(({ applied }) => shortly(applied)).filter((item) => !/^5 a/.test(item))).toEqual([]);
    play.expectAllDone();
    for (const { id, kind } of [...RUN, { id: 'last', kind: 'plain' }])
      expect(auditTask(play.dir, id).record?.state.attempt_count, id).toBe(kind === 'flaky' ? 2 : 1);
    for (const task of AGENT) expectAsked(play, task);
    expect(play.leftovers() ?? []).toEqual([]);
  });
});

/** Claims, asks, is answered, and comes back to hand in. */
async function agentWorks(play: Play, task: string): Promise<void> {
  const call = callOn(play.dir);
  const files = makeProject({ 'options.json': OPTIONS, 'verdict.json': VERDICT });
  const begin = async () => {
    const { claim_id, run_id } = await claim.run(call, { task });
    const { attempt_id } = await dispatch.run(call, { task, claim: claim_id, run: run_id, phase: 'implement' });
    for (let beat = 0; beat < 20; beat++) await heartbeat.run(call, { task, attempt: attempt_id });
    return attempt_id;
  };
  const asks = {
    task,
    attempt: await begin(),
    decision_key: 'k',
    question: 'Q?',
    options_file: `${files}/options.json`,
  };
  const { question_id } = await question.run(call, asks);
  await answer.run(call, { question: question_id, option: 'keep', by: 'ann' });
  const attempt = await begin();
  fs.writeFileSync(`${play.dir}/play/finished-${attempt}`, '');
  await complete.run(call, { task, attempt, verdict_file: `${files}/verdict.json` });
}

/** The question and its answer are in place, and only the agent has changed the task. */
function expectAsked(play: Play, task: string): void {
  const { record } = auditTask(play.dir, task);
  expect(record?.state).toMatchObject({ state: 'shipped', attempt_count: 2, failure_count: 0 });
  const names = fs.readdirSync(`${taskDir(play.dir, task)}/attempts`, { recursive: true, encoding: 'utf8' });
  expect(names.filter((name) => /questions\/.*json$|answers\/.*json$/.test(name))).toHaveLength(2);
  expect(names.filter((name) => name.includes('archived'))).toEqual([]);
}
