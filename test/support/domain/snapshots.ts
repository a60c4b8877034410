/** Short snapshots for gc, random snapshots, and the effect of applying a plan to one. */

import type {
  GcAnswer,
  GcAttempt,
  GcBranch,
  GcLease,
  GcLeaseFile,
  GcQuestion,
  GcTask,
  GcWorktree,
} from '../../../src/domain/gc/gc-plan.ts';
import { assertNeverGcRow, type GcPlan, type GcPlanRow, type GcSnapshot } from '../../../src/domain/gc/gc-plan.ts';
import { canonicalLease } from '../../../src/domain/gc/task-rules.ts';
import type { PlannedTask } from '../../../src/domain/plan/plan.ts';
import { TASK_STATES, type TaskState } from '../../../src/domain/task/records.ts';
import { isInFlight } from '../../../src/domain/task/states.ts';
import { ISSUE_STATES, type TrackerIssue } from '../../../src/domain/tracker-issues.ts';
import { isoTime } from '../../../src/lib/time.ts';
import fc from '../properties.ts';
import { T0, TTL_MS } from './tasks.ts';

export const LIMIT = 3;
export const LATER = isoTime(T0 + TTL_MS);
export const EARLIER = isoTime(T0 - TTL_MS);

// --- one thing -------------------------------------------------------------------------------------------------------

export function seenLease(standing: GcLease['standing'] = 'live', fields: Partial<GcLease> = {}): GcLease {
  const why = standing === 'stale' ? 'it ran out' : '';
  const held = { claim_id: 'claim-1', generation: 1, owner_run_id: 'run-1', expires_at: LATER, attempt_id: null };
  return { ...held, standing, why, ...fields };
}

export function leaseFile(path = 'lease.json', generation = 1): GcLeaseFile {
  return { kind: 'read', path, claim_id: 'claim-1', generation, owner_run_id: 'run-1', expires_at: LATER };
}

export const brokenLease = (path = 'lease.json'): GcLeaseFile => ({ kind: 'unreadable', path, why: 'not JSON' });

/** Task `build` with a committed record; in flight it is held by run 1, whose lease is live, and works on attempt `a1`. */
export function task(state: TaskState | null = 'unclaimed', fields: Partial<GcTask> = {}): GcTask {
  const held = state !== null && isInFlight(state);
  return {
    task_id: 'build',
    identity: { version: 7, digest: 'd7' },
    adopted: true,
    problem: null,
    state,
    updated_at: state === null ? null : EARLIER,
    lease: held ? seenLease() : null,
    current_attempt_id: state === null || state === 'unclaimed' || state === 'claimed' ? null : 'a1',
    completed_attempt_id: null,
    abandons: 0,
    waits_for: null,
    lease_files: held ? [leaseFile()] : [],
    attempts: [],
    merged_sha: null,
    ...fields,
  };
}

export function question(question_id = 'q1', status: string | null = 'open', attempt = 'a1'): GcQuestion {
  const path = `attempts/${attempt}/questions/${question_id}.json`;
  return { question_id, path, digest: `d-${question_id}`, status, why: status === null ? 'not JSON' : '' };
}

export function answer(question_id = 'q1', option_id: string | null = 'keep', attempt = 'a1'): GcAnswer {
  const path = `attempts/${attempt}/answers/${question_id}.json`;
  return { question_id, path, digest: `d-${question_id}`, option_id, answered_by: 'ada' };
}

/** An unreadable answer. */
export const brokenAnswer = (): GcAnswer => ({ ...answer(), option_id: undefined });

export function attempt(attempt_id = 'a1', fields: Partial<GcAttempt> = {}): GcAttempt {
  const verdict_path = `attempts/${attempt_id}/verdict.json`;
  return { attempt_id, verdict: null, verdict_path, verified: false, questions: [], answers: [], ...fields };
}

/** Parked on `q1` of attempt `a1` until `expires_at`. */
export function parked(expires_at = LATER, fields: Partial<GcTask> = {}, default_option_id: string | null = null) {
  const late = Date.parse(expires_at) <= T0;
  const waits_for = { question_id: 'q1', attempt_id: 'a1', expires_at, late, default_option_id };
  const attempts = [attempt('a1', { questions: [question()] })];
  return task('blocked_on_question', { waits_for, attempts, ...fields });
}

/** Issue `I-1` of task `build`. */
export function issue(
  state: TrackerIssue['state'] = 'open',
  claimed_by: string | null = null,
  fields = {},
): TrackerIssue {
  return { id: 'I-1', task_id: 'build', state, claimed_by, ...fields };
}

export function branch(fields: Partial<GcBranch> = {}): GcBranch {
  return { name: 'forge/build', task_id: 'build', sha: 'c0ffee', has_worktree: false, merged: false, ...fields };
}

