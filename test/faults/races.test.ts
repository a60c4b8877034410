/** Many processes claim the same tasks at the same time. The store has no lock file. */

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runStart } from '../../src/commands/run-start.ts';
import { status } from '../../src/commands/status.ts';
import { bundle } from '../support/bundle.ts';
import { auditTask, expectViewsOf } from '../support/faults/audit.ts';
import { callOn, LiveForge } from '../support/faults/forge.ts';
import { sized } from '../support/faults/knobs.ts';
import { makeProject, planOf } from '../support/faults/project.ts';
import { startHelper } from '../support/processes.ts';

const RACERS = sized(8, 16, 16);
const TASKS = sized(60, 200, 1000);
/** Commands that are started at once. */
const COMMANDS = sized(4, 8, 8);

interface Won {
  task_id: string;
  claim_id: string;
  generation: number;
}

function project(count: number): { dir: string; ids: string[] } {
  const ids = Array.from({ length: count }, (_, at) => `t${String(at).padStart(4, '0')}`);
  return { dir: makeProject({ 'plans/phases.yaml': planOf(ids.map((id) => ({ id }))) }), ids };
}

/** Every task has exactly one owner, and only that one was given it. */
async function expectOneOwnerEach(dir: string, ids: readonly string[], won: readonly Won[]): Promise<void> {
  expect(won.map((claim) => claim.task_id).sort()).toEqual(ids);
  for (const { task_id, claim_id, generation } of won) {
    const { record, newest } = auditTask(dir, task_id);
    expect({ newest, generation, claim: record?.lease?.claim_id }).toEqual({
      newest: 1,
      generation: 1,
      claim: claim_id,
    });
    if (record !== null) expectViewsOf(dir, task_id, record);
  }
  expect((await status.run(callOn(dir), {})).counts).toEqual({ claimed: ids.length });
}

test(`${RACERS} processes race for ${TASKS} tasks: each is claimed once`, { timeout: 600_000 }, async () => {
  const { dir, ids } = project(TASKS);
  const { run_id } = await runStart.run(callOn(dir), {});
  const racer = await bundle(path.join(path.dirname(fileURLToPath(import.meta.url)), '../support/faults/racer.ts'));
  const racers = Array.from({ length: RACERS }, () => startHelper(racer, { dir, run: run_id }));
  for (const each of racers) expect(await each.next()).toBe('ready');
  for (const each of racers) each.send('go');
  const won = (await Promise.all(racers.map((each) => each.next() as Promise<Won[]>))).flat();
  for (const each of racers) expect((await each.ended).code).toBe(0);
  await expectOneOwnerEach(dir, ids, won);
});

test('more concurrent claims than tasks claim each task once', async () => {
  const { dir, ids } = project(COMMANDS - 2);
  const commands = Array.from({ length: COMMANDS + 1 }, () => new LiveForge(dir, ['claim', '--next']));
  const codes = await Promise.all(commands.map(async (each) => (await each.ended).code));
  const answers = commands.map((each) => each.events[0] as unknown as { ok: boolean; data: Won });
  expect(codes.sort()).toEqual([...ids.map(() => 0), 4, 4, 4]);
  const won = answers.filter((answer) => answer.ok).map((answer) => answer.data);
  await expectOneOwnerEach(dir, ids, won);
});

test('of concurrent claims of one task exactly one succeeds', async () => {
  const { dir } = project(1);
  const commands = Array.from({ length: COMMANDS }, () => new LiveForge(dir, ['claim', 't0000']));
  const codes = await Promise.all(commands.map(async (each) => (await each.ended).code));
  expect(codes.filter((code) => code === 0)).toHaveLength(1);
  // Refused as held, whether that was seen before the commit or at it.
  expect(codes.filter((code) => code === 3)).toHaveLength(COMMANDS - 1);
  expect(auditTask(dir, 't0000').newest).toBe(1);
});

test('processes that share tasks which overlap or use the same never work on two of them at once', {
  timeout: 600_000,
}, async () => {
  const globs = { deps: ['[package.json]', '["*.json"]', '["package*"]'], go: ['[go.sum]', '["go.*", "src/**"]'] };
  const ids = Object.entries(globs).flatMap(([group, lists]) =>
    Array.from({ length: sized(6, 12, 60) }, (_, at) => ({
      id: `${group}-${at}`,
      more: `write_globs: ${lists[at % lists.length]}`,
    })),
  );
  // Those that use what there is one of have a folder together as well.
  const users = Array.from({ length: sized(3, 6, 30) }, (_, at) => ({ id: `lock-${at}`, more: 'uses: [deploy]' }));
  ids.push(...users);
  const dir = makeProject({
    'plans/phases.yaml': planOf(ids),
    '.forge/settings.yaml': 'limits: {deploy: 1}\n',
    'verdict.json': '{"verdict":"ready_for_review","summary":"done"}',
  });
  const { run_id } = await runStart.run(callOn(dir), {});
  const racer = await bundle(
    path.join(path.dirname(fileURLToPath(import.meta.url)), '../support/faults/overlap-racer.ts'),
  );
  const racers = Array.from({ length: 6 }, () => startHelper(racer, { dir, run: run_id, tasks: ids.length }));
  for (const each of racers) expect(await each.next()).toBe('ready');
  for (const each of racers) each.send('go');
  const told = (await Promise.all(racers.map((each) => each.next()))) as {
    done: string[];
    collided: string[];
    waited: number;
  }[];
  for (const each of racers) expect((await each.ended).code).toBe(0);
  expect(told.flatMap(({ collided }) => collided)).toEqual([]);
  expect(told.flatMap(({ done }) => done).sort()).toEqual(ids.map(({ id }) => id).sort());
  expect(told.some(({ waited }) => waited > 0)).toBe(true);
});

test.each([
  ['of overlapping tasks', 'write_globs: [package.json]', 'OVERLAP_CONFLICT'],
  ['of tasks that use what there is one of', 'uses: [deploy]', 'RESOURCE_LIMIT'],
])('of concurrent claims %s at most one goes on, and the others are refused', async (_what, more, expected) => {
  const ids = Array.from({ length: COMMANDS }, (_, at) => `t${at}`);
  const dir = makeProject({
    'plans/phases.yaml': planOf(ids.map((id) => ({ id, more }))),
    '.forge/settings.yaml': 'limits: {deploy: 1}\n',
  });
  const commands = ids.map((id) => new LiveForge(dir, ['claim', id]));
  const codes = await Promise.all(commands.map(async (each) => (await each.ended).code));
  const won = codes.filter((code) => code === 0).length;
  // On a machine that is too busy all of them may give way; never do two go on.
  expect(won).toBeLessThanOrEqual(1);
  expect(codes.filter((code) => code === 4)).toHaveLength(ids.length - won);
  const refused = commands.flatMap((each) => (each.events[0]?.['ok'] === true ? [] : each.events));
  expect(new Set(refused.map((answer) => (answer as unknown as { error: { code: string } }).error.code))).toEqual(
    new Set([expected]),
  );
  const { counts } = await status.run(callOn(dir), {});
  expect([counts['claimed'] ?? 0, counts['unclaimed']]).toEqual([won, ids.length - won]);
});
