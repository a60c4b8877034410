/** gc applies every divergence, alone and together, and only if it is unchanged since the plan. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { cancel } from '../../src/commands/cancel.ts';
import { claim } from '../../src/commands/claim.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { type GcInput, gc } from '../../src/commands/gc.ts';
import { heartbeat } from '../../src/commands/heartbeat.ts';
import { release } from '../../src/commands/release.ts';
import { adminReleaseLeaseByIdentity } from '../../src/engine/gc/admin-release.ts';
import {
  DIVERGENCES,
  type Divergence,
  dirOf,
  edit,
  freshId,
  handLease,
  handQuestion,
  handState,
  handVerdict,
} from '../support/commands/divergences.ts';
import { code, GRACE_MS, keysOf, planOf, shortly, TTL_MS, World } from '../support/commands/world.ts';
import { refused } from '../support/refused.ts';

const PLAN = planOf('build', 'other');

let world: World;
beforeEach(() => {
  world = new World(PLAN);
});

const run = (options: GcInput = {}) => gc.run(world.context, options);
const preview = () => run({ dry_run: true });

/** Applies the plan that was made before `meanwhile`. */
async function appliedAfter(meanwhile: () => unknown) {
  const out = world.path('plan.json');
  await run({ out });
  await meanwhile();
  return run({ plan: out });
}

describe('no divergences', () => {
  test('gc finds nothing in an empty tree without a plan', async () => {
    world = new World();
    fs.mkdirSync(world.path('.forge/orchestrator'), { recursive: true });
    const data = await run();
    expect(data).toMatchObject({ planned: [], applied: [], skipped: [], failed: [], reported: [] });
    expect(data.legacy).toEqual({ moved: [] });
  });

  test('gc finds nothing in a tree made by verbs', async () => {
    const { attempt } = await world.start('build');
    await world.finish('build', attempt);
    await world.start('other');
    expect(await preview()).toMatchObject({ planned: [], reported: [] });
  });
});

describe.each(DIVERGENCES)('$name', (divergence: Divergence) => {
  const { make, row, action, state } = divergence;
  const wanted = `${row} build ${action}`;

  test('gc finds the divergence, and its preview changes nothing', async () => {
    await make(world);
    const before = world.footprint();
    const { planned, reported, applied } = await preview();
    expect(shortly(planned)).toEqual([wanted]);
    expect([...reported, ...applied]).toEqual([]);
    expect(planned[0]?.reason).toMatch(/^\S.{10,}$/);
    expect(keysOf(planned[0])).toEqual(['row', 'task_id', 'action', 'severity', 'reason', 'payload']);
    expect(world.footprint()).toEqual(before);
  });

  test('gc reconciles the divergence once', async () => {
    await make(world);
    const data = await run();
    expect(shortly(data.applied)).toEqual([wanted]);
    expect([...data.skipped, ...data.failed]).toEqual([]);
    expect((await world.record('build')).state.state).toBe(state);
    expect(await run()).toMatchObject({ planned: [], applied: [] });
    const history = fs.readFileSync(world.path(dirOf('build'), 'claim-history.jsonl'), 'utf8');
    expect(history).toMatch(new RegExp(`"row":${row},|gc row ${row} \\(`));
    expect(fs.readFileSync(world.path('.forge/logs/orchestrate.jsonl'), 'utf8')).toContain(
      `"row":${row},"action":"${action}"`,
    );
  });

  test('gc skips a divergence whose task has changed since', async () => {
    await make(world);
    const refusal = refused(() => appliedAfter(() => cancelOrEdit(world)));
    const { code: refusalCode, details } = await refusal;
    expect(refusalCode).toBe('STALE_PLAN');
    expect(details['skipped']).toMatchObject([
      { row, action, code: expect.stringMatching(/^(STATE_VERSION_CONFLICT|LEASE_)/) },
    ]);
  });

  test('a gc plan applied twice does nothing the second time', async () => {
    await make(world);
    const out = world.path('plan.json');
    await run({ out });
    expect(shortly((await run({ plan: out })).applied)).toEqual([wanted]);
    const before = await world.record('build');
    expect(await code(() => run({ plan: out }))).toBe('STALE_PLAN');
    expect(await world.record('build')).toEqual(before);
  });
});

