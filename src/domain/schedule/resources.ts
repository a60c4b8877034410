/** Limits by resource: tasks in flight together use no more of a resource than the settings allow. Pure. */

import { madeIn } from '../../lib/once.ts';
import { own } from '../../lib/own.ts';
import { closest, oneLine } from '../../lib/text.ts';
import { isOverByPlan, type Plan, type PlanTask } from '../plan/plan.ts';

/** The most of each resource that tasks in flight may use together. */
export type Limits = Readonly<Record<string, number>>;

type User = Pick<PlanTask, 'id' | 'uses'>;

/** What a task can't have now. */
export interface Shortage {
  resource: string;
  /** How much of it the task uses. */
  wanted: number;
  limit: number;
  /** Those that use the rest, in the order given; empty: it is more than the limit. */
  holders: string[];
}

/** What `task` can't have beside `others`, all of them in flight; null: it can have all that it uses. What has no limit is never short. */
export function shortageOf(task: User, others: readonly User[], limits: Limits): Shortage | null {
  for (const [resource, wanted] of Object.entries(task.uses)) {
    const limit = limitOf(limits, resource);
    if (limit === null) continue;
    const holding = others.filter(({ id, uses }) => id !== task.id && amountOf(uses, resource) > 0);
    if (usedBy(holding, resource) + wanted > limit)
      return { resource, wanted, limit, holders: holding.map(({ id }) => id) };
  }
  return null;
}

/** The other tasks of the plan that use something limited which `task` uses, where it would not do for all of them at once. */
export function sharersOf(task: User, { tasks }: Pick<Plan, 'tasks'>, limits: Limits): PlanTask[] {
  const short = Object.keys(task.uses).filter((resource) => {
    const limit = limitOf(limits, resource);
    return limit !== null && usedBy(tasks, resource) > limit;
  });
  if (short.length === 0) return [];
  return tasks.filter(({ id, uses }) => id !== task.id && short.some((resource) => amountOf(uses, resource) > 0));
}

/** Tasks in line for resources, by each that they use, in the order in which they were added. */
export class Lines {
  readonly #lines = new Map<string, PlanTask[]>();

  add(task: PlanTask): void {
    for (const resource of Object.keys(task.uses)) madeIn(this.#lines, resource, () => []).push(task);
  }

  of(resource: string): readonly PlanTask[] {
    return this.#lines.get(resource) ?? [];
  }
}

/**
 * Why `task` waits for what others in flight use, or for those `before` it that wait for that: what they use is kept for them, or smaller tasks
 * could keep a large one waiting for ever. None when it does not wait.
 */
export function resourceReasons(
  task: User,
  others: () => readonly User[],
  limits: Limits,
  before: (resource: string) => Iterable<User>,
): { code: 'RESOURCE_LIMIT'; message: string; on: string | null }[] {
  if (Object.keys(task.uses).length === 0) return [];
  const reason = (message: string, on: string | null) => [{ code: 'RESOURCE_LIMIT' as const, message, on }];
  const shortage = shortageOf(task, others(), limits);
  if (shortage !== null) return reason(shortageText(shortage), shortage.holders[0] ?? null);
  for (const [resource, wanted] of Object.entries(task.uses)) {
    const limit = limitOf(limits, resource);
    if (limit === null) continue;
    const inFlight = others().filter(({ id }) => id !== task.id);
    let used = wanted + usedBy(inFlight, resource);
    let first: string | null = null;
    for (const { id, uses } of before(resource)) {
      first ??= id;
      used += amountOf(uses, resource);
      if (used <= limit) continue;
      const what = whatOf({ resource, wanted });
      return reason(
        oneLine(`it uses ${what}, kept for task ${first}, which is before it (limit ${limit})`, 400),
        first,
      );
    }
  }
  return [];
}

function whatOf({ resource, wanted }: Pick<Shortage, 'resource' | 'wanted'>): string {
  return wanted === 1 ? resource : `${wanted} of ${resource}`;
}

export function shortageText({ resource, wanted, limit, holders }: Shortage): string {
  const what = whatOf({ resource, wanted });
  if (holders.length === 0) return `it uses ${what}, more than the limit of ${limit}`;
  const [first, ...more] = holders;
  const who = more.length === 0 ? `task ${first} has` : `task ${first} and ${more.length} more have`;
  return oneLine(`it uses ${what}, which ${who} (limit ${limit})`, 400);
}

/** What is wrong with what tasks use: more than the limit, which can never be had. */
export function overLimit(tasks: readonly PlanTask[], limits: Limits): { task_id: string; message: string }[] {
  return tasks.flatMap((task) => {
    const shortage = isOverByPlan(task) ? null : shortageOf(task, [], limits);
    return shortage === null ? [] : [{ task_id: task.id, message: `task "${task.id}": ${shortageText(shortage)}` }];
  });
}

/** Names of resources without a limit, each with the first task that uses it: a misspelled name would not be limited. */
export function unlimitedTexts(tasks: readonly PlanTask[], limits: Limits): string[] {
  const seen = new Map<string, string>();
  for (const { id, uses } of tasks)
    for (const name of Object.keys(uses)) if (limitOf(limits, name) === null && !seen.has(name)) seen.set(name, id);
  return [...seen].map(([name, id]) => {
    const near = closest(name, Object.keys(limits));
    const guess = near === null ? 'give it one under `limits`' : `did you mean ${near}?`;
    return `task ${id} uses ${oneLine(name, 60)}, which has no limit in the settings, so nothing limits it; ${guess}`;
  });
}

function limitOf(limits: Limits, resource: string): number | null {
  return own(limits, resource) ?? null;
}

function usedBy(users: readonly User[], resource: string): number {
  return users.reduce((sum, { uses }) => sum + amountOf(uses, resource), 0);
}

function amountOf(uses: PlanTask['uses'], resource: string): number {
  return own(uses, resource) ?? 0;
}
