/** Whether the plan still says of a task what it said when the task was done. Pure. */

import { crc32 } from '../../lib/checksum.ts';
import { firstOf } from '../../lib/text.ts';
import { readable, type SeenRecord } from '../task/records.ts';
import type { Plan, PlanTask } from './plan.ts';

/** A checksum of what a worker is given and its result is checked by. It is no defence against forgery, so a quick one will do. */
export function definitionOf({ run, shell, verify, env, description, acceptance, cwd }: PlanTask): string {
  const names = Object.keys(env);
  // Most tasks have none.
  const variables = names.length < 2 ? env : Object.fromEntries(names.sort().map((name) => [name, env[name]]));
  // Records of an earlier version know of no folder.
  const folder = cwd === null ? [] : [cwd];
  return crc32(JSON.stringify([run, shell, verify, variables, description, acceptance, ...folder]));
}

/** Most tasks that are named. */
const SHOWN = 10;

/**
 * Names the shipped tasks of which the plan says something else since their last attempt began; null where there are none. Tasks in a tree
 * of an earlier version do not say what they were done for.
 */
export function redefinedText(
  plan: Pick<Plan, 'tasks'>,
  recordOf: (taskId: string) => SeenRecord | undefined,
): string | null {
  const changed = plan.tasks.filter((task) => {
    const record = readable(recordOf(task.id));
    const definition = record?.state.state === 'shipped' && record.memo.definition;
    return !!definition && definition !== definitionOf(task);
  });
  if (changed.length === 0) return null;
  const ids = changed.map(({ id }) => id);
  const how = `do ${ids.length === 1 ? 'it' : 'them'} again with \`forge orchestrate rerun ${ids.slice(0, SHOWN).join(' ')}\``;
  return `shipped, and not done again although their command, checks, variables or description have changed in the plan since: ${firstOf(ids, SHOWN)}; ${how}`;
}
