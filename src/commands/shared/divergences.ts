/** The cheap rows of gc that read verbs look for by themselves. They report them and change nothing. */

import { detectCheapDivergences } from '../../domain/gc/plan-gc.ts';
import type { Plan } from '../../domain/plan/plan.ts';
import { type Warning, warningOf } from '../../domain/warnings.ts';
import { buildSnapshot } from '../../engine/gc/snapshot.ts';
import { errorMessage } from '../../lib/errors.ts';
import { oneLine } from '../../lib/text.ts';
import type { AllRead, Session } from './session.ts';

/**
 * What the rows that need neither git nor a tracker find: what gc would apply, which is also given to `say`, and what can't be
 * read beside the records. Never throws.
 */
export async function divergences(session: Session, plan: Plan | null, all: AllRead): Promise<Warning[]> {
  const found = await detect(session, plan, all);
  for (const warning of found) if (warning.action !== 'report_orphan') session.say(warning);
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
    return detectCheapDivergences(snapshot).flatMap(({ task_id, row, action, severity, reason }): Warning[] => {
      if (action !== 'report_orphan') {
        const suggestion = 'run `forge orchestrate gc` to apply';
        return [{ task_id, row, action, severity, message: reason, suggestion }];
      }
      // Row 2 reports records, which have a warning of their own.
      if (row === 2) return [];
      return [{ task_id, row, action, severity, message: `task ${task_id}: ${reason}`, suggestion: null }];
    });
  } catch (error) {
    const why = oneLine(errorMessage(error));
    return [warningOf(`auto-detect failed (continuing): ${why}`)];
  }
}
