/** What is damaged in one task, or is none of forge's files, stops that task and no other. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { answer } from '../../src/commands/answer.ts';
import { cancel } from '../../src/commands/cancel.ts';
import { claim } from '../../src/commands/claim.ts';
import { doctor } from '../../src/commands/doctor.ts';
import { gc } from '../../src/commands/gc.ts';
import { home } from '../../src/commands/home.ts';
import { inbox } from '../../src/commands/inbox.ts';
import { logs } from '../../src/commands/logs.ts';
import { phases } from '../../src/commands/phases.ts';
import { question } from '../../src/commands/question.ts';
import { questions } from '../../src/commands/questions.ts';
import { type DryRunData, run } from '../../src/commands/run.ts';
import { show } from '../../src/commands/show.ts';
import { status } from '../../src/commands/status.ts';
import { why } from '../../src/commands/why.ts';
import { orchestrate, project } from '../support/cli.ts';
import { dirOf, OPTIONS } from '../support/commands/divergences.ts';
import { code, planOf, World } from '../support/commands/world.ts';

const link = (place: string) => fs.symlinkSync('/nowhere', place);
const file = (place: string) => fs.writeFileSync(place, 'hello\n');
const moved = (place: string) => fs.symlinkSync('../../../elsewhere', place);
const empty = (place: string) => fs.writeFileSync(place, '');

/** `asks` is parked on its second question, `build` is worked on, `free` is ready. */
async function tree() {
  const world = new World(planOf('asks', 'build', 'free'));
  const options_file = world.write('options.json', OPTIONS);
  const ask = async (decision_key: string) => {
    const { attempt } = await world.start('asks');
    const asked = { task: 'asks', attempt, decision_key, question: 'Q?', options_file };
    return { attempt, id: (await question.run(world.context, asked)).question_id };
  };
  const first = await ask('a');
  await answer.run(world.context, { question: first.id, option: 'keep', by: 'ann' });
  const second = await ask('b');
  const build = (await world.start('build')).attempt;
  return { world, first, second, build };
}

type Tree = Awaited<ReturnType<typeof tree>>;
const attempts = (task: string) => `${dirOf(task)}/attempts`;

/** Where something else is: task, and path below its folder. */
const PLACES: [string, (at: Tree) => [task: string, place: string]][] = [
  ['the attempts of a parked task', () => ['asks', 'attempts']],
  ['the attempts of a task at work', () => ['build', 'attempts']],
  ['the attempt of a parked task', ({ second }) => ['asks', `attempts/${second.attempt}`]],
  ['the attempt of a task at work', ({ build }) => ['build', `attempts/${build}`]],
  ['its questions', ({ second }) => ['asks', `attempts/${second.attempt}/questions`]],
  ['the answers of before', ({ first }) => ['asks', `attempts/${first.attempt}/answers`]],
  ['an answer of before', ({ first }) => ['asks', `attempts/${first.attempt}/answers/${first.id}.json`]],
];

const CASES = PLACES.flatMap(([name, placeOf]) =>
  Object.entries({ 'a symlink': link, 'a file': file, 'an empty file': empty }).map(
    ([kind, put]) => [kind, name, placeOf, put] as const,
  ),
);

test.each(CASES)('%s in place of %s stops no command about other tasks', async (_, __, placeOf, put) => {
  const at = await tree();
  const { world } = at;
  const [where, below] = placeOf(at);
  const place = world.path(dirOf(where), below);
  fs.rmSync(place, { recursive: true });
  put(place);
  for (const all of [home, status, doctor, questions, inbox]) await all.run(world.context, {});
  for (const ready of [true, false]) await phases.run(world.context, { ready });
  await run.run(world.context, { dry_run: true });
  for (const task of ['asks', 'build']) await show.run(world.context, { task });
  await logs.run(world.context, { task: 'build' });
  const { planned, reported } = await gc.run(world.context, { dry_run: true });
  expect(planned).toEqual([]);
  // The record has what counts of an answer.
  const why = below.endsWith('.json') ? [] : [`${below} is not a folder, so nothing in it is read`];
  expect(reported.filter(({ row }) => row === 8).map(({ reason }) => reason)).toEqual(why);
  expect((await claim.run(world.context, { next: true })).task_id).toBe('free');
});

