/** Whether the plan still says of a task what it said when the task was done. Pure. */

import { crc32 } from '../../lib/checksum.ts';
import { firstOf } from '../../lib/text.ts';
import { isReusable } from '../reuse/reuse.ts';
import type { Settings } from '../settings/settings.ts';
import { readable, type SeenRecord, type TaskSummary } from '../task/records.ts';
import type { Plan, PlanTask } from './plan.ts';

/** A checksum of what a worker is given and its result is checked by. It is no defence against forgery, so a quick one will do. */
export function definitionOf({ run, shell, verify, env, description, acceptance, cwd, cache }: PlanTask): string {
  const names = Object.keys(env);
  // Most tasks have none.
  const variables = names.length < 2 ? env : Object.fromEntries(names.sort().map((name) => [name, env[name]]));
  // Records of an earlier version know of no folder, and of no cache.
  const later = [...(cwd === null ? [] : [cwd]), ...(cache ? [cache] : [])];
  return crc32(JSON.stringify([run, shell, verify, variables, description, acceptance, ...later]));
}

/** Whether the task has shipped, and its plan says something else since its last attempt began. A tree of an earlier version does not say what it was done for. */
export function isRedefined(task: PlanTask, { state, memo }: TaskSummary): boolean {
  return state.state === 'shipped' && !!memo.definition && memo.definition !== definitionOf(task);
}

/** Most tasks that are named. */
const SHOWN = 10;

/** Names the tasks that are redefined, and that no run does again by itself; null where there are none. */
export function redefinedText(
  plan: Pick<Plan, 'tasks'>,
  recordOf: (taskId: string) => SeenRecord | undefined,
  settings: Settings,
): string | null {
  const changed = plan.tasks.filter((task) => {
    const record = readable(recordOf(task.id));
    return record !== null && isRedefined(task, record) && !isReusable(task, settings);
  });
  if (changed.length === 0) return null;
  const ids = changed.map(({ id }) => id);
  const how = `do ${ids.length === 1 ? 'it' : 'them'} again with \`forge orchestrate rerun ${ids.slice(0, SHOWN).join(' ')}\``;
  return `shipped, and not done again although their command, checks, variables or description have changed in the plan since: ${firstOf(ids, SHOWN)}; ${how}`;
}
