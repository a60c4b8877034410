/** The gc rows that need a tracker, with a real tracker file, through the verb: what gc finds, applies and leaves to others. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { complete } from '../../src/commands/complete.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { type GcData, type GcInput, gc, isDivergent } from '../../src/commands/gc.ts';
import { heartbeat } from '../../src/commands/heartbeat.ts';
import { release } from '../../src/commands/release.ts';
import { type CommandContext, openSession } from '../../src/commands/shared/session.ts';
import { parseSavedPlan } from '../../src/domain/gc/gc-plan.ts';
import type { TrackerIssue } from '../../src/domain/tracker-issues.ts';
import { applyGc } from '../../src/engine/gc/apply.ts';
import { lookAtTracker, openTracker } from '../../src/trackers/open.ts';
import { orchestrate } from '../support/cli.ts';
import { dirOf, edit, freshId, handAnswer, handLease, handState, writeJson } from '../support/commands/divergences.ts';
import { code, GRACE_MS, planOf, shortly, TTL_MS, World } from '../support/commands/world.ts';
import { gitCall } from '../support/git/world.ts';
import { refused } from '../support/refused.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

const FILE = 'plans/tracker.yaml';
const TRACKED = 'tracker: {type: file}\n';
const MISSING = /there is no such file/;

/** Files that are not the work of a task. */
const NOT_KEPT = '/.forge\n/plans\n/*.json\n';

let world: World;
let call: CommandContext;

function project(settings = TRACKED): void {
  world = new World(planOf('build', 'other'), settings);
  call = gitCall(world);
  setIssues({});
}

beforeEach(() => project());

const run = (options: GcInput = {}) => gc.run(call, options);
const stateOf = async (task = 'build') => (await world.record(task)).state.state;

/** Writes the tracker file as a person saves it: an issue of each task, open unless given otherwise. */
function setIssues(build: Partial<TrackerIssue>, other: Partial<TrackerIssue> = {}): void {
  const issues = [
    { id: 'M-1', task_id: 'build', state: 'open', claimed_by: null, ...build },
    { id: 'M-2', task_id: 'other', state: 'open', claimed_by: null, ...other },
  ];
  world.write(FILE, `issues:\n${issues.map((issue) => `  - ${JSON.stringify(issue)}\n`).join('')}`);
}

async function issue(id = 'M-1'): Promise<TrackerIssue | undefined> {
  const seen = await lookAtTracker(await world.session());
  if (seen.kind !== 'up') throw new Error(`the tracker is ${JSON.stringify(seen)}`);
  return seen.issues.find((each) => each.id === id);
}

/** A person's change of the issue of `build`; everything else stays as the tracker has it. */
async function editIssue(change: Partial<TrackerIssue>): Promise<void> {
  const [build, other] = [await issue('M-1'), await issue('M-2')];
  setIssues({ ...build, ...change }, other);
}

const textOf = () => fs.readFileSync(world.path(FILE), 'utf8');

/** Applies the plan that was made before `meanwhile`. */
async function appliedAfter(meanwhile: () => unknown): Promise<GcData> {
  const out = world.path('plan.json');
  await run({ out });
  await meanwhile();
  return run({ plan: out });
}

/** Previews, applies, and runs gc again: what was found is reconciled, and only `reports` are left. */
async function reconciles(wanted: string, reports: string[] = []): Promise<GcData> {
  const before = world.footprint();
  expect(shortly((await run({ dry_run: true })).planned)).toEqual([wanted]);
  expect(world.footprint()).toEqual(before);
  const data = await run();
  expect([...data.skipped, ...data.failed]).toEqual([]);
  expect(shortly(data.applied)).toEqual([wanted]);
  const again = await run();
  expect(shortly(again.planned)).toEqual([]);
  expect(shortly(again.reported)).toEqual(reports);
  return data;
}

