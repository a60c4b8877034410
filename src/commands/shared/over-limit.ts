/** Tasks that use more of a resource than they can ever have. */

import { type Limits, overLimit } from '../../domain/schedule/resources.ts';
import { ForgeError } from '../../lib/errors.ts';
import { problemsText } from '../../project/parse-cache.ts';
import type { LoadedPlan } from '../../project/plan-file.ts';

/** Throws PHASES_PARSE_ERROR with the place of each. */
export async function refuseOverLimit(loaded: LoadedPlan, limits: Limits): Promise<void> {
  const { plan, file } = loaded;
  const found = overLimit(plan.tasks, limits);
  if (found.length === 0) return;
  const { taskPlace } = await import('../../domain/plan/places.ts');
  const { positionsOf } = await import('../../lib/yaml.ts');
  const problems = found.map(({ task_id, message }) => {
    const at = taskPlace([loaded, ...loaded.included], plan.byId.get(task_id)?.matrix?.task ?? task_id);
    const place = at && positionsOf(at.text).place([...at.path, 'uses']);
    return { message, place: { file: at?.file ?? file, ...place } };
  });
  throw new ForgeError('PHASES_PARSE_ERROR', problemsText(problems, file), {
    details: { tasks: found.map(({ task_id }) => task_id) },
    problems,
    hint: 'Use less, or raise `limits` in .forge/settings.yaml.',
  });
}
