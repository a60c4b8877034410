/** Reads the fan-outs of a project, for its plan. */

import { withChildren } from '../domain/fan-out/expand.ts';
import { type FanOut, fanOutsOf, type Sealed } from '../domain/fan-out/fan-outs.ts';
import type { Plan } from '../domain/plan/plan.ts';
import { errorMessage, ForgeError, isOfAll } from '../lib/errors.ts';
import { madeIn } from '../lib/once.ts';
import type { TaskStore } from '../store/port.ts';

export type FanOutStore = Pick<TaskStore, 'parents' | 'read' | 'readDocument'>;

/** Sets never change: a process that reads the plan often reads each once. */
const KNOWN = new WeakMap<object, Map<string, FanOut>>();

/** The plan with all children that were not removed. A set that is damaged is left out, with a warning. Throws IO_ERROR. */
export async function withFanOuts(store: FanOutStore, plan: Plan): Promise<{ plan: Plan; warnings: string[] }> {
  const sets = new Map<string, readonly FanOut[]>();
  const warnings: string[] = [];
  for (const taskId of await store.parents()) {
    try {
      const { record } = await store.read(taskId);
      const sealed = record === null ? [] : fanOutsOf(record).filter(({ removed }) => removed === undefined);
      sets.set(taskId, await Promise.all(sealed.map((each) => readFanOut(store, taskId, each))));
    } catch (error) {
      if (isOfAll(error)) throw error;
      warnings.push(`the children of task ${taskId} cannot be read: ${errorMessage(error)}`);
    }
  }
  return { plan: sets.size === 0 ? plan : withChildren(plan, (taskId) => sets.get(taskId) ?? []), warnings };
}

/** The set that a record names. Throws SCHEMA_INVALID, IO_ERROR. */
export async function readFanOut(
  store: Pick<TaskStore, 'readDocument'>,
  taskId: string,
  { attempt_id, fan_out_id, name }: Sealed,
): Promise<FanOut> {
  const known = madeIn(KNOWN, store, () => new Map<string, FanOut>());
  const found = known.get(fan_out_id) ?? (await store.readDocument('fan-out', taskId, attempt_id, fan_out_id));
  if (found !== null) {
    known.set(fan_out_id, found);
    return found;
  }
  const file = `attempts/${attempt_id}/fan-outs/${fan_out_id}.json`;
  throw new ForgeError('SCHEMA_INVALID', `task ${taskId}: its fan-out ${name} is gone: ${file}`, {
    hint: 'Put the file back, or give the task another id in the plan: its steps would run again.',
  });
}
