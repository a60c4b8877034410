/** Events of commits: their content, and what happens when a subscriber fails. */

import fs from 'node:fs';
import { expect, test } from 'vitest';
import { answer } from '../../src/commands/answer.ts';
import { claim } from '../../src/commands/claim.ts';
import { question } from '../../src/commands/question.ts';
import { release } from '../../src/commands/release.ts';
import { releaseTask } from '../../src/domain/task/operations.ts';
import { changeTask } from '../../src/store/change.ts';
import { publisher, type TaskEvent } from '../../src/store/events.ts';
import { OPTIONS } from '../support/commands/divergences.ts';
import { planOf, World } from '../support/commands/world.ts';

test('a commit publishes its events to every subscriber, and a failing subscriber is a warning', async () => {
  const world = new World(planOf('build'));
  const { claim_id, run_id } = await claim.run(world.context, { task: 'build' });
  const got: TaskEvent[] = [];
  const failing = async () => {
    throw new Error('the disk is full');
  };
  const keeping = async (events: readonly TaskEvent[]) => void got.push(...events);
  const env = { ...(await world.session()), publish: publisher([failing, keeping], world.context.warn) };
  const decide = (reason: string) =>
    changeTask(env, 'build', (record) =>
      releaseTask(record, { claimId: claim_id, reason, workerGone: true, nowMs: env.now() }),
    );
  const { record } = await decide('done with it');
  expect(record.state.state).toBe('unclaimed');
  expect(world.warnings).toEqual(['the disk is full']);
  const by = { run_id, claim_id, generation: 1 };
  expect(got).toEqual([
    { type: 'claim', task_id: 'build', entry: { event: 'released', ...by, reason: 'done with it' } },
    { type: 'transition', task_id: 'build', move: 'unclaim', from: 'claimed', to: 'unclaimed', ...by },
  ]);
});

test('a claim whose history cannot be written succeeds with a warning', async () => {
  const world = new World(planOf('build'));
  const first = await claim.run(world.context, { task: 'build' });
  await release.run(world.context, { task: 'build', claim: first.claim_id });
  const history = world.path('.forge/orchestrator/tasks/build/claim-history.jsonl');
  fs.rmSync(history);
  fs.mkdirSync(history);
  expect((await claim.run(world.context, { task: 'build' })).generation).toBe(2);
  expect(world.warnings).toEqual([expect.stringContaining('claim-history.jsonl')]);
  const log = fs.readFileSync(world.path('.forge/logs/orchestrate.jsonl'), 'utf8').trim().split('\n');
  expect(log.map((line) => JSON.parse(line).move)).toEqual(['claim', 'unclaim', 'claim']);
});

test("a question and its answer are lines of its run's notifications", async () => {
  const world = new World(planOf('build'));
  const { attempt, run } = await world.start('build');
  const { question_id } = await question.run(world.context, {
    task: 'build',
    attempt,
    decision_key: 'format',
    question: 'Keep it?',
    options_file: world.write('options.json', OPTIONS),
  });
  await answer.run(world.context, { question: question_id, option: 'keep', by: 'ann' });
  const base = `"task_id":"build","question_id":"${question_id}"`;
  const file = world.path(`.forge/orchestrator/runs/${run}/notifications.jsonl`);
  const lines = fs.readFileSync(file, 'utf8').trim().split('\n');
  expect(lines.filter((line) => line !== '').map((line) => line.replace(/,"sum":"\w+"\}$/, '}'))).toEqual([
    `{"ts":"${world.at(0)}","type":"question_opened",${base}}`,
    `{"ts":"${world.at(0)}","type":"question_settled",${base},"option_id":"keep","answered_by":"ann"}`,
  ]);
});
