/**
 * Plans on a snapshot of a tree in which nothing is to be done. usage: node plan-gc.mjs TASKS. Prints the milliseconds of the
 * median of seven plans.
 */

import { planGc } from '../../src/domain/gc/plan-gc.ts';

const [tasks] = process.argv.slice(2);
const ids = Array.from({ length: Number(tasks) }, (_, at) => `task-${String(at).padStart(6, '0')}`);
const lease = {
  claim_id: 'claim',
  generation: 1,
  owner_run_id: 'run',
  expires_at: '2030-01-01T01:00:00.000Z',
  attempt_id: 'attempt',
  standing: 'live',
  why: '',
};
// Nine in ten are over, the others are worked on.
const snapshot = {
  now: '2030-01-01T00:00:00.000Z',
  abandon_limit: 10,
  plan: ids.map((id) => ({ id, tracker_issue_id: null })),
  tasks: ids.map((task_id, at) => ({
    task_id,
    identity: { version: 2, digest: '' },
    adopted: true,
    problem: null,
    state: at % 10 === 0 ? 'running' : 'shipped',
    lease: at % 10 === 0 ? lease : null,
    current_attempt_id: 'attempt',
    completed_attempt_id: at % 10 === 0 ? null : 'attempt',
    abandons: 0,
    waits_for: null,
    lease_files: [],
    attempts: [{ attempt_id: 'attempt', verdict: null, verified: true, questions: [], answers: [] }],
    merged_sha: null,
  })),
  runs: [],
  tracker: { kind: 'none' },
  branches: [],
  worktrees: [],
};
const times = [];
for (let round = 0; round < 7; round++) {
  const start = performance.now();
  const { rows } = planGc(snapshot);
  times.push(performance.now() - start);
  if (rows.length > 0) throw new Error(`there is nothing to do, and the plan has ${rows.length} rows`);
}
console.log(times.sort((a, b) => a - b)[3]);
