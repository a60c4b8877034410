/** Verbs that move a task update its issue, and go on with a warning when the tracker is down. */

import fs from 'node:fs';
import lockfile from 'proper-lockfile';
import { describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/answer.ts';
import { cancel } from '../../src/commands/cancel.ts';
import { claim } from '../../src/commands/claim.ts';
import { doctor } from '../../src/commands/doctor.ts';
import { question } from '../../src/commands/question.ts';
import { release } from '../../src/commands/release.ts';
import { retry } from '../../src/commands/retry.ts';
import type { TrackerIssue } from '../../src/domain/tracker-issues.ts';
import { lookAtTracker } from '../../src/trackers/open.ts';
import { GRACE_MS, planOf, TTL_MS, World } from '../support/commands/world.ts';

const FILE = 'plans/tracker.yaml';
const SETTINGS = 'tracker: {type: file}\n';
const ISSUES = `# the issues of the mill
issues:
  - id: M-1
    task_id: build
    state: open   # the first
  - id: 2
    state: open
`;

/** Task `build` is named by an issue, task `test` names one, and task `ship` has none. */
function world(issues: string | null = ISSUES, settings = SETTINGS): World {
  const made = new World(planOf('build', 'test, tracker_issue_id: 2', 'ship'), settings);
  if (issues !== null) made.write(FILE, issues);
  return made;
}

async function issue(at: World, id: string): Promise<TrackerIssue | undefined> {
  const seen = await lookAtTracker(await at.session());
  if (seen.kind !== 'up') throw new Error(`the tracker is ${JSON.stringify(seen)}`);
  return seen.issues.find((each) => each.id === id);
}

const textOf = (at: World) => fs.readFileSync(at.path(FILE), 'utf8');

describe('issue of a task', () => {
  it('an issue is claimed with its task, and open again after release', async () => {
    const at = world();
    const { claim_id, run_id } = await claim.run(at.context, { task: 'build' });
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'in_progress', claimed_by: run_id });
    await release.run(at.context, { task: 'build', claim: claim_id });
    expect(textOf(at)).toBe(ISSUES);
    expect(at.warnings).toEqual([]);
  });

  it("an issue is found by the plan's tracker_issue_id", async () => {
    const at = world();
    const { run_id } = await claim.run(at.context, { task: 'test' });
    expect(await issue(at, '2')).toMatchObject({ state: 'in_progress', claimed_by: run_id });
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'open', claimed_by: null });
  });

  it('an issue is done when its task is shipped, and keeps its claim', async () => {
    const at = world();
    const { run, attempt } = await at.start('build');
    await at.finish('build', attempt);
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'done', claimed_by: run });
    expect(textOf(at)).toContain('state: done   # the first');
  });

  it('an issue is in review while its task waits for a review', async () => {
    const at = world(ISSUES, `${SETTINGS}review: {command: ./review.sh}\n`);
    const { attempt } = await at.start('build');
    await at.finish('build', attempt);
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'in_review' });
  });

  it('an issue is open while its task awaits the next attempt, and has a comment when it failed', async () => {
    const at = world(ISSUES, `${SETTINGS}agents: {retry_attempts: 2}\n`);
    const first = await at.start('build');
    await at.fail('build', first.attempt, 'tests.flaky', 'one of many');
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'open', claimed_by: null });
    expect(textOf(at)).not.toContain('comments');
    await retry.run(at.context, { task: 'build' });
    const second = await at.start('build');
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'in_progress', claimed_by: second.run });
    const { state } = await at.fail('build', second.attempt, 'tests.flaky', 'the same\nagain');
    expect(state).toBe('failed');
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'open', claimed_by: null });
    expect(textOf(at)).toContain('text: "task build has failed at attempt 2: tests.flaky: the same again"');
    await retry.run(at.context, { task: 'build' });
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'open' });
  });

  it('an issue is cancelled and reopened with its task, also one without state', async () => {
    const at = world();
    await at.start('build');
    for (const task of ['build', 'test']) await cancel.run(at.context, { task });
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'cancelled' });
    expect(await issue(at, '2')).toMatchObject({ state: 'cancelled' });
    for (const task of ['build', 'test']) await retry.run(at.context, { task });
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'open', claimed_by: null });
    expect(await issue(at, '2')).toMatchObject({ state: 'open', claimed_by: null });
  });

  it('an issue is open while its task is parked, and after the answer', async () => {
    const at = world();
    const { attempt } = await at.start('build');
    const { question_id } = await question.run(at.context, {
      task: 'build',
      attempt,
      decision_key: 'colour',
      question: 'Which colour?',
      options_file: at.write('options.json', '[{"id": "red", "label": "Red"}, {"id": "blue", "label": "Blue"}]'),
    });
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'open', claimed_by: null });
    await answer.run(at.context, { question: question_id, option: 'red' });
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'open', claimed_by: null });
  });

  it('an issue is claimed by the run that takes its task over', async () => {
    const at = world();
    const { run } = await at.start('build');
    at.wait(TTL_MS + GRACE_MS + 1);
    const { run_id } = await claim.run(at.context, { task: 'build' });
    expect(run_id).not.toBe(run);
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'in_progress', claimed_by: run_id });
  });

  it('an issue catches up with moves that the tracker missed', async () => {
    const at = world(null);
    const { attempt } = await at.start('build');
    at.write(FILE, ISSUES);
    await at.finish('build', attempt);
    expect(await issue(at, 'M-1')).toMatchObject({ state: 'done' });
  });
});

