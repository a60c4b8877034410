/** What a step has used of its budget, which begins anew with each epoch of its journal. Pure. */

import type { Journal, Step } from './journal.ts';

/** What a step has used of its budget. */
export type Counted = Pick<Step, 'tries' | 'retry_counts' | 'waited' | 'uncharged'>;

/** The same, without what says nothing. */
export function countedOf({ tries, retry_counts, waited, uncharged }: Counted): Counted {
  return { tries, ...(retry_counts && { retry_counts }), ...(waited && { waited }), ...(uncharged && { uncharged }) };
}

/** Which try the next one is, from 1. */
export function nextTry({ tries, uncharged = 0 }: Counted): number {
  return tries + uncharged + 1;
}

/** What of its budget a step has used; of an earlier epoch that does not count. `started_at`: of the first try; null: there is none. */
export function budgetOf(
  step: Step | undefined,
  { epoch }: Pick<Journal, 'epoch'>,
): Counted & { started_at: string | null } {
  if (step === undefined || step.epoch !== epoch) return { tries: 0, started_at: null };
  return { ...countedOf(step), started_at: step.started_at };
}
