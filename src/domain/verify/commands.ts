/** The verification commands of a task, and their names. */

export interface VerifyCommand {
  /** Names its failure: class `verify.<name>`. */
  name: string;
  /** A command line for /bin/sh. */
  command: string;
}

const NAME_MAX_CHARS = 40;

/** The settings' commands, then the task's own; a duplicate runs once. */
export function verifyCommands(settings: readonly string[], task: readonly string[]): VerifyCommand[] {
  return [...new Set([...settings, ...task])].map((command, at) => ({ name: nameOf(command, at), command }));
}

/** The command in lower case, with a dash for what an error class cannot have: `npm run lint` is `npm-run-lint`. */
function nameOf(command: string, at: number): string {
  const words = command.toLowerCase().replace(/[^a-z0-9_]+/g, '-');
  const name = words.replace(/^-+/, '').slice(0, NAME_MAX_CHARS).replace(/-+$/, '');
  return name === '' ? `command-${at + 1}` : name;
}
