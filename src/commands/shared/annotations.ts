/** What GitHub shows of a failed run beside the plan. */

import path from 'node:path';
import { taskPlace } from '../../domain/plan/places.ts';
import { annotations } from '../../domain/run/annotations.ts';
import type { RunFinished } from '../../domain/run/events.ts';
import { positionsOf } from '../../lib/yaml.ts';
import type { LoadedPlan } from '../../project/plan-file.ts';
import type { Session } from './session.ts';

/** A line each. Files are named as seen from the checkout; children, and combinations of a matrix, are shown where what makes them stands. */
export function annotationsOf({ ctx, paths }: Session, loaded: LoadedPlan, finished: RunFinished): string[] {
  const checkout = ctx.env['GITHUB_WORKSPACE'] || paths.project;
  return annotations(finished, (taskId) => {
    const [planned = taskId] = taskId.split('/');
    const id = loaded.plan.byId.get(planned)?.matrix?.task ?? planned;
    const place = taskPlace([loaded, ...loaded.included], id);
    const file = path.relative(checkout, path.resolve(paths.project, place?.file ?? loaded.file));
    return { file, line: place && (positionsOf(place.text).place(place.path)?.line ?? null) };
  });
}
