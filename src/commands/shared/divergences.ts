/** The cheap rows of gc that read verbs look for by themselves. They report them and change nothing. */

import { detectCheapDivergences } from '../../domain/gc/plan-gc.ts';
import type { Plan } from '../../domain/plan/plan.ts';
import { type Warning, warningOf } from '../../domain/warnings.ts';
import { buildSnapshot } from '../../engine/gc/snapshot.ts';
import { oneLine } from '../../lib/text.ts';
import type { AllRead } from './reads.ts';
import type { Session } from './session.ts';

/** What `gc` would apply, of the rows that need neither git nor a tracker; also given to `say`. Never throws. */
export async function divergences(session: Session, plan: Plan | null, all: AllRead): Promise<Warning[]> {
  const found = await detect(session, plan, all);
  for (const warning of found) session.say(warning);
  return found;
}

async function detect(session: Session, plan: Plan | null, { reads, runs, seen }: AllRead): Promise<Warning[]> {
  try {
    const snapshot = await buildSnapshot(session, {
      plan: plan?.tasks ?? null,
      tasks: reads.values(),
      runs,
      seen,
    });
    seen.keep();
    const found = detectCheapDivergences(snapshot).filter(({ action }) => action !== 'report_orphan');
    return found.map(({ task_id, row, action, severity, reason }) => ({
      task_id,
      row,
      action,
      severity,
      message: reason,
      suggestion: 'run `forge orchestrate gc` to apply',
    }));
  } catch (error) {
    const why = oneLine(error instanceof Error ? error.message : String(error));
    return [warningOf(`auto-detect failed (continuing): ${why}`)];
  }
}
