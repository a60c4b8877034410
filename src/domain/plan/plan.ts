/** The plan: what to do, in what order, and how. `parse.ts` reads a plan file, which `spec/PLAN.md` describes. */

import * as z from 'zod/mini';
import { madeIn } from '../../lib/once.ts';
import { own } from '../../lib/own.ts';
import type { RetryYaml } from '../retry/schema.ts';
import { CHANGES, WORKERS } from '../settings/settings.ts';

export const PRIORITIES = ['P0', 'P1', 'P2'] as const;
export const ESTIMATES = ['S', 'M', 'L', 'XL'] as const;
export const PHASE_STATUSES = ['active', 'blocked', 'done', 'paused'] as const;
export const TASK_STATUSES = ['active', 'paused', 'done', 'dropped'] as const;

/** When a task starts for one that it depends on. */
export const DEPENDENCY_WHENS = ['success', 'failure', 'always'] as const;

export type Priority = (typeof PRIORITIES)[number];
type PhaseStatus = (typeof PHASE_STATUSES)[number];

/** What the file omits is null or an empty list, never undefined. */
export interface Plan {
  project: string;
  tracker_url: string | null;
  /** Accepted, never executed. */
  gate_check_command: string | null;
  source: PlanSource | null;
  /** In file order, which is the order of work. */
  phases: readonly PlanPhase[];
  /** All tasks, in file order; the children of a task, where they were read, right behind it. */
  tasks: readonly PlanTask[];
  byId: ReadonlyMap<string, PlanTask>;
  phaseById: ReadonlyMap<string, PlanPhase>;
  /** Children by their fan-out, `<parent>/<fan-out>`, in its order. */
  childrenOf: ReadonlyMap<string, readonly PlanTask[]>;
  /** Whether any task is one, see `isFinalizer`. */
  hasFinalizers: boolean;
}

interface PlanSource {
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
  /** Without children. */
  task_ids: readonly string[];
}

export const PlanTaskSchema = () => {
  const texts = z.readonly(z.array(z.string()));
  const limit = z.nullable(z.int());
  const textOrNull = z.nullable(z.string());
  return z.strictObject({
    id: z.string(),
    /** The task that has made it; null for a task of the plan. */
    parent: textOrNull,
    /** What a child is given, JSON; null where it is given nothing. */
    input: z.unknown(),
    phase_id: z.string(),
    title: z.string(),
    description: textOrNull,
    type: textOrNull,
    /** Default: P1. */
    priority: z.enum(PRIORITIES),
    estimate: z.nullable(z.enum(ESTIMATES)),
    owner_type: textOrNull,
    /** `owner_type` is `human`: never given to a worker. */
    human: z.boolean(),
    /** Without repeats, and without optional ones that are not in the plan. */
    depends_on: texts,
    /** Of those that it depends on otherwise than by their success, by id: `conditionOn`. `matrix`: named with all others of that matrix. */
    conditions: z.readonly(
      z.record(
        z.string(),
        z.strictObject({ when: z.enum(DEPENDENCY_WHENS), optional: z.boolean(), matrix: z.optional(z.string()) }),
      ),
    ),
    /** Its failure for good counts as success for those that wait for it. Default: false. */
    continue_on_error: z.boolean(),
    acceptance: texts,
    write_globs: texts,
    /** How much it uses of each resource, whole numbers above 0. */
    uses: z.readonly(z.record(z.string(), z.int())),
    tracker_issue_id: textOrNull,
    /** Default: active. */
    status: z.enum(TASK_STATUSES),
    /** A null limit comes from the settings; null: both do. */
    question_budget: z.nullable(z.strictObject({ soft: limit, hard: limit })),
    /** A command line; null: a worker of the settings or of its own does it, else an agent that claims it. */
    run: textOrNull,
    /** The coding agent, its model and further arguments; null: as the settings say. */
    worker: z.nullable(z.enum(WORKERS)),
    model: textOrNull,
    args: z.nullable(texts),
    /** The shell of `run` and `verify` with its options, its own, its phase's or the plan's; null: /bin/sh, see `shellOf`. */
    shell: z.nullable(texts),
    /** Where `run` and `verify` are started, relative to the workspace, with `/` between folders; null: in it. */
    cwd: textOrNull,
    verify: texts,
    /** Globs of the files that it reads, and of those that it makes, from the project folder. */
    inputs: texts,
    outputs: texts,
    /** Its outputs are kept: it is not done again for the same inputs. */
    cache: z.boolean(),
    /** Null, of it or of a part: as the settings say. `wall_clock`: milliseconds. */
    budget: z.nullable(
      z.strictObject({
        cost: z.nullable(z.number()),
        tokens: z.nullable(z.number()),
        attempts: limit,
        wall_clock: limit,
      }),
    ),
    /** Null: as the settings say. */
    changes: z.nullable(z.enum(CHANGES)),
    /** Milliseconds for one attempt, more than 0; null: no limit. */
    timeout_ms: limit,
    env: z.readonly(z.record(z.string(), z.string())),
    /** As written; null: as the settings say. */
    retry: z.unknown(),
    /** The task of the plan that it is a combination of, and its values; null for one without a matrix. */
    matrix: z.nullable(z.strictObject({ task: z.string(), values: z.readonly(z.record(z.string(), z.string())) })),
    /** The task in whose work it was found; it need not be in the plan. */
    discovered_from: textOrNull,
  });
};
export interface PlanTask extends z.infer<ReturnType<typeof PlanTaskSchema>> {
  retry: RetryYaml | null;
}