export function worktree(name = 'build', fields: Partial<GcWorktree> = {}): GcWorktree {
  return { path: `/trees/${name}`, name, branch: `forge/${name}`, head: 'c0ffee', registered: true, ...fields };
}

/** A tree at T0 whose plan has task `build`. `issues` are those of its tracker. */
export function snapshot(fields: Partial<GcSnapshot> & { issues?: readonly TrackerIssue[] } = {}): GcSnapshot {
  const { issues, ...rest } = fields;
  return {
    now: isoTime(T0),
    abandon_limit: LIMIT,
    plan: [{ id: 'build', tracker_issue_id: null }],
    tasks: [],
    runs: [],
    tracker: issues === undefined ? { kind: 'none' } : { kind: 'up', issues },
    branches: [],
    worktrees: [],
    ...rest,
  };
}

// --- the effect of an applied plan -----------------------------------------------------------------------------------

/** Results that a plan cannot foresee: whether the tracker took a claim again, and the result of a verification. */
export interface Outcomes {
  reclaimed: boolean;
  /** `twin`: only the missing file is written. */
  verification: 'twin' | 'passed' | 'sent back' | 'failed';
}

type Mutable<T> = T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> } : T;
type Tree = Mutable<GcSnapshot>;
type Grown = Mutable<GcTask>;

/** The tree after every item of `plan` was applied, in order. */
export function applyModel(before: GcSnapshot, plan: GcPlan, outcomes: Outcomes): GcSnapshot {
  const tree = structuredClone(before) as Tree;
  for (const row of plan.rows) applyRow(tree, row, outcomes);
  return tree as GcSnapshot;
}

function applyRow(tree: Tree, row: GcPlanRow, { reclaimed, verification }: Outcomes): void {
  const found = tree.tasks.find(({ task_id }) => task_id === row.task_id);
  const owner = () => {
    if (found === undefined) throw new Error(`there is no task ${row.task_id}`);
    return found;
  };
  switch (row.action) {
    case 'mark_terminal':
      commit(owner(), row.payload.state);
      break;
    case 'mark_abandoned': {
      const record = owner();
      record.abandons += 1;
      commit(record, record.abandons >= tree.abandon_limit ? 'failed' : 'abandoned');
      break;
    }
    case 'mark_unclaimed':
      if (!reclaimed) commit(owner(), 'unclaimed');
      else onIssue(tree, row.payload.issue_id, { claimed_by: row.payload.owner_run_id, state: 'in_progress' });
      break;
    case 'recover': {
      const record = found ?? structuredClone(task(null, { task_id: row.task_id }));
      if (found === undefined) tree.tasks.push(record as Grown);
      // One that is unclaimed here has all that it needs.
      if (record.state === null) {
        Object.assign(record, { current_attempt_id: null, completed_attempt_id: null, abandons: 0 });
        commit(record as Grown, 'unclaimed');
      }
      onIssue(tree, row.payload.issue_id, { claimed_by: null, state: 'open' });
      break;
    }
    case 'resume_answered':
      settle(owner(), row.payload, row.payload.option_id);
      break;
    case 'apply_default_answer':
      settle(owner(), row.payload, row.payload.option_id);
      break;
    case 'expire_question':
      settle(owner(), row.payload, null);
      break;
    case 'close_tracker_issue':
      onIssue(tree, row.payload.issue_id, { state: 'done' });
      break;
    case 'reverify_verdict': {
      const record = owner();
      const { attempt_id } = row.payload;
      if (verification === 'twin' || verification === 'passed') {
        for (const each of record.attempts) if (each.attempt_id === attempt_id) each.verified = true;
      }
      if (verification === 'twin') break;
      record.completed_attempt_id = attempt_id;
      const states = { passed: 'ready_for_review', 'sent back': 'awaiting_respawn', failed: 'failed' } as const;
      commit(record, states[verification]);
      break;
    }
    case 'prune_branch':
      tree.branches = tree.branches.filter(({ name }) => name !== row.payload.branch);
      break;
    case 'remove_worktree': {
      const { path, branch: name } = row.payload;
      tree.worktrees = tree.worktrees.filter((each) => each.path !== path);
      const elsewhere = tree.worktrees.some((each) => each.branch === name);
      if (!elsewhere) for (const each of tree.branches) if (each.name === name) each.has_worktree = false;
      break;
    }
    case 'archive_question':
      dropFile(owner(), 'questions', row.payload);
      break;
    case 'archive_answer':
      dropFile(owner(), 'answers', row.payload);
      break;
    case 'release_lease_admin': {
      const record = owner();
      if (row.row === 14) commit(record, record.state ?? 'unclaimed');
      record.lease_files = record.lease_files.filter(({ path }) => path !== row.payload.path);
      break;
    }
    case 'report_orphan':
      break;
    default:
      assertNeverGcRow(row);
  }
}

