/**
 * The plan: what is to be done, in what order, and how. `parsePlan` turns the text of a plan file into it, or says
 * everything that is wrong with it at once. `spec/PLAN.md` describes the file.
 */

import type { Problem } from './errors.ts';
import { shapeFindings, toProblems, WITHOUT_WORDS } from './findings.ts';
import { checkOutline, outlineOf } from './plan-checks.ts';
import {
  DEFERRED_STATUS,
  type ESTIMATES,
  type PHASE_STATUSES,
  type PhaseYaml,
  type PlanYaml,
  type PRIORITIES,
  planSchema,
  type TASK_STATUSES,
  type TaskYaml,
} from './plan-schema.ts';
import type { RetryYaml } from './retry-schema.ts';
import { parseDuration } from './time.ts';
import { checkTasks, planLabel, suggestIds } from './value-checks.ts';
import { type Positions, parseYaml, positionsOf, type YamlPath } from './yaml.ts';

export type Priority = (typeof PRIORITIES)[number];
export type PhaseStatus = (typeof PHASE_STATUSES)[number];
export type PlannedStatus = (typeof TASK_STATUSES)[number];

/** What the file leaves out is null or an empty list, never undefined. */
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
  /** A limit that is null comes from the settings, as both do when the whole is null. */
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

/** What is enough to know which tasks there are, and whose issue is whose. */
export type PlannedTask = Pick<PlanTask, 'id' | 'tracker_issue_id'>;

export type PlanResult = { ok: true; plan: Plan; warnings: string[] } | { ok: false; problems: Problem[] };

/**
 * Reads a plan. Everything that is wrong is reported, in file order, each with line and column; `file` is only named
 * there. A plan that can't be carried out is wrong too: one with cycles, or with tasks that wait for each other across phases.
 * Warnings are for what is legal and probably not meant.
 */
export function parsePlan(text: string, file: string): PlanResult {
  const yaml = parseYaml(text, file);
  if (!yaml.ok) return yaml;
  if (yaml.value === null) return { ok: false, problems: [emptyFile(file)] };
  const outline = outlineOf(yaml.value);
  const shape = planSchema().safeParse(yaml.value, WITHOUT_WORDS);
  const issues = shape.success ? [] : shape.error.issues;
  const findings = [
    ...suggestIds(shapeFindings(planSchema(), yaml.value, issues, planLabel(yaml.value)), yaml.value),
    ...checkOutline(outline),
    ...checkTasks(yaml.value, outline),
  ];
  if (findings.length > 0 || !shape.success) return { ok: false, problems: toProblems(findings, text, file) };
  const plan = buildPlan(shape.data, spellingIn(text));
  return { ok: true, plan, warnings: warningsOf(plan) };
}

function emptyFile(file: string): Problem {
  return {
    message: 'the plan is empty',
    place: { file, line: 1, column: 1 },
    suggestion: 'It needs at least project and phases.',
  };
}

// ---------------------------------------------------------------------------------------------- the plan itself

/** Text as it is, a number or a boolean as the file spells it: `1.10` must not become `1.1`. */
type Spelling = (value: string | number | boolean, path: YamlPath) => string;

function spellingIn(text: string): Spelling {
  let positions: Positions | null = null;
  return (value, path) => {
    if (typeof value === 'string') return value;
    positions ??= positionsOf(text);
    return positions.spelling(path) ?? String(value);
  };
}

function buildPlan(yaml: PlanYaml, spell: Spelling): Plan {
  const tasks = yaml.phases.flatMap((phase, i) =>
    phase.tasks.map((task, j) => buildTask(task, phase.id, ['phases', i, 'tasks', j], spell)),
  );
  const phases = yaml.phases.map(buildPhase);
  return indexed({
    project: yaml.project,
    tracker_url: yaml.tracker_url || null,
    gate_check_command: yaml.gate_check_command || null,
    source: yaml.source ? buildSource(yaml.source, spell) : null,
    phases,
    tasks,
  });
}

/** The plan with what finds a task or a phase by its id. All the rest of a plan is plain data, as JSON can hold it. */
function indexed(plan: Omit<Plan, 'byId' | 'phaseById'>): Plan {
  return { ...plan, byId: byId(plan.tasks), phaseById: byId(plan.phases) };
}

function byId<T extends { id: string }>(all: readonly T[]): Map<string, T> {
  const found = new Map<string, T>();
  for (const each of all) found.set(each.id, each);
  return found;
}

