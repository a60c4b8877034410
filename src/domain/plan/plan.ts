/**
 * The plan: what to do, in what order, and how; and its packed form for the cache. `parse.ts` reads a plan file, which
 * `spec/PLAN.md` describes.
 */

import type { RetryYaml } from '../retry/schema.ts';

export const PRIORITIES = ['P0', 'P1', 'P2'] as const;
export const ESTIMATES = ['S', 'M', 'L', 'XL'] as const;
export const PHASE_STATUSES = ['active', 'blocked', 'done', 'paused'] as const;
export const TASK_STATUSES = ['active', 'paused', 'done', 'dropped'] as const;

export type Priority = (typeof PRIORITIES)[number];
export type PhaseStatus = (typeof PHASE_STATUSES)[number];
export type PlannedStatus = (typeof TASK_STATUSES)[number];

/** What the file omits is null or an empty list, never undefined. */
export interface Plan {
  project: string;
  tracker_url: string | null;
  /** Accepted, never executed. */
  gate_check_command: string | null;
  source: PlanSource | null;
  /** In file order, which is the order of work. */
  phases: readonly PlanPhase[];
  /** All tasks, in file order. */
  tasks: readonly PlanTask[];
  byId: ReadonlyMap<string, PlanTask>;
  phaseById: ReadonlyMap<string, PlanPhase>;
}

export interface PlanSource {
  tracker: string | null;
  project_id: string | null;
  synced_at: string | null;
  spec_revision: string | null;
}

export interface PlanPhase {
  id: string;
  name: string;
  /** Default: active. */
  status: PhaseStatus;
  blocked_by: string | null;
  goal: string | null;
  gate_criteria: readonly string[];
  task_ids: readonly string[];
}

export interface PlanTask {
  id: string;
  phase_id: string;
  title: string;
  description: string | null;
  type: string | null;
  /** Default: P1. */
  priority: Priority;
  estimate: (typeof ESTIMATES)[number] | null;
  owner_type: string | null;
  /** `owner_type` is `human`: never given to a worker. */
  human: boolean;
  /** Without repeats. */
  depends_on: readonly string[];
  acceptance: readonly string[];
  write_globs: readonly string[];
  tracker_issue_id: string | null;
  /** Default: active. */
  status: PlannedStatus;
  /** A null limit comes from the settings; null: both do. */
  question_budget: { soft: number | null; hard: number | null } | null;
  /** A command line for /bin/sh; null: the task waits for an agent. */
  run: string | null;
  verify: readonly string[];
  /** Milliseconds for one attempt, more than 0; null: no limit. */
  timeout_ms: number | null;
  env: Readonly<Record<string, string>>;
  /** As written; null: as the settings say. */
  retry: RetryYaml | null;
}

/** What is needed to know which tasks exist, and which issue belongs to which. */
export type PlannedTask = Pick<PlanTask, 'id' | 'tracker_issue_id'>;

/** Adds the look-up of tasks and phases by id. The rest of a plan is plain data that JSON can hold. */
export function indexed(plan: Omit<Plan, 'byId' | 'phaseById'>): Plan {
  const byId = <T extends { id: string }>(all: readonly T[]) => new Map(all.map((each) => [each.id, each]));
  return { ...plan, byId: byId(plan.tasks), phaseById: byId(plan.phases) };
}

/** A plan as JSON, without the fields that tasks omit, which are most of them. `unpackPlan` reads it. */
export function packPlan({ byId: _, phaseById: __, ...plan }: Plan): string {
  return JSON.stringify({ ...plan, tasks: plan.tasks.map(packTask) });
}

/** `json` must have come from `packPlan`. */
export function unpackPlan(json: string): Plan {
  const plan = JSON.parse(json) as Omit<Plan, 'byId' | 'phaseById' | 'tasks'> & { tasks: PackedTask[] };
  return indexed({ ...plan, tasks: plan.tasks.map(unpackTask) });
}

type PackedTask = Pick<PlanTask, 'id' | 'phase_id' | 'title'> & Partial<PlanTask>;

const NONE: readonly never[] = [];
const NO_ENV: PlanTask['env'] = {};

/** A task that omits all optional fields. */
const OPEN = unpackTask({ id: '', phase_id: '', title: '' });

function packTask(task: PlanTask): PackedTask {
  const { id, phase_id, title } = task;
  const said = Object.entries(task).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(OPEN[name as keyof PlanTask]),
  );
  return { id, phase_id, title, ...Object.fromEntries(said) };
}

function unpackTask(task: PackedTask): PlanTask {
  return {
    id: task.id,
    phase_id: task.phase_id,
    title: task.title,
    description: task.description ?? null,
    type: task.type ?? null,
    priority: task.priority ?? 'P1',
    estimate: task.estimate ?? null,
    owner_type: task.owner_type ?? null,
    human: task.human ?? false,
    depends_on: task.depends_on ?? NONE,
    acceptance: task.acceptance ?? NONE,
    write_globs: task.write_globs ?? NONE,
    tracker_issue_id: task.tracker_issue_id ?? null,
    status: task.status ?? 'active',
    question_budget: task.question_budget ?? null,
    run: task.run ?? null,
    verify: task.verify ?? NONE,
    timeout_ms: task.timeout_ms ?? null,
    env: task.env ?? NO_ENV,
    retry: task.retry ?? null,
  };
}
