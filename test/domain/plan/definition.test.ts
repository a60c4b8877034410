import { expect, test } from 'vitest';
import { definitionOf, redefinedText } from '../../../src/domain/plan/definition.ts';
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
])('a shipped task of which the plan says %s is named or not', (_, change, named) => {
  const text = redefinedText(onePhase({ ...PLANNED, ...change }), () => done);
  expect(text !== null).toBe(named);
  if (named) expect(text).toContain('since: a');
});

test('a task is not named that has not shipped, has no readable record, or was done by an earlier version', () => {
  const other = onePhase({ ...PLANNED, run: 'x' });
  for (const read of [shipped('other', 'failed'), null, undefined, 'unreadable', shipped(undefined)] as const)
    expect(redefinedText(other, () => read)).toBeNull();
});

test('of many changed tasks ten are named', () => {
  const many = Array.from({ length: 12 }, (_, i) => ({ ...PLANNED, id: `t${i}`, run: 'x' }));
  expect(redefinedText(onePhase(...many), () => done)).toMatch(
    /since: t0, .*t9 and 2 more; do them again with `forge orchestrate rerun t0 .*t9`$/,
  );
});
