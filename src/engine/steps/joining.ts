/** Fan-outs and joins of a worker, over any journal. */

import { afterJoin, joinName, waitsForJoin } from '../../domain/fan-out/join.ts';
import type { PolicyDeclaration } from '../../domain/retry/retry.ts';
import type { Step } from '../../domain/steps/journal.ts';
import { asJson } from './one-try.ts';
import { type Place, throughLooks } from './through.ts';
import type { WorkerJournal } from './worker-journal.ts';

/** A child, as a line of `forge orchestrate fan-out`. */
export interface FanOutChild {
  name: string;
  /** A command line, or a script of several lines. */
  run: string;
  /** Default: its name. */
  title?: string;
  env?: Readonly<Record<string, string | number | boolean>>;
  /** As `retry:` in a plan. Default: as the settings say. */
  retry?: PolicyDeclaration | readonly PolicyDeclaration[];
  /** Of one attempt: milliseconds, or text such as `10m`. Default: no limit. */
  timeout?: number | string;
  /** JSON, which it finds in FORGE_INPUT_FILE. */
  input?: unknown;
}

/** How many children the set of that name has, which is made unless it is there. Throws INVALID_ARGS, INVALID_ID, IO_ERROR. */
export async function madeBy(
  journal: WorkerJournal,
  name: string,
  children: readonly FanOutChild[],
): Promise<{ children: number }> {
  const { parseChildren } = await import('../../domain/fan-out/parse.ts');
  const lines = children.map((child) => JSON.stringify(asJson(child))).join('\n');
  const step = await journal.fanOut(name, (parent) => parseChildren(lines, 'children', { parent, fanOut: name }));
  return step.result as { children: number };
}

/** Waits until all children of these fan-outs are over. Throws UNKNOWN_FANOUT, and what `throughLooks` throws. */
export function throughJoin(place: Place, fanOuts: readonly string[], allowFailed: boolean): Promise<Step> {
  const { journal } = place;
  return throughLooks(place, {
    name: joinName(fanOuts),
    kind: 'join',
    waitsFor: waitsForJoin(fanOuts),
    arrives: async () => (await journal.seenChildren(fanOuts)) !== null,
    async look() {
      const children = await journal.seenChildren(fanOuts);
      return (now, looker) => afterJoin(now, looker, children, allowFailed);
    },
  });
}
