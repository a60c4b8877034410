/** What a plan or settings may say that this version accepts but does not act on yet. Said aloud, never passed over. */

import type { Plan } from '../core/plan.ts';
import type { Settings } from '../core/settings.ts';

export function notEnforced(settings: Settings, plan: Plan | null): string[] {
  const tasks = plan?.tasks ?? [];
  const found: [boolean, string][] = [
    [settings.tracker.type === 'github', 'tracker.type: github is not kept in step'],
    [tasks.some((task) => task.write_globs.length > 0), 'write_globs do not keep tasks apart'],
  ];
  return found.flatMap(([said, what]) => (said ? [`not supported yet: ${what}`] : []));
}