/** Whatever state it is in, it is another afterwards. */
async function cancelOrEdit(where: World): Promise<void> {
  const { state } = await where.record('build');
  if (state.state === 'shipped') edit(where, 'state.json', { note: 'by hand' });
  else await cancel.run(where.context, { task: 'build' });
}

describe('changes between plan and apply', () => {
  const STALE_MS = TTL_MS + GRACE_MS + 1;

  test('a heartbeat between plan and apply wins', async () => {
    const { attempt } = await world.start('build');
    world.wait(STALE_MS);
    const error = await refused(() => appliedAfter(() => heartbeat.run(world.context, { task: 'build', attempt })));
    expect(error.code).toBe('STALE_PLAN');
    expect(await world.record('build')).toMatchObject({ state: { state: 'running' }, lease: { attempt_id: attempt } });
  });

  test('a claim between plan and apply wins', async () => {
    await world.start('build');
    world.wait(STALE_MS);
    let mine = '';
    await refused(() =>
      appliedAfter(async () => {
        mine = (await claim.run(world.context, { task: 'build' })).claim_id;
      }),
    );
    expect(await world.record('build')).toMatchObject({ state: { state: 'claimed' }, lease: { claim_id: mine } });
  });

  test('a completion between plan and apply wins', async () => {
    const { attempt } = await world.start('build');
    world.wait(STALE_MS);
    await refused(() => appliedAfter(() => world.finish('build', attempt)));
    expect((await world.record('build')).state.state).toBe('shipped');
  });

  test('a release between plan and apply wins', async () => {
    const held = await world.start('build');
    world.wait(STALE_MS);
    await refused(() => appliedAfter(() => release.run(world.context, { task: 'build', claim: held.claim })));
    expect((await world.record('build')).state.state).toBe('awaiting_respawn');
  });

  test('a changed task does not keep gc from reconciling another', async () => {
    const { attempt } = await world.start('build');
    await world.start('other');
    world.wait(STALE_MS);
    const data = await appliedAfter(() => heartbeat.run(world.context, { task: 'build', attempt }));
    expect(shortly(data.applied)).toEqual(['2 other mark_abandoned']);
    expect(data.skipped).toMatchObject([{ task_id: 'build', code: 'STATE_VERSION_CONFLICT' }]);
  });

  test('gc does not verify a verdict over a new claim', async () => {
    const { claim: held, attempt } = await world.start('build');
    handVerdict(world, 'build', attempt);
    await release.run(world.context, { task: 'build', claim: held });
    await refused(() => appliedAfter(() => claim.run(world.context, { task: 'build' })));
    expect(world.has(dirOf('build'), 'attempts', attempt, 'verdict.verified.json')).toBe(false);
  });
});