describe('conflicting tracker', () => {
  it('an issue claimed by others is left alone with a warning', async () => {
    const text = ISSUES.replace('state: open   #', 'claimed_by: ann\n    state: in_progress   #');
    const at = world(text);
    await claim.run(at.context, { task: 'build' });
    expect((await at.record('build')).state.state).toBe('claimed');
    expect(textOf(at)).toBe(text);
    expect(at.warnings).toEqual([
      'the tracker is not in step with task build: issue M-1 is claimed by ann, and task build is claimed',
    ]);
  });

  it('an unknown issue in the plan is a warning', async () => {
    const at = world('issues: []\n');
    await claim.run(at.context, { task: 'test' });
    expect(at.warnings).toEqual([
      'the tracker is not in step with task test: the plan names issue 2 for it, which is not there',
    ]);
  });

  it('a task without an issue needs no tracker', async () => {
    const at = world();
    await claim.run(at.context, { task: 'ship' });
    expect(textOf(at)).toBe(ISSUES);
    expect(at.warnings).toEqual([]);
  });
});

describe('tracker that is down', () => {
  const works = async (at: World, why: RegExp) => {
    const { attempt } = await at.start('build');
    expect(await at.finish('build', attempt)).toMatchObject({ state: 'shipped' });
    expect(at.warnings).toHaveLength(2);
    for (const warning of at.warnings) expect(warning).toMatch(why);
    const log = fs
      .readFileSync((await at.session()).paths.log, 'utf8')
      .split('\n')
      .filter(Boolean);
    const lines = log.map((line) => JSON.parse(line) as { type: string; task_id: string; message: string });
    expect(lines.filter(({ type }) => type === 'warning')).toMatchObject([
      { task_id: 'build', message: expect.stringMatching(/^tracker: /) },
      { task_id: 'build', message: expect.stringMatching(/^tracker: /) },
    ]);
  };

  it('work goes on with a warning when the tracker is missing', () => works(world(null), /there is no such file$/));

  it('work goes on with a warning when the tracker is malformed', () =>
    works(world('issues:\n  - id: 1\n    state: new\n'), /plans\/tracker\.yaml:3: issues\[0\]\.state/));

  it('work goes on with a warning when the tracker is write-protected', async () => {
    const at = world();
    fs.chmodSync(at.path(FILE), 0o444);
    await works(at, /it is write-protected$/);
    expect(textOf(at)).toBe(ISSUES);
  });

  it('work goes on with a warning when the tracker is locked for long', async () => {
    const at = world();
    const file = at.path(FILE);
    const unlock = await lockfile.lock(file, { lockfilePath: `${file}.lock`, realpath: false, stale: 3000 });
    const { claim_id } = await claim.run(at.context, { task: 'build' });
    expect((await at.record('build')).lease?.claim_id).toBe(claim_id);
    expect(at.warnings).toEqual([expect.stringContaining('another process has held')]);
    await unlock();
  });
});

it('a tracker is not read when the settings have none', async () => {
  const at = world('this is: [no tracker', 'tracker: {type: none}\n');
  const { attempt } = await at.start('build');
  expect(await at.finish('build', attempt)).toMatchObject({ state: 'shipped' });
  expect(at.warnings).toEqual([]);
  expect(await lookAtTracker(await at.session())).toEqual({ kind: 'none' });
});

it('read verbs do not fail when the tracker is down', async () => {
  expect(await lookAtTracker(await world(null).session())).toEqual({
    kind: 'down',
    why: 'reading plans/tracker.yaml: there is no such file',
  });
});

describe('doctor', () => {
  const check = async (at: World) => (await doctor.run(at.context, {})).checks.find(({ name }) => name === 'tracker');

  it('doctor does not mention a tracker when there is none', async () => {
    expect(await check(world(null, ''))).toBeUndefined();
  });

  it('doctor accepts a tracker in which every name exists', async () => {
    const at = world();
    expect(await check(at)).toEqual({ name: 'tracker', status: 'ok', message: '2 issues can be read', fix: null });
    const { checks } = await doctor.run(at.context, {});
    expect(checks.find(({ name }) => name === 'support')?.status).toBe('ok');
  });

  it('doctor accepts an issue of a task that is no longer in the plan', async () => {
    const at = world();
    await claim.run(at.context, { task: 'build' });
    at.write('plans/phases.yaml', planOf('test, tracker_issue_id: 2'));
    expect((await check(at))?.status).toBe('ok');
  });

  it('doctor reports issues and tasks that name something that does not exist', async () => {
    const at = world('issues: [{id: 1, task_id: biuld, state: open}]\n');
    expect(await check(at)).toEqual({
      name: 'tracker',
      status: 'warn',
      message: 'issue 1 names task biuld, which is not in the plan; task test names issue 2, which is not there',
      fix: 'Fix task_id in plans/tracker.yaml, or tracker_issue_id in the plan.',
    });
  });

  it('doctor fails when the tracker cannot be read', async () => {
    expect(await check(world(null))).toMatchObject({
      status: 'fail',
      message: 'reading plans/tracker.yaml: there is no such file',
    });
  });
});
