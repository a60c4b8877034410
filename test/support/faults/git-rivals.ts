/** Commands that may come at the same moment and work with one repository: worktrees, reviews and merges. */

import fs from 'node:fs';
import { expect, onTestFinished } from 'vitest';
import { claim } from '../../../src/commands/claim.ts';
import { complete } from '../../../src/commands/complete.ts';
import { dispatch } from '../../../src/commands/dispatch.ts';
import { auditTask } from './audit.ts';
import { type Answer, callOn } from './forge.ts';
import { GitPlay } from './git-play.ts';
import { planOf } from './project.ts';
import type { Rivals } from './rivals.ts';
import { TASK, VERDICT } from './scenarios.ts';
import { SETTINGS, ShipPlay, type Waiting } from './shipping-scenarios.ts';

const B = 'b';

const succeeded = (answers: readonly Answer[]) => answers.filter(({ ok }) => ok);

/** What a task is refused with that another command has taken, moved or ended meanwhile. */
const MOVED = ['LEASE_EXISTS', 'LEASE_STOLEN', 'ILLEGAL_TRANSITION', 'STATE_VERSION_CONFLICT', 'STALE_ATTEMPT'];

interface InRepository<P extends GitPlay> extends Pick<Rivals, 'name' | 'refused' | 'rows'> {
  make(): Promise<P>;
  lines(play: P): string[][] | Promise<string[][]>;
  holds(play: P, answers: Answer[]): Promise<void> | void;
}

function inRepository<P extends GitPlay>({ make, lines, holds, ...rest }: InRepository<P>): Rivals {
  let play: P;
  return {
    ...rest,
    async prepare() {
      const made = await make();
      play = made;
      onTestFinished(() => made.cleanUp());
      return { dir: made.dir, env: made.env, lines: await lines(made) };
    },
    async holds(_dir, answers) {
      expect(play.violations()).toBe('');
      expectGitWhole(play);
      await holds(play, answers);
    },
  };
}

/** Nothing is left of what git or forge had in the making, and each worktree is on its branch, as that says. */
function expectGitWhole(play: GitPlay): void {
  expect(play.leftovers() ?? []).toEqual([]);
  expect(play.git('for-each-ref', '--format=%(refname)', 'refs/forge')).toBe('');
  expect(play.git('worktree', 'list', '--porcelain')).not.toMatch(/^(locked|prunable|detached)|scratch/m);
  play.git('fsck', '--strict');
  const worktrees = `${play.dir}/.forge/worktrees`;
  const found = fs.existsSync(worktrees) ? fs.readdirSync(worktrees) : [];
  for (const id of found.filter((name) => name !== '.gitignore')) {
    expect(play.repository.in(`${worktrees}/${id}`, 'symbolic-ref', '--short', 'HEAD')).toBe(`forge/${id}`);
    expect(play.repository.in(`${worktrees}/${id}`, 'status', '--porcelain'), id).toBe('');
  }
  expect(play.git('status', '--porcelain', '--', ':!.forge')).toBe('');
}

/** Two tasks, of which none is begun. */
class TwoTasks extends GitPlay {
  readonly verdict = `${this.folder}/verdict.json`;

  constructor() {
    super();
    fs.writeFileSync(this.verdict, VERDICT);
    this.repository.commit({
      'plans/phases.yaml': planOf([{ id: TASK }, { id: B }]),
      '.forge/settings.yaml': 'workspace: worktree\nship: {policy: merge}\nretry: {max_attempts: 1}\n',
      'file.txt': 'begun\n',
    });
  }

  get call() {
    const call = callOn(this.dir);
    return { ...call, ctx: { ...call.ctx, env: this.env } };
  }

  /** Claims a task, and returns the command line that dispatches it. */
  async claimed(task: string): Promise<string[]> {
    const { claim_id, run_id } = await claim.run(this.call, { task });
    return ['dispatch', task, '--claim', claim_id, '--run', run_id];
  }

  /** Does a task, up to where it waits to be merged. */
  async worked(task: string): Promise<void> {
    const { claim_id, run_id } = await claim.run(this.call, { task });
    const made = await dispatch.run(this.call, { task, claim: claim_id, run: run_id, phase: 'implement' });
    this.repository.commit({ [`${task}.txt`]: 'work\n' }, String(made.worktree_path));
    const { state } = await complete.run(this.call, { task, attempt: made.attempt_id, verdict_file: this.verdict });
    expect(state).toBe('reviewed');
  }

  hasWorktree(task: string): boolean {
    return fs.existsSync(`${this.dir}/.forge/worktrees/${task}/file.txt`);
  }
}

const waiting = (rest: Omit<InRepository<ShipPlay>, 'make'>, more: Waiting = {}) =>
  inRepository({ make: () => new ShipPlay({ settings: SETTINGS, ...more }).prepare(), ...rest });
const twoTasks = (rest: Omit<InRepository<TwoTasks>, 'make'>) =>
  inRepository({ make: async () => new TwoTasks(), ...rest });

