/** Sealing a set of children: one commit of the attempt that makes them. Pure. */

import { isoTime } from '../../lib/time.ts';
import type { JournalWriter } from '../steps/changes.ts';
import { type ReadJournal, requireKind, type Step, stepRepeated } from '../steps/journal.ts';
import type { Looker } from '../steps/waits.ts';
import type { TaskRecord } from '../task/records.ts';
import { type FanOut, fanOutsOf, type Sealed } from './fan-outs.ts';

/** The set of that name; undefined: the task has none. Throws SCHEMA_INVALID. */
export function sealedIn(record: TaskRecord, name: string): Sealed | undefined {
  return fanOutsOf(record).find((each) => each.name === name);
}

/** The set that a commit seals, and what it has for that beside the step. One of that name that is there stays. Throws SCHEMA_INVALID. */
export function sealing(
  record: TaskRecord,
  attemptId: string,
  fanOut: FanOut,
): { sealed: Sealed; also: Pick<JournalWriter, 'memo' | 'documents'> } {
  const { name, fan_out_id, children } = fanOut;
  const before = sealedIn(record, name);
  if (before !== undefined) return { sealed: before, also: {} };
  const sealed: Sealed = { name, attempt_id: attemptId, fan_out_id, children: children.length };
  const document = { kind: 'fan-out' as const, attemptId, value: fanOut };
  return { sealed, also: { memo: { fan_outs: [...fanOutsOf(record), sealed] }, documents: [document] } };
}

/** The step of a sealed set. Throws STEP_REPEATED, and what `requireKind` throws. */
export function fanOutStep(
  { steps, journal }: ReadJournal,
  { name, attemptId, generation, instant }: Looker,
  { startedAt, children }: { startedAt: string; children: number },
): Step {
  const before = steps.get(name);
  requireKind(before, 'fan-out');
  if (before !== undefined) throw stepRepeated(name);
  return {
    name,
    kind: 'fan-out',
    status: 'completed',
    tries: 1,
    started_at: startedAt,
    ended_at: isoTime(instant.nowMs),
    result: { children },
    last_error: null,
    attempt_id: attemptId,
    generation,
    epoch: journal.epoch,
  };
}
