/** Questions through the verbs: asked, answered, defaulted, expired, and cut short. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { answer } from '../../src/commands/answer.ts';
import { cancel } from '../../src/commands/cancel.ts';
import { claim } from '../../src/commands/claim.ts';
import { heartbeat } from '../../src/commands/heartbeat.ts';
import { home } from '../../src/commands/home.ts';
import { question } from '../../src/commands/question.ts';
import { questions } from '../../src/commands/questions.ts';
import type { VerbInput } from '../../src/commands/registry.ts';
import { status } from '../../src/commands/status.ts';
import { code, MINUTE_MS, planOf, STRANGER, World } from '../support/commands/world.ts';
import { refused } from '../support/refused.ts';

const OPTIONS = '[{"id": "keep", "label": "Keep it"}, {"id": "drop", "label": "Drop it"}]';

let world: World;
beforeEach(() => {
  world = new World(planOf('build', 'test, depends_on: [build]'));
});

function asking(attempt: string, more: Partial<VerbInput<'question'>> = {}): VerbInput<'question'> {
  return {
    task: 'build',
    attempt,
    decision_key: 'format',
    question: 'Keep the old format?',
    options_file: world.write('options.json', OPTIONS),
    ...more,
  };
}

/** Asks as a fresh attempt of build. */
async function ask(more: Partial<VerbInput<'question'>> = {}) {
  const { attempt } = await world.start('build');
  return { attempt, ...(await question.run(world.context, asking(attempt, more))) };
}

async function statuses(): Promise<string[]> {
  return (await questions.run(world.context, {})).questions.map(
    (row) => `${row.status} ${row.option_id} ${row.answered_by}`,
  );
}

describe('answer by the task', () => {
  test.each([
    ['keep', 'keep'],
    ['2', 'drop'],
  ])('the task that asks stands for its question, and %s for an option', async (choice, chosen) => {
    const { question_id } = await ask();
    const given = await answer.run(world.context, { question: 'build', choice, by: 'ada' });
    expect(given).toMatchObject({ question_id, option_id: chosen, task_id: 'build' });
    expect(await answer.run(world.context, { question: 'build', option: chosen })).toMatchObject({ option_id: chosen });
  });

  test('an option whose id is a number comes before the option at that place', async () => {
    const options = '[{"id": "2", "label": "Two"}, {"id": "1", "label": "One"}]';
    await ask({ options_file: world.write('numbers.json', options) });
    expect(await answer.run(world.context, { question: 'build', choice: '1' })).toMatchObject({ option_id: '1' });
  });

  test.each([
    [{ question: 'build' }, 'INVALID_ARGS', /say which option: 1 keep \(Keep it\), 2 drop \(Drop it\)/],
    [{ question: 'build', choice: '3' }, 'INVALID_ARGS', /the option "3" is none of the options/],
    [{ question: 'build', choice: 'keep', option: 'drop' }, 'INVALID_ARGS', /two options are chosen/],
    [{ question: 'nosuch', choice: 'keep' }, 'TASK_NOT_FOUND', /there is no task nosuch/],
  ])('answer refuses %j', async (input, wanted, message) => {
    await ask();
    const error = await answer.run(world.context, input).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: wanted, message: expect.stringMatching(message) });
  });

  test('answer refuses a task that has asked nothing', async () => {
    await world.start('build');
    expect(await code(() => answer.run(world.context, { question: 'build', choice: 'keep' }))).toBe(
      'QUESTION_NOT_FOUND',
    );
  });
});

