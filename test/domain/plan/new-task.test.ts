import { describe, expect, it } from 'vitest';
import { idOf, newTaskYaml, phaseForNew } from '../../../src/domain/plan/new-task.ts';
import { parsePlan } from '../../../src/domain/plan/parse.ts';
import { indexed, type Plan } from '../../../src/domain/plan/plan.ts';
import { ID_PATTERN } from '../../../src/lib/ids.ts';
import fc from '../../support/properties.ts';

function plan(text: string): Plan {
  const parsed = parsePlan(text, 'f');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return indexed(parsed.plan);
}

describe('the id of a new task', () => {
  it.each([
    ['Fix the flaky login test', [], 'fix-the-flaky-login-test'],
    ['  Über-Größe: ça "va"?  ', [], 'uber-gro-e-ca-va'],
    ['Тест', [], 'task'],
    ['Lint', ['lint'], 'lint-2'],
    ['Lint', ['LINT', 'lint-2'], 'lint-3'],
    ['A title that goes on for longer than anybody wants to type', [], 'a-title-that-goes-on-for-longer-than'],
  ])('of %j beside %j is %s', (title, taken, id) => {
    expect(idOf(title, taken)).toBe(id);
  });

  it('the id of a new task is legal, and no other one, whatever the title is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }), fc.nat(3), (title, count) => {
        const taken: string[] = [];
        for (let i = 0; i <= count; i++) taken.push(idOf(title, taken));
        expect(new Set(taken).size).toBe(count + 1);
        for (const id of taken) expect(id).toMatch(ID_PATTERN);
      }),
    );
  });
});

describe('the phase of a new task', () => {
  const three = (one: string, two: string) =>
    plan(`project: p
phases:
  - {id: one, name: One, status: ${one}, tasks: [{id: a, title: A}]}
  - {id: two, name: Two, status: ${two}, tasks: []}
  - {id: three, name: Three, status: paused, tasks: []}`);

  it.each([
    ['active', 'active', null, 'two'],
    ['active', 'active', 'a', 'one'],
    ['active', 'active', 'a/set/child', 'one'],
    ['done', 'active', 'a', 'two'],
    ['active', 'done', null, 'one'],
  ])('with phases %s and %s and a task found in %s is %s', (one, two, from, phase) => {
    expect(phaseForNew(three(one, two), from)).toBe(phase);
  });

  it('the phase of a new task has to be named where none is active', () => {
    expect(() => phaseForNew(three('done', 'blocked'), null)).toThrow('no phase of the plan is active');
  });
});

it('a new task is written with the keys that it has, in the order of reading', () => {
  const task = { id: 'a', title: 'A', run: 'x', depends_on: [], priority: undefined, description: 'why' };
  expect(Object.keys(newTaskYaml(task))).toEqual(['id', 'title', 'description', 'run']);
});
