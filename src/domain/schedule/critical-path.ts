/** The longest chain of tasks that is left: with any number of workers, the plan takes as long as this. */

import { type Plan, type PlanTask, phaseBefore } from '../plan/plan.ts';

/** The weights of sizes; each is twice the previous. Only their ratios matter. */
const WEIGHTS: Record<NonNullable<PlanTask['estimate']>, number> = { S: 1, M: 2, L: 4, XL: 8 };
/** A task without an estimate counts as M, so a plan without estimates counts tasks. */
const UNESTIMATED = WEIGHTS.M;

export function weightOf({ estimate }: PlanTask): number {
  return estimate === null ? UNESTIMATED : WEIGHTS[estimate];
}

/**
 * The ids of the heaviest chain of tasks for which `isLeft` holds, each waiting for the previous one: by a dependency, or because
 * its phase waits for the other's. Empty when none is left; of equal chains, one. Linear in tasks and dependencies, also where
 * a phase of thousands waits for another.
 */
export function criticalPath(plan: Plan, isLeft: (task: PlanTask) => boolean): string[] {
  const left = plan.tasks.filter(isLeft);
  const after = edges(plan, left);
  const longest = new Float64Array(after.length);
  const before = new Int32Array(after.length).fill(-1);
  const weight = (node: number) => (left[node] === undefined ? 0 : weightOf(left[node]));
  let last = -1;
  for (const node of turns(after)) {
    const length = (longest[node] ?? 0) + weight(node);
    longest[node] = length;
    if (last === -1 || length > (longest[last] ?? 0)) last = node;
    for (const next of after[node] ?? []) {
      if (before[next] === -1 || length > (longest[next] ?? 0)) {
        longest[next] = length;
        before[next] = node;
      }
    }
  }
  const path: string[] = [];
  for (let node = last; node !== -1; node = before[node] ?? -1) path.push(left[node]?.id ?? '');
  return path.reverse().filter((id) => id !== '');
}

/**
 * Nodes are the places in `left`, then one for the end of each phase, between the tasks of the phase and all that wait for it: so
 * there are as many edges as tasks, not as pairs of them. By each node those that edges lead to from it.
 */
export function edges(plan: Plan, left: readonly PlanTask[]): number[][] {
  const nodes = new Map(left.map((task, node) => [task.id, node]));
  const ends = new Map(plan.phases.map((phase, place) => [phase.id, left.length + place]));
  const after: number[][] = [...left, ...plan.phases].map(() => []);
  const add = (from: number | undefined, to: number | undefined) => {
    if (from !== undefined && to !== undefined) after[from]?.push(to);
  };
  for (const [node, task] of left.entries()) {
    for (const id of task.depends_on) add(nodes.get(id), node);
    add(node, ends.get(task.phase_id));
    const before = phaseBefore(plan, task);
    // A phase that the plan calls done blocks nothing, whatever is left in it.
    if (before !== undefined && before.status !== 'done') add(ends.get(before.id), node);
  }
  return after;
}

/** The nodes of a graph, each after all that it waits for. `after`: by a node those that wait for it. Source: Kahn (1962). */
export function* turns(after: readonly (readonly number[])[]): Generator<number> {
  const pending = new Int32Array(after.length);
  for (const each of after) for (const next of each) pending[next] = (pending[next] ?? 0) + 1;
  const queue = [...pending.keys()].filter((node) => pending[node] === 0);
  for (const node of queue) {
    yield node;
    for (const next of after[node] ?? []) {
      pending[next] = (pending[next] ?? 0) - 1;
      if (pending[next] === 0) queue.push(next);
    }
  }
}
