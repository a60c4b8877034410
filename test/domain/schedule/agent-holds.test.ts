/** What one task learns of an agent's account counts for all tasks of that agent. */

import { expect, test } from 'vitest';
import type { WorkerSettings } from '../../../src/domain/plan/task-command.ts';
import { agentHolds } from '../../../src/domain/schedule/agent-holds.ts';
import { reasonsToWait } from '../../../src/domain/schedule/readiness.ts';
import { mayStillRun } from '../../../src/domain/schedule/run-selection.ts';
import type { TaskRecord, TaskState } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { onePhase, scheduling } from '../../support/domain/plans.ts';
import { lease, record, T0 } from '../../support/domain/tasks.ts';

function met(state: TaskState, cause: string, until: number | null = null): TaskRecord {
  const met = record(state);
  met.memo.agent = 'claude';
  met.state.last_error = { class: cause, message: 'as it was told' };
  met.state.next_eligible_at = until === null ? null : isoTime(T0 + until);
  return met;
}

/** It has met a limit, and was claimed again `ms` ago. */
function trying(ms: number): TaskRecord {
  const found = met('running', 'rate_limit');
  found.lease = { ...lease(), acquired_at: isoTime(T0 - ms) };
  return found;
}

const CLAUDE: WorkerSettings = { worker: 'claude', worker_command: null, model: null, args: [] };

test.each<[what: string, code: string | null, found: TaskRecord]>([
  ['a limit that has not ended', 'AGENT_LIMIT', met('awaiting_respawn', 'rate_limit', 60_000)],
  ['a limit that has ended, and was tried by none', 'AGENT_LIMIT', met('awaiting_respawn', 'rate_limit', -59_999)],
  ['a limit that has ended, while one tries', 'AGENT_LIMIT', trying(59_999)],
  ['a limit that has ended, and one that has gone on for a minute', null, trying(60_000)],
  ['a limit that has ended a minute ago', null, met('awaiting_respawn', 'rate_limit', -60_000)],
  ['an overloaded server', null, met('awaiting_respawn', 'overloaded', 60_000)],
  ['a login that is not valid', 'AGENT_REFUSED', met('failed', 'auth')],
  ['an account without credit', 'AGENT_REFUSED', met('failed', 'billing')],
  ['a login that was not valid, and was retried', null, met('unclaimed', 'auth')],
  ['a login that a policy of the project tries again', null, met('awaiting_respawn', 'auth', 60_000)],
])('after %s of one task others of its agent wait: %s', (_what, code, found) => {
  const made = onePhase({ id: 'first' }, { id: 'second' }, { id: 'shell', run: 'make' });
  const seen = { ...scheduling(made, { first: found }), workers: CLAUDE };
  const codes = (id: string, asked = seen) => {
    const task = made.byId.get(id);
    if (task === undefined) throw new Error(id);
    return reasonsToWait(task, asked).map((reason) => reason.code);
  };
  expect(codes('second')).toEqual(code === null ? [] : [code]);
  expect(codes('shell')).toEqual([]);
  expect(codes('first')).not.toContain(code);
  // Who claims it does it, and another agent has another account.
  expect(codes('second', { ...seen, bringsWorker: true } as typeof seen)).toEqual([]);
  expect(codes('second', { ...seen, workers: { ...CLAUDE, worker: 'codex' } })).toEqual([]);
  // A run waits for the end of a limit, and not for a person.
  const hopeful = mayStillRun(seen, new Set(['second'])).map(({ id }) => id);
  expect(hopeful).toEqual(code === 'AGENT_REFUSED' ? [] : ['second']);
});

