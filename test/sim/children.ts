/** The children that the simulated task fans out into. Of each only its end is simulated: a file, which another process creates once. */

import { type Child, childId } from '../../src/domain/fan-out/fan-outs.ts';
import { sealedIn } from '../../src/domain/fan-out/seal.ts';
import type { PlanTask } from '../../src/domain/plan/plan.ts';
import { freshRecord, type TaskRecord } from '../../src/domain/task/records.ts';
import { isoTime } from '../../src/lib/time.ts';
import { ROOT } from './disk.ts';

/** Names of children by their set. */
export const SETS: Readonly<Record<string, readonly string[]>> = { files: ['x', 'y'], urls: ['z'] };

export function childFile(set: string, name: string): string {
  return `${ROOT}/q/over-${set}-${name}`;
}

/** The children of a set; `title` tells who has made them. */
export function childrenOf(set: string, title: string): Child[] {
  return (SETS[set] ?? []).map((name) => ({
    name,
    run: 'true',
    title,
    env: {},
    retry: null,
    timeout_ms: null,
    input: null,
  }));
}

/** The children of the sets that a record has, as their set and name. */
export function sealedChildren(record: TaskRecord): [set: string, name: string][] {
  return Object.entries(SETS).flatMap(([set, names]) =>
    sealedIn(record, set) === undefined ? [] : names.map((name): [string, string] => [set, name]),
  );
}

/** Whether all of a set are among `over`, the files of those that are over. */
export function areOver(set: string, over: ReadonlySet<string>): boolean {
  return (SETS[set] ?? []).every((name) => over.has(childFile(set, name)));
}

/** What readiness asks of the children of `task`. */
export function seenBy(task: string, over: ReadonlySet<string>) {
  const shipped = new Map<string, TaskRecord>();
  const lists = new Map<string, PlanTask[]>();
  for (const [set, names] of Object.entries(SETS)) {
    lists.set(
      `${task}/${set}`,
      names.map((name) => ({ id: childId(task, set, name) }) as PlanTask),
    );
    for (const name of names) {
      if (!over.has(childFile(set, name))) continue;
      const fresh = freshRecord(childId(task, set, name), isoTime(0));
      shipped.set(fresh.state.task_id, { ...fresh, state: { ...fresh.state, state: 'shipped' } });
    }
  }
  return { plan: { childrenOf: lists }, recordOf: (id: string) => shipped.get(id) ?? null };
}