/** gc has something to report and nothing to do, each time it runs. */
async function onlyReports(row: number, kind: string, reason: RegExp): Promise<void> {
  const [state, text] = [await stateOf(), textOf()];
  for (let times = 0; times < 2; times++) {
    const data = await run();
    expect([...data.planned, ...data.applied]).toEqual([]);
    expect(data.reported).toMatchObject([
      { row, task_id: 'build', payload: { kind, issue_id: 'M-1' }, reason: expect.stringMatching(reason) },
    ]);
    expect(isDivergent(data, {})).toBe(false);
  }
  expect([await stateOf(), textOf()]).toEqual([state, text]);
}

const LIVE = { expires_at: '2030-01-01T02:00:00.000Z' };
const STALE_MS = TTL_MS + GRACE_MS + 1;

/** A task in flight, written by hand: its state and a live lease. */
function handFlight(state: string, more: object = {}): void {
  handState(world, 'build', state, more);
  handLease(world, 'build', LIVE);
}

/** An item of a plan that was applied while the tracker file was missing: it fails and names the tracker. */
function expectDown(data: GcData, row: number): void {
  expect(data.failed).toMatchObject([
    { row, task_id: 'build', code: 'TRACKER_ERROR', message: expect.stringMatching(MISSING) },
  ]);
  expect(isDivergent(data, {})).toBe(true);
}

describe('row 1: cancelled in the tracker', () => {
  test.each(['claimed', 'dispatched', 'running'])(
    'row 1 cancels a %s task written by hand when its issue is cancelled',
    async (state) => {
      handFlight(state);
      setIssues({ state: 'cancelled' });
      await reconciles('1 build mark_terminal');
      expect(await world.record('build')).toMatchObject({ state: { state: 'cancelled' }, lease: null });
      expect(await issue()).toMatchObject({ state: 'cancelled' });
    },
  );

  test('row 1 cancels the task of a working agent when a person cancels its issue', async () => {
    const { attempt } = await world.start('build');
    await editIssue({ state: 'cancelled' });
    await reconciles('1 build mark_terminal');
    expect(await stateOf()).toBe('cancelled');
    expect(await code(() => world.finish('build', attempt))).toMatch(/^(LEASE_STOLEN|STALE_ATTEMPT)$/);
    expect(world.warnings).toEqual([]);
  });
});

