import { expect, test } from 'vitest';
import { firstPort, LAST_PORT, lowestFree, PORTS_PER_SLOT } from '../../../src/domain/run/slots.ts';
import fc from '../../support/properties.ts';

test.each([
  [[], 1],
  [[1, 2], 3],
  [[2, 3], 1],
  [[1, 3], 2],
])('of the slots %j the lowest free one is %i', (taken, free) => {
  expect(lowestFree(new Set(taken))).toBe(free);
});

test('no two slots of a run share a port, and no port is above the last one that there is', () => {
  const slot = fc.integer({ min: 1, max: 1000 });
  const base = fc.integer({ min: 1024, max: LAST_PORT - PORTS_PER_SLOT + 1 });
  fc.assert(
    fc.property(slot, slot, base, (one, other, from) => {
      const [a, b] = [firstPort(one, from), firstPort(other, from)];
      if (a === null) return from + one * PORTS_PER_SLOT > LAST_PORT + 1;
      return (
        a >= from &&
        a + PORTS_PER_SLOT - 1 <= LAST_PORT &&
        (b === null || one === other || Math.abs(a - b) >= PORTS_PER_SLOT)
      );
    }),
  );
  expect(firstPort(1, LAST_PORT - PORTS_PER_SLOT + 1)).not.toBeNull();
});