test.each<[what: string, found: Record<string, TaskRecord>, first: string | null]>([
  [
    'whose limit ends last, while one has not ended',
    { a: met('awaiting_respawn', 'rate_limit', -1), b: met('awaiting_respawn', 'rate_limit', 1) },
    'b',
  ],
  [
    'that is at work already',
    { a: met('awaiting_respawn', 'rate_limit', -1), b: trying(30_000), c: met('awaiting_respawn', 'rate_limit', -2) },
    'b',
  ],
  [
    'whose limit has ended last',
    { a: met('awaiting_respawn', 'rate_limit', -3), b: met('awaiting_respawn', 'rate_limit', -2) },
    'b',
  ],
  [
    'first in the plan of those with one limit',
    { a: met('awaiting_respawn', 'rate_limit', -2), b: met('awaiting_respawn', 'rate_limit', -2) },
    'a',
  ],
  [
    'and no other any more once work was handed in since',
    { a: met('awaiting_respawn', 'rate_limit', -2), b: handedIn(T0 - 1) },
    null,
  ],
  [
    'that has not handed in its work before the limit ended',
    { a: met('awaiting_respawn', 'rate_limit', -2), b: handedIn(T0 - 3) },
    'a',
  ],
  ['that has failed over a limit, for five minutes', { a: failedAt(T0 - 299_999) }, 'a'],
  ['no more after five minutes', { a: failedAt(T0 - 300_000) }, null],
])('of tasks that have met limits the one goes first %s', (_what, found, first) => {
  const made = onePhase({ id: 'a' }, { id: 'b' }, { id: 'c' });
  const hold = agentHolds(scheduling(made, found)).get('claude');
  expect(hold?.task_id ?? null).toBe(first);
});

function handedIn(atMs: number): TaskRecord {
  const found = met('shipped', 'rate_limit');
  found.state.updated_at = isoTime(atMs);
  return found;
}

function failedAt(atMs: number): TaskRecord {
  const found = met('failed', 'rate_limit');
  found.state.updated_at = isoTime(atMs);
  return found;
}

function reviewMet(cause: string, until: number | null): TaskRecord {
  const found = record('ready_for_review');
  found.memo.review_hold = {
    agent: 'claude',
    class: cause,
    message: 'as it was told',
    until: until === null ? null : isoTime(T0 + until),
  };
  return found;
}

test.each<[what: string, work: string[], own: string[], review: string[], found: TaskRecord]>([
  ['a limit', ['AGENT_LIMIT'], ['AGENT_LIMIT'], ['AGENT_LIMIT'], reviewMet('rate_limit', 60_000)],
  ['a limit that has ended', [], [], [], reviewMet('rate_limit', -1)],
  ['a login that is not valid', ['AGENT_REFUSED'], [], ['AGENT_REFUSED'], reviewMet('auth', null)],
])('after %s that a review has met its agent is started neither for work nor for reviews', (...row) => {
  const [, work, own, review, found] = row;
  const made = onePhase({ id: 'first' }, { id: 'work' }, { id: 'review' });
  const records = { first: found, review: record('ready_for_review') };
  const seen = {
    ...scheduling(made, records),
    does: { review: true, ship: false },
    workers: CLAUDE,
    reviewer: 'claude',
  };
  const codes = (id: string, asked = seen) => {
    const task = made.byId.get(id);
    if (task === undefined) throw new Error(id);
    return reasonsToWait(task, asked).flatMap(({ code }) => (code === 'TASK_WAITS_FOR_REVIEW' ? [] : [code]));
  };
  expect([codes('work'), codes('first'), codes('review')]).toEqual([work, own, review]);
  expect(codes('review', { ...seen, reviewer: 'codex' })).toEqual([]);
  expect(codes('review', { ...seen, bringsWorker: true } as typeof seen)).toEqual([]);
  expect(mayStillRun(seen, new Set(['review'])).map(({ id }) => id)).toEqual(
    review.includes('AGENT_REFUSED') ? [] : ['review'],
  );
});

test('the reason names the agent, what it was told, and the way out', () => {
  const made = onePhase({ id: 'first' }, { id: 'second' });
  const [task] = made.tasks.slice(1);
  if (task === undefined) throw new Error('no task');
  const said = (found: TaskRecord) =>
    reasonsToWait(task, { ...scheduling(made, { first: found }), workers: CLAUDE })[0]?.message;
  expect(said(met('failed', 'auth'))).toBe(
    "claude can't be used: auth: as it was told (task first); log in with `claude /login`, then `forge orchestrate retry first`",
  );
  expect(said(met('awaiting_respawn', 'rate_limit', 60_000))).toBe(
    `claude: limit until ${isoTime(T0 + 60_000)} (task first; \`forge orchestrate retry first\` tries it now)`,
  );
  expect(said(trying(20_000))).toBe(
    `claude: task first tries first whether its limit has ended, until ${isoTime(T0 + 40_000)} (task first)`,
  );
});
