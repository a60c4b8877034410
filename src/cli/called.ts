/** Commands in text, as they work in the shell that this one was started from. */

import type { Variables } from '../lib/variables.ts';

/** In backquotes, behind a colon or `Such as`, or at the beginning of a line, maybe in a colour. */
const OWN_COMMANDS =
  /(`|(?::(?:\x1b\[\d+m)* |Such as |^[ $]*)(?:\x1b\[\d+m)*)forge orchestrate(?![\w-])|`forge(?= [a-z])/gm;

/** Through npx there is no `forge` on the PATH of that shell. A worker has one on its own. */
function startedByNpx({
  npm_lifecycle_event: event,
  npm_lifecycle_script: script = '',
  FORGE_TASK_ID: task,
}: Variables): boolean {
  return event === 'npx' && /^\W*forge(-orchestrate)?\b/.test(script) && !task;
}

/** `text` with `npx forge-orchestrate` for `forge orchestrate` and `forge` in its commands, where this was started so. */
export function asCalled(text: string): string {
  if (!text.includes('forge') || !startedByNpx(process.env)) return text;
  return text.replace(OWN_COMMANDS, (_, before: string | undefined) => `${before ?? '`'}npx forge-orchestrate`);
}
