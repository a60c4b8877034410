/** What plays have in common: they end with their test, with every process that still takes part in them. */

import fs from 'node:fs';
import { onTestFinished } from 'vitest';
import type { LiveForge } from './forge.ts';

/** Cleans `play` up when the test is over. `finished`: of a test that runs beside others; by default of the one that runs. */
export function ofTest<P extends { cleanUp(): void }>(
  play: P,
  finished: (cleanUp: () => void) => void = onTestFinished,
): P {
  finished(() => play.cleanUp());
  return play;
}

/** Processes that take part in the play with this folder, forge's own and its workers'; null where that can't be seen. */
export function leftoversOf(folder: string): string[] | null {
  if (!fs.existsSync('/proc/self/environ')) return null;
  const mark = `FAULT_PLAY=${folder}`;
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && contentOf(`/proc/${name}/environ`).split('\0').includes(mark))
    .map((pid) => `${pid}: ${contentOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`);
}

/** Ends what a failed test has left behind. */
export function endAll(started: readonly LiveForge[], leftovers: readonly string[] | null): void {
  for (const live of started) live.signal('SIGKILL');
  for (const left of leftovers ?? []) {
    try {
      process.kill(Number.parseInt(left, 10), 'SIGKILL');
    } catch {}
  }
}

function contentOf(file: string): string {
  try {
    return fs.readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
