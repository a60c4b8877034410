/** The slots of a run, one for each task that it works on, and the ports that go with each. Pure. */

/** How many ports a slot has. */
export const PORTS_PER_SLOT = 100;

export const LAST_PORT = 65_535;

/** The lowest number from 1 up that is not taken. */
export function lowestFree(taken: ReadonlySet<number>): number {
  let slot = 1;
  while (taken.has(slot)) slot += 1;
  return slot;
}

/** The first port of a slot; null where its ports would go beyond the last one that there is. `base`: that of slot 1. */
export function firstPort(slot: number, base: number): number | null {
  const first = base + PORTS_PER_SLOT * (slot - 1);
  return first + PORTS_PER_SLOT - 1 > LAST_PORT ? null : first;
}

/** How many slots have ports. `base`: as in `firstPort`. */
export function slotsFrom(base: number): number {
  return Math.floor((LAST_PORT + 1 - base) / PORTS_PER_SLOT);
}