describe('several divergences', () => {
  test('gc reconciles all divergences of a tree in order of row and task', async () => {
    const ids = DIVERGENCES.filter(({ name }) => name.includes('by hand')).map((_, at) => `t${at}`);
    world = new World(planOf(...ids));
    const made = DIVERGENCES.filter(({ name }) => name.includes('by hand'));
    for (const [at, { make }] of made.entries()) {
      await make(world);
      fs.renameSync(world.path(dirOf('build')), world.path(dirOf(`t${at}`)));
    }
    const { planned } = await preview();
    const expected = made.map(({ row, action }, at) => ({ row, task_id: `t${at}`, action }));
    expected.sort((a, b) => a.row - b.row || (a.task_id < b.task_id ? -1 : 1));
    expect(shortly(planned)).toEqual(shortly(expected));
    const data = await run();
    expect(shortly(data.applied)).toEqual(shortly(expected));
    expect(await run()).toMatchObject({ planned: [], applied: [], skipped: [] });
  });

  test('gc plans later items of a task on the effect of earlier ones', async () => {
    const attempt = freshId();
    handState(world, 'build', 'running', { current_attempt_id: attempt, attempt_count: 1 });
    handLease(world, 'build');
    handLease(world, 'build', { generation: 1 }, 'lease.json.old');
    handVerdict(world, 'build', attempt);
    handQuestion(world, 'build', freshId());
    const data = await run();
    expect(shortly(data.applied)).toEqual([
      '2 build mark_abandoned',
      '8 build reverify_verdict',
      '11 build archive_question',
      '13 build release_lease_admin',
    ]);
    expect(await run()).toMatchObject({ planned: [] });
  });

  test('gc releases the lease of a terminal task from another lease file', async () => {
    handState(world, 'build', 'shipped');
    handLease(world, 'build', { generation: 1 });
    handLease(world, 'build', { generation: 7 }, 'lease.json.bak');
    expect(shortly((await run()).applied)).toEqual(['13 build release_lease_admin', '14 build release_lease_admin']);
    expect(fs.readdirSync(world.path(dirOf('build'))).filter((name) => name.startsWith('lease'))).toEqual([]);
    expect(await run()).toMatchObject({ planned: [] });
    expect((await world.record('build')).memo.generation).toBe(7);
  });
});

describe('generation of a lease in another file', () => {
  const leases = () => fs.readdirSync(world.path(dirOf('build'))).filter((name) => name.startsWith('lease'));

  test('the generation of the only lease file of a terminal task survives gc', async () => {
    handState(world, 'build', 'shipped');
    handLease(world, 'build', { generation: 3 }, 'lease.json.a');
    handLease(world, 'build', { generation: 7 }, 'lease.json.b');
    const data = await run();
    expect(shortly(data.applied)).toEqual(['13 build release_lease_admin', '14 build release_lease_admin']);
    expect((await world.record('build')).memo.generation).toBe(7);
    expect(leases()).toEqual([]);
    expect(await preview()).toMatchObject({ planned: [] });
  });

  const LIVE = '2999-01-01T00:00:00.000Z';
  const [own, first, second] = ['lease.json', 'lease.json.a', 'lease.json.b'];
  const STATES = ['claimed', 'running', 'awaiting_respawn', 'shipped'];
  const FILES: [what: string, files: [name: string, generation: number, expires_at?: string][]][] = [
    [
      'its own, and another that counts',
      [
        [own, 1],
        [second, 7],
      ],
    ],
    [
      'its own that is live, and another that counts',
      [
        [own, 1, LIVE],
        [second, 7],
      ],
    ],
    [
      'its own, and another that counts and is live',
      [
        [own, 1],
        [second, 7, LIVE],
      ],
    ],
    [
      'its own, which counts, and another',
      [
        [own, 7],
        [second, 1],
      ],
    ],
    [
      'two others',
      [
        [first, 3],
        [second, 7],
      ],
    ],
    [
      'two others, of which one is live and counts',
      [
        [first, 3],
        [second, 7, LIVE],
      ],
    ],
    ['one other', [[second, 7]]],
    ['one other that is live', [[second, 7, LIVE]]],
  ];

  test.each(STATES.flatMap((state) => FILES.map(([what, files]) => ({ state, what, files }))))(
    'one gc keeps the generation of a lease file of a task that is $state and has $what',
    async ({ state, files }) => {
      handState(world, 'build', state);
      for (const [name, generation, expires_at] of files) {
        handLease(world, 'build', { generation, ...(expires_at === undefined ? {} : { expires_at }) }, name);
      }
      const left = leases();
      const { applied, skipped, failed } = await run();
      expect({ skipped, failed }).toEqual({ skipped: [], failed: [] });
      expect(await run()).toMatchObject({ planned: [], reported: [] });
      const { memo, lease } = await world.record('build');
      // A single lease file that is consistent with the state stays.
      if (applied.length === 0) expect(leases()).toEqual(left);
      else
        expect({ leases: leases(), generation: memo.generation }).toEqual({
          leases: lease ? [own] : [],
          generation: 7,
        });
      const kept = files.some(([, generation, expires_at]) => generation === 7 && expires_at === LIVE);
      const inFlight = ['claimed', 'running'].includes(state);
      if (inFlight) expect((await world.record('build')).state.state).toBe(kept ? state : 'abandoned');
    },
  );

  test('the next claim exceeds the generation of a removed lease file', async () => {
    handState(world, 'build', 'running');
    handLease(world, 'build', { generation: 1 });
    handLease(world, 'build', { generation: 7 }, second);
    await run();
    expect((await claim.run(world.context, { task: 'build' })).generation).toBe(8);
  });
});

