/** What read verbs notice by themselves: the rows of gc that need neither git nor a tracker. They say so, and change nothing. */

import { detectCheapDivergences } from '../../domain/gc/plan-gc.ts';
import type { Plan } from '../../domain/plan/plan.ts';
import { buildSnapshot } from '../../engine/gc/snapshot.ts';
import { oneLine } from '../../lib/text.ts';
import type { AllRead, Session } from './session.ts';

/** A line for each divergence, which is also printed. Never throws. */
export async function divergences(session: Session, plan: Plan | null, all: AllRead): Promise<string[]> {
  const lines = await linesFor(session, plan, all);
  for (const line of lines) session.say(line);
  return lines;
}

async function linesFor(session: Session, plan: Plan | null, { reads, runs, seen }: AllRead): Promise<string[]> {
  try {
    const snapshot = await buildSnapshot(session, {
      plan: plan?.tasks ?? null,
      tasks: reads.values(),
      runs,
      seen,
    });
    seen.keep();
    const found = detectCheapDivergences(snapshot).filter(({ action }) => action !== 'report_orphan');
    return found.map(
      ({ task_id, row, action }) => `[gc] ${task_id}: row ${row} (${action}) — run \`forge orchestrate gc\` to apply`,
    );
  } catch (error) {
    return [`[gc] auto-detect failed (continuing): ${oneLine(error instanceof Error ? error.message : String(error))}`];
  }
}
