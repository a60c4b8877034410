/** Tasks that write the same files: which overlaps block a claim, which only warn, and claims that were cut short. */

import { beforeEach, describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { phases, type ReadyData } from '../../src/commands/phases.ts';
import { release } from '../../src/commands/release.ts';
import { runStart } from '../../src/commands/run-start.ts';
import { show } from '../../src/commands/show.ts';
import { why } from '../../src/commands/why.ts';
import { holdsBack } from '../../src/domain/schedule/overlap.ts';
import { DEFAULT_SETTINGS } from '../../src/domain/settings/settings.ts';
import { claimTask } from '../../src/domain/task/operations.ts';
import { warningOf } from '../../src/domain/warnings.ts';
import { instantOf, observerOf } from '../../src/engine/env.ts';
import { changeTask } from '../../src/store/change.ts';
import { code, GRACE_MS, planOf, TTL_MS, World } from '../support/commands/world.ts';
import { refused } from '../support/refused.ts';

const PLAN = planOf(
  'deps, write_globs: [package.json]',
  'tools, write_globs: ["*.json"]',
  'api, write_globs: ["src/api/**"]',
  'client, write_globs: ["src/**"]',
  'docs',
);

let world: World;
beforeEach(() => {
  world = new World(PLAN);
});

const ready = async () => (await phases.run(world.context, { ready: true })) as ReadyData;
const CONFLICT = 'task deps may write package.json, a locked file, too (here *.json, there package.json)';

describe('a task in flight', () => {
  test('a task in flight blocks another that may write the same locked file', async () => {
    await claim.run(world.context, { task: 'deps' });
    const seen = await ready();
    expect(seen.ready.map(({ task_id }) => task_id)).toEqual(['api', 'client', 'docs']);
    expect(seen.waiting).toContainEqual({ task_id: 'tools', code: 'OVERLAP_CONFLICT', reason: CONFLICT });
    expect(await why.run(world.context, { task: 'tools' })).toEqual({
      task_id: 'tools',
      ready: false,
      reasons: [{ code: 'OVERLAP_CONFLICT', message: CONFLICT }],
      notes: [],
      held: null,
    });
    expect((await phases.run(world.context, { ready: true, blocked_by: 'deps' })) as ReadyData).toMatchObject({
      waiting: [{ task_id: 'tools' }],
    });
  });

  test.each(['claimed', 'dispatched'] as const)(
    'claim refuses a task that overlaps with a %s one and names that one',
    async (state) => {
      if (state === 'claimed') await claim.run(world.context, { task: 'deps' });
      else await world.start('deps');
      const error = await refused(() => claim.run(world.context, { task: 'tools' }));
      expect(error).toMatchObject({
        code: 'OVERLAP_CONFLICT',
        exitCode: 4,
        retriable: true,
        message: `task tools has to wait: ${CONFLICT}`,
        details: { task_id: 'tools', overlaps: 'deps' },
      });
      expect(world.has('.forge/orchestrator/tasks/tools')).toBe(false);
    },
  );

  test('claim --next skips a task that overlaps with one in flight', async () => {
    await claim.run(world.context, { task: 'deps' });
    expect((await claim.run(world.context, { next: true })).task_id).toBe('api');
  });

  test('a task blocks no overlapping one after it is released or done', async () => {
    const { claim_id } = await claim.run(world.context, { task: 'deps' });
    await release.run(world.context, { task: 'deps', claim: claim_id });
    const { attempt } = await world.start('tools');
    expect(await code(() => claim.run(world.context, { task: 'deps' }))).toBe('OVERLAP_CONFLICT');
    await world.finish('tools', attempt);
    expect((await claim.run(world.context, { task: 'deps' })).task_id).toBe('deps');
  });

  test('claim of an overlapping task with another reason to wait is NOT_READY with both reasons', async () => {
    world = new World(planOf('a, write_globs: [go.sum]', 'b', 'c, write_globs: [go.sum], depends_on: [b]'));
    await claim.run(world.context, { task: 'a' });
    const error = await refused(() => claim.run(world.context, { task: 'c' }));
    expect(error.code).toBe('NOT_READY');
    expect(error.message).toContain('it depends on b');
    expect(error.message).toContain('task a may write go.sum');
  });

  test('an overlap without a locked file is only a warning', async () => {
    await claim.run(world.context, { task: 'api' });
    const warning = 'task client may conflict: task api may write src/api/a too (here src/**, there src/api/**)';
    expect(await ready()).toMatchObject({ warnings: [warningOf(warning)] });
    expect(world.warnings).toEqual([]);
    await claim.run(world.context, { task: 'client' });
    expect(world.warnings).toEqual([warning]);
  });

  test('overlap: strict also blocks an overlap without a locked file', async () => {
    world = new World(PLAN, 'agents: {overlap: strict}\n');
    await claim.run(world.context, { task: 'api' });
    expect(await code(() => claim.run(world.context, { task: 'client' }))).toBe('OVERLAP_CONFLICT');
    expect((await ready()).warnings).toEqual([]);
  });

  test('hard_lock_globs in the settings replaces the default locked files', async () => {
    world = new World(PLAN, 'agents: {hard_lock_globs: ["src/api/schema.ts"]}\n');
    await claim.run(world.context, { task: 'deps' });
    await claim.run(world.context, { task: 'tools' });
    await claim.run(world.context, { task: 'api' });
    expect((await refused(() => claim.run(world.context, { task: 'client' }))).message).toContain(
      'task api may write src/api/schema.ts, a locked file',
    );
  });
});

describe('a claim that was cut short before its overlap check', () => {
  const CLAIM = '0195ed82-cc8e-76c6-b8fa-36b8c95209dd';
  let run: string;
  beforeEach(async () => {
    run = (await runStart.run(world.context, {})).run_id;
  });

  /** The claim as a process leaves it that is killed right after its commit. */
  const cutShort = async (task: string, claimId = CLAIM) => {
    const session = await world.session();
    return changeTask(session, task, (record) =>
      claimTask(record, {
        claimId,
        runId: run,
        ttlMs: TTL_MS,
        owner: null,
        instant: instantOf(session),
        observer: observerOf(session),
        abandonLimit: 10,
        unchecked: true,
      }),
    );
  };
  const open = (task: string) => dispatch.run(world.context, { task, claim: CLAIM, run, phase: 'implement' });

  test('dispatch makes up for the overlap check of a claim', async () => {
    await cutShort('tools');
    expect((await open('tools')).attempt_number).toBe(1);
    expect((await world.record('tools')).lease?.overlap_unchecked).toBeUndefined();
  });

  test('an unchecked claim yields at dispatch, uncharged, to an overlapping task that was checked', async () => {
    await world.start('deps');
    await cutShort('tools');
    const error = await refused(() => open('tools'));
    expect(error).toMatchObject({ code: 'OVERLAP_CONFLICT', details: { overlaps: 'deps' } });
    const { state, lease } = await world.record('tools');
    expect([state.state, state.attempt_count, state.failure_count, lease]).toEqual(['unclaimed', 0, 0, null]);
    expect((await show.run(world.context, { task: 'tools' })).history).toMatchObject([
      { event: 'acquired' },
      { event: 'released', reason: `task tools has to wait: ${CONFLICT}` },
    ]);
  });

  test('dispatch under another run leaves an unchecked claim unchanged', async () => {
    await world.start('deps');
    await cutShort('tools');
    const other = (await runStart.run(world.context, {})).run_id;
    const act = () => dispatch.run(world.context, { task: 'tools', claim: CLAIM, run: other, phase: 'implement' });
    expect(await code(act)).toBe('LEASE_IDENTITY_MISMATCH');
    expect((await world.record('tools')).state.state).toBe('claimed');
  });

  test('a repeated claim makes up for its overlap check, and may be repeated after it has yielded', async () => {
    const { attempt } = await world.start('deps');
    await cutShort('tools');
    const again = () => claim.run(world.context, { task: 'tools', claim_id: CLAIM });
    expect(await code(again)).toBe('OVERLAP_CONFLICT');
    await world.finish('deps', attempt);
    expect(await again()).toMatchObject({ claim_id: CLAIM, generation: 2 });
    expect(await again()).toMatchObject({ claim_id: CLAIM, generation: 2 });
    expect((await world.record('tools')).lease?.overlap_unchecked).toBeUndefined();
  });

  test('an unchecked claim blocks overlapping tasks like any other', async () => {
    await cutShort('tools');
    expect(await code(() => claim.run(world.context, { task: 'deps' }))).toBe('OVERLAP_CONFLICT');
  });

  test('an unchecked claim with a stale lease is abandoned by the claim of an overlapping task', async () => {
    await cutShort('tools');
    world.wait(TTL_MS + GRACE_MS);
    const { claim_id } = await claim.run(world.context, { task: 'deps' });
    expect((await world.record('tools')).state.state).toBe('abandoned');
    expect((await show.run(world.context, { task: 'tools' })).history).toMatchObject([
      { event: 'acquired' },
      {
        event: 'admin_released',
        reason: 'its owner was gone when task deps, which writes the same files, was claimed',
      },
    ]);
    // Its owner was only paused, and comes too late.
    expect(await code(() => open('tools'))).toBe('LEASE_STOLEN');
    expect((await world.record('deps')).lease?.claim_id).toBe(claim_id);
  });

  test('of two unchecked claims the one with the larger id yields', async () => {
    await cutShort('tools', 'ffffffff-ffff-7fff-bfff-ffffffffffff');
    await cutShort('deps');
    const last = dispatch.run(world.context, {
      task: 'tools',
      claim: 'ffffffff-ffff-7fff-bfff-ffffffffffff',
      run,
      phase: 'implement',
    });
    const first = open('deps');
    expect(await code(() => last)).toBe('OVERLAP_CONFLICT');
    expect((await first).attempt_number).toBe(1);
  });
});

describe('holdsBack', () => {
  const cases: [mine: string[], theirs: string[], path: string | null][] = [
    [['package.json'], ['package.json'], 'package.json'],
    [['**'], ['Cargo.*'], 'Cargo.toml'],
    [['src/**'], ['src/**'], null],
    [['packages/a/package.json'], ['packages/**'], null],
    [['src/**', 'migrations/'], ['migrations/1.sql'], 'migrations/1.sql'],
    [[], ['**'], null],
    [[], [], null],
  ];
  test.each(cases)('tasks that write %j and %j overlap symmetrically, by the locked file %j', (mine, theirs, path) => {
    const [a, b] = [{ write_globs: mine }, { write_globs: theirs }];
    expect(holdsBack(a, b, DEFAULT_SETTINGS.agents)?.path ?? null).toBe(path);
    expect(holdsBack(b, a, DEFAULT_SETTINGS.agents)?.path ?? null).toBe(path);
  });
});