test('a stray lease file beside a committed record is found also without a lease', async () => {
  const held = await claim.run(world.context, { task: 'build' });
  await release.run(world.context, { task: 'build', claim: held.claim_id });
  handLease(world, 'build', {}, 'lease.json.bak');
  expect(shortly((await run()).applied)).toEqual(['13 build release_lease_admin']);
  expect(world.has(dirOf('build'), 'lease.json.bak')).toBe(false);
});

describe('gc verifies again', () => {
  const TWIN = (attempt: string) => path.join(dirOf('build'), 'attempts', attempt, 'verdict.verified.json');

  async function handedIn(verify: string): Promise<string> {
    world = new World(planOf(`build, verify: ['${verify}'], retry: {max_attempts: 1}`));
    const held = await world.start('build');
    handVerdict(world, 'build', held.attempt);
    await release.run(world.context, { task: 'build', claim: held.claim });
    return held.attempt;
  }

  test('a verdict that gc verifies successfully is shipped by the next claim', async () => {
    const attempt = await handedIn('true');
    await run();
    expect(world.json(TWIN(attempt))).toMatchObject({ verdict: 'ready_for_review', commands: [{ exit_code: 0 }] });
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('NOT_READY');
    expect((await world.record('build')).state).toMatchObject({ state: 'shipped', attempt_count: 1 });
  });

  test('gc does not verify while the plan cannot be read: the item fails, and the verdict stays', async () => {
    const attempt = await handedIn('true');
    world.write('plans/phases.yaml', 'project: [');
    expect((await run()).failed).toMatchObject([{ action: 'reverify_verdict', code: 'PHASES_PARSE_ERROR' }]);
    expect(world.has(TWIN(attempt))).toBe(false);
  });

  test("a verdict that fails gc's verification is failed by the next claim", async () => {
    const attempt = await handedIn('exit 3');
    await run();
    expect(world.json(TWIN(attempt))).toMatchObject({ verdict: 'changes_needed', failure: { class: 'verify.exit-3' } });
    await code(() => claim.run(world.context, { task: 'build' }));
    expect((await world.record('build')).state).toMatchObject({
      state: 'failed',
      last_error: { class: 'verify.exit-3' },
    });
  });
});