describe('question', () => {
  test('a question parks the task, and the answer resumes it with a note', async () => {
    const asked = await ask({ recommended: 'keep' });
    expect(asked).toMatchObject({ status: 'open', option_id: null, expires_at: world.at(30 * MINUTE_MS) });
    expect(await world.record('build')).toMatchObject({ state: { state: 'blocked_on_question' }, lease: null });
    expect((await status.run(world.context, {})).open_questions).toBe(1);
    expect((await home.run(world.context, {})).next.command).toBe('forge orchestrate questions --open');
    expect(await code(() => heartbeat.run(world.context, { task: 'build', attempt: asked.attempt }))).toBe(
      'LEASE_STOLEN',
    );
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('NOT_READY');

    const given = await answer.run(world.context, {
      question: asked.question_id,
      option: 'keep',
      note: 'as ever',
      by: 'ada',
    });
    expect(given).toEqual({
      question_id: asked.question_id,
      option_id: 'keep',
      task_id: 'build',
      state: 'awaiting_respawn',
      goes_on: true,
    });
    expect(await statuses()).toEqual(['answered keep ada']);
    const again = await ask();
    expect(again).toMatchObject({
      status: 'answered',
      option_id: 'keep',
      note: 'as ever',
      question_id: asked.question_id,
    });
    expect((await world.record('build')).state).toMatchObject({ state: 'dispatched', failure_count: 0 });
  });

  test("a question is in its file and in its run's notifications", async () => {
    const { question_id, attempt } = await ask();
    const file = ['.forge/orchestrator/tasks/build/attempts', attempt, 'questions', `${question_id}.json`];
    expect(world.json(...file)).toMatchObject({ status: 'open', decision_key: 'format', attempt: 1, max_attempts: 3 });
    await answer.run(world.context, { question: question_id, option: 'drop' });
    expect(world.json(...file)).toMatchObject({ status: 'answered' });
    const { run_id } = world.json(...file) as { run_id: string };
    const log = await (await world.session()).eventLog.read({ log: 'notifications', runId: run_id });
    expect(log.map(({ type }) => type)).toEqual(['question_opened', 'question_settled']);
  });

  test('a question repeated by its attempt is the same question', async () => {
    const { attempt, question_id, expires_at } = await ask();
    world.wait(MINUTE_MS);
    const again = await question.run(world.context, asking(attempt));
    expect(again).toMatchObject({ status: 'open', question_id, expires_at });
    expect(await statuses()).toEqual(['open null null']);
  });

  test('the question of a cancelled task is withdrawn', async () => {
    const { question_id } = await ask();
    await cancel.run(world.context, { task: 'build' });
    expect(await statuses()).toEqual(['withdrawn null null']);
    expect(await code(() => answer.run(world.context, { question: question_id, option: 'keep' }))).toBe(
      'ILLEGAL_TRANSITION',
    );
  });

  test.each<[string, Partial<VerbInput<'question'>>, string]>([
    ['an unknown recommendation', { recommended: 'both' }, '--recommended "both" is none of the options'],
    ['an unknown default', { default: 'both' }, '--default "both" is none of the options'],
    ['an empty key', { decision_key: ' ' }, '--decision-key is empty'],
    ['a key too long', { decision_key: 'k'.repeat(201) }, '201 characters'],
    ['a deadline that has lost its unit', { deadline: '30' }, '--deadline "30": expected a time such as 90s'],
    ['a text too long', { question: 'q'.repeat(4001) }, '4001 characters'],
    ['no such file', { options_file: 'nowhere.json' }, 'there is no such file'],
  ])('a question with %s is refused and changes nothing', async (_what, more, message) => {
    const { attempt } = await world.start('build');
    const options = asking(attempt, more);
    const before = world.footprint();
    const error = await refused(() => question.run(world.context, options));
    expect(error.code).toBe('INVALID_ARGS');
    expect(error.message).toContain(message);
    expect(world.footprint()).toEqual(before);
  });

  test.each([
    ['no list', '{"id": "keep"}'],
    ['one option', '[{"id": "keep", "label": "Keep"}]'],
    ['equal ids', '[{"id": "a", "label": "A"}, {"id": "a", "label": "B"}]'],
    ['an unknown key', '[{"id": "a", "label": "A", "lable": "x"}, {"id": "b", "label": "B"}]'],
    ['a file cut short', '[{"id": "a", '],
  ])('a question whose options are %s is refused', async (_what, text) => {
    const { attempt } = await world.start('build');
    const error = await refused(() =>
      question.run(world.context, { ...asking(attempt), options_file: world.write('bad', text) }),
    );
    expect(error.code).toBe('INVALID_ARGS');
    expect(error.hint).toContain('a list of 2 to 10 options');
  });

  test('question options may be YAML', async () => {
    const options_file = world.write('options.yaml', '- {id: keep, label: Keep it}\n- {id: drop, label: Drop it}\n');
    expect((await ask({ options_file })).status).toBe('open');
  });
});