describe('row 1: done in the tracker, in flight here', () => {
  let repo: Repository;
  beforeEach(() => {
    repo = new Repository(world.project);
    world.write('.git/info/exclude', NOT_KEPT);
    repo.git('commit', '--quiet', '--allow-empty', '--message', 'first');
  });

  const lib = () => repo.branch('forge/build', { 'lib.txt': 'l' });
  const merge = () => repo.git('merge', '--quiet', '--no-ff', '--no-edit', 'forge/build');
  const twin = (attempt: string, target_sha: string | null) =>
    writeJson(world, `${dirOf('build')}/attempts/${attempt}/verdict.verified.json`, {
      version: 1,
      attempt_id: attempt,
      verdict: 'ready_for_review',
      summary: 'done',
      verified_at: world.at(0),
      worktree_path: null,
      branch: 'forge/build',
      target_sha,
      head: target_sha,
      base: 'main',
      base_sha: null,
      files_changed: [],
      conflicts: [],
    });

  test('row 1 ships a task in flight whose issue is done when its branch is merged', async () => {
    const sha = lib();
    merge();
    await world.start('build');
    await editIssue({ state: 'done' });
    const { applied } = await run({ row: [1] });
    expect(applied).toMatchObject([{ action: 'mark_terminal', payload: { state: 'shipped', merged_sha: sha } }]);
    expect(await world.record('build')).toMatchObject({ state: { state: 'shipped' }, lease: null });
    expect(await issue()).toMatchObject({ state: 'done' });
    // The branch is merged and its task over: row 9 takes it, and then there is nothing.
    expect(shortly((await run()).applied)).toEqual(['9 build prune_branch']);
    expect(await run()).toMatchObject({ planned: [], reported: [] });
  });

  test('one gc ships a merged task by row 1 and prunes its branch by row 9', async () => {
    lib();
    merge();
    handFlight('running');
    setIssues({ state: 'done' });
    expect(shortly((await run()).applied)).toEqual(['1 build mark_terminal', '9 build prune_branch']);
    expect(await run()).toMatchObject({ planned: [], reported: [] });
  });

  test('row 1 ships a task whose branch is gone when the commit of its verified verdict is merged', async () => {
    const sha = lib();
    merge();
    repo.git('branch', '--delete', '--force', 'forge/build');
    const attempt = freshId();
    handFlight('running', { current_attempt_id: attempt, attempt_count: 1 });
    twin(attempt, sha);
    setIssues({ state: 'done' });
    const { applied } = await reconciles('1 build mark_terminal');
    expect(applied[0]?.payload).toMatchObject({ merged_sha: sha });
    expect(await stateOf()).toBe('shipped');
  });

  test('row 1 ships a task by its merged branch when its verified verdict names no commit', async () => {
    const sha = lib();
    merge();
    const attempt = freshId();
    handFlight('running', { current_attempt_id: attempt, attempt_count: 1 });
    twin(attempt, null);
    setIssues({ state: 'done' });
    expect((await run({ row: [1] })).applied).toMatchObject([{ payload: { state: 'shipped', merged_sha: sha } }]);
  });

  test.each<[string, () => void]>([
    ['nothing is merged', () => lib()],
    ['there is no branch', () => {}],
    ['there is no repository', () => fs.rmSync(world.path('.git'), { recursive: true })],
  ])('row 1 only reports a task whose issue is done when %s', async (_what, make) => {
    make();
    handFlight('running');
    setIssues({ state: 'done' });
    await onlyReports(1, 'tracker_claims_shipped', /nothing proves that its work was merged/);
  });

  test('row 1 only reports a task with a merged branch when its verdict is about another commit', async () => {
    const attempt = freshId();
    handFlight('running', { current_attempt_id: attempt, attempt_count: 1 });
    const sha = lib();
    merge();
    twin(attempt, repo.branch('elsewhere', { 'lib.txt': 'other' }, sha));
    setIssues({ state: 'done' });
    await onlyReports(1, 'tracker_claims_shipped', /nothing proves/);
  });

  test('row 1 only reports a task without a commit in its worktree', async () => {
    world.write('.forge/settings.yaml', `${TRACKED}workspace: worktree\n`);
    const { claim_id, run_id } = await claim.run(call, { task: 'build' });
    await dispatch.run(call, { task: 'build', claim: claim_id, run: run_id, phase: 'implement' });
    await editIssue({ state: 'done' });
    await onlyReports(1, 'tracker_claims_shipped', /nothing proves/);
  });

  test('row 1 changes nothing while the plan names one issue for two tasks, which is a plan error', async () => {
    lib();
    merge();
    world.write('plans/phases.yaml', planOf('build, tracker_issue_id: 7', 'other, tracker_issue_id: 7'));
    world.write(FILE, 'issues: [{id: 7, state: done}]\n');
    handFlight('running');
    expect((await run({ row: [1] })).applied).toEqual([]);
    expect(world.warnings).toEqual([expect.stringMatching(/going on without a plan$/)]);
    world.write('plans/phases.yaml', planOf('build, tracker_issue_id: 7', 'other'));
    expect(shortly((await run({ row: [1] })).applied)).toEqual(['1 build mark_terminal']);
  });
});

