/** Goes through the ticks of a repeat. */

import { nextTry } from '../../domain/steps/budget.ts';
import { type ReadJournal, type Step, stepKey } from '../../domain/steps/journal.ts';
import {
  afterTick,
  ended,
  type Repeat,
  type RepeatStanding,
  type TickEnd,
  tillFailed,
  upcoming,
} from '../../domain/steps/ticks.ts';
import type { Failed } from '../../domain/steps/tries.ts';
import type { Looker } from '../../domain/steps/waits.ts';
import { msLeft } from '../../domain/task/deadlines.ts';
import { isoTime } from '../../lib/time.ts';
import { failedBefore, type Place, recordStanding } from './through.ts';
import { told } from './worker-journal.ts';

export interface Ticking {
  name: string;
  repeat: Repeat;
  /** Does the tick that was due at `at`, once. */
  tick(scope: { at: Date; key: string; try: number }): Promise<TickEnd>;
  /** Whether the repeat is over; asked when an attempt reaches it, and after each tick. Null: it never is by that. */
  till: (() => Promise<boolean | Failed>) | null;
}

/** Does ticks until the repeat is over, or has failed. Throws what `lost` says, `Parked`, STEP_REPEATED, INVALID_ID, IO_ERROR. */
export async function throughTicks(place: Place, { name, repeat, tick, till }: Ticking): Promise<Step> {
  const { journal, own, lost } = place;
  const record = (decide: (now: ReadJournal, looker: Looker) => RepeatStanding) => recordStanding(place, name, decide);
  const failed = await failedBefore(journal, name);
  if (failed !== null) return failed;
  const end = async (): Promise<Step | null> => {
    const found = (await till?.()) ?? false;
    if (found === false) return null;
    const standing = await record((now, looker) =>
      found === true ? ended(now, looker, repeat) : tillFailed(now, looker, repeat, found),
    );
    return standing.step;
  };
  // Also of a repeat that is gone on with: its process may have been killed before it asked.
  const before = await end();
  if (before !== null) return before;
  for (;;) {
    const { step, over, due } = await record((now, looker) => upcoming(now, looker, repeat));
    if (over) return step;
    if (due === null) {
      if (msLeft(step.wake, journal.instant()) > 0)
        await own.sleep(journal, { waitsFor: { kind: 'repeat', name }, wake: step.wake ?? null, lost });
      continue;
    }
    const read = await journal.read();
    const at = new Date(due);
    const key = `${stepKey(read.journal, read, name)}:${isoTime(due)}`;
    const number = nextTry(step);
    const text = `${name} of ${isoTime(due)}${number === 1 ? '' : `, try ${number}`}`;
    const made = await told(journal, text, tick({ at, key, try: number }));
    const after = await record((now, looker) => afterTick(now, looker, repeat, made));
    if (after.over) return after.step;
    const last = after.tickOver ? await end() : null;
    if (last !== null) return last;
  }
}
