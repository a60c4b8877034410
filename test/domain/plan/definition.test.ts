import { expect, test } from 'vitest';
import { definitionOf, isRedefined, redefinedText } from '../../../src/domain/plan/definition.ts';
import type { PlanTask } from '../../../src/domain/plan/plan.ts';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import { onePhase } from '../../support/domain/plans.ts';
import { record } from '../../support/domain/tasks.ts';

const PLANNED = { id: 'a', run: 'make', verify: ['make check'], env: { A: '1', B: '2' }, description: 'All of it' };
const before = onePhase(PLANNED);

function shipped(definition: string | undefined, state: 'shipped' | 'failed' = 'shipped') {
  const made = record(state);
  return { ...made, memo: { ...made.memo, ...(definition === undefined ? {} : { definition }) } };
}

const done = shipped(definitionOf(before.tasks[0] as (typeof before.tasks)[0]));

test.each<[string, object, boolean]>([
  ['nothing else', {}, false],
  ['the same variables in another order', { env: { B: '2', A: '1' } }, false],
  ['another title', { title: 'B' }, false],
  ['another priority', { priority: 'P0' }, false],
  ['another retry policy', { retry: { max_attempts: 2 } }, false],
  ['another command', { run: 'make all' }, true],
  ['another shell', { shell: 'bash -eu' }, true],
  ['another check', { verify: [] }, true],
  ['another variable', { env: { A: '2' } }, true],
  ['another description', { description: 'Half of it' }, true],
  ['that it has a cache, by which a run does it again', { run: 'x', inputs: ['src'], cache: true }, false],
])('a shipped task of which the plan says %s is named or not', (_, change, named) => {
  const text = redefinedText(onePhase({ ...PLANNED, ...change }), () => done, DEFAULT_SETTINGS);
  expect(text !== null).toBe(named);
  if (named) expect(text).toContain('since: a');
});

test('a shipped task has another definition once its plan says cache, until it is done again', () => {
  const [cached] = onePhase({ ...PLANNED, inputs: ['src'], cache: true }).tasks as [PlanTask];
  expect(isRedefined(cached, done)).toBe(true);
  expect(isRedefined(cached, shipped(definitionOf(cached)))).toBe(false);
});

test('a task is not named that has not shipped, has no readable record, or was done by an earlier version', () => {
  const other = onePhase({ ...PLANNED, run: 'x' });
  for (const read of [shipped('other', 'failed'), null, undefined, 'unreadable', shipped(undefined)] as const)
    expect(redefinedText(other, () => read, DEFAULT_SETTINGS)).toBeNull();
});

test('of many changed tasks ten are named', () => {
  const many = Array.from({ length: 12 }, (_, i) => ({ ...PLANNED, id: `t${i}`, run: 'x' }));
  expect(redefinedText(onePhase(...many), () => done, DEFAULT_SETTINGS)).toMatch(
    /since: t0, .*t9 and 2 more; do them again with `forge orchestrate rerun t0 .*t9`$/,
  );
});