describe('answer', () => {
  test('an answer may be repeated, and another one is refused and names the first', async () => {
    const { question_id } = await ask();
    await answer.run(world.context, { question: question_id, option: 'keep', by: 'ada' });
    expect(await answer.run(world.context, { question: question_id, option: 'keep' })).toMatchObject({
      option_id: 'keep',
    });
    const error = await refused(() => answer.run(world.context, { question: question_id, option: 'drop', by: 'bob' }));
    expect(error.code).toBe('ILLEGAL_TRANSITION');
    expect(error.message).toContain('ada chose keep');
  });

  test('an answer must be an option of an existing question', async () => {
    const { question_id } = await ask();
    expect(await code(() => answer.run(world.context, { question: question_id, option: 'both' }))).toBe('INVALID_ARGS');
    expect(await code(() => answer.run(world.context, { question: STRANGER, option: 'keep' }))).toBe(
      'QUESTION_NOT_FOUND',
    );
    expect(await code(() => answer.run(world.context, { question: '../x', option: 'keep' }))).toBe('INVALID_ID');
    const by = { question: question_id, option: 'keep', by: 'default' };
    expect(await code(() => answer.run(world.context, by))).toBe('INVALID_ARGS');
  });

  test.each([
    ['lost', (file: string) => fs.rmSync(file)],
    ['cut short', (file: string) => fs.writeFileSync(file, '{"version":1,"quest')],
    ['pointing elsewhere', (file: string) => fs.writeFileSync(file, '{"version":1,"questions":{}}')],
  ])('answer finds its question with an index that is %s, and repairs the index', async (_what, damage) => {
    const { question_id } = await ask();
    const index = world.path('.forge/orchestrator/index/questions.json');
    damage(index);
    await answer.run(world.context, { question: question_id, option: 'keep' });
    expect(world.json('.forge/orchestrator/index/questions.json')).toMatchObject({
      questions: { [question_id]: { task_id: 'build' } },
    });
  });

  test('an answer that was cut short is finished by the next claim', async () => {
    const { question_id, attempt } = await ask();
    const { store, newOp } = await world.session();
    const file = { version: 1, question_id, answered_at: world.at(0), answered_by: 'ada', option_id: 'keep' };
    await store.createDocuments('build', [{ kind: 'answer', attemptId: attempt, value: file }], newOp());
    expect((await claim.run(world.context, { next: true })).task_id).toBe('build');
    expect(await statuses()).toEqual(['answered keep ada']);
  });
});

describe('question deadline', () => {
  test('the next claim after the deadline applies the default', async () => {
    const { question_id } = await ask({ default: 'drop', deadline: MINUTE_MS });
    world.wait(MINUTE_MS);
    expect((await ask()).status).toBe('answered');
    expect(await statuses()).toEqual(['answered drop default']);
    expect(await code(() => answer.run(world.context, { question: question_id, option: 'keep' }))).toBe(
      'ILLEGAL_TRANSITION',
    );
  });

  test('an answer after the deadline counts if it comes first', async () => {
    const { question_id } = await ask({ default: 'drop', deadline: MINUTE_MS });
    world.wait(2 * MINUTE_MS);
    await answer.run(world.context, { question: question_id, option: 'keep', by: 'ada' });
    expect(await statuses()).toEqual(['answered keep ada']);
  });

  test('a key without a default may expire three times, then its task fails', async () => {
    for (const time of [1, 2, 3]) {
      const asked = await ask({ deadline: MINUTE_MS });
      expect(asked.warnings.length).toBe(time < 3 ? 0 : 1);
      world.wait(MINUTE_MS);
    }
    const { attempt } = await world.start('build');
    const error = await refused(() => question.run(world.context, asking(attempt)));
    expect(error.code).toBe('DECISION_KEY_EXHAUSTED');
    expect(error.details).toMatchObject({ task_id: 'build', state: 'failed' });
    expect((await world.record('build')).state).toMatchObject({
      state: 'failed',
      failure_reason: 'decision_key_budget',
    });
    expect((await statuses()).map((text) => text.split(' ')[0])).toEqual([
      'expired',
      'expired',
      'expired',
      'budget_exhausted',
    ]);
  });
});

test("a task's question budget overrides the settings", async () => {
  world.write('plans/phases.yaml', planOf('build, question_budget: {soft: 0, hard: 0}'));
  const { attempt } = await world.start('build');
  expect(await code(() => question.run(world.context, asking(attempt)))).toBe('DECISION_KEY_EXHAUSTED');
});

test('a parked task written by hand can be answered', async () => {
  const [attempt, question_id] = ['00000000-0000-7000-8000-0000000000a1', '00000000-0000-7000-8000-0000000000b1'];
  const dir = `.forge/orchestrator/tasks/build`;
  const state = { version: 1, task_id: 'build', state: 'blocked_on_question', current_attempt_id: attempt };
  world.write(`${dir}/state.json`, JSON.stringify(state));
  const file = {
    version: 1,
    question_id,
    run_id: 'by-hand',
    task_id: 'build',
    decision_key: 'format',
    attempt: 1,
    max_attempts: 3,
    created_at: world.at(0),
    expires_at: world.at(MINUTE_MS),
    status: 'open',
    question: 'Keep it?',
    options: JSON.parse(OPTIONS),
  };
  world.write(`${dir}/attempts/${attempt}/questions/${question_id}.json`, JSON.stringify(file));
  expect(await statuses()).toEqual(['open null null']);
  const given = await answer.run(world.context, { question: question_id, option: 'keep', by: 'ada' });
  expect(given.state).toBe('awaiting_respawn');
  expect(await statuses()).toEqual(['answered keep ada']);
});