/** A commit that ends the lease and so removes its file. */
function commit(record: Grown, state: TaskState): void {
  const canonical = canonicalLease(record as GcTask);
  record.lease_files = record.lease_files.filter(({ path }) => path !== canonical?.path);
  record.lease = null;
  record.state = state;
  record.adopted = true;
  record.identity = { version: record.identity.version + 1, digest: `${record.identity.digest}+` };
  if (state !== 'blocked_on_question') record.waits_for = null;
}

/** The answer is written next to its question; where the file of the question is gone, the record alone has it. */
function settle(record: Grown, ids: { question_id: string; attempt_id: string }, option_id: string | null): void {
  const { question_id, attempt_id } = ids;
  for (const each of record.attempts) {
    const asked = each.questions.filter((file) => file.question_id === question_id);
    if (each.attempt_id !== attempt_id || asked.length === 0) continue;
    for (const file of asked) if (file.status !== null) file.status = option_id === null ? 'expired' : 'answered';
    if (each.answers.some((file) => file.question_id === question_id)) continue;
    each.answers.push({ ...answer(question_id, option_id, attempt_id), answered_by: 'gc' });
  }
  commit(record, 'awaiting_respawn');
}

function dropFile(
  record: Grown,
  kind: 'questions' | 'answers',
  at: { attempt_id: string; path?: string | undefined },
): void {
  const keep = ({ path }: { path: string }) => path !== at.path;
  for (const each of record.attempts) {
    if (each.attempt_id !== at.attempt_id) continue;
    if (kind === 'questions') each.questions = each.questions.filter(keep);
    else each.answers = each.answers.filter(keep);
  }
}

function onIssue(tree: Tree, id: string, change: Partial<Mutable<TrackerIssue>>): void {
  if (tree.tracker.kind !== 'up') throw new Error('there is no tracker to write to');
  for (const each of tree.tracker.issues) if (each.id === id) Object.assign(each, change);
}

// --- random snapshots ------------------------------------------------------------------------------------------------

const WEIRD = ['', '__proto__', 'a/../b', '\u0000', '\u001b[31mred', '\u{1f600}', '\uffee', '\ud800', 'x'.repeat(500)];

/** Few names, so that they occur in several places. */
const name = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('build', 'test', 'ship', 'lint') },
  { weight: 1, arbitrary: fc.constantFrom(...WEIRD) },
);
const short = (letter: string) => fc.integer({ min: 1, max: 3 }).map((n) => `${letter}${n}`);
const run = short('run-');
const time = fc.constantFrom(EARLIER, isoTime(T0), LATER, 'never', '');
const text = fc.oneof(fc.constantFrom('keep', 'it ran out'), fc.constantFrom(...WEIRD));
const count = fc.oneof(fc.nat(4), fc.constantFrom(-1, Number.NaN, Number.POSITIVE_INFINITY));
const orNull = <T>(of: fc.Arbitrary<T>, weight = 1) =>
  fc.oneof({ weight, arbitrary: of }, { weight: 1, arbitrary: fc.constant(null) });

const anyLease: fc.Arbitrary<GcLease> = fc.record({
  claim_id: short('claim-'),
  generation: count,
  owner_run_id: run,
  expires_at: time,
  attempt_id: orNull(short('a')),
  standing: fc.constantFrom('live', 'grace', 'stale'),
  why: text,
});

const filePath = fc.oneof(fc.constantFrom('lease.json', 'lease 2.json', 'lease.json.bak', 'lease.z.json'), name);

const anyLeaseFile: fc.Arbitrary<GcLeaseFile> = fc.oneof(
  fc.record({
    kind: fc.constant('read' as const),
    path: filePath,
    claim_id: short('claim-'),
    generation: fc.nat(3),
    owner_run_id: run,
    expires_at: time,
  }),
  fc.record({ kind: fc.constant('unreadable' as const), path: filePath, why: text }),
);

const anyQuestion: fc.Arbitrary<GcQuestion> = fc.record({
  question_id: short('q'),
  path: fc.oneof(short('questions/q'), name),
  digest: text,
  status: fc.constantFrom('open', 'open', 'open', 'answered', 'expired', 'sideways', null),
  why: text,
});

const anyAnswer: fc.Arbitrary<GcAnswer> = fc.record({
  question_id: short('q'),
  path: fc.oneof(short('answers/q'), name),
  digest: text,
  option_id: fc.constantFrom('keep', 'drop', null, undefined),
  answered_by: text,
});

/** `distinct`: names are unique where a folder or a service makes them so. */
function listOf<T>(of: fc.Arbitrary<T>, maxLength: number, key: (value: T) => string, distinct: boolean) {
  return distinct ? fc.uniqueArray(of, { maxLength, selector: key }) : fc.array(of, { maxLength });
}

