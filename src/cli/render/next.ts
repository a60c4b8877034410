/** The exact commands that come next. */

import { oneLine } from '../../lib/text.ts';
import type { Look } from '../look.ts';

/** A command longer than the screen goes on in the next line, as a shell takes it. */
export function nextCommands(commands: readonly string[], look: Look, title = 'Next'): string[] {
  return [look.palette.bold(title), ...commands.flatMap((command) => commandLines(oneLine(command, 1000), look))];
}

function commandLines(command: string, { palette, width }: Look): string[] {
  if (command.length + 2 <= width) return [`  ${palette.cyan(command)}`];
  const [first = '', ...flags] = command.split(/ (?=--)/);
  const lines = [first, ...flags.map((flag) => `  ${flag}`)];
  return lines.map((line, i) => `  ${palette.cyan(line)}${i < lines.length - 1 ? ' \\' : ''}`);
}
