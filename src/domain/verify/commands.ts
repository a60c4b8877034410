/** The commands that a task's result must pass. Pure. */

import type { PlanTask } from '../plan/plan.ts';
import type { Script } from '../plan/task-command.ts';

export interface VerifyCommand extends Script {
  /** Names its failure: class `verify.<name>`. */
  name: string;
  /** Where it is started, relative to the workspace; null: in it. */
  cwd: string | null;
}

const NAME_MAX_CHARS = 40;

/** The settings' commands, then the task's own; a duplicate runs once. `task` is null for one that is not in the plan. */
export function verifyCommands(
  settings: readonly string[],
  task: Pick<PlanTask, 'verify' | 'shell' | 'cwd'> | null,
): VerifyCommand[] {
  const own = (task?.verify ?? []).filter((command) => !settings.includes(command));
  return [...new Set([...settings, ...own])].map((command, at) => ({
    name: nameOf(command, at),
    command,
    shell: own.includes(command) ? (task?.shell ?? null) : null,
    cwd: own.includes(command) ? (task?.cwd ?? null) : null,
  }));
}

/** The command in lower case, with a dash for what an error class cannot have: `npm run lint` is `npm-run-lint`. */
function nameOf(command: string, at: number): string {
  const words = command.toLowerCase().replace(/[^a-z0-9_]+/g, '-');
  const name = words.replace(/^-+/, '').slice(0, NAME_MAX_CHARS).replace(/-+$/, '');
  return name === '' ? `command-${at + 1}` : name;
}
