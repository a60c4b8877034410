/** What a run works on, and what it begins again before it starts. */

import { isActive, type Plan, type PlanTask } from '../../domain/plan/plan.ts';
import { isReusable } from '../../domain/reuse/reuse.ts';
import type { WaitCode } from '../../domain/schedule/readiness.ts';
import { selectedTasks } from '../../domain/schedule/run-selection.ts';
import { dependencyOrder, dependentsOf } from '../../domain/schedule/selection.ts';
import { rerunTask } from '../../domain/task/by-hand.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { ForgeError } from '../../lib/errors.ts';
import type { LoadedPlan } from '../../project/plan-file.ts';
import type { TaskRead } from '../../store/port.ts';
import { plannedTask } from './planned.ts';
import { waitsOf } from './reads.ts';
import { changedSince, planRerun } from './rerun.ts';
import type { Session } from './session.ts';

/** As in the input of `run`. */
interface Asked {
  task?: string[] | undefined;
  only?: string[] | undefined;
  from?: string[] | undefined;
  force?: boolean | undefined;
}

export interface Again {
  tasks: string[];
  /** Those of them of which nothing that is kept is used. */
  fresh: ReadonlySet<string>;
  /** Those of them that nobody has named, and that are out of date. */
  changed: string[];
  /** Others, of which outputs were put back. */
  putBack: TaskRecord[];
}

/** What the run begins again before it starts. `puttingBack`: outputs that are gone are put back. Refuses tasks of --only that wait for others. Throws NOT_READY, ILLEGAL_TRANSITION. */
export async function rerunFor(
  session: Session,
  loaded: LoadedPlan,
  options: Asked,
  puttingBack: boolean,
): Promise<Again> {
  const { task = [], only = [], from = [], force = false } = options;
  const all = await planRerun(session, loaded, from, true);
  const isAll = task.length + only.length + from.length === 0;
  const behind = [...dependentsOf(from, loaded.plan)].filter((id) => loaded.plan.byId.get(id)?.status === 'active');
  const forced = isAll ? reusableIn(session, loaded) : [...task, ...only, ...from, ...behind];
  const named = await planRerun(session, loaded, force ? forced : [], false);
  const meant = new Set([...all.tasks, ...named.tasks]);
  const unnamed = new Set([...selectionOf(options)(loaded.plan)].filter((id) => !meant.has(id)));
  const { changed, putBack } = await changedSince(session, loaded, unnamed, puttingBack);
  const again = new Set([...meant, ...changed]);
  const tasks = dependencyOrder(loaded.plan).filter((id) => again.has(id));
  const afterwards = await begunAgain(session, tasks);
  for (const id of only) {
    const reasons = await waitsOf(session, loaded, plannedTask(loaded, id), afterwards);
    const reason = reasons.find(({ code, on }) => isOrder(code) && !(on !== null && only.includes(on)));
    if (reason === undefined) continue;
    throw new ForgeError('NOT_READY', `task ${id} can't be done alone: ${reason.message}`, {
      details: { task_id: id, code: reason.code },
      hint:
        reason.code === 'DEPENDENCY_FAILED'
          ? `See \`forge orchestrate why ${reason.on ?? id}\`: what it depends on is not done by itself any more.`
          : `\`forge orchestrate run --task ${id}\` does first what it depends on.`,
    });
  }
  return { tasks, fresh: new Set(named.tasks), changed, putBack };
}

/** The tasks that something has happened to, by their ids, as they will be once they are begun again. */
export async function begunAgain(session: Session, tasks: readonly string[]): Promise<Map<string, TaskRead>> {
  const reads = new Map<string, TaskRead>();
  for (const id of tasks) {
    const read = await session.store.read(id);
    if (read.record !== null)
      reads.set(id, { ...read, record: rerunTask(read.record, session.now()).record ?? read.record });
  }
  return reads;
}

/** Ids of the tasks that are not done again for the same inputs. */
export function reusableIn({ settings }: Session, { plan }: LoadedPlan): string[] {
  return plan.tasks.filter((task) => isActive(plan, task) && isReusable(task, settings)).map(({ id }) => id);
}

function isOrder(code: WaitCode): boolean {
  return code === 'PHASE_BLOCKED' || code.startsWith('DEPENDENCY_');
}

/** Which tasks are worked on. */
export function selectionOf({ task = [], only = [], from = [] }: Asked): (plan: Plan) => ReadonlySet<string> {
  if (only.length > 0) return (plan) => selectedTasks(only, plan, true);
  if (task.length + from.length === 0) return (plan) => selectedTasks(null, plan);
  return (plan) => selectedTasks([...task, ...from, ...dependentsOf(from, plan)], plan);
}

/** Whether a task with `cache` that would start would use what is kept of it. `again`, `fresh`: what is begun again, and that of which nothing kept is used. */
export async function wouldBeUnchanged(
  session: Session,
  task: PlanTask,
  again: ReadonlyMap<string, TaskRead>,
  fresh: ReadonlySet<string>,
): Promise<boolean> {
  const { wouldBeUnchanged: isKept } = await import('../../engine/attempt/reuse.ts');
  const read = async (id: string) => (again.get(id) ?? (await session.store.read(id))).record;
  return isKept(session, task, read, fresh.has(task.id));
}
