/**
 * Rules for any sequence of requests, by any claimant and at any time. A small model beside the record
 * knows only who holds the task and until when; from it follows which requests may change anything.
 */

import { expect, test } from 'vitest';
import { coercePolicy } from '../../../src/domain/retry/retry.ts';
import { completeTask, type Outcome } from '../../../src/domain/task/complete-attempt.ts';
import {
  cancelTask,
  claimTask,
  dispatchTask,
  heartbeatTask,
  releaseTask,
  retryTask,
} from '../../../src/domain/task/operations.ts';
import { freshRecord, type TaskRecord, type TaskState } from '../../../src/domain/task/records.ts';
import { isClaimable, isInFlight, MOVES } from '../../../src/domain/task/states.ts';
import type { Decision } from '../../../src/domain/task/transition.ts';
import { ForgeError } from '../../../src/lib/errors.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { frozen, GRACE_MS, id, instant, OWNER, observer, TTL_MS } from '../../support/domain/tasks.ts';
import fc, { runs } from '../../support/properties.ts';

const ABANDON_LIMIT = 3;

const VERDICTS = ['ready_for_review', 'changes_needed', 'blocked'] as const;
const OUTCOMES: Outcome[] = [
  ...VERDICTS.map(
    (verdict): Outcome => ({ kind: 'verdict', verdict: { version: 1, verdict, summary: '' }, written: true }),
  ),
  ...['exit.1', 'network.timeout', 'fatal', 'question.exhausted'].map(
    (name): Outcome => ({ kind: 'failed', error: { class: name, message: name } }),
  ),
];
const GOOD = OUTCOMES[0] as Outcome;

const POLICIES = [
  coercePolicy({ max_attempts: 3, base: 1000, jitter: 'full' }),
  coercePolicy([{ retry_on: ['network'], max_attempts: 2 }, { max_attempts: 'unlimited' }]),
  coercePolicy({ retry_on: [] }),
];

const step = fc.record({
  /** The claimant; -1 is the owner of the task. */
  asker: fc.constantFrom(-1, -1, -1, 0, 1, 2),
  op: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom('claim', 'dispatch', 'heartbeat', 'complete') },
    { weight: 4, arbitrary: fc.constantFrom('reclaim', 'release', 'retry') },
    { weight: 1, arbitrary: fc.constantFrom('cancel', 'owner dies') },
  ),
  /** An operator who looks after tasks that are over: asks for `retry` instead. */
  revive: fc.boolean(),
  /** Which of the claims and attempts that this one ever had, counted from the last. */
  back: fc.constantFrom(0, 0, 0, 1, 2),
  /** How much time goes by first, on the clock that cannot be set. */
  wait: fc.constantFrom(0, 1, 1000, TTL_MS - 1, TTL_MS, GRACE_MS, TTL_MS + GRACE_MS),
  /** How far the wall clock is off at that moment. */
  off: fc.constantFrom(0, 0, -86_400_000, 86_400_000),
  /** A strange dispatch names another owner's run. */
  strange: fc.constantFrom(false, false, false, true),
  outcome: fc.oneof(fc.constant(GOOD), fc.constantFrom(...OUTCOMES)),
  policy: fc.constantFrom(...POLICIES),
  route: fc.record({ reviewed: fc.boolean(), shipped: fc.boolean() }),
  chance: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Holder {
  who: number;
  claimId: string;
  attemptId: string | null;
  /** On the monotonic clock, milliseconds after the start. */
  until: number;
  watched: boolean;
}

class Model {
  record: TaskRecord = frozen(freshRecord('build', isoTime(0)));
  clock = 0;
  holder: Holder | null = null;
  /** A watched owner has died; every owner of the task is dead from then on. */
  dead = false;
  ownerOf = new Map<number, string>();
  dispatches = 0;
  charged = 0;
  abandons = 0;
  ids = 0;
  claims: string[][] = [[], [], []];
  attempts: string[][] = [[], [], []];

  fresh(): string {
    return id(++this.ids);
  }

  standing(): 'free' | 'live' | 'grace' | 'stale' {
    if (this.holder === null) return 'free';
    if (this.holder.watched && this.dead) return 'stale';
    if (this.clock < this.holder.until) return 'live';
    return this.clock < this.holder.until + GRACE_MS ? 'grace' : 'stale';
  }
}

/** Makes the request; the decision, or the code that it is refused with. */
function ask(act: () => Decision<unknown>): Decision<unknown> | string {
  try {
    return act();
  } catch (error) {
    if (error instanceof ForgeError) return error.code;
    throw error;
  }
}

