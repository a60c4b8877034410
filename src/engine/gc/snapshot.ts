/** What gc looks at: one pass over the tree, the plan, git and the tracker, as plain data. What can't be read is in it as such. */

import { issuesOf } from '../../domain/gc/context.ts';
import type { GcLease, GcSnapshot, GcTask, TaskIdentity, TrackerSnapshot } from '../../domain/gc/gc-plan.ts';
import { canonicalLease } from '../../domain/gc/task-rules.ts';
import { lacksQuestion, openQuestion } from '../../domain/question/questions.ts';
import { leaseStanding } from '../../domain/task/leases.ts';
import type { Lease, RunManifest } from '../../domain/task/records.ts';
import { isTerminal } from '../../domain/task/states.ts';
import type { RecordExcerpt } from '../../domain/task/summary.ts';
import type { GitLook } from '../../git/gc-look.ts';
import { isoTime } from '../../lib/time.ts';
import { leaseIn } from '../../store/file/gc-files.ts';
import type { GcArtifacts, Snapshot, TaskSummaryRead } from '../../store/port.ts';
import { knowingQuestion } from '../../store/settle-question.ts';
import { type Env, observerOf, runStanding } from '../env.ts';

/** Where a plan is looked at from beside the tree. */
export interface GcSources {
  plan: GcSnapshot['plan'];
  tasks: Iterable<TaskSummaryRead>;
  runs: readonly RunManifest[];
  /** Knows what lies beside their records. */
  seen: Pick<Snapshot['seen'], 'artifacts'>;
  /** Without it nobody asks the tracker, and its rows find nothing. */
  tracker?: TrackerSnapshot;
  git?: GitLook;
}

/** The snapshot that gc plans on. Throws IO_ERROR when a folder can't be listed. */
export async function buildSnapshot(env: Env, sources: GcSources): Promise<GcSnapshot> {
  const { plan, tasks: reads, runs, seen: all, git, tracker = { kind: 'none' } } = sources;
  const done = doneTasks(tracker, plan);
  const tasks: GcTask[] = [];
  for (const found of reads) {
    const { record } = found;
    // Of a tree written by hand only its files say what a parked task waits for.
    const isUnclear = record !== null && lacksQuestion(record);
    const read = isUnclear ? { ...found, record: await knowingQuestion(env.store, record) } : found;
    const seen = seenTask(env, read, all.artifacts(read.task_id));
    // Proof is only asked for where the tracker says that a task is done: looking for it is slow.
    const asked = git !== undefined && done.has(read.task_id) && seen.state !== null && !isTerminal(seen.state);
    tasks.push(asked ? { ...seen, merged_sha: await mergedSha(env, git, read) } : seen);
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
  const twin = attempt === null ? null : await env.store.readVerified(task_id, attempt).catch(() => null);
  return git.mergedSha(task_id, twin?.target_sha ?? null);
}

/** Names what a decision is made on. Hand-made content is named by the checksums of the files that it is in. */
export function identityOf({ version, record }: Pick<TaskSummaryRead, 'version' | 'record'>): TaskIdentity {
  return { version, digest: record?.memo.absorbed.join(' ') ?? '' };
}

function seenTask(env: Env, read: TaskSummaryRead, { lease_files, attempts }: GcArtifacts): GcTask {
  const { task_id, problem, record } = read;
  const adopted = read.origin === 'record';
  const state = read.origin === 'none' ? null : (record?.state ?? null);
  const waits = record && openQuestion(record);
  const lease = record && leaseOf(env, read, record, { adopted, lease_files });
  return {
    task_id,
    identity: identityOf(read),
    adopted,
    problem: record === null ? problem : null,
    state: state?.state ?? null,
    lease: lease && seenLease(env, lease),
    current_attempt_id: state?.current_attempt_id ?? null,
    completed_attempt_id: record?.memo.completion?.attempt_id ?? null,
    abandons: record?.memo.abandons ?? 0,
    waits_for: waits && {
      question_id: waits.question_id,
      attempt_id: waits.attempt_id,
      expires_at: waits.expires_at,
      default_option_id: waits.default_option_id,
    },
    lease_files,
    attempts,
    merged_sha: null,
  };
}

/** The record's, but in a tree written by hand that of the file that counts. */
function leaseOf(
  env: Env,
  read: TaskSummaryRead,
  record: RecordExcerpt,
  files: Pick<GcTask, 'adopted' | 'lease_files'>,
): Lease | null {
  const canonical = files.adopted ? null : canonicalLease(files);
  if (canonical === null || canonical.path === 'lease.json') return record.lease;
  return leaseIn(env.store.layout, read.task_id, canonical.path);
}

function seenLease(env: Env, lease: Lease): GcLease {
  const standing = leaseStanding(lease, observerOf(env));
  const { claim_id, generation, owner_run_id, expires_at, attempt_id } = lease;
  const why = standing.kind === 'stale' ? standing.why : '';
  return { claim_id, generation, owner_run_id, expires_at, attempt_id, standing: standing.kind, why };
}