describe('row 3: claimed here, not in the tracker', () => {
  /** Ways to a claim that the tracker does not have. */
  const ways: [string, () => Promise<void>][] = [
    [
      'the tracker was down during the claim',
      async () => {
        fs.rmSync(world.path(FILE));
        await claim.run(call, { task: 'build' });
        setIssues({});
        world.warnings.length = 0;
      },
    ],
    [
      'a person removed the claim from the issue',
      async () => {
        await claim.run(call, { task: 'build' });
        await editIssue({ claimed_by: null, state: 'open' });
      },
    ],
    ['a person wrote the claim into the tree', async () => handFlight('claimed')],
  ];

  test.each(ways)('row 3 claims the issue again and leaves the task unchanged when %s', async (_how, make) => {
    await make();
    const before = await world.record('build');
    const data = await run();
    expect(data.skipped).toMatchObject([{ row: 3, task_id: 'build', action: 'mark_unclaimed', code: 'reclaimed' }]);
    expect([...data.applied, ...data.failed]).toEqual([]);
    expect(isDivergent(data, {})).toBe(false);
    expect(await world.record('build')).toEqual(before);
    expect(await issue()).toMatchObject({ state: 'in_progress', claimed_by: before.lease?.owner_run_id });
    expect(await run()).toMatchObject({ planned: [], reported: [] });
  });

  test.each(ways)('row 3 claims the issue again from a saved plan when %s', async (_how, make) => {
    await make();
    const data = await appliedAfter(() => {});
    expect(data.skipped).toMatchObject([{ code: 'reclaimed' }]);
    expect(await stateOf()).toBe('claimed');
  });

  test.each<[string, Partial<TrackerIssue>]>([
    ['done', { state: 'done' }],
    ['cancelled', { state: 'cancelled' }],
    ['claimed by another owner', { state: 'in_progress', claimed_by: 'ann' }],
  ])("row 3 gives the task's claim up when the issue is %s by now", async (_what, change) => {
    await claim.run(call, { task: 'build' });
    await editIssue({ claimed_by: null, state: 'open' });
    const data = await appliedAfter(() => editIssue(change));
    expect(shortly(data.applied)).toEqual(['3 build mark_unclaimed']);
    expect(await world.record('build')).toMatchObject({ state: { state: 'unclaimed' }, lease: null });
    expect(await issue()).toMatchObject(change);
    const history = fs.readFileSync(world.path(dirOf('build'), 'claim-history.jsonl'), 'utf8');
    expect(history).toContain('gc row 3 (mark_unclaimed)');
    expect(await run()).toMatchObject({ planned: [], reported: [] });
  });

  test.each<[string, () => void, RegExp | null]>([
    ['without a tracker', () => world.write('.forge/settings.yaml', 'version: 1\n'), null],
    ['while its file is missing', () => fs.rmSync(world.path(FILE)), MISSING],
    ['while its file is malformed', () => world.write(FILE, 'issues: 7\n'), /tracker\.yaml:1: .*; going on without/],
    ['without an issue', () => world.write(FILE, 'issues: []\n'), null],
    ['with an issue of another task', () => setIssues({ task_id: 'bild' }), null],
  ])('row 3 finds nothing %s', async (_what, make, warning) => {
    handFlight('claimed');
    make();
    const before = await world.record('build');
    expect(await run()).toMatchObject({ planned: [], reported: [], applied: [], skipped: [], failed: [] });
    expect(await world.record('build')).toEqual(before);
    expect(world.warnings).toEqual(warning === null ? [] : [expect.stringMatching(warning)]);
  });

  test.each<[string, (held: { claim_id: string; run_id: string }) => unknown]>([
    [
      'a dispatch',
      ({ claim_id, run_id }) => dispatch.run(call, { task: 'build', claim: claim_id, run: run_id, phase: 'implement' }),
    ],
    ['a release', ({ claim_id }) => release.run(call, { task: 'build', claim: claim_id })],
    [
      'another claim',
      async ({ claim_id }) => {
        await release.run(call, { task: 'build', claim: claim_id });
        await claim.run(call, { task: 'build' });
      },
    ],
    ['an edit by hand', () => edit(world, 'state.json', { note: 'mine' })],
  ])('row 3 is stale and changes nothing after %s', async (_what, act) => {
    const held = await claim.run(call, { task: 'build' });
    await editIssue({ claimed_by: null, state: 'open' });
    let before: unknown;
    const error = await refused(() =>
      appliedAfter(async () => {
        await act(held);
        before = [await world.record('build'), textOf()];
      }),
    );
    expect(error).toMatchObject({ code: 'STALE_PLAN', details: { skipped: [{ row: 3, task_id: 'build' }] } });
    expect([await world.record('build'), textOf()]).toEqual(before);
  });
});

