/** What failed in a run as workflow commands, which GitHub shows beside the plan. Pure. */

import { errorText } from '../retry/classify.ts';
import type { RunFinished } from './events.ts';

/** GitHub shows ten of a step. */
const ANNOTATIONS_MAX = 10;

/** A line each. `placeOf`: where a task stands, as seen from the repository; null: that is not known. */
export function annotations(
  { failed }: Pick<RunFinished, 'failed'>,
  placeOf: (taskId: string) => { file: string; line: number | null } | null,
): string[] {
  return failed.slice(0, ANNOTATIONS_MAX).map(({ task_id, error, goes_on }) => {
    const place = placeOf(task_id);
    const properties = {
      ...(place && { file: place.file }),
      ...(place?.line && { line: String(place.line) }),
      title: `task ${task_id}`,
    };
    const named = Object.entries(properties).map(
      ([name, value]) => `${name}=${data(value).replaceAll(':', '%3A').replaceAll(',', '%2C')}`,
    );
    return `::${goes_on ? 'warning' : 'error'} ${named.join(',')}::${data(error === null ? 'it failed' : errorText(error))}`;
  });
}

/** Source: @actions/core, command.ts. */
function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}
