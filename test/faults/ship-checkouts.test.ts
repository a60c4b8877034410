/** A person works where merges land: uncommitted work stays, what is in the way is named, and no merge is left half done. */

import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { LiveForge } from '../support/faults/forge.ts';
import { LONG, SHORT, varied } from '../support/faults/knobs.ts';
import { ofTest } from '../support/faults/plays.ts';
import { freshPlace, listing } from '../support/faults/project.ts';
import { TASK } from '../support/faults/scenarios.ts';
import { ended, refusal, ShipPlay, type Waiting } from '../support/faults/shipping-scenarios.ts';
import { until } from '../support/processes.ts';

const newPlay = (waiting: Waiting = {}) => ofTest(new ShipPlay(waiting)).prepare();

const PERSONS = /^(\.git|\.forge)$/;

interface InTheWay {
  name: string;
  waiting?: Waiting;
  begin(play: ShipPlay): void;
  /** What the refusal names. */
  says: RegExp;
  code?: string;
  exit?: number;
  /** A run meets it too. Default: only in the long run. */
  run?: boolean;
  /** It varies another of these, and is left out of the short run. */
  varies?: boolean;
  fix(play: ShipPlay): void;
}

const IN_THE_WAY: InTheWay[] = [
  {
    name: 'a file with changes',
    begin: (play) => play.repository.write('file.txt', 'mine\n'),
    says: /file\.txt/,
    run: true,
    fix: (play) => play.git('stash'),
  },
  {
    name: 'a file with staged changes',
    varies: true,
    begin(play) {
      play.repository.write('file.txt', 'mine\n');
      play.git('add', 'file.txt');
    },
    says: /file\.txt/,
    fix: (play) => play.git('stash'),
  },
  {
    name: 'an untracked file',
    begin: (play) => play.repository.write('new.txt', 'mine\n'),
    says: /new\.txt/,
    fix: (play) => fs.renameSync(play.repository.path('new.txt'), play.repository.path('mine.txt')),
  },
  {
    name: 'a file that git ignores',
    begin: (play) => play.repository.write('ignored.txt', 'mine\n'),
    says: /ignored\.txt/,
    fix: (play) => fs.rmSync(play.repository.path('ignored.txt')),
  },
  {
    name: 'a link that git ignores and that leads nowhere',
    varies: true,
    begin: (play) => fs.symlinkSync('nowhere', play.repository.path('ignored.txt')),
    says: /ignored\.txt/,
    fix: (play) => fs.rmSync(play.repository.path('ignored.txt')),
  },
  {
    name: 'a merge that is not finished',
    begin(play) {
      play.repository.branch('side', { 'side.txt': 'side\n' });
      play.git('merge', '--quiet', '--no-ff', '--no-commit', 'side');
    },
    says: /not concluded your merge/,
    fix: (play) => play.git('merge', '--abort'),
  },
  {
    name: 'a cherry-pick that is not finished',
    varies: true,
    begin(play) {
      play.repository.branch('side', { 'other.txt': 'side\n' });
      play.repository.commit({ 'other.txt': 'here\n' });
      expect(() => play.git('cherry-pick', 'side')).toThrow();
    },
    says: /checked out in .* can't move/,
    fix: (play) => play.git('cherry-pick', '--abort'),
  },
  {
    name: 'a rebase that is not finished',
    begin(play) {
      play.repository.branch('side', { 'other.txt': 'side\n' });
      play.repository.commit({ 'other.txt': 'here\n' });
      expect(() => play.git('rebase', '--quiet', 'side')).toThrow();
    },
    says: /a rebase or a bisect of main is not finished/,
    fix: (play) => play.git('rebase', '--abort'),
  },
  {
    name: 'a rebase of ship.base that is not finished',
    varies: true,
    waiting: { base: 'trunk' },
    begin(play) {
      play.repository.branch('side', { 'other.txt': 'side\n' });
      play.git('checkout', '--quiet', 'trunk');
      play.repository.commit({ 'other.txt': 'here\n' });
      expect(() => play.git('rebase', '--quiet', 'side')).toThrow();
    },
    says: /a rebase or a bisect of trunk is not finished/,
    fix: (play) => play.git('rebase', '--abort'),
  },
  {
    name: 'a lock of another git',
    begin: (play) => fs.writeFileSync(play.repository.path('.git/index.lock'), ''),
    says: /index\.lock/,
    fix: (play) => fs.rmSync(play.repository.path('.git/index.lock')),
  },
  {
    name: 'a lock on the branch of the main checkout',
    varies: true,
    begin: (play) => fs.writeFileSync(play.repository.path('.git/refs/heads/main.lock'), ''),
    says: /main\.lock/,
    fix: (play) => fs.rmSync(play.repository.path('.git/refs/heads/main.lock')),
  },
  {
    name: 'a lock on a branch that is not checked out',
    waiting: { base: 'trunk' },
    begin: (play) => fs.writeFileSync(play.repository.path('.git/refs/heads/trunk.lock'), ''),
    says: /trunk\.lock/,
    code: 'IO_ERROR',
    exit: 1,
    fix: (play) => fs.rmSync(play.repository.path('.git/refs/heads/trunk.lock')),
  },
  {
    name: 'a checkout of the base whose folder is gone',
    waiting: { base: 'trunk' },
    begin(play) {
      const place = freshPlace();
      play.git('worktree', 'add', '--quiet', place, 'trunk');
      fs.rmSync(place, { recursive: true });
    },
    says: /trunk is checked out in .*, which is not there/,
    fix: (play) => play.git('worktree', 'prune'),
  },
  {
    name: 'a base that was deleted',
    waiting: { base: 'trunk' },
    begin: (play) => play.git('branch', '--quiet', '-D', 'trunk'),
    says: /there is no branch trunk/,
    code: 'SETTINGS_INVALID',
    exit: 2,
    run: !SHORT,
    fix: (play) => play.git('branch', 'trunk', play.start),
  },
];

