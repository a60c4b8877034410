/** A ship or review that is stopped (SIGSTOP) for longer than its lease, and continues after another has decided. */

import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { groupMembers } from '../../src/process/processes.ts';
import { LONG, SHORT, varied } from '../support/faults/knobs.ts';
import { ofTest } from '../support/faults/plays.ts';
import { TASK } from '../support/faults/scenarios.ts';
import { ended, refusal, ShipPlay } from '../support/faults/shipping-scenarios.ts';
import { until } from '../support/processes.ts';
import { GIT_ENV } from '../support/repository.ts';

/** A lease that is lost two seconds after the last heartbeat. */
const GRACE_MS = 500;
const SETTINGS = `agents: {self_lease_ttl_ms: 1500, self_heartbeat_ms: 300, steal_grace_ms: ${GRACE_MS}, kill_grace_ms: 300}`;
const STAND_IN = path.join(import.meta.dirname, '../support/faults/slow-bin');

/** The commands of git between which a merge is verified, lands, and is shipped, as a pattern of the shell each. */
const POINTS = {
  'the look at the base': 'merge-base --is-ancestor*',
  'the merge': 'commit-tree*',
  'the checkout that is verified': 'worktree add --detach*',
  'the name of the merge': 'update-ref refs/forge/ship/*',
  'the look at the checkouts': 'worktree list*',
} as const;
const LANDING = { main: '*merge --ff-only*', trunk: 'update-ref -m*' } as const;

/** What others do while it is paused, and what the task comes to by that. */
const OTHERS = {
  'ships it': async (play: ShipPlay) => {
    await shipOnceFree(play);
    return 'shipped' as const;
  },
  'cancels it': async (play: ShipPlay) => {
    expect(await ended(play.forge('cancel', TASK))).toMatchObject({ code: 0 });
    return 'cancelled' as const;
  },
  'sends it back': async (play: ShipPlay) => {
    play.repository.commit({ 'more.txt': 'more\n' }, play.tree);
    expect(await shipOnceFree(play)).toMatchObject({ answer: { error: { details: { class: 'ship.moved' } } } });
    return 'awaiting_respawn' as const;
  },
};

/** Ships the task as soon as its lease may be taken. */
async function shipOnceFree(play: ShipPlay) {
  const { lease } = play.record;
  if (lease === null) throw new Error('it has no lease');
  // Its grace goes on for a while; a command that is refused until then costs more than to wait.
  const over = Date.parse(lease.expires_at) + GRACE_MS;
  await until('its lease may be taken', () => Date.now() > over);
  for (;;) {
    const end = await ended(play.forge('ship', TASK));
    if (end.answer.ok || !/^LEASE_(EXISTS|NOT_EXPIRED)$/.test(end.answer.error.code)) return end;
  }
}

interface Case {
  base: 'main' | 'trunk';
  at: string;
  pattern: string;
  when: 'before' | 'after';
  others: keyof typeof OTHERS;
}

const ALL: Case[] = (['main', 'trunk'] as const).flatMap((base) =>
  Object.entries({ ...POINTS, 'the move of the base': LANDING[base] }).flatMap(([at, pattern]) =>
    (['before', 'after'] as const).flatMap((when) =>
      (Object.keys(OTHERS) as (keyof typeof OTHERS)[]).map((others) => ({ base, at, pattern, when, others })),
    ),
  ),
);
const isTelling = ({ at, when }: Case) =>
  at === 'the move of the base' || (at === 'the name of the merge' && when === 'after');
/** One of each kind: what the others do matters most where the checkout is about to move. */
const isShort = ({ base, at, when, others }: Case) =>
  at === 'the move of the base' && (others === 'ships it' || (base === 'main' && when === 'before'));
const CASES = LONG ? ALL : ALL.filter(isTelling).filter((each) => !SHORT || isShort(each));

describe.concurrent.each(CASES)('a ship into $base that is paused $when $at', ({ base, at, pattern, when, others }) => {
  test(`a paused ship moves nothing when it continues after another ${others}`, async ({ onTestFinished }) => {
    const play = await ofTest(new ShipPlay({ settings: SETTINGS, base }), onTestFinished).prepare();
    const paused = play.forgeWith(
      { PATH: `${STAND_IN}:${GIT_ENV.PATH}`, FAULT_PATH: GIT_ENV.PATH, FAULT_AT: pattern, FAULT_WHEN: when },
      'ship',
      TASK,
    );
    await until('it is paused', () => play.has('stopped'));
    const state = await OTHERS[others](play);
    const moved = at === 'the move of the base' && when === 'after';
    const tip = play.tip;
    const before = play.record;
    play.mark('go');
    paused.signal('SIGCONT');
    expect(await refusal(paused, 3)).toMatchObject({ code: 'LEASE_STOLEN' });
    expect(play.tip, 'the base is where the others have left it').toBe(tip);
    expect(play.record, 'the task too').toEqual(before);
    expect(play.gained()).toHaveLength(state === 'shipped' || moved ? 1 : 0);
    play.expectStanding(state, state === 'awaiting_respawn' ? 1 : 0);
    expect(play.git('status', '--porcelain', '--', ':!.forge')).toBe('');
  });
});

/** What is done about the task, and where the processes note that do it. */
const STEPS = [
  { verb: 'ship', review: false, notes: 'checks' },
  { verb: 'review', review: true, notes: 'reviews' },
] as const;

describe.concurrent.each(STEPS)('a $verb that is paused while its command runs', ({ verb, review, notes }) => {
  test.each(varied(['before', 'after'] as const))(
    'a process paused during its review or merge exits with 3 when it continues %s another is done',
    async (when) => {
      const play = new ShipPlay({ settings: SETTINGS, review });
      await play.prepare();
      try {
        play.mark('wait');
        const paused = play.forge(verb, TASK);
        const [first = ''] = await until('its command runs', () =>
          play.lines(notes).length === 1 ? play.lines(notes) : null,
        );
        paused.signal('SIGSTOP');
        const other = play.forge('run');
        await until('another has taken it up', () => play.lines(notes).length === 2);
        expect(groupMembers(Number(first)), 'the first command was stopped before the next began').toEqual([]);
        if (when === 'before') {
          const { lease } = play.record;
          paused.signal('SIGCONT');
          expect(await refusal(paused, 3)).toMatchObject({ code: 'LEASE_STOLEN' });
          expect(play.record.lease, 'the other still has it').toMatchObject({ claim_id: lease?.claim_id });
        }
        play.mark('gate');
        expect(await other.ended, other.stderr).toEqual({ code: 0, signal: null });
        const before = play.record;
        if (when === 'after') {
          paused.signal('SIGCONT');
          expect(await refusal(paused, 3)).toMatchObject({ code: 'LEASE_STOLEN' });
        }
        expect(play.record).toEqual(before);
        expect(play.violations()).toBe('');
        // The run has gone on to the merge.
        play.expectShipped();
        expect(play.lines(notes)).toHaveLength(2);
      } finally {
        play.cleanUp();
      }
    },
  );
});
