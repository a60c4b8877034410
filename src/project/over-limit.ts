/** Tasks that use more of a resource than they can ever have. */

import { type Limits, overLimit } from '../domain/schedule/resources.ts';
import { ForgeError, type Problem } from '../lib/errors.ts';
import { problemsText } from './parse-cache.ts';
import type { LoadedPlan } from './plan-file.ts';

export const OVER_LIMIT_HINT = 'Use less, or raise `limits` in .forge/settings.yaml.';

export type LimitedPlan = Omit<LoadedPlan, 'warnings'>;

/** Each of them, with its place. */
export async function overLimitProblems(
  loaded: LimitedPlan,
  limits: Limits,
): Promise<{ task_id: string; problem: Problem }[]> {
  const { plan, file } = loaded;
  const found = overLimit(plan.tasks, limits);
  if (found.length === 0) return [];
  const { taskPlace } = await import('../domain/plan/places.ts');
  const { positionsOf } = await import('../lib/yaml.ts');
  return found.map(({ task_id, message }) => {
    const at = taskPlace([loaded, ...loaded.included], plan.byId.get(task_id)?.matrix?.task ?? task_id);
    const place = at && positionsOf(at.text).place([...at.path, 'uses']);
    return { task_id, problem: { message, place: { file: at?.file ?? file, ...place } } };
  });
}

/** Throws PHASES_PARSE_ERROR with the place of each. */
export async function refuseOverLimit(loaded: LimitedPlan, limits: Limits): Promise<void> {
  const found = await overLimitProblems(loaded, limits);
  if (found.length === 0) return;
  const problems = found.map(({ problem }) => problem);
  throw new ForgeError('PHASES_PARSE_ERROR', problemsText(problems, loaded.file), {
    details: { tasks: found.map(({ task_id }) => task_id) },
    problems,
    hint: OVER_LIMIT_HINT,
  });
}
