/** A task that is added to a plan by command: its id, where it goes, and how it is written. Pure. */

import { invalidArgs } from '../../lib/errors.ts';
import { ancestorsOf } from '../../lib/ids.ts';
import type { Plan, Priority } from './plan.ts';

/** Most characters of an id that is made of a title. */
const MADE_ID_MAX = 40;

/** An id of a title, for people: its words in small letters, cut between two, with a number behind it where that id is taken. */
export function idOf(title: string, taken: Iterable<string>): string {
  const words = title
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
  let base = (words[0] ?? 'task').slice(0, MADE_ID_MAX);
  for (const word of words.slice(1)) {
    if (base.length + 1 + word.length > MADE_ID_MAX) break;
    base = `${base}-${word}`;
  }
  // Two ids that differ only in case are one folder on some file systems.
  const others = new Set([...taken].map((id) => id.toLowerCase()));
  let id = base;
  for (let n = 2; others.has(id); n++) id = `${base}-${n}`;
  return id;
}

/** The task of the plan that `id` is, or that the child `id` comes from. */
export function plannedOrigin(plan: Plan, id: string) {
  return plan.byId.get(ancestorsOf(id).at(-1) ?? id);
}

/** The phase for a new task: that of the task in whose work it was found, while it is active, else the last active one. Throws INVALID_ARGS. */
export function phaseForNew(plan: Plan, discoveredFrom: string | null): string {
  const origin = discoveredFrom === null ? undefined : plannedOrigin(plan, discoveredFrom);
  const own = plan.phases.find(({ id }) => id === origin?.phase_id);
  const phase = own?.status === 'active' ? own : plan.phases.findLast(({ status }) => status === 'active');
  if (phase !== undefined) return phase.id;
  throw invalidArgs(
    'no phase of the plan is active, so say where the task goes',
    `Such as --phase ${plan.phases.at(-1)?.id ?? 'phase-1'}`,
  );
}

export interface NewTask {
  id: string;
  title: string;
  description?: string | undefined;
  priority?: Priority | undefined;
  depends_on?: readonly string[] | undefined;
  run?: string | undefined;
  discovered_from?: string | undefined;
}

/** The keys of a new task as they are written, in the order of reading. */
export function newTaskYaml({ id, title, description, priority, depends_on, run, discovered_from }: NewTask) {
  const keys = { id, title, priority, description, depends_on, run, discovered_from };
  const given = Object.entries(keys).filter(([, value]) => value !== undefined && String(value) !== '');
  return Object.fromEntries(given);
}
