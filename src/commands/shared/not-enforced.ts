/** What settings may say that this version accepts but does not act on yet. Said aloud, never passed over. */

import type { Settings } from '../../domain/settings/settings.ts';

export function notEnforced(settings: Settings): string[] {
  const found: [boolean, string][] = [[settings.tracker.type === 'github', 'tracker.type: github is not kept in step']];
  return found.flatMap(([said, what]) => (said ? [`not supported yet: ${what}`] : []));
}