describe('gc options', () => {
  beforeEach(async () => {
    handState(world, 'build', 'claimed');
    handState(world, 'other', 'shipped');
    handLease(world, 'other');
  });

  test('gc --task and --row limit what is done', async () => {
    expect(shortly((await run({ dry_run: true, task: ['other'] })).planned)).toEqual(['14 other release_lease_admin']);
    expect(shortly((await run({ dry_run: true, row: [2] })).planned)).toEqual(['2 build mark_abandoned']);
    expect(shortly((await run({ row: [2], task: ['build'] })).applied)).toEqual(['2 build mark_abandoned']);
    expect(shortly((await preview()).planned)).toEqual(['14 other release_lease_admin']);
    expect(await code(() => run({ task: ['../x'] }))).toBe('INVALID_ID');
  });

  test('gc refuses an unknown task before any change, with a suggestion', async () => {
    world.write('.forge/questions/q.json', '{}');
    const out = world.path('plan.json');
    await run({ out });
    for (const options of [{}, { dry_run: true }, { out: world.path('other.json') }, { plan: out }]) {
      const refusal = await refused(() => run({ ...options, task: ['other', 'biuld'] }));
      expect(refusal).toMatchObject({ code: 'TASK_NOT_FOUND', hint: 'Did you mean build?' });
    }
    expect((await world.record('other')).lease).not.toBeNull();
    expect(fs.existsSync(world.path('other.json'))).toBe(false);
    expect(fs.existsSync(world.path('.forge/questions/q.json'))).toBe(true);
    world = new World(PLAN);
    expect(await code(() => run({ task: ['biuld'] }))).toBe('TASK_NOT_FOUND');
    expect(await run({ task: ['build'] })).toMatchObject({ applied: [], planned: [], skipped: [] });
    expect(fs.existsSync(world.path('.forge'))).toBe(false);
  });

  test('gc accepts a task that only the plan or only the tree knows', async () => {
    handState(world, 'stray', 'shipped');
    const out = world.path('plan.json');
    await run({ out });
    fs.rmSync(world.path(dirOf('other')), { recursive: true });
    for (const task of ['other', 'stray']) {
      expect((await run({ dry_run: true, task: [task] })).planned).toEqual([]);
      expect((await run({ plan: out, task: [task, 'build'], row: [2], dry_run: true })).planned).toHaveLength(1);
    }
    fs.rmSync(world.path(dirOf('stray')), { recursive: true });
    expect(await code(() => run({ dry_run: true, task: ['stray'] }))).toBe('TASK_NOT_FOUND');
  });

  test('gc refuses an invalid plan or one of another tree and changes nothing', async () => {
    const out = world.path('plan.json');
    await run({ out });
    const other = new World(PLAN);
    handState(other, 'build', 'claimed');
    expect(await code(() => gc.run(other.context, { plan: out }))).toBe('STALE_PLAN');
    for (const text of [
      '',
      '{',
      '[]',
      '{"version":1}',
      JSON.stringify({ ...world.json('plan.json'), rows: [{ row: 99 }] }),
    ]) {
      const file = other.write('none.json', text);
      expect(await code(() => gc.run(other.context, { plan: file }))).toBe('INVALID_ARGS');
    }
    expect((await other.record('build')).state.state).toBe('claimed');
  });

  test.each([
    ['an attempt', 'archive_question', { attempt_id: '../../x', question_id: freshId(), path: 'x', digest: '' }],
    ['a question', 'archive_answer', { attempt_id: freshId(), question_id: '../x', path: 'x', digest: '' }],
  ])('gc refuses a plan that leads out of the tree by %s', async (_what, action, payload) => {
    const out = world.path('plan.json');
    await run({ out });
    const saved = world.json('plan.json');
    const row = {
      row: 11,
      task_id: 'build',
      action,
      severity: 'info',
      reason: 'x',
      payload,
      identity: { version: 0, digest: '' },
    };
    world.write('plan.json', JSON.stringify({ ...saved, rows: [row] }));
    expect(await code(() => run({ plan: out }))).toBe('INVALID_ARGS');
  });

  test('a gc plan names questions and answers by their ids, so it applies without their paths', async () => {
    await DIVERGENCES.find(({ action }) => action === 'archive_question')?.make(world);
    const out = world.path('plan.json');
    await run({ out, row: [11] });
    const saved = world.json('plan.json') as { rows: { payload: { path?: string } }[] };
    expect(saved.rows.map(({ payload }) => payload.path)).toEqual([expect.stringMatching(/^attempts\/.*\.json$/)]);
    for (const { payload } of saved.rows) delete payload.path;
    world.write('plan.json', JSON.stringify(saved));
    expect(shortly((await run({ plan: out })).applied)).toEqual(['11 build archive_question']);
  });

  test('a gc plan cannot remove a file that is no lease', async () => {
    const out = world.path('plan.json');
    await run({ out, row: [14] });
    const saved = world.json('plan.json') as { rows: { payload: object }[] };
    const rows = saved.rows.map((row) => ({ ...row, row: 13, payload: { ...row.payload, path: 'state.json' } }));
    world.write('plan.json', JSON.stringify({ ...saved, rows }));
    expect((await run({ plan: out })).failed).toMatchObject([{ row: 13, code: 'INVALID_ARGS' }]);
    expect(world.has(dirOf('other'), 'state.json')).toBe(true);
  });

  test('a lease file in a gc plan cannot lead out of the task', async () => {
    const out = world.path('plan.json');
    await run({ out, row: [14] });
    const saved = world.json('plan.json') as { rows: { payload: object }[] };
    const rows = saved.rows.map((row) => ({
      ...row,
      row: 13,
      payload: { ...row.payload, path: '../build/state.json' },
    }));
    world.write('plan.json', JSON.stringify({ ...saved, rows }));
    expect(await code(() => run({ plan: out }))).toBe('INVALID_ARGS');
    expect(world.has(dirOf('build'), 'state.json')).toBe(true);
  });
});