const stateOf = ({ dir }: GitPlay) => auditTask(dir, TASK).record?.state.state;
const RUN = ['run', '--output', 'none'];

export const GIT_RIVALS: readonly Rivals[] = [
  twoTasks({
    name: 'ensure-worktree, twice of one task',
    lines: () => [TASK, TASK, B].map((task) => ['ensure-worktree', task]),
    refused: [],
    holds(play, answers) {
      const made = answers.slice(0, 2).map((each) => each.ok && each.data['created']);
      expect(made.sort()).toEqual([false, true]);
      expect([play.hasWorktree(TASK), play.hasWorktree(B)]).toEqual([true, true]);
    },
  }),
  twoTasks({
    name: 'dispatch of two tasks, and ensure-worktree',
    lines: async (play) => [await play.claimed(TASK), await play.claimed(B), ['ensure-worktree', TASK]],
    refused: [],
    holds(play) {
      expect([play.hasWorktree(TASK), play.hasWorktree(B)]).toEqual([true, true]);
    },
  }),
  twoTasks({
    name: 'dispatch, ensure-worktree and cancel',
    lines: async (play) => [await play.claimed(TASK), ['ensure-worktree', TASK], ['cancel', TASK]],
    refused: MOVED,
    holds(play, answers) {
      expect(answers.slice(1).every(({ ok }) => ok)).toBe(true);
      expect(stateOf(play)).toBe('cancelled');
    },
  }),
  twoTasks({
    name: 'gc of a branch, and ensure-worktree',
    lines(play) {
      play.git('branch', `forge/${TASK}`);
      return [['gc'], ['ensure-worktree', TASK], ['gc']];
    },
    refused: [],
    holds(play) {
      expect(play.hasWorktree(TASK)).toBe(true);
    },
  }),
  twoTasks({
    name: 'ships of two tasks, and gc',
    async lines(play) {
      await play.worked(TASK);
      await play.worked(B);
      return [['ship', TASK], ['ship', B], ['gc']];
    },
    refused: [],
    holds(play) {
      expect(stateOf(play)).toBe('shipped');
      for (const id of [TASK, B]) expect(play.git('show', `main:${id}.txt`)).toBe('work');
      expect(play.git('log', '--merges', '--format=%s', 'main').split('\n')).toHaveLength(2);
    },
  }),
  waiting({
    name: 'ship and ship',
    lines: () => [
      ['ship', TASK],
      ['ship', TASK],
    ],
    refused: MOVED,
    holds(play, answers) {
      expect(succeeded(answers).length).toBeGreaterThan(0);
      play.expectShipped();
    },
  }),
  waiting({
    name: 'ship, a run and gc',
    lines: () => [['ship', TASK], RUN, ['gc']],
    refused: MOVED,
    holds(play) {
      play.expectShipped();
    },
  }),
  waiting(
    {
      name: 'ship and cancel, into a branch that is not checked out',
      lines: () => [
        ['ship', TASK],
        ['cancel', TASK],
      ],
      refused: MOVED,
      holds(play, answers) {
        expect(succeeded(answers).length).toBeGreaterThan(0);
        if (answers[0]?.ok) play.expectShipped();
        else expect(stateOf(play)).toBe('cancelled');
        expect(play.gained().length).toBeLessThan(2);
      },
    },
    { base: 'trunk' },
  ),
  waiting({
    name: 'ship, cancel and retry',
    lines: () => [
      ['ship', TASK],
      ['cancel', TASK],
      ['retry', TASK],
    ],
    refused: MOVED,
    holds(play) {
      expect(play.gained().length).toBeLessThan(2);
    },
  }),
  waiting(
    {
      name: 'review and review',
      lines: () => [
        ['review', TASK],
        ['review', TASK],
      ],
      refused: MOVED,
      holds(play, answers) {
        expect(succeeded(answers).length).toBeGreaterThan(0);
        play.expectStanding('reviewed');
      },
    },
    { review: true },
  ),
  waiting(
    {
      name: 'review and cancel',
      lines: () => [
        ['review', TASK],
        ['cancel', TASK],
      ],
      refused: MOVED,
      holds(play, answers) {
        expect(answers[1]?.ok).toBe(true);
        play.expectStanding('cancelled');
      },
    },
    { review: true },
  ),
  waiting(
    {
      name: 'runs that review and merge',
      lines: () => [RUN, RUN],
      refused: [],
      holds(play) {
        play.expectShipped();
      },
    },
    { review: true },
  ),
  waiting({
    name: 'gc --shipped, ship and ensure-worktree',
    lines: () => [
      ['gc', '--shipped'],
      ['ship', TASK],
      ['ensure-worktree', TASK],
    ],
    refused: [],
    holds(play) {
      expect(stateOf(play)).toBe('shipped');
      expect(play.gained()).toHaveLength(1);
    },
  }),
];
