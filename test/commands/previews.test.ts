/** Parked tasks whose question is settled already: read verbs show what the next claim gets, and write nothing. */

import { beforeEach, describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { home } from '../../src/commands/home.ts';
import { phases, type ReadyData } from '../../src/commands/phases.ts';
import { question } from '../../src/commands/question.ts';
import { dryRun } from '../../src/commands/run.ts';
import { show } from '../../src/commands/show.ts';
import { status } from '../../src/commands/status.ts';
import { why } from '../../src/commands/why.ts';
import { code, MINUTE_MS, planOf, World } from '../support/commands/world.ts';

const OPTIONS = [
  { id: 'keep', label: 'Keep it' },
  { id: 'drop', label: 'Drop it' },
];
const ATTEMPT = '00000000-0000-7000-8000-0000000000a1';
const QUESTION = '00000000-0000-7000-8000-0000000000b1';

let world: World;
beforeEach(() => {
  world = new World(planOf('build, run: make', 'test, run: make test, depends_on: [build]'));
});

/** Parks build for a minute. */
async function park(defaultOption?: string): Promise<{ attempt: string; question_id: string }> {
  const { attempt } = await world.start('build');
  const options_file = world.write('options.json', JSON.stringify(OPTIONS));
  const about = { decision_key: 'format', question: 'Keep it?', options_file, deadline: MINUTE_MS };
  const asked = await question.run(world.context, { task: 'build', attempt, ...about, default: defaultOption });
  return { attempt, question_id: asked.question_id };
}

/** The answer as a process leaves it that is killed right after writing it. */
async function answerFile(attempt: string, question_id: string, text?: string): Promise<void> {
  const { store, newOp } = await world.session();
  const answer = { version: 1, question_id, answered_at: world.at(0), answered_by: 'ada', option_id: 'keep' };
  await store.createDocuments('build', [{ kind: 'answer', attemptId: attempt, value: answer }], newOp());
  if (text !== undefined)
    world.write(`.forge/orchestrator/tasks/build/attempts/${attempt}/answers/${question_id}.json`, text);
}

function byHand(): void {
  const dir = '.forge/orchestrator/tasks/build';
  const state = { version: 1, task_id: 'build', state: 'blocked_on_question', current_attempt_id: ATTEMPT };
  world.write(`${dir}/state.json`, JSON.stringify(state));
  const file = {
    version: 1,
    question_id: QUESTION,
    run_id: 'by-hand',
    task_id: 'build',
    decision_key: 'format',
    attempt: 1,
    max_attempts: 3,
    created_at: world.at(0),
    expires_at: world.at(MINUTE_MS),
    status: 'open',
    question: 'Keep it?',
    options: OPTIONS,
  };
  world.write(`${dir}/attempts/${ATTEMPT}/questions/${QUESTION}.json`, JSON.stringify(file));
}

/** What each of the read verbs says of build. */
async function looks() {
  const ready = (await phases.run(world.context, { ready: true })) as ReadyData;
  const dry = await dryRun(world.context, {});
  const front = await home.run(world.context, {});
  return {
    why: (await why.run(world.context, { task: 'build' })).reasons.map((reason) => reason.code),
    show: (await show.run(world.context, { task: 'build' })).reasons.map((reason) => reason.code),
    phases: ready.ready.map((row) => row.task_id),
    dry_run: dry.would_start.map((row) => row.task_id),
    home: [front.ready, front.next.command],
  };
}

const READY = {
  why: [],
  show: [],
  phases: ['build'],
  dry_run: ['build'],
  home: [1, 'forge orchestrate run'],
};
const WAITS = {
  why: ['TASK_WAITS_FOR_ANSWER'],
  show: ['TASK_WAITS_FOR_ANSWER'],
  phases: [],
  dry_run: [],
  home: [0, 'forge orchestrate questions --open'],
};

describe('a parked task', () => {
  const settled: [string, () => unknown][] = [
    [
      'past its deadline, with a default',
      async () => {
        await park('drop');
        world.wait(MINUTE_MS);
      },
    ],
    [
      'past its deadline, without a default',
      async () => {
        await park();
        world.wait(MINUTE_MS);
      },
    ],
    [
      'answered by a process that was killed then',
      async () => {
        const { attempt, question_id } = await park();
        await answerFile(attempt, question_id);
      },
    ],
    [
      'written by hand, past its deadline',
      () => {
        byHand();
        world.wait(MINUTE_MS);
      },
    ],
  ];

  test.each(settled)('a parked task %s is shown as ready, and the next claim gets it', async (_name, prepare) => {
    await prepare();
    const before = world.footprint();
    expect(await looks()).toEqual(READY);
    // The counts show the state that is on disk.
    expect((await status.run(world.context, {})).counts).toEqual({ blocked_on_question: 1, unclaimed: 1 });
    expect((await home.run(world.context, {})).counts).toEqual({ blocked_on_question: 1, unclaimed: 1 });
    expect(world.footprint()).toEqual(before);
    expect((await claim.run(world.context, { next: true })).task_id).toBe('build');
  });

  test('a parked task before its deadline is shown as waiting for an answer', async () => {
    const { question_id } = await park('drop');
    world.wait(MINUTE_MS - 1);
    expect(await looks()).toEqual(WAITS);
    const [reason] = (await why.run(world.context, { task: 'build' })).reasons;
    expect(reason?.message).toContain(`question ${question_id}), open until ${world.at(MINUTE_MS)}`);
    expect(await code(() => claim.run(world.context, { next: true }))).toBe('NOT_READY');
  });

  test('a parked task written by hand is shown with its question', async () => {
    byHand();
    expect(await looks()).toEqual(WAITS);
    expect((await why.run(world.context, { task: 'build' })).reasons[0]?.message).toContain(QUESTION);
  });

  test('a parked task past its deadline still waits for its other reasons', async () => {
    await park('drop');
    world.wait(MINUTE_MS);
    world.write('plans/phases.yaml', planOf('build, run: make, status: paused', 'test, run: make test'));
    expect((await why.run(world.context, { task: 'build' })).reasons.map((reason) => reason.code)).toEqual([
      'TASK_PAUSED',
    ]);
    expect((await dryRun(world.context, {})).would_start.map((row) => row.task_id)).toEqual(['test']);
  });

  test('a parked task with a damaged answer waits with a warning and blocks no other task', async () => {
    world.write('plans/phases.yaml', planOf('build, run: make', 'test, run: make test'));
    const { attempt, question_id } = await park('drop');
    await answerFile(attempt, question_id, '{"version":1');
    world.wait(MINUTE_MS);
    expect((await why.run(world.context, { task: 'build' })).reasons.map((reason) => reason.code)).toEqual(WAITS.why);
    expect((await dryRun(world.context, {})).would_start.map((row) => row.task_id)).toEqual(['test']);
    expect(world.warnings[0]).toContain(`answers/${question_id}.json`);
    expect((await claim.run(world.context, { next: true })).task_id).toBe('test');
  });
});