/** A run tries as often as the policy says, and leaves the task to a person. */
async function expectHeld(play: ShipPlay, code: string): Promise<void> {
  const run = play.forge('run');
  expect(await run.ended, run.stderr).toMatchObject({ code: 4 });
  const held = run.events.filter(({ type }) => type === 'task_held');
  expect(held).toHaveLength(3);
  expect(held[0]).toMatchObject({ task_id: TASK, phase: 'ship', error: { code } });
}

describe.concurrent.each(IN_THE_WAY.filter(({ varies = false }) => !(SHORT && varies)))(
  '$name where merges land',
  (way) => {
    const { waiting, begin, says, fix, code = 'NOT_READY', exit = 4, run = LONG } = way;

    test('ship reports what is in the way in the checkout of the base, and moves nothing until it is fixed', async ({
      onTestFinished,
    }) => {
      const play = await ofTest(new ShipPlay(waiting), onTestFinished).prepare();
      begin(play);
      const before = play.checkout();
      const refs = play.git('for-each-ref');
      const error = await refusal(play.forge('ship', TASK), exit);
      expect(error).toMatchObject({ code, message: expect.stringMatching(says), hint: expect.stringMatching(/./) });
      if (run) await expectHeld(play, code);
      expect(play.checkout()).toEqual(before);
      expect(play.git('for-each-ref')).toBe(refs);
      expect(play.record).toMatchObject({ lease: null, state: { failure_count: 0 } });
      expect(['reviewed', 'merge_pending']).toContain(play.record.state.state);
      fix(play);
      const next = play.forge('ship', TASK);
      expect(await ended(next), next.stderr).toMatchObject({ code: 0 });
      play.expectShipped();
    });
  },
);

/** A merge that is being verified; `open` lets it go on. */
async function verifying(waiting: Waiting = {}): Promise<{ play: ShipPlay; ship: LiveForge; open(): void }> {
  const play = await newPlay(waiting);
  play.mark('wait');
  const ship = play.forge('ship', TASK);
  await until('the merge is verified', () => play.lines('checks').length === 1);
  return { play, ship, open: () => play.mark('gate') };
}

describe('unrelated files of a person', () => {
  test('ship leaves unrelated files of a person unchanged', async () => {
    const play = await newPlay();
    play.repository.write('other.txt', 'mine\n');
    play.git('add', 'other.txt');
    play.repository.write('other.txt', 'mine, and more\n');
    play.repository.write('notes.txt', 'mine\n');
    const before = listing(play.dir, PERSONS);
    expect(await ended(play.forge('ship', TASK))).toMatchObject({ code: 0 });
    play.expectShipped();
    expect(play.git('status', '--porcelain', '--', ':!.forge').split('\n')).toEqual(['MM other.txt', '?? notes.txt']);
    expect(play.git('show', ':other.txt')).toBe('mine');
    expect(listing(play.dir, PERSONS)).toMatchObject({
      'other.txt': before['other.txt'],
      'notes.txt': before['notes.txt'],
    });
  });
});