const pick = (list: readonly string[], back: number) => list.at(-1 - back);
const changes = (answer: Decision<unknown> | string): answer is Decision<unknown> =>
  typeof answer !== 'string' && answer.record !== null;

function take(model: Model, at: Step): void {
  model.clock += at.wait;
  const now = { ...instant(model.clock), nowMs: instant(model.clock).nowMs + at.off };
  const before = model.record;
  const state = before.state.state;
  const { holder } = model;
  const who = at.asker >= 0 ? at.asker : (holder?.who ?? 1);
  let answer: Decision<unknown> | string = 'nothing asked';
  const over = state === 'failed' || state === 'cancelled';
  const op = over && at.revive ? 'retry' : at.op;
  switch (op) {
    case 'owner dies':
      model.dead = true;
      return;
    case 'claim':
    case 'reclaim': {
      const claimId = op === 'claim' ? model.fresh() : pick(model.claims[who] ?? [], at.back);
      if (claimId === undefined) return;
      const watched = who === 0;
      const standing = model.standing();
      answer = ask(() =>
        claimTask(before, {
          claimId,
          runId: id(1000 + who),
          ttlMs: TTL_MS,
          owner: watched ? OWNER : null,
          instant: now,
          observer: observer(model.clock, { nowMs: now.nowMs, liveness: () => (model.dead ? 'dead' : 'unknown') }),
          abandonLimit: ABANDON_LIMIT,
        }),
      );
      if (holder?.claimId === claimId) expect(answer).toMatchObject({ record: null, result: { claim_id: claimId } });
      else if (before.memo.ended_claim?.claim_id === claimId) expect(answer).toBe('LEASE_STOLEN');
      else if (standing === 'live') expect(answer).toBe('LEASE_EXISTS');
      else if (standing === 'grace') expect(answer).toBe('LEASE_NOT_EXPIRED');
      else if (standing === 'free' && !isClaimable(state)) expect(answer).toBe('ILLEGAL_TRANSITION');
      else if (standing === 'stale' && model.abandons + 1 >= ABANDON_LIMIT) {
        expect(answer).toMatchObject({ result: null, record: { state: { state: 'failed' } } });
        model.abandons++;
        model.holder = null;
      } else {
        const { generation } = before.memo;
        expect(answer).toMatchObject({ result: { claim_id: claimId, generation: generation + 1 } });
        expect((answer as Decision<unknown>).history).toMatchObject([
          standing === 'stale'
            ? { event: 'stolen', from_generation: generation, generation: generation + 1 }
            : { event: 'acquired', generation: generation + 1 },
        ]);
        if (standing === 'stale') model.abandons++;
        expect(model.ownerOf.has(generation + 1)).toBe(false);
        model.ownerOf.set(generation + 1, claimId);
        model.holder = { who, claimId, attemptId: null, until: model.clock + TTL_MS, watched };
        model.dead = false;
        if (op === 'claim') model.claims[who]?.push(claimId);
      }
      break;
    }
    case 'dispatch': {
      const claimId = pick(model.claims[who] ?? [], at.back);
      if (claimId === undefined) return;
      const attemptId = model.fresh();
      const runId = at.strange ? id(1999) : id(1000 + who);
      answer = ask(() =>
        dispatchTask(before, { claimId, runId, attemptId, worker: null, ttlMs: TTL_MS, instant: now }),
      );
      if (holder?.claimId !== claimId) expect(answer).toBe('LEASE_STOLEN');
      else if (at.strange) expect(answer).toBe('LEASE_IDENTITY_MISMATCH');
      else if (holder.attemptId !== null)
        expect(answer).toMatchObject({ record: null, result: { attempt_id: holder.attemptId } });
      else {
        model.dispatches++;
        expect(answer).toMatchObject({ result: { attempt_id: attemptId, attempt_number: model.dispatches } });
        model.attempts[who]?.push(attemptId);
        model.holder = { ...holder, attemptId, until: model.clock + TTL_MS };
      }
      break;
    }
    case 'heartbeat': {
      const attemptId = pick(model.attempts[who] ?? [], at.back);
      if (attemptId === undefined) return;
      answer = ask(() => heartbeatTask(before, { attemptId, ttlMs: TTL_MS, instant: now }));
      if (holder?.attemptId === attemptId) {
        expect(answer).toMatchObject({ record: { state: { state: 'running' } } });
        model.holder = { ...holder, until: model.clock + TTL_MS };
      } else expect(answer).toBe(before.state.current_attempt_id === attemptId ? 'LEASE_STOLEN' : 'STALE_ATTEMPT');
      break;
    }
    case 'complete': {
      const attemptId = pick(model.attempts[who] ?? [], at.back);
      if (attemptId === undefined) return;
      const { outcome, policy, route, chance } = at;
      const request = { attemptId, outcome, policy, route, workerGone: true, instant: now, random: () => chance };
      answer = ask(() => completeTask(before, request));
      if (holder?.attemptId === attemptId) {
        expect(changes(answer)).toBe(true);
        model.holder = null;
        model.abandons = 0;
        if (outcome !== GOOD) model.charged++;
        // The same again gets the same answer, and another outcome none.
        const after = (answer as Decision<unknown>).record as TaskRecord;
        const { result } = answer as Decision<unknown>;
        expect(ask(() => completeTask(frozen(after), { ...request, random: () => 0 }))).toMatchObject({
          record: null,
          result,
        });
        const other = outcome === GOOD ? (OUTCOMES[1] as Outcome) : GOOD;
        expect(ask(() => completeTask(after, { ...request, outcome: other }))).toBe('STALE_ATTEMPT');
      } else expect(changes(answer)).toBe(false);
      break;
    }
    case 'release': {
      const claimId = pick(model.claims[who] ?? [], at.back);
      if (claimId === undefined) return;
      answer = ask(() => releaseTask(before, { claimId, workerGone: true, nowMs: now.nowMs }));
      expect(changes(answer)).toBe(holder?.claimId === claimId);
      if (holder?.claimId === claimId) model.holder = null;
      break;
    }
    case 'cancel':
      answer = ask(() => cancelTask(before, { reason: null, nowMs: now.nowMs }));
      expect(typeof answer === 'string').toBe(state === 'shipped' || state === 'failed');
      if (changes(answer)) model.holder = null;
      break;
    case 'retry':
      answer = ask(() => retryTask(before, now.nowMs));
      if (over) {
        expect(answer).toMatchObject({ record: { state: { state: 'unclaimed' } } });
        model.charged = 0;
        model.abandons = 0;
      } else expect(typeof answer === 'string').toBe(!isClaimable(state));
      break;
  }
  if (!changes(answer)) return;
  const after = answer.record as TaskRecord;
  expectChain(before.state.state, answer, after.state.state);
  expect(after.state.updated_at).toBe(isoTime(now.nowMs));
  model.record = frozen(after);
}

