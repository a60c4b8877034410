import { describe, expect, test } from 'vitest';
import { TASK_STATES, type TaskState } from '../../../src/domain/task/records.ts';
import {
  CLAIMABLE_STATES,
  IN_FLIGHT_STATES,
  isClaimable,
  isInFlight,
  isTerminal,
  MOVES,
  type Move,
  TERMINAL_TASK_STATES,
  transitions,
} from '../../../src/domain/task/states.ts';
import { ERROR_CODES } from '../../../src/lib/errors.ts';
import { refusal } from '../../support/domain/tasks.ts';
import fc from '../../support/properties.ts';
import { thrownBy } from '../../support/refused.ts';

/** Every state with the moves that lead out of it and where each ends. What is not here is refused. */
const TABLE: Record<TaskState, Partial<Record<Move, TaskState>>> = {
  unclaimed: { claim: 'claimed', cancel: 'cancelled', done_by_hand: 'shipped' },
  abandoned: { claim: 'claimed', cancel: 'cancelled', rerun: 'unclaimed', done_by_hand: 'shipped' },
  awaiting_respawn: { claim: 'claimed', cancel: 'cancelled', rerun: 'unclaimed', done_by_hand: 'shipped' },
  claimed: {
    dispatch: 'dispatched',
    unclaim: 'unclaimed',
    verify: 'ready_for_review',
    retry_later: 'awaiting_respawn',
    fail: 'failed',
    abandon: 'abandoned',
    cancel: 'cancelled',
  },
  dispatched: {
    start: 'running',
    interrupt: 'awaiting_respawn',
    retry_later: 'awaiting_respawn',
    fail: 'failed',
    abandon: 'abandoned',
    cancel: 'cancelled',
  },
  running: {
    ask: 'blocked_on_question',
    park: 'waiting',
    interrupt: 'awaiting_respawn',
    verify: 'ready_for_review',
    retry_later: 'awaiting_respawn',
    fail: 'failed',
    abandon: 'abandoned',
    cancel: 'cancelled',
  },
  blocked_on_question: { resume: 'awaiting_respawn', cancel: 'cancelled', done_by_hand: 'shipped' },
  waiting: { claim: 'claimed', cancel: 'cancelled', done_by_hand: 'shipped' },
  ready_for_review: {
    pass_review: 'reviewed',
    send_back: 'awaiting_respawn',
    fail: 'failed',
    cancel: 'cancelled',
    done_by_hand: 'shipped',
  },
  reviewed: { queue_merge: 'merge_pending', ship: 'shipped', cancel: 'cancelled', done_by_hand: 'shipped' },
  merge_pending: {
    ship: 'shipped',
    send_back: 'awaiting_respawn',
    fail: 'failed',
    cancel: 'cancelled',
    done_by_hand: 'shipped',
  },
  shipped: { rerun: 'unclaimed' },
  cancelled: { reopen: 'unclaimed', rerun: 'unclaimed' },
  failed: { reopen: 'unclaimed', rerun: 'unclaimed', done_by_hand: 'shipped' },
};

const ALL_MOVES = Object.keys(MOVES) as Move[];
const PAIRS = TASK_STATES.flatMap((state) => ALL_MOVES.map((move) => ({ state, move, to: TABLE[state][move] })));