test.each(Object.entries({ 'a symlink': link, 'a file': file, 'a symlink to the real folder': moved }))(
  '%s in place of the folder of a task stops that task and no other, and is told of',
  async (_, put) => {
    const { world } = await tree();
    const place = world.path(dirOf('build'));
    fs.renameSync(place, world.path('elsewhere'));
    put(place);
    const reads = async () => {
      const { tasks, warnings } = await status.run(world.context, {});
      expect(tasks).toContainEqual(expect.objectContaining({ task_id: 'build', state: 'unreadable' }));
      expect(warnings).toContainEqual(expect.objectContaining({ task_id: 'build', severity: 'error' }));
    };
    for (const again of [reads, reads]) await again();
    for (const all of [home, questions, inbox]) await all.run(world.context, {});
    const { checks } = await doctor.run(world.context, {});
    expect(checks).toContainEqual(expect.objectContaining({ name: 'tasks', status: 'fail' }));
    expect((await why.run(world.context, { task: 'build' })).reasons).toMatchObject([{ code: 'TASK_UNREADABLE' }]);
    const shown = await show.run(world.context, { task: 'build' });
    expect(shown).toMatchObject({ attempts: [], history: [], warnings: [{ severity: 'error' }] });
    const { applied, reported } = await gc.run(world.context, {});
    expect({ applied, reported }).toMatchObject({ applied: [], reported: [{ row: 2, task_id: 'build' }] });
    expect((await run.run(world.context, { dry_run: true })) as DryRunData).toMatchObject({
      for_agents: [{ task_id: 'free' }],
    });
    expect(await code(() => cancel.run(world.context, { task: 'build' }))).toBe('SCHEMA_INVALID');
    expect((await claim.run(world.context, { next: true })).task_id).toBe('free');
  },
);

test.each(['attempts', ''])(
  'run does all other tasks where something else is in the place of tasks/a/%s',
  async (below) => {
    const cwd = project([
      'id: a, title: A, run: "true"',
      'id: b, title: B, run: "true"',
      'id: c, title: C, run: "true", depends_on: [b]',
    ]);
    const place = path.join(cwd, dirOf('a'), below);
    fs.mkdirSync(path.dirname(place), { recursive: true });
    link(place);
    const { code, stdout } = await orchestrate(['run', '--json'], { cwd });
    expect(code).toBe(4);
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.filter(({ type }) => type === 'task_finished').map(({ task_id }) => task_id)).toEqual(['b', 'c']);
    expect(events.filter(({ type }) => type === 'task_blocked')).toMatchObject([
      {
        task_id: 'a',
        reasons: [{ message: expect.stringMatching(below ? 'is a symlink' : 'its record cannot be read') }],
      },
    ]);
  },
);

test('gc reports an answer without a question that is no file, and archives the other answers', async () => {
  const { world, first } = await tree();
  const folder = world.path(attempts('asks'), first.attempt);
  fs.rmSync(`${folder}/questions`, { recursive: true });
  const other = first.id.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
  fs.mkdirSync(`${folder}/answers/${other}.json`);
  const { applied, skipped, reported } = await gc.run(world.context, {});
  expect({ applied, skipped }).toMatchObject({
    applied: [{ action: 'archive_answer', payload: { question_id: first.id } }],
    skipped: [],
  });
  expect(reported).toMatchObject([{ row: 12, reason: `the answer to question ${other} cannot be read` }]);
  expect((await gc.run(world.context, { dry_run: true })).planned).toEqual([]);
});

test('gc reports a task whose edited state cannot be read, and plans nothing that could only fail', async () => {
  const world = new World(planOf('build'));
  await world.start('build');
  const file = world.path(dirOf('build'), 'state.json');
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('"dispatched"', '"banana"'));
  world.wait(86_400_000);
  const { applied, failed, reported } = await gc.run(world.context, {});
  expect({ applied, failed }).toEqual({ applied: [], failed: [] });
  expect(reported).toMatchObject([{ task_id: 'build', reason: expect.stringContaining('found text "banana"') }]);
});

test('gc tells what it has done, whatever is in the place of its trash', async () => {
  const { world } = await tree();
  link(world.path('.forge/orchestrator/trash'));
  expect((await gc.run(world.context, {})).failed).toEqual([]);
  expect(world.warnings.join()).toContain('trash is a symlink');
});

test('gc does without an index of questions, whatever is in its place', async () => {
  const { world } = await tree();
  const index = world.path('.forge/orchestrator/index');
  fs.rmSync(index, { recursive: true });
  link(index);
  expect((await gc.run(world.context, {})).failed).toEqual([]);
});

test('a question that was cut short is reported as no JSON', async () => {
  const { world, first } = await tree();
  const cut = world.path(attempts('asks'), first.attempt, 'questions', `${first.id}.json`);
  fs.truncateSync(cut, 20);
  const { reported } = await gc.run(world.context, { dry_run: true });
  expect(reported.map(({ reason }) => reason)).toEqual([
    `question ${first.id} cannot be read: it is not JSON; it may have been cut short`,
  ]);
});
