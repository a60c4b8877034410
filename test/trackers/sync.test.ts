/** Updating a tracker that never answers, that is slow, or whose task moves meanwhile. */

import { describe, expect, it } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { release } from '../../src/commands/release.ts';
import type { Move } from '../../src/domain/task/states.ts';
import type { TrackerIssue } from '../../src/domain/tracker-issues.ts';
import type { TaskEvent } from '../../src/store/events.ts';
import type { Tracker } from '../../src/trackers/port.ts';
import { trackerKeeper } from '../../src/trackers/sync.ts';
import { planOf, World } from '../support/commands/world.ts';

/** A tracker in memory that writes down what it is asked. */
class Board implements Tracker {
  readonly calls: string[] = [];
  readonly issue: TrackerIssue = { id: '1', task_id: 'build', state: 'open', claimed_by: null };
  /** Waited for before each answer. */
  gate: Promise<unknown> = Promise.resolve();

  async list(): Promise<TrackerIssue[]> {
    await this.#asked('list');
    return [{ ...this.issue }];
  }
  async claim(id: string, run: string): Promise<boolean> {
    await this.#asked(`claim ${id}`);
    Object.assign(this.issue, { claimed_by: run, state: 'in_progress' });
    return true;
  }
  async release(id: string): Promise<void> {
    await this.#asked(`release ${id}`);
    Object.assign(this.issue, { claimed_by: null, state: 'open' });
  }
  async setState(id: string, state: TrackerIssue['state']): Promise<void> {
    await this.#asked(`state ${id} ${state}`);
    this.issue.state = state;
  }
  async comment(id: string): Promise<void> {
    await this.#asked(`comment ${id}`);
  }
  async #asked(call: string): Promise<void> {
    this.calls.push(call);
    await this.gate;
  }
}

const FOREVER = new Promise<never>(() => {});
const world = () => new World(planOf('build', 'test'));
/** The events of a commit that has moved a task. */
const moved = (task_id: string, ...moves: Move[]): TaskEvent[] =>
  moves.map((move) => {
    const by = { run_id: null, claim_id: null, generation: 1 };
    return { type: 'transition', task_id, move, from: 'unclaimed', to: 'claimed', ...by };
  });
const CLAIMED = moved('build', 'claim');

describe('unresponsive tracker', () => {
  it('an unresponsive tracker is given up with one warning and not asked again', async () => {
    const at = world();
    await claim.run(at.context, { task: 'build' });
    const board = new Board();
    board.gate = FOREVER;
    const keeper = trackerKeeper(await at.session(), board, 10);
    await keeper.follow(CLAIMED);
    await keeper.follow(CLAIMED);
    await keeper.follow(CLAIMED);
    expect(board.calls).toEqual(['list']);
    expect(at.warnings).toEqual([
      'the tracker is not in step with task build: the tracker has not answered for 0.01 s',
      'the tracker is not in step with task build: the tracker still has not answered',
    ]);
  });

  it('a tracker that answers late is used again', async () => {
    const at = world();
    const { run_id } = await claim.run(at.context, { task: 'build' });
    const board = new Board();
    let open = () => {};
    board.gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const keeper = trackerKeeper(await at.session(), board, 10);
    await keeper.follow(CLAIMED);
    open();
    await board.gate;
    await new Promise((resolve) => setImmediate(resolve));
    await keeper.follow(CLAIMED);
    expect(board.issue).toMatchObject({ state: 'in_progress', claimed_by: run_id });
  });

  it('an unresponsive tracker does not delay the end of a run', async () => {
    const at = world();
    await claim.run(at.context, { task: 'build' });
    const board = new Board();
    board.gate = FOREVER;
    const keeper = trackerKeeper(await at.session(), board, 10);
    void keeper.follow(CLAIMED);
    await keeper.settled();
    expect(at.warnings.length).toBeGreaterThan(0);
  });
});

it('moves that no tracker shows make no call', async () => {
  const board = new Board();
  const keeper = trackerKeeper(await world().session(), board);
  await keeper.follow(moved('build', 'dispatch', 'start'));
  expect(board.calls).toEqual([]);
});

it("the issue is set to the task's current state, not to that of the move", async () => {
  const at = world();
  const { claim_id } = await claim.run(at.context, { task: 'build' });
  const board = new Board();
  const keeper = trackerKeeper(await at.session(), board);
  const take = board.claim.bind(board);
  // The task is released while its claim is on the way to the tracker.
  board.claim = async (id, run) => {
    await release.run(at.context, { task: 'build', claim: claim_id });
    return take(id, run);
  };
  await keeper.follow(CLAIMED);
  expect(board.issue).toMatchObject({ state: 'open', claimed_by: null });
  expect(board.calls).toEqual(['list', 'claim 1', 'list', 'release 1']);
});

it('several changes of a task during a call cause one further call', async () => {
  const at = world();
  await claim.run(at.context, { task: 'build' });
  const board = new Board();
  const keeper = trackerKeeper(await at.session(), board);
  const first = keeper.follow(CLAIMED);
  for (let i = 0; i < 20; i++) void keeper.follow(moved(i % 2 === 0 ? 'build' : 'test', 'claim'));
  await first;
  await keeper.settled();
  expect(board.calls.filter((call) => call === 'list').length).toBeLessThanOrEqual(3);
  expect(board.issue.state).toBe('in_progress');
});