const anyAttempt = (distinct: boolean): fc.Arbitrary<GcAttempt> =>
  fc.record({
    attempt_id: short('a'),
    verdict: fc.constantFrom(
      null,
      'ready_for_review',
      'ready_for_review',
      'changes_needed',
      'blocked',
      'unreadable',
      'stray',
    ),
    verdict_path: text,
    verified: fc.boolean(),
    questions: listOf(anyQuestion, 3, ({ path }) => path, distinct),
    answers: listOf(anyAnswer, 3, ({ path }) => path, distinct),
  });

const anyTask = (distinct: boolean): fc.Arbitrary<GcTask> =>
  fc.record({
    task_id: name,
    identity: fc.record({ version: fc.nat(9), digest: short('d') }),
    adopted: fc.boolean(),
    problem: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: text }),
    // Special states are drawn as often as the rest.
    state: orNull(
      fc.constantFrom(...TASK_STATES, 'claimed', 'claimed', 'blocked_on_question', 'ready_for_review', 'shipped'),
      9,
    ),
    updated_at: orNull(time, 5),
    lease: orNull(anyLease),
    current_attempt_id: orNull(short('a'), 3),
    completed_attempt_id: orNull(short('a')),
    abandons: count,
    waits_for: orNull(
      fc.record({
        question_id: short('q'),
        attempt_id: short('a'),
        expires_at: time,
        late: fc.boolean(),
        default_option_id: orNull(short('o')),
      }),
      3,
    ),
    lease_files: listOf(anyLeaseFile, 3, ({ path }) => path, distinct),
    attempts: listOf(anyAttempt(distinct), 3, ({ attempt_id }) => attempt_id, distinct),
    merged_sha: orNull(fc.constantFrom('c0ffee')),
  });

const anyIssue: fc.Arbitrary<TrackerIssue> = fc.record({
  id: short('I-'),
  task_id: orNull(name, 3),
  state: fc.constantFrom(...ISSUE_STATES, 'done'),
  claimed_by: orNull(run),
});

const anyBranch: fc.Arbitrary<GcBranch> = fc
  .record({ task_id: name, sha: short('c'), has_worktree: fc.boolean(), merged: fc.boolean() })
  .map((fields) => ({ name: `forge/${fields.task_id}`, ...fields }));

const anyWorktree: fc.Arbitrary<GcWorktree> = fc
  .record({
    name,
    branch: orNull(
      name.map((of) => `forge/${of}`),
      3,
    ),
    head: short('c'),
    registered: fc.boolean(),
  })
  .map((fields) => ({ path: `/trees/${fields.name}`, ...fields }));

/** Two tasks may not name one issue, so only the first names it. */
function withIssuesApart(plan: readonly PlannedTask[]): PlannedTask[] {
  const names = plan.map(({ tracker_issue_id }) => tracker_issue_id);
  return plan.map((task, at) =>
    names.indexOf(task.tracker_issue_id) < at ? { ...task, tracker_issue_id: null } : task,
  );
}

/** Any snapshot, even a contradictory one. `distinct`: names are unique where a disk, git or a tracker makes them so. */
export const anySnapshot = (distinct: boolean): fc.Arbitrary<GcSnapshot> =>
  fc.record({
    now: fc.oneof({ weight: 9, arbitrary: fc.constant(isoTime(T0)) }, { weight: 1, arbitrary: time }),
    abandon_limit: fc.oneof({ weight: 5, arbitrary: fc.constant(LIMIT) }, { weight: 1, arbitrary: count }),
    plan: orNull(
      listOf(fc.record({ id: name, tracker_issue_id: orNull(short('I-'), 3) }), 4, ({ id }) => id, distinct).map(
        (plan) => (distinct ? withIssuesApart(plan) : plan),
      ),
      4,
    ),
    tasks: listOf(anyTask(distinct), 4, ({ task_id }) => task_id, distinct),
    runs: listOf(
      fc.record({ run_id: run, standing: fc.constantFrom('open', 'ended', 'dead') }),
      3,
      ({ run_id }) => run_id,
      distinct,
    ),
    tracker: fc.oneof(
      { weight: 1, arbitrary: fc.constant({ kind: 'none' as const }) },
      { weight: 1, arbitrary: text.map((why) => ({ kind: 'down' as const, why })) },
      {
        weight: 6,
        arbitrary: listOf(anyIssue, 4, ({ id }) => id, distinct).map((issues) => ({ kind: 'up' as const, issues })),
      },
    ),
    branches: listOf(anyBranch, 4, (each) => each.name, distinct),
    worktrees: listOf(anyWorktree, 4, ({ path }) => path, distinct),
  });