describe('table of moves', () => {
  test('the table of moves names every state', () => {
    expect(Object.keys(TABLE).sort()).toEqual([...TASK_STATES].sort());
  });

  test.each(PAIRS)('$move takes a task from $state to $to', ({ state, move, to }) => {
    if (to === undefined) expect(refusal(() => transitions('build', state, [move]))).toBe('ILLEGAL_TRANSITION');
    else expect(transitions('build', state, [move])).toEqual([{ move, from: state, to }]);
  });

  test('the table has no move twice, and no state twice for a move', () => {
    for (const { from } of Object.values(MOVES)) expect(new Set(from).size).toBe(from.length);
    expect(new Set(TASK_STATES).size).toBe(TASK_STATES.length);
  });

  test('only a person takes a task out of a state in which it is over', () => {
    const waysOut = (state: TaskState) => ALL_MOVES.filter((move) => refusalOf(state, move) === 'done');
    expect(TERMINAL_TASK_STATES.map((state) => [state, waysOut(state)])).toEqual([
      ['shipped', ['rerun']],
      ['cancelled', ['reopen', 'rerun']],
      ['failed', ['reopen', 'rerun', 'done_by_hand']],
    ]);
  });

  test('every task that is not over can be cancelled', () => {
    const cancellable = TASK_STATES.filter((state) => refusalOf(state, 'cancel') === 'done');
    expect(cancellable).toEqual(TASK_STATES.filter((state) => !isTerminal(state)));
  });

  test('every state can be reached from a fresh task', () => {
    const reached = new Set<TaskState>(['unclaimed']);
    for (const state of reached) for (const to of Object.values(TABLE[state])) reached.add(to);
    // Only an abandonment of its own, without the claim that follows it, leaves a task abandoned.
    expect([...reached].sort()).toEqual([...TASK_STATES].sort());
  });
});

function refusalOf(state: TaskState, move: Move): string {
  return refusal(() => transitions('build', state, [move]));
}

describe('groups of states', () => {
  test('groups of states are disjoint, and each predicate matches its own', () => {
    for (const state of TASK_STATES) {
      const groups = [isTerminal(state), isInFlight(state), isClaimable(state)].filter(Boolean);
      expect(groups.length, state).toBeLessThanOrEqual(1);
    }
    expect(TASK_STATES.filter(isTerminal).sort()).toEqual([...TERMINAL_TASK_STATES].sort());
    expect(TASK_STATES.filter(isInFlight)).toEqual([...IN_FLIGHT_STATES]);
    expect(TASK_STATES.filter(isClaimable).sort()).toEqual([...CLAIMABLE_STATES].sort());
  });

  test('claim leads into flight from exactly the claimable states', () => {
    expect(TASK_STATES.filter((state) => TABLE[state].claim !== undefined)).toEqual(TASK_STATES.filter(isClaimable));
  });
});

describe('several moves', () => {
  test('several moves are applied in order', () => {
    expect(transitions('build', 'running', ['abandon', 'claim', 'dispatch'])).toEqual([
      { move: 'abandon', from: 'running', to: 'abandoned' },
      { move: 'claim', from: 'abandoned', to: 'claimed' },
      { move: 'dispatch', from: 'claimed', to: 'dispatched' },
    ]);
  });

  test('no moves leave the state unchanged', () => {
    expect(transitions('build', 'shipped', [])).toEqual([]);
  });

  test('an illegal move is refused with the task, its state, and the states the move needs', () => {
    const { message, details, hint } = thrownBy(() => transitions('build', 'claimed', ['dispatch', 'verify']));
    expect(message).toBe('task build is dispatched; verify needs claimed or running');
    expect(details).toEqual({ task_id: 'build', state: 'dispatched', move: 'verify' });
    expect(hint).toBe(ERROR_CODES.ILLEGAL_TRANSITION.hint);
  });

  test('a chain of moves is legal to its end or refused as a whole', () => {
    const chain = fc.array(fc.constantFrom(...ALL_MOVES), { maxLength: 8 });
    fc.assert(
      fc.property(fc.constantFrom(...TASK_STATES), chain, (start, moves) => {
        let state: TaskState | undefined = start;
        for (const move of moves) state = state && TABLE[state][move];
        if (state === undefined) {
          expect(refusal(() => transitions('build', start, moves))).toBe('ILLEGAL_TRANSITION');
          return;
        }
        const taken = transitions('build', start, moves);
        expect(taken.map(({ move }) => move)).toEqual(moves);
        expect(taken.at(-1)?.to ?? start).toBe(state);
        for (const [i, { from }] of taken.entries()) expect(from).toBe(taken[i - 1]?.to ?? start);
      }),
    );
  });
});