/** A task without what says nothing, see `filledTask`. */
export type SparseTask = Pick<PlanTask, 'id' | 'phase_id' | 'title'> & Partial<PlanTask>;

/** What is empty is one object for all tasks. */
const NO_TEXTS: readonly string[] = [];
const NOTHING = {};
export const sharedTexts = (list: readonly string[] | undefined) =>
  list === undefined || list.length === 0 ? NO_TEXTS : list;
export const sharedParts = <T extends object>(parts: T | undefined): T | Record<string, never> => {
  for (const _ in parts) return parts;
  return NOTHING;
};

/**
 * A task with all keys. They are spelled out, and what is empty is one object for all tasks: of a plan of 10,000 tasks that takes a third of
 * the memory.
 */
export function filledTask(task: SparseTask): PlanTask {
  return {
    id: task.id,
    parent: task.parent ?? null,
    input: task.input ?? null,
    phase_id: task.phase_id,
    title: task.title,
    description: task.description ?? null,
    type: task.type ?? null,
    priority: task.priority ?? 'P1',
    estimate: task.estimate ?? null,
    owner_type: task.owner_type ?? null,
    human: task.human ?? false,
    depends_on: sharedTexts(task.depends_on),
    conditions: sharedParts(task.conditions),
    continue_on_error: task.continue_on_error ?? false,
    acceptance: sharedTexts(task.acceptance),
    write_globs: sharedTexts(task.write_globs),
    uses: sharedParts(task.uses),
    tracker_issue_id: task.tracker_issue_id ?? null,
    status: task.status ?? 'active',
    question_budget: task.question_budget ?? null,
    run: task.run ?? null,
    worker: task.worker ?? null,
    model: task.model ?? null,
    args: task.args ?? null,
    shell: task.shell ?? null,
    cwd: task.cwd ?? null,
    verify: sharedTexts(task.verify),
    inputs: sharedTexts(task.inputs),
    outputs: sharedTexts(task.outputs),
    cache: task.cache ?? false,
    budget: task.budget ?? null,
    changes: task.changes ?? null,
    timeout_ms: task.timeout_ms ?? null,
    env: sharedParts(task.env),
    retry: task.retry ?? null,
    matrix: task.matrix ?? null,
    discovered_from: task.discovered_from ?? null,
  };
}

const SAYS_NOTHING = filledTask({ id: '', phase_id: '', title: '' });