function buildSource(source: NonNullable<PlanYaml['source']>, spell: Spelling): PlanSource {
  return {
    tracker: source.tracker || null,
    project_id: spell(source.project_id ?? '', ['source', 'project_id']) || null,
    synced_at: source.synced_at || null,
    spec_revision: spell(source.spec_revision ?? '', ['source', 'spec_revision']) || null,
  };
}

function buildPhase(phase: PhaseYaml): PlanPhase {
  return {
    id: phase.id,
    name: phase.name,
    status: phase.status ?? 'active',
    blocked_by: phase.blocked_by || null,
    goal: phase.goal || null,
    gate_criteria: phase.gate_criteria ?? [],
    task_ids: phase.tasks.map((task) => task.id),
  };
}

function buildTask(task: TaskYaml, phaseId: string, path: YamlPath, spell: Spelling): PlanTask {
  const env = Object.entries(task.env ?? {}).map(([name, value]) => [name, spell(value, [...path, 'env', name])]);
  const budget = task.question_budget;
  return {
    id: task.id,
    phase_id: phaseId,
    title: task.title,
    description: task.description || null,
    type: task.type || null,
    priority: task.priority ?? 'P1',
    estimate: task.estimate ?? null,
    owner_type: task.owner_type || null,
    human: task.owner_type === 'human',
    depends_on: [...new Set(task.depends_on)],
    acceptance: task.acceptance ?? [],
    write_globs: task.write_globs ?? [],
    tracker_issue_id: spell(task.tracker_issue_id ?? '', [...path, 'tracker_issue_id']) || null,
    status: task.status === DEFERRED_STATUS ? 'paused' : (task.status ?? 'active'),
    question_budget: budget ? { soft: budget.soft ?? null, hard: budget.hard ?? null } : null,
    run: task.run ?? null,
    verify: task.verify ?? [],
    timeout_ms: parseDuration(task.timeout),
    env: Object.fromEntries(env),
    retry: task.retry ?? null,
  };
}

// ---------------------------------------------------------------------------------------------- a plan as text

/** A plan as JSON, without what its tasks leave open: most of them leave most open. `unpackPlan` reads it. */
export function packPlan({ byId: _, phaseById: __, ...plan }: Plan): string {
  return JSON.stringify({ ...plan, tasks: plan.tasks.map(packTask) });
}

/** `json` must have come from `packPlan`. */
export function unpackPlan(json: string): Plan {
  const plan = JSON.parse(json) as Omit<Plan, 'byId' | 'phaseById' | 'tasks'> & { tasks: PackedTask[] };
  return indexed({ ...plan, tasks: plan.tasks.map(unpackTask) });
}

/** The tasks of such a plan by name alone, which takes half the time. */
export function unpackPlanned(json: string): PlannedTask[] {
  const { tasks } = JSON.parse(json) as { tasks: PackedTask[] };
  return tasks.map(({ id, tracker_issue_id = null }) => ({ id, tracker_issue_id }));
}

type PackedTask = Pick<PlanTask, 'id' | 'phase_id' | 'title'> & Partial<PlanTask>;

const NONE: readonly never[] = [];
const NO_ENV: PlanTask['env'] = {};

/** A task that leaves open all that may be. */
const OPEN = unpackTask({ id: '', phase_id: '', title: '' });

function packTask(task: PlanTask): PackedTask {
  const { id, phase_id, title } = task;
  const said = Object.entries(task).filter(([name, value]) => !isSame(value, OPEN[name as keyof PlanTask]));
  return { id, phase_id, title, ...Object.fromEntries(said) };
}

function isSame(value: unknown, open: unknown): boolean {
  return value === open || (isEmpty(value) && isEmpty(open));
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
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

// ---------------------------------------------------------------------------------------------- what is probably not meant

function warningsOf({ phases, tasks, byId }: Plan): string[] {
  const awaited = new Set(phases.map((phase) => phase.blocked_by));
  const empty = phases.filter(
    (phase) => phase.task_ids.length === 0 && phase.status !== 'done' && awaited.has(phase.id),
  );
  return [
    ...empty.map(({ id }) => `phase "${id}" has no tasks, so it counts as finished and blocks nothing`),
    ...tasks.flatMap((task) => {
      const dropped = task.depends_on.filter((id) => byId.get(id)?.status === 'dropped');
      const isOver = task.status === 'done' || task.status === 'dropped';
      return [
        ...(isOver
          ? []
          : dropped.map((id) => `task "${task.id}" depends on "${id}", which is dropped, so it can never start`)),
        ...(task.human && task.run !== null ? [`task "${task.id}" is for a human, so its run is never executed`] : []),
      ];
    }),
  ];
}
