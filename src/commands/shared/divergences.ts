/** The cheap rows of gc that read verbs look for by themselves. They report them and change nothing. */

import { detectCheapDivergences, isAtRest } from '../../domain/gc/plan-gc.ts';
import type { Plan } from '../../domain/plan/plan.ts';
import { type Warning, warningOf } from '../../domain/warnings.ts';
import { buildSnapshot, ofOneMoment } from '../../engine/gc/snapshot.ts';
import { errorMessage } from '../../lib/errors.ts';
import { oneLine } from '../../lib/text.ts';
import type { AllRead } from './reads.ts';
import type { Session } from './session.ts';

/**
 * What the rows that need neither git nor a tracker find: what gc would apply, which is also given to `say`, and what can't be
 * read beside the records. Never throws.
 */
export async function divergences(session: Session, plan: Plan | null, all: AllRead): Promise<Warning[]> {
  const { reads, runs, seen } = all;
  try {
    const tasks = [...reads.values()].filter(({ task_id, record, problem }) => {
      const { lease_files, attempts } = seen.artifacts(task_id);
      const { state, lease } = record ?? { state: null, lease: null };
      return !isAtRest({ problem, state: state?.state ?? null, lease, lease_files, attempts });
    });
    const snapshot = await buildSnapshot(session, { plan: plan?.tasks ?? null, tasks, runs, seen });
    seen.keep();
    const rows = await ofOneMoment(session, detectCheapDivergences(snapshot));
    return rows.flatMap(({ task_id, row, action, severity, reason }): Warning[] => {
      // Row 2 reports records, which have a warning of their own.
      if (action === 'report_orphan' && row === 2) return [];
      if (action === 'report_orphan')
        return [{ task_id, row, action, severity, message: `task ${task_id}: ${reason}`, suggestion: null }];
      const suggestion = 'run `forge orchestrate gc` to apply';
      const warning: Warning = { task_id, row, action, severity, message: reason, suggestion };
      session.say(warning);
      return [warning];
    });
  } catch (error) {
    const warning = warningOf(`auto-detect failed (continuing): ${oneLine(errorMessage(error))}`);
    session.say(warning);
    return [warning];
  }
}