test('row 3 leaves no claim in the tracker for a task that is released while its issue is being claimed', async () => {
  const { claim_id } = await claim.run(call, { task: 'build' });
  await editIssue({ claimed_by: null, state: 'open' });
  const session = await openSession(call);
  const tracker = await openTracker(session);
  if (tracker === null) throw new Error('there is no tracker');
  const out = world.path('plan.json');
  await run({ out });
  const plan = parseSavedPlan(world.json('plan.json'));
  const never = () => Promise.reject(new Error('nothing asks for it'));
  const result = await applyGc(session, plan ?? { version: 1, rows: [] }, {
    tracker: {
      list: () => tracker.list(),
      claim: async (id, runId) => {
        await release.run(call, { task: 'build', claim: claim_id });
        return tracker.claim(id, runId);
      },
      release: (id, runId) => tracker.release(id, runId),
      setState: never,
      comment: never,
    },
    reverify: never,
  });
  expect(result).toMatchObject({ applied: [], failed: [], skipped: [{ row: 3, code: 'STATE_VERSION_CONFLICT' }] });
  expect(await issue()).toMatchObject({ state: 'open', claimed_by: null });
  expect(await run()).toMatchObject({ planned: [], reported: [] });
});

describe('row 4: claimed in the tracker by an ended run, not here', () => {
  /** A run of this tree that has ended, and its claim in the tracker. */
  function lostClaim(task_id = 'build'): string {
    const run_id = freshId();
    const ended_at = world.at(0);
    const manifest = { version: 1, run_id, started_at: ended_at, name: null, host: 'mill', ended_at };
    writeJson(world, `.forge/orchestrator/runs/${run_id}/manifest.json`, manifest);
    setIssues({ task_id, state: 'in_progress', claimed_by: run_id });
    return run_id;
  }

  test('row 4 makes the task unclaimed and opens its issue', async () => {
    lostClaim();
    await reconciles('4 build recover');
    expect(await world.record('build')).toMatchObject({ state: { state: 'unclaimed' }, lease: null });
    expect(await issue()).toMatchObject({ state: 'open', claimed_by: null });
    expect(await claim.run(call, { task: 'build' })).toMatchObject({ task_id: 'build' });
  });

  test('row 4 recovers a task whose folder a person deleted once its run is dead', async () => {
    const { run_id } = await claim.run(call, { task: 'build' });
    fs.rmSync(world.path(dirOf('build')), { recursive: true });
    const file = `.forge/orchestrator/runs/${run_id}/manifest.json`;
    const owner = { pid: 1, started_at: 'ticks:1', boot_id: 'boot-a', pid_ns: 'pid:[1]', host: 'mill' };
    writeJson(world, file, { ...world.json(file), owner });
    expect((await run()).planned).toEqual([]);
    world.liveness = 'dead';
    await reconciles('4 build recover');
    expect(await issue()).toMatchObject({ state: 'open', claimed_by: null });
  });

  test('row 4 only reports an issue whose task is not in the plan', async () => {
    lostClaim('old');
    const text = textOf();
    for (let times = 0; times < 2; times++) {
      const data = await run();
      expect(data.planned).toEqual([]);
      expect(data.reported).toMatchObject([
        { row: 4, task_id: 'old', payload: { kind: 'tracker_claimed_no_local', issue_id: 'M-1' } },
      ]);
    }
    expect(textOf()).toBe(text);
    expect(world.has(dirOf('old'))).toBe(false);
  });

  test('row 4 keeps the recovered task when the tracker fails, and a repeat releases the issue', async () => {
    const lost = lostClaim();
    const file = world.path(FILE);
    const data = await appliedAfter(() => fs.renameSync(file, `${file}.away`));
    expectDown(data, 4);
    expect(await stateOf()).toBe('unclaimed');
    fs.renameSync(`${file}.away`, file);
    expect(await issue()).toMatchObject({ claimed_by: lost });
    const before = await world.record('build');
    await reconciles('4 build recover');
    expect(await issue()).toMatchObject({ state: 'open', claimed_by: null });
    expect(await world.record('build')).toEqual(before);
  });

  test('a row 4 item that fails because of the tracker does not stop other items of its task', async () => {
    lostClaim();
    handAnswer(world, 'build', freshId(), freshId(), 'keep');
    const data = await appliedAfter(() => fs.rmSync(world.path(FILE)));
    expectDown(data, 4);
    expect(shortly(data.applied)).toEqual(['12 build archive_answer']);
  });

  test.each<[string, () => unknown]>([
    ['a claim', () => claim.run(call, { task: 'build' })],
    ['a state written by hand', () => handFlight('running')],
  ])('row 4 is stale and changes nothing after %s', async (_what, act) => {
    lostClaim();
    let before: unknown;
    const error = await refused(() =>
      appliedAfter(async () => {
        await act();
        before = [await world.record('build'), textOf()];
      }),
    );
    expect(error.code).toBe('STALE_PLAN');
    expect([await world.record('build'), textOf()]).toEqual(before);
  });

  test.each<[string, Partial<TrackerIssue>]>([
    ['closed', { state: 'done' }],
    ['claimed by another owner', { claimed_by: 'ann' }],
  ])('row 4 leaves an issue that was %s after the plan unchanged', async (_what, change) => {
    lostClaim();
    await appliedAfter(() => editIssue(change));
    expect(await issue()).toMatchObject(change);
    expect(await stateOf()).toBe('unclaimed');
    expect((await run()).planned).toEqual([]);
  });
});