describe('layout of the first version', () => {
  test('gc moves the layout of the first version once, and leaves other files', async () => {
    world.write('.forge/questions/q1.json', '{"any": "thing"}');
    world.write('.forge/questions/q1.json.tmp', 'half');
    world.write('.forge/answers/q1.json', 'not even JSON');
    const before = world.footprint();
    const shown = await preview();
    expect(shown.legacy.moved).toHaveLength(2);
    expect(world.footprint()).toEqual(before);
    const { moved } = (await run()).legacy;
    expect(moved.map(({ from }) => from)).toEqual(['.forge/questions/q1.json', '.forge/answers/q1.json']);
    expect(moved.map(({ to }) => fs.readFileSync(world.path(to), 'utf8'))).toEqual([
      '{"any": "thing"}',
      'not even JSON',
    ]);
    expect(fs.readdirSync(world.path('.forge/questions'))).toEqual(['q1.json.tmp']);
    expect((await run()).legacy.moved).toEqual([]);
  });
});

describe('unfinished files of killed processes', () => {
  /** Last changed `minutes` ago. */
  const leave = (file: string, minutes = 0) => {
    world.write(file, 'half');
    const at = (world.context.ctx.now() - minutes * 60_000) / 1000;
    fs.utimesSync(world.path(file), at, at);
    return file;
  };
  const removed = async (options?: GcInput) => (await run(options)).litter.removed.sort();

  test('gc removes them from tasks that are over, and elsewhere once they are an hour old', async () => {
    const { attempt } = await world.start('build');
    await world.finish('build', attempt);
    const { attempt: young } = await world.start('other');
    const over = [
      leave(`${dirOf('build')}/.tmp-a`),
      leave(`${dirOf('build')}/attempts/${attempt}/.tmp-b`),
      leave(`${dirOf('build')}/attempts/${attempt}/questions/.tmp-c`),
    ];
    const old = [
      leave(`${dirOf('other')}/.tmp-d`, 61),
      leave('.forge/orchestrator/runs/r/.tmp-e', 61),
      leave('.forge/orchestrator/index/.tmp-f', 61),
    ];
    const kept = [
      leave(`${dirOf('other')}/.tmp-g`, 59),
      leave(`${dirOf('other')}/attempts/${young}/.tmp-h`, 59),
      leave(`${dirOf('build')}/tmp-i`, 61),
    ];
    const all = [...over, ...old].sort();
    const before = world.footprint();
    expect(await removed({ dry_run: true })).toEqual(all);
    expect(world.footprint()).toEqual(before);
    expect(await removed()).toEqual(all);
    expect(await removed()).toEqual([]);
    expect(all.filter((file) => fs.existsSync(world.path(file)))).toEqual([]);
    expect(kept.filter((file) => !fs.existsSync(world.path(file)))).toEqual([]);
  });

  test('gc removes what a killed init left, also before there is any state', async () => {
    const gone = spawnSync('true').pid;
    const left = [`plans/phases.yaml.${gone}.tmp`, `.forge/settings.yaml.${gone}.tmp`, `AGENTS.md.${gone}.tmp`];
    left.forEach((file) => void leave(file));
    const kept = [`plans/phases.yaml.${process.pid}.tmp`, 'plans/phases.yaml.tmp', `plans/other.${gone}.tmp`];
    kept.forEach((file) => void leave(file));
    expect(await removed({ dry_run: true })).toEqual([...left].sort());
    expect(await removed()).toEqual([...left].sort());
    expect(left.filter((file) => fs.existsSync(world.path(file)))).toEqual([]);
    expect(kept.filter((file) => !fs.existsSync(world.path(file)))).toEqual([]);
  });

  test('gc leaves folders and symlinks of such names alone', async () => {
    const { attempt } = await world.start('build');
    await world.finish('build', attempt);
    fs.mkdirSync(world.path(dirOf('build'), '.tmp-folder'));
    fs.symlinkSync('/etc/passwd', world.path(dirOf('build'), '.tmp-link'));
    expect(await removed()).toEqual([]);
  });
});

