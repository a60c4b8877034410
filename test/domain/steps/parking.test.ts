/** Parking of a task whose script waits at several places, each in a process of its own. */

import { expect, test } from 'vitest';
import { type Entry, type Step, viewOf } from '../../../src/domain/steps/journal.ts';
import { alsoAsleep, parkFor } from '../../../src/domain/steps/parking.ts';

const instant = { nowMs: Date.parse('2030-01-01T00:00:00Z'), monoMs: 0, bootId: 'boot' };
const at = (time: string) => ({ at: `2030-01-01T${time}:00.000Z`, clock: null });

function step(name: string, kind: Step['kind'], more: Partial<Step> = {}): Entry {
  const times = { started_at: '2029-12-31T23:00:00.000Z', ended_at: null };
  const by = { attempt_id: 'this', generation: 1, epoch: 0 };
  return {
    step: { name, kind, status: 'running', tries: 0, result: null, last_error: null, ...times, ...by, ...more },
  };
}

/** For what a task is parked by its wait `own`, which lasts until two o'clock. */
function parked(entries: readonly Entry[]) {
  const read = viewOf([step('own', 'wait', { wake: at('02:00') }), ...entries]);
  const own = [{ waitsFor: { kind: 'wait', name: 'own' }, wake: at('02:00'), isThere: () => false }];
  return parkFor([...own, ...alsoAsleep(own, read, { attemptId: 'this', instant })], read, instant);
}

test.each<[string, Entry[], { waits: string[]; wake: string }]>([
  ['alone: for that', [], { waits: ['own'], wake: '02:00' }],
  [
    'beside a shorter one: until that',
    [step('short', 'wait', { wake: at('01:00') })],
    { waits: ['own', 'short'], wake: '01:00' },
  ],
  ['beside a signal that has not come', [step('go', 'wait-for')], { waits: ['own', 'go'], wake: '02:00' }],
  [
    'beside a signal that came just now: to go on at once',
    [step('go', 'wait-for'), { signal: { name: 'go', id: '1', data: null, at: '2030-01-01T00:00:00.000Z' } }],
    { waits: ['own', 'go'], wake: '00:00' },
  ],
  [
    'beside a join, by the names of its fan-outs',
    [step('forge.join.a+b', 'join')],
    { waits: ['own', 'a b'], wake: '02:00' },
  ],
  [
    'beside a step that is tried again later',
    [step('flaky', 'step', { status: 'failed', wake: at('00:30') })],
    { waits: ['own', 'flaky'], wake: '00:30' },
  ],
  [
    'beside what is over, has failed for good, or is of another attempt',
    [
      step('done', 'step', { status: 'completed' }),
      step('bad', 'step', { status: 'failed' }),
      step('old', 'wait', { attempt_id: 'other', wake: at('00:10') }),
    ],
    { waits: ['own'], wake: '02:00' },
  ],
])('a wait parks its task %s', (_, entries, { waits, wake }) => {
  const park = parked(entries);
  expect(park?.waitsFor.map(({ name }) => name)).toEqual(waits);
  expect(park?.wake?.at).toBe(at(wake).at);
});