describe('row 6: waiting for a review, done in the tracker', () => {
  const REVIEWED = `${TRACKED}workspace: worktree\nreview: {command: ./review.sh}\n`;
  let repo: Repository;
  beforeEach(() => {
    project(REVIEWED);
    repo = new Repository(world.project);
    world.write('.git/info/exclude', NOT_KEPT);
    repo.git('commit', '--quiet', '--allow-empty', '--message', 'first');
  });

  /** Works in the task's worktree and hands it in, as an agent does. The commit. */
  async function handedIn(): Promise<string> {
    const held = await claim.run(call, { task: 'build' });
    const options = { task: 'build', claim: held.claim_id, run: held.run_id, phase: 'implement' as const };
    const { attempt_id, worktree_path } = await dispatch.run(call, options);
    const sha = repo.commit({ 'lib.txt': 'l' }, String(worktree_path));
    await complete.run(call, { task: 'build', attempt: attempt_id, verdict_file: world.verdict() });
    expect(await stateOf()).toBe('ready_for_review');
    return sha;
  }

  test('row 6 ships a task that waits for a review when its work is merged', async () => {
    const sha = await handedIn();
    repo.git('merge', '--quiet', '--no-ff', '--no-edit', 'forge/build');
    await editIssue({ state: 'done' });
    const { applied } = await reconciles('6 build mark_terminal');
    expect(applied[0]?.payload).toMatchObject({ state: 'shipped', merged_sha: sha });
    expect(await stateOf()).toBe('shipped');
  });

  test('row 6 ships a squashed task without branch and worktree by its verified commit', async () => {
    const sha = await handedIn();
    repo.git('merge', '--squash', 'forge/build');
    repo.git('commit', '--quiet', '--message', 'lib (#1)');
    repo.git('worktree', 'remove', world.path('.forge/worktrees/build'));
    repo.git('branch', '--delete', '--force', 'forge/build');
    await editIssue({ state: 'done' });
    const { applied } = await reconciles('6 build mark_terminal');
    expect(applied[0]?.payload).toMatchObject({ merged_sha: sha });
  });

  test('row 6 only reports a task whose work is not merged', async () => {
    await handedIn();
    await editIssue({ state: 'done' });
    await onlyReports(6, 'tracker_done_unproven', /nothing proves/);
    expect(await stateOf()).toBe('ready_for_review');
  });

  test('row 6 only reports a task written by hand until its branch is merged, then ships it', async () => {
    handState(world, 'build', 'ready_for_review');
    setIssues({ state: 'done' });
    await onlyReports(6, 'tracker_done_unproven', /nothing proves/);
    repo.branch('forge/build', { 'lib.txt': 'l' });
    repo.git('merge', '--quiet', '--no-ff', '--no-edit', 'forge/build');
    expect(shortly((await run({ row: [6] })).applied)).toEqual(['6 build mark_terminal']);
    expect(await stateOf()).toBe('shipped');
  });

  test('row 6 is stale when a person has reopened the issue after the plan', async () => {
    await handedIn();
    repo.git('merge', '--quiet', '--no-ff', '--no-edit', 'forge/build');
    await editIssue({ state: 'done' });
    expect(await code(() => appliedAfter(() => editIssue({ state: 'in_progress' })))).toBe('STALE_PLAN');
    expect(await stateOf()).toBe('ready_for_review');
    expect(await issue()).toMatchObject({ state: 'in_progress' });
  });
});