/** The opposite of `filledTask`. */
export function sparseTask(task: PlanTask): SparseTask {
  const { id, phase_id, title } = task;
  const sparse: Record<string, unknown> = { id, phase_id, title };
  for (const key in SAYS_NOTHING) {
    const value = task[key as keyof PlanTask];
    if (value !== SAYS_NOTHING[key as keyof PlanTask]) sparse[key] = value;
  }
  return sparse as SparseTask;
}

export type DependencyCondition = PlanTask['conditions'][string];

/** How it is where nothing is said. */
export const ON_SUCCESS: DependencyCondition = { when: 'success', optional: false };

/** When `task` starts for one that it depends on. */
export function conditionOn({ conditions }: Pick<PlanTask, 'conditions'>, id: string): DependencyCondition {
  return own(conditions, id) ?? ON_SUCCESS;
}

/** The same in words; empty where it starts when the other has shipped. */
export function conditionText(task: Pick<PlanTask, 'conditions'>, id: string): string {
  const { when, optional } = conditionOn(task, id);
  return [when === 'success' ? '' : when, optional ? 'optional' : ''].filter((word) => word !== '').join(', ');
}

/** Whether the plan has the task started at all: neither it nor its phase is put off, or over. */
export function isActive({ phaseById }: Pick<Plan, 'phaseById'>, { status, phase_id }: PlanTask): boolean {
  return status === 'active' && phaseById.get(phase_id)?.status === 'active';
}

/** Whether the plan says that nothing is left to do of a task, whatever its record says: it is done elsewhere, or dropped. */
export function isOverByPlan(task: { status: unknown } | undefined): boolean {
  return task?.status === 'done' || task?.status === 'dropped';
}

/** The tasks whose work it is built on: a task that is for when another fails, or comes after it anyway, does not begin with what that has left. */
export function builtOn(task: Pick<PlanTask, 'depends_on' | 'conditions'>): string[] {
  return task.depends_on.filter((id) => conditionOn(task, id).when === 'success');
}

/** Whether it starts whatever happened before, or because something has failed: a run that starts nothing more still does it. */
export function isFinalizer({ conditions }: Pick<PlanTask, 'conditions'>): boolean {
  return Object.values(conditions).some(({ when }) => when !== 'success');
}

/** What is needed to know which tasks exist, and which issue belongs to which. */
export type PlannedTask = Pick<PlanTask, 'id' | 'tracker_issue_id'>;

/** A plan without its look-ups by id: plain data that JSON can hold. */
export type PlanData = Omit<Plan, 'byId' | 'phaseById' | 'childrenOf' | 'hasFinalizers'>;

export function indexed(plan: PlanData): Plan {
  const byId = <T extends { id: string }>(all: readonly T[]) => new Map(all.map((each) => [each.id, each]));
  const childrenOf = new Map<string, PlanTask[]>();
  for (const task of plan.tasks) {
    if (task.parent === null) continue;
    madeIn(childrenOf, task.id.slice(0, task.id.lastIndexOf('/')), () => []).push(task);
  }
  return {
    ...plan,
    byId: byId(plan.tasks),
    phaseById: byId(plan.phases),
    childrenOf,
    hasFinalizers: plan.tasks.some(isFinalizer),
  };
}

/** The phase that has to be finished before that of the task begins; undefined: none has. */
export function phaseBefore({ phaseById }: Plan, { phase_id }: PlanTask): PlanPhase | undefined {
  return phaseById.get(phaseById.get(phase_id)?.blocked_by ?? '');
}

/** The tasks that an id means: one, or all that the matrix of a task makes; empty for none. */
export function tasksNamed({ byId, tasks }: Pick<Plan, 'byId' | 'tasks'>, id: string): PlanTask[] {
  const task = byId.get(id);
  return task === undefined ? tasks.filter(({ matrix }) => matrix?.task === id) : [task];
}

/** The ids of all tasks, and those that are written of tasks with a matrix. */
export function idsIn({ tasks }: Pick<Plan, 'tasks'>): string[] {
  return [...new Set(tasks.flatMap(({ id, matrix }) => (matrix === null ? [id] : [id, matrix.task])))];
}