describe('adminReleaseLeaseByIdentity', () => {
  const request = (more: object = {}) => ({
    taskId: 'build',
    expectedPath: 'lease.json',
    expectedClaimId: 'c',
    expectedGeneration: 4,
    expectedOwnerRunId: 'r',
    expectedExpiresAt: '2029-06-01T00:00:00.000Z',
    requireTerminalState: true,
    reason: 'a test',
    ...more,
  });

  beforeEach(() => {
    handState(world, 'build', 'failed');
    handLease(world, 'build', { claim_id: 'c', owner_run_id: 'r' });
  });

  test.each([
    [{}, { kind: 'released' }],
    [{ expectedClaimId: 'd' }, { kind: 'skipped', code: 'LEASE_IDENTITY_MISMATCH' }],
    [{ expectedGeneration: 5 }, { kind: 'skipped', code: 'LEASE_IDENTITY_MISMATCH' }],
    [{ expectedOwnerRunId: 's' }, { kind: 'skipped', code: 'LEASE_IDENTITY_MISMATCH' }],
    [{ expectedExpiresAt: '2029-06-01T00:00:01.000Z' }, { kind: 'skipped', code: 'LEASE_IDENTITY_MISMATCH' }],
    [{ expectedPath: 'lease.json.bak' }, { kind: 'skipped', code: 'LEASE_NOT_FOUND' }],
  ])('adminReleaseLeaseByIdentity with %j answers %j', async (more, expected) => {
    expect(await adminReleaseLeaseByIdentity(await world.session(), request(more))).toEqual(expected);
    expect((await world.record('build')).lease === null).toBe(expected.kind === 'released');
  });

  test('adminReleaseLeaseByIdentity keeps the lease of a task that is not terminal', async () => {
    handState(world, 'build', 'running');
    const result = await adminReleaseLeaseByIdentity(await world.session(), request());
    expect(result).toEqual({ kind: 'skipped', code: 'LEASE_STATE_NOT_TERMINAL' });
    const loose = await adminReleaseLeaseByIdentity(await world.session(), request({ requireTerminalState: false }));
    expect(loose).toEqual({ kind: 'skipped', code: 'LEASE_STATE_NOT_TERMINAL' });
  });
});

test('gc keeps the state of a task that was dispatched again meanwhile', async () => {
  const held = await claim.run(world.context, { task: 'build' });
  world.wait(TTL_MS + GRACE_MS + 1);
  const options = { task: 'build', claim: held.claim_id, run: held.run_id, phase: 'implement' as const };
  await refused(() => appliedAfter(() => dispatch.run(world.context, options)));
  expect((await world.record('build')).state.state).toBe('dispatched');
});