/** The moves lead from the one state to the other, each by the table. */
function expectChain(from: TaskState, { moves }: Decision<unknown>, to: TaskState): void {
  let at = from;
  for (const move of moves) {
    expect(move.from).toBe(at);
    expect(MOVES[move.move].from).toContain(at);
    at = move.to;
  }
  expect(at).toBe(to);
}

function expectInvariants({ record, holder, ...model }: Model, generationBefore: number): void {
  const { state, lease, memo } = record;
  // A lease exists exactly while the task is in flight, and it is the holder's.
  expect(lease !== null).toBe(isInFlight(state.state));
  expect(lease?.claim_id).toBe(holder?.claimId);
  expect(lease?.attempt_id).toBe(holder?.attemptId);
  if (state.state === 'claimed') expect(lease?.attempt_id).toBeNull();
  else if (lease !== null) expect(lease.attempt_id).toBe(state.current_attempt_id);
  // Fencing.
  expect(memo.generation).toBeGreaterThanOrEqual(generationBefore);
  if (lease !== null) {
    expect(lease.generation).toBe(memo.generation);
    expect(model.ownerOf.get(lease.generation)).toBe(lease.claim_id);
  }
  // Counts.
  expect(state.attempt_count).toBe(model.dispatches);
  expect(state.failure_count).toBe(model.charged);
  expect(memo.abandons).toBe(model.abandons);
  // What goes with which state.
  expect((state.failure_reason ?? null) !== null).toBe(state.state === 'failed');
  if ((state.next_eligible_at ?? null) !== null) expect(state.state).toBe('awaiting_respawn');
}

test('any sequence of requests by several claimants keeps the rules', () => {
  const reached = new Set<TaskState>();
  fc.assert(
    fc.property(fc.array(fc.noBias(step), { minLength: 20, maxLength: 40, size: 'max' }), (steps) => {
      const model = new Model();
      for (const at of steps) {
        const { generation } = model.record.memo;
        take(model, at);
        expectInvariants(model, generation);
        reached.add(model.record.state.state);
      }
    }),
    runs(300),
  );
  // The sequences are worth something only if they get everywhere that these requests lead.
  expect([...reached].sort()).toEqual(
    [
      'awaiting_respawn',
      'cancelled',
      'claimed',
      'dispatched',
      'failed',
      'ready_for_review',
      'reviewed',
      'running',
      'shipped',
      'unclaimed',
    ].sort(),
  );
});
