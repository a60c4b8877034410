/** What gc looks at: one pass over the tree, the plan, git and the tracker, as plain data. What can't be read is in it as such. */

import type { GcLease, GcPlanRow, GcSnapshot, GcTask, TaskIdentity } from '../../domain/gc/gc-plan.ts';
import { issuesOf } from '../../domain/gc/projection.ts';
import { strayThatCounts } from '../../domain/gc/task-rules.ts';
import { isLate, lacksQuestion, openQuestion } from '../../domain/question/questions.ts';
import type { Instant } from '../../domain/task/deadlines.ts';
import { instantFor, type LeaseObserver, leaseStanding } from '../../domain/task/leases.ts';
import type { Lease, RunManifest } from '../../domain/task/records.ts';
import { isTerminal } from '../../domain/task/states.ts';
import type { TrackerSnapshot } from '../../domain/tracker-issues.ts';
import { evidenceOf } from '../../domain/verify/evidence.ts';
import type { GitLook } from '../../git/gc-look.ts';
import { isoTime } from '../../lib/time.ts';
import { withOpenQuestion } from '../../store/change.ts';
import type { GcArtifacts, Snapshot, TaskSummaryRead } from '../../store/port.ts';
import { type Env, observerOf, runStanding } from '../env.ts';

/** What a snapshot is made from. */
export interface GcSources {
  plan: GcSnapshot['plan'];
  tasks: Iterable<TaskSummaryRead>;
  runs: readonly RunManifest[];
  seen: Pick<Snapshot['seen'], 'artifacts'>;
  /** Default: none; the rows that need it find nothing. */
  tracker?: TrackerSnapshot;
  git?: GitLook | undefined;
}

/** The snapshot that gc plans on. Throws IO_ERROR when a folder can't be listed. */
export async function buildSnapshot(env: Env, sources: GcSources): Promise<GcSnapshot> {
  const { plan, runs, seen, git, tracker = { kind: 'none' } } = sources;
  const done = doneTasks(tracker, plan);
  const observer = observerOf(env);
  const tasks: GcTask[] = [];
  for (const found of sources.tasks) {
    const { task_id, record } = found;
    const artifacts = seen.artifacts(task_id);
    // In a tree written by hand only the question's file says what a parked task waits for, and a stray may be the lease.
    const isUnclear = record !== null && lacksQuestion(record);
    const read = isUnclear ? { ...found, record: await withOpenQuestion(env.store, record) } : found;
    const stray = record && strayThatCounts({ adopted: read.origin === 'record', ...artifacts });
    const lease = stray === null ? (record?.lease ?? null) : await env.store.gc.readLease(task_id, stray);
    const task = gcTask(read, lease && gcLease(lease, observer), artifacts, instantFor(observer));
    // Proof is only looked for where the tracker says that a task is done: it is slow.
    const isAsked = done.has(task_id) && task.state !== null && !isTerminal(task.state);
    tasks.push(isAsked && git !== undefined ? { ...task, merged_sha: await mergedSha(env, git, read) } : task);
  }
  return {
    now: isoTime(env.now()),
    abandon_limit: env.settings.agents.retry_attempts,
    plan,
    tasks,
    runs: runs.map((manifest) => ({ run_id: manifest.run_id, standing: runStanding(env, manifest) })),
    tracker,
    branches: git?.branches ?? [],
    worktrees: git?.worktrees ?? [],
  };
}

/** Tasks whose issue is done. */
function doneTasks(tracker: TrackerSnapshot, plan: GcSnapshot['plan']): Set<string> {
  const issues = [...issuesOf({ tracker, plan })];
  return new Set(issues.flatMap(([taskId, { state }]) => (state === 'done' ? [taskId] : [])));
}

async function mergedSha(env: Env, git: GitLook, { task_id, record }: TaskSummaryRead): Promise<string | null> {
  const attempt = record?.state.current_attempt_id ?? null;
  const { record: whole } = await env.store.read(task_id);
  const evidence = whole && evidenceOf(whole, attempt);
  if (evidence) return git.mergedSha(task_id, evidence.verified?.target_sha ?? null);
  const twin = attempt === null ? null : await env.store.readDocument('verified', task_id, attempt).catch(() => null);
  return git.mergedSha(task_id, twin?.target_sha ?? null);
}

/** Names what a decision is made on. Hand-made content is named by the checksums of the files that it is in. */
export function identityOf({ version, record }: Pick<TaskSummaryRead, 'version' | 'record'>): TaskIdentity {
  return { version, digest: record?.memo.absorbed.join(' ') ?? '' };
}

/** Rows that compare a record with what lies beside it. */
const BESIDE: readonly GcPlanRow['row'][] = [5, 8, 11, 12, 13];

/**
 * `rows` without what was found beside a record that has changed since it was read: a question that was asked in between is no rest of an
 * earlier attempt. Throws IO_ERROR.
 */
export async function ofOneMoment({ store }: Pick<Env, 'store'>, rows: readonly GcPlanRow[]): Promise<GcPlanRow[]> {
  const kept: GcPlanRow[] = [];
  for (const each of rows) {
    const { row, task_id, identity } = each;
    const isBeside = BESIDE.includes(row) && identity !== null;
    if (!isBeside || isStill(identity, await store.read(task_id, { thorough: true }))) kept.push(each);
  }
  return kept;
}

/** Whether a task is as it was when `identity` was taken. */
export function isStill(identity: TaskIdentity, read: Pick<TaskSummaryRead, 'version' | 'record'>): boolean {
  const now = identityOf(read);
  return now.version === identity.version && now.digest === identity.digest;
}

function gcTask(read: TaskSummaryRead, lease: GcLease | null, artifacts: GcArtifacts, now: Instant): GcTask {
  const { task_id, problem, record, origin } = read;
  const state = origin === 'none' ? null : (record?.state ?? null);
  const waits = record && openQuestion(record);
  return {
    task_id,
    identity: identityOf(read),
    adopted: origin === 'record',
    problem,
    state: state?.state ?? null,
    updated_at: state?.updated_at ?? null,
    lease,
    current_attempt_id: state?.current_attempt_id ?? null,
    completed_attempt_id: record?.memo.completion?.attempt_id ?? null,
    abandons: record?.memo.abandons ?? 0,
    waits_for: waits && {
      question_id: waits.question_id,
      attempt_id: waits.attempt_id,
      expires_at: waits.expires_at,
      late: isLate(waits, now),
      default_option_id: waits.default_option_id,
    },
    lease_files: artifacts.lease_files,
    attempts: artifacts.attempts,
    merged_sha: null,
  };
}

function gcLease(lease: Lease, observer: LeaseObserver): GcLease {
  const standing = leaseStanding(lease, observer);
  const { claim_id, generation, owner_run_id, expires_at, attempt_id } = lease;
  const why = standing.kind === 'stale' ? standing.why : '';
  return { claim_id, generation, owner_run_id, expires_at, attempt_id, standing: standing.kind, why };
}
