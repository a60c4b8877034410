/** The only place that knows which state may follow which, and the name of each move. */

import { ForgeError } from '../../lib/errors.ts';
import type { TaskState } from './records.ts';

export const TERMINAL_TASK_STATES = ['shipped', 'cancelled', 'failed'] as const satisfies readonly TaskState[];

/** The task has an owner, so a lease exists. */
export const IN_FLIGHT_STATES = ['claimed', 'dispatched', 'running'] as const satisfies readonly TaskState[];

/** A task that is `waiting` may be claimed too, once what it waits for is there: readiness knows. */
export const CLAIMABLE_STATES = [
  'unclaimed',
  'abandoned',
  'awaiting_respawn',
  'waiting',
] as const satisfies readonly TaskState[];

/** What remains for a task whose own work is done; a lease may exist meanwhile. */
export type IntegrationPhase = 'review' | 'ship';

/** The states in which a task waits for it. */
const WAITS_FOR = {
  review: ['ready_for_review'],
  ship: ['reviewed', 'merge_pending'],
} as const satisfies Record<IntegrationPhase, readonly TaskState[]>;

/** What a task in this state waits for; null when for neither. */
export function phaseDue(state: TaskState): IntegrationPhase | null {
  const waits = (phase: IntegrationPhase) => (WAITS_FOR[phase] as readonly TaskState[]).includes(state);
  return waits('review') ? 'review' : waits('ship') ? 'ship' : null;
}

export function isTerminal(state: TaskState): boolean {
  return (TERMINAL_TASK_STATES as readonly TaskState[]).includes(state);
}

export function isInFlight(state: TaskState): boolean {
  return (IN_FLIGHT_STATES as readonly TaskState[]).includes(state);
}

export function isClaimable(state: TaskState): boolean {
  return (CLAIMABLE_STATES as readonly TaskState[]).includes(state);
}

const NON_TERMINAL: readonly TaskState[] = [
  ...CLAIMABLE_STATES,
  ...IN_FLIGHT_STATES,
  'blocked_on_question',
  ...WAITS_FOR.review,
  ...WAITS_FOR.ship,
];

/** Every legal move: from any of `from` to `to`. `spec/ORCHESTRATOR.md` has the same table. */
export const MOVES = {
  claim: { from: CLAIMABLE_STATES, to: 'claimed' },
  dispatch: { from: ['claimed'], to: 'dispatched' },
  start: { from: ['dispatched'], to: 'running' },
  unclaim: { from: ['claimed'], to: 'unclaimed' },
  interrupt: { from: ['dispatched', 'running'], to: 'awaiting_respawn' },
  ask: { from: ['running'], to: 'blocked_on_question' },
  park: { from: ['running'], to: 'waiting' },
  resume: { from: ['blocked_on_question'], to: 'awaiting_respawn' },
  // `claimed`: the new owner finishes the verification of an earlier attempt.
  verify: { from: ['claimed', 'running'], to: 'ready_for_review' },
  pass_review: { from: ['ready_for_review'], to: 'reviewed' },
  queue_merge: { from: ['reviewed'], to: 'merge_pending' },
  ship: { from: ['reviewed', 'merge_pending'], to: 'shipped' },
  send_back: { from: ['ready_for_review', 'merge_pending'], to: 'awaiting_respawn' },
  retry_later: { from: IN_FLIGHT_STATES, to: 'awaiting_respawn' },
  // Requested changes and conflicts are charged like any failure, so they may be the last one allowed.
  fail: { from: [...IN_FLIGHT_STATES, 'ready_for_review', 'merge_pending'], to: 'failed' },
  abandon: { from: IN_FLIGHT_STATES, to: 'abandoned' },
  cancel: { from: NON_TERMINAL, to: 'cancelled' },
  reopen: { from: ['failed', 'cancelled'], to: 'unclaimed' },
  // From the start, however it ended.
  rerun: { from: ['shipped', 'failed', 'cancelled', 'awaiting_respawn', 'abandoned'], to: 'unclaimed' },
  // A person has done it, or says that it is done.
  done_by_hand: {
    from: [...CLAIMABLE_STATES, 'blocked_on_question', ...WAITS_FOR.review, ...WAITS_FOR.ship, 'failed'],
    to: 'shipped',
  },
} as const satisfies Record<string, { from: readonly TaskState[]; to: TaskState }>;

export type Move = keyof typeof MOVES;

export function mayMove(state: TaskState, move: Move): boolean {
  return (MOVES[move].from as readonly TaskState[]).includes(state);
}

/** A move as the log shows it. */
export interface Transition {
  move: Move;
  from: TaskState;
  to: TaskState;
}

/**
 * Applies `moves` in order from `from`. Returns the transitions; the last one's `to` is the new state.
 * Throws ILLEGAL_TRANSITION at the first that the table does not have.
 */
export function transitions(taskId: string, from: TaskState, moves: readonly Move[]): Transition[] {
  const taken: Transition[] = [];
  let state = from;
  for (const move of moves) {
    const rule = MOVES[move];
    if (!mayMove(state, move)) {
      throw new ForgeError(
        'ILLEGAL_TRANSITION',
        `task ${taskId} is ${state}; ${move} needs ${rule.from.join(' or ')}`,
        { details: { task_id: taskId, state, move } },
      );
    }
    taken.push({ move, from: state, to: rule.to });
    state = rule.to;
  }
  return taken;
}