describe.each(varied(['main', 'trunk'] as const))('while a merge into %s is verified', (base) => {
  /** Where the person works on the base. */
  const place = (play: ShipPlay): string => {
    if (base === 'main') return play.dir;
    const tree = freshPlace();
    play.git('worktree', 'add', '--quiet', tree, base);
    return tree;
  };
  const leave = (play: ShipPlay, tree: string) => tree === play.dir || play.git('worktree', 'remove', tree);

  test('ship makes the merge again when a person commits to the base meanwhile', async () => {
    const { play, ship, open } = await verifying({ base });
    const tree = place(play);
    const mine = play.repository.commit({ 'other.txt': 'mine\n' }, tree);
    leave(play, tree);
    open();
    expect(await ended(ship), ship.stderr).toMatchObject({ code: 0 });
    expect(play.lines('checks')).toHaveLength(2);
    expect(play.gained()).toEqual([
      { on: play.start, subject: 'other.txt' },
      { on: mine, subject: play.merge },
    ]);
    play.expectShipped();
    expect(play.git('status', '--porcelain', '--', ':!.forge')).toBe('');
  });

  test('ship does not restore a commit that a person removed from the base meanwhile', async () => {
    const { play, ship, open } = await verifying({ base });
    const older = play.git('rev-parse', `${play.start}~`);
    const tree = place(play);
    play.repository.in(tree, 'reset', '--quiet', '--hard', older);
    leave(play, tree);
    open();
    await ship.ended;
    expect(play.gained(older)[0]?.on, ship.stderr).toBe(older);
    expect(play.gained(older)).toEqual([{ on: older, subject: play.merge }]);
    expect(play.lines('checks')).toHaveLength(2);
  });

  test.runIf(base === 'main')(
    'ship reports a file that a person added in the way meanwhile, and moves nothing',
    async () => {
      const { play, ship, open } = await verifying({ base });
      play.repository.write('file.txt', 'mine\n');
      open();
      expect(await refusal(ship, 4)).toMatchObject({ code: 'NOT_READY', message: expect.stringContaining('file.txt') });
      expect(fs.readFileSync(play.repository.path('file.txt'), 'utf8')).toBe('mine\n');
      expect(play.gained()).toEqual([]);
      play.expectStanding('merge_pending');
      play.git('stash');
      expect(await ended(play.forge('ship', TASK))).toMatchObject({ code: 0 });
      play.expectShipped();
    },
  );

  test('a task whose branch a person changed during its merge goes back to be verified again', async () => {
    const { play, ship, open } = await verifying({ base });
    play.repository.commit({ 'more.txt': 'mine\n' }, play.tree);
    open();
    const error = await refusal(ship, 1);
    expect(error).toMatchObject({ code: 'VERIFICATION_FAILED', details: { class: 'ship.moved' } });
    expect(play.gained()).toEqual([]);
    play.expectStanding('awaiting_respawn', 1);
  });

  test('a task that is cancelled during its merge moves nothing', async () => {
    const { play, ship, open } = await verifying({ base });
    expect(await ended(play.forge('cancel', TASK))).toMatchObject({ code: 0 });
    expect(await refusal(ship, 3)).toMatchObject({ code: 'LEASE_STOLEN' });
    open();
    expect(play.gained()).toEqual([]);
    play.expectStanding('cancelled');
  });
});

test('a base that is deleted while a merge is verified makes the task wait', async () => {
  const { play, ship, open } = await verifying({ base: 'trunk' });
  play.git('branch', '--quiet', '-D', 'trunk');
  open();
  expect(await refusal(ship, 2)).toMatchObject({ code: 'SETTINGS_INVALID' });
  play.expectStanding('merge_pending');
  play.git('branch', 'trunk', play.start);
  expect(await ended(play.forge('ship', TASK))).toMatchObject({ code: 0 });
  play.expectShipped();
});

test('a checkout that leaves the base while the merge is verified is left alone', async () => {
  const { play, ship, open } = await verifying();
  play.git('checkout', '--quiet', '-b', 'elsewhere');
  const before = play.checkout();
  open();
  expect(await ended(ship), ship.stderr).toMatchObject({ code: 0 });
  expect(play.git('rev-parse', 'elsewhere')).toBe(play.start);
  expect(play.checkout()).toEqual(before);
  play.expectShipped();
});

test('a task whose branch has moved since its review goes back', async () => {
  const play = await newPlay();
  play.repository.commit({ 'more.txt': 'mine\n' }, play.tree);
  expect(await refusal(play.forge('ship', TASK), 1)).toMatchObject({ details: { class: 'ship.moved' } });
  expect(play.gained()).toEqual([]);
  play.expectStanding('awaiting_respawn', 1);
});