describe('row 7: shipped here, not done in the tracker', () => {
  test.each<TrackerIssue['state']>(['open', 'in_progress', 'in_review'])(
    'row 7 closes the %s issue of a task shipped by hand',
    async (state) => {
      handState(world, 'build', 'shipped');
      setIssues({ state, claimed_by: 'ann' });
      await reconciles('7 build close_tracker_issue');
      expect(await issue()).toMatchObject({ state: 'done', claimed_by: 'ann' });
      expect(await stateOf()).toBe('shipped');
    },
  );

  test('row 7 closes the issue of a shipped task that a person reopened', async () => {
    const { attempt } = await world.start('build');
    await world.finish('build', attempt);
    await editIssue({ state: 'open' });
    await reconciles('7 build close_tracker_issue');
    expect(await issue()).toMatchObject({ state: 'done' });
  });

  test('row 7 closes the issue of a task that was shipped while the tracker was down', async () => {
    const { attempt } = await world.start('build');
    const file = world.path(FILE);
    fs.renameSync(file, `${file}.away`);
    await world.finish('build', attempt);
    fs.renameSync(`${file}.away`, file);
    await reconciles('7 build close_tracker_issue');
  });

  test('gc closes the issue and releases the lease of a task that a person marked as shipped', async () => {
    await world.start('build');
    edit(world, 'state.json', { state: 'shipped' });
    expect(shortly((await run()).applied)).toEqual(['7 build close_tracker_issue', '14 build release_lease_admin']);
    expect(await issue()).toMatchObject({ state: 'done' });
    expect(await world.record('build')).toMatchObject({ state: { state: 'shipped' }, lease: null });
    expect(await run()).toMatchObject({ planned: [], reported: [] });
  });

  test('row 7 only reports the cancelled issue of a shipped task', async () => {
    const { attempt } = await world.start('build');
    await world.finish('build', attempt);
    await editIssue({ state: 'cancelled' });
    await onlyReports(7, 'shipped_not_closed', /it is shipped, and issue M-1 was cancelled/);
  });

  test('row 7 is stale when the issue was cancelled or removed after the plan', async () => {
    handState(world, 'build', 'shipped');
    const { details } = await refused(() => appliedAfter(() => setIssues({ state: 'cancelled' })));
    expect(details).toMatchObject({ skipped: [{ row: 7, why: 'issue M-1 is cancelled by now' }] });
    expect(await issue()).toMatchObject({ state: 'cancelled' });
    setIssues({});
    const gone = await refused(() => appliedAfter(() => world.write(FILE, 'issues: []\n')));
    expect(gone.details).toMatchObject({ skipped: [{ row: 7, why: 'issue M-1 is not there any more' }] });
    expect(textOf()).toBe('issues: []\n');
  });

  test('row 7 is stale when the issue was closed after the plan, also by the same plan', async () => {
    handState(world, 'build', 'shipped');
    const { details } = await refused(() => appliedAfter(() => editIssue({ state: 'done' })));
    expect(details).toMatchObject({ skipped: [{ row: 7, why: 'issue M-1 is done by now' }] });
    await editIssue({ state: 'open' });
    const plan = world.path('plan.json');
    await run({ out: plan });
    expect(shortly((await run({ plan })).applied)).toEqual(['7 build close_tracker_issue']);
    const text = textOf();
    expect(await code(() => run({ plan }))).toBe('STALE_PLAN');
    expect(textOf()).toBe(text);
  });

  test('row 7 is stale when the state was edited after the plan', async () => {
    handState(world, 'build', 'shipped');
    expect(await code(() => appliedAfter(() => edit(world, 'state.json', { state: 'running' })))).toBe('STALE_PLAN');
    expect(await issue()).toMatchObject({ state: 'open' });
  });
});

