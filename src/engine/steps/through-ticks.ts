/** Goes through the ticks of a repeat. */

import { nextTry, type Step, stepKey } from '../../domain/steps/journal.ts';
import {
  afterTick,
  ended,
  type Repeat,
  type RepeatStanding,
  type TickEnd,
  upcoming,
} from '../../domain/steps/ticks.ts';
import type { Looker } from '../../domain/steps/waits.ts';
import { msLeft } from '../../domain/task/deadlines.ts';
import { isoTime } from '../../lib/time.ts';
import type { ReadJournal } from './task-journal.ts';
import { failedBefore, type Place, recordStanding } from './through.ts';
import { told } from './worker-journal.ts';

export interface Ticking {
  name: string;
  repeat: Repeat;
  /** Does the tick that was due at `at`, once. */
  tick(scope: { at: Date; key: string; try: number }): Promise<TickEnd>;
  /** Whether the repeat is over; asked when an attempt reaches it, and after each tick. Null: it never is by that. */
  till: (() => Promise<boolean>) | null;
}

/** Does ticks until the repeat is over. Throws what `till` throws, what `lost` says, `Parked`, STEP_REPEATED, INVALID_ID, IO_ERROR. */
export async function throughTicks(place: Place, { name, repeat, tick, till }: Ticking): Promise<Step> {
  const { journal, pass, lost } = place;
  const record = (decide: (now: ReadJournal, looker: Looker) => RepeatStanding) => recordStanding(place, name, decide);
  const failed = await failedBefore(journal, name);
  if (failed !== null) return failed;
  const isOver = async () => till !== null && (await till());
  // Also of a repeat that is gone on with: its process may have been killed before it asked.
  if (await isOver()) return (await record((now, looker) => ended(now, looker, repeat))).step;
  for (;;) {
    const { step, over, due } = await record((now, looker) => upcoming(now, looker, repeat));
    if (over) return step;
    if (due === null) {
      if (msLeft(step.wake, journal.instant()) > 0)
        await pass.sleep(journal, { waitsFor: { kind: 'repeat', name }, wake: step.wake ?? null, lost });
      continue;
    }
    const read = await journal.read();
    const at = new Date(due);
    const key = `${stepKey(read.journal, read, name)}:${isoTime(due)}`;
    const number = nextTry(step);
    const text = `${name} of ${isoTime(due)}${number === 1 ? '' : `, try ${number}`}`;
    const end = await told(journal, text, tick({ at, key, try: number }));
    const after = await record((now, looker) => afterTick(now, looker, repeat, end));
    if (after.over) return after.step;
    if (after.tickOver && (await isOver())) return (await record((now, looker) => ended(now, looker, repeat))).step;
  }
}