describe('row 1 after a change between plan and apply', () => {
  let held: { claim: string; run: string; attempt: string };
  beforeEach(async () => {
    held = await world.start('build');
    await editIssue({ state: 'cancelled' });
  });

  test.each<[string, () => unknown, string]>([
    ['a heartbeat', () => heartbeat.run(call, { task: 'build', attempt: held.attempt }), 'running'],
    ['a completion', () => world.finish('build', held.attempt), 'shipped'],
    ['a release', () => release.run(call, { task: 'build', claim: held.claim }), 'awaiting_respawn'],
    [
      'a claim',
      () => {
        world.wait(STALE_MS);
        return claim.run(call, { task: 'build' });
      },
      'claimed',
    ],
  ])('row 1 is stale after %s', async (_what, act, state) => {
    expect(await code(() => appliedAfter(act))).toBe('STALE_PLAN');
    expect(await stateOf()).toBe(state);
  });

  test.each<Partial<TrackerIssue>>([{ state: 'in_progress' }, { state: 'done' }])(
    'row 1 is stale when the issue has changed to %j',
    async (to) => {
      const before = await world.record('build');
      const { code: why, details } = await refused(() => appliedAfter(() => editIssue(to)));
      expect(why).toBe('STALE_PLAN');
      expect(details).toMatchObject({ skipped: [{ row: 1, why: `issue M-1 is ${to.state} by now` }] });
      expect(await world.record('build')).toEqual(before);
      expect(await issue()).toMatchObject(to);
    },
  );
});

describe('a tracker that is down when a plan is applied', () => {
  /** The row of `other` needs no tracker. */
  const spoil: [string, () => void][] = [
    ['missing', () => fs.rmSync(world.path(FILE))],
    ['malformed', () => world.write(FILE, 'issues: [\n')],
  ];
  const rows: [number, () => void][] = [
    [
      1,
      () => {
        handFlight('running');
        setIssues({ state: 'cancelled' });
      },
    ],
    [3, () => handFlight('claimed')],
    [7, () => handState(world, 'build', 'shipped')],
  ];

  describe.each(spoil)('a tracker file that is %s when a plan is applied', (_how, take) => {
    test.each(rows)('row %i fails without the tracker, and rows that need none are applied', async (row, make) => {
      make();
      handState(world, 'other', 'claimed');
      const before = await world.record('build');
      const data = await appliedAfter(take);
      expect(data.failed).toMatchObject([{ row, task_id: 'build', code: 'TRACKER_ERROR' }]);
      expect(isDivergent(data, {})).toBe(true);
      expect(shortly(data.applied)).toEqual(['2 other mark_abandoned']);
      expect(await world.record('build')).toEqual(before);
      expect(await stateOf('other')).toBe('abandoned');
    });
  });

  test('gc does what is left once the tracker is up again', async () => {
    handState(world, 'build', 'shipped');
    const file = world.path(FILE);
    expectDown(await appliedAfter(() => fs.renameSync(file, `${file}.away`)), 7);
    expect((await run()).planned).toEqual([]);
    fs.renameSync(`${file}.away`, file);
    await reconciles('7 build close_tracker_issue');
  });

  test('gc exits with 1 and the reason while the tracker is down, and with 0 once it is up', async () => {
    handState(world, 'build', 'shipped');
    handState(world, 'other', 'claimed');
    const file = world.path(FILE);
    const options = { cwd: world.project, env: GIT_ENV };
    await orchestrate(['gc', '--out', 'plan.json'], options);
    fs.renameSync(file, `${file}.away`);
    const down = await orchestrate(['gc', '--plan', 'plan.json', '--json'], options);
    expect(down.code).toBe(1);
    const { applied, failed } = down.json().data;
    expect(shortly(applied)).toEqual(['2 other mark_abandoned']);
    expect(failed).toMatchObject([
      { row: 7, code: 'TRACKER_ERROR', message: 'reading plans/tracker.yaml: there is no such file' },
    ]);
    fs.renameSync(`${file}.away`, file);
    const up = await orchestrate(['gc'], options);
    expect(up).toMatchObject({ code: 0, stdout: expect.stringMatching(/build +close_tracker_issue \(row 7\)/) });
    expect(await issue()).toMatchObject({ state: 'done' });
  });
});
