import { describe, expect, it } from 'vitest';
import { type PlanPlace, phasePlace, taskPlace } from '../../../src/domain/plan/places.ts';
import { dependencyEdits, settingEdit, settingOf } from '../../../src/domain/plan/task-edits.ts';
import { thrownBy } from '../../support/refused.ts';

const PLAN = `project: p
phases:
  - id: one
    name: One
    tasks:
      - {id: 1.10, title: A}
      - {id: b, title: B, depends_on: [1.10, c]}
      - {id: c, title: C}
`;
const texts = [{ file: 'f', text: PLAN }];
const place = (id: string) => taskPlace(texts, id) as PlanPlace;

function refusal(work: () => unknown): string {
  const { message, hint } = thrownBy(work);
  return `${message} | ${hint}`;
}

describe('a place in a plan', () => {
  it('a place in a plan is found by the id as the file spells it', () => {
    expect(place('1.10').path).toEqual(['phases', 0, 'tasks', 0]);
    expect(taskPlace(texts, '1.1')).toBeNull();
    expect(phasePlace(texts, 'one')?.path).toEqual(['phases', 0]);
    expect(phasePlace([{ file: 'f', text: '[' }], 'one')).toBeNull();
  });
});

describe('a key and its value', () => {
  it('a key and its value are refused where an item of a list is to be named', () => {
    const texts = [{ file: 'f', text: PLAN.replace('{id: c, title: C}', '{id: c, title: C, retry: [{base: 1s}]}') }];
    const at = taskPlace(texts, 'c') as PlanPlace;
    expect(refusal(() => settingEdit(at, settingOf('retry.base=2s')))).toBe(
      '--set retry.base: retry is a list here | Name an item, such as retry.0.base.',
    );
    const path = ['phases', 0, 'tasks', 2, 'retry', '0', 'base'];
    expect(settingEdit(at, settingOf('retry.0.base=2s'))).toEqual({ path, set: '2s' });
  });

  it.each([
    ['title=A: b', ['title'], 'A: b'],
    ['run=a=b, c', ['run'], 'a=b, c'],
    ['title=true', ['title'], 'true'],
    ['priority=P0', ['priority'], 'P0'],
    ['tracker_issue_id=1.10', ['tracker_issue_id'], '1.10'],
    ['timeout=5m', ['timeout'], '5m'],
    ['timeout=60000', ['timeout'], 60000],
    ['timeout=', ['timeout'], undefined],
    ['depends_on=a, b', ['depends_on'], ['a', 'b']],
    ['depends_on=[a, 1.10]', ['depends_on'], ['a', '1.10']],
    ['write_globs=src/*.{ts,js}, docs', ['write_globs'], ['src/*.{ts,js}', 'docs']],
    ['cache=true', ['cache'], true],
    ['verify=npm test -- a,b', ['verify'], ['npm test -- a,b']],
    ['verify=["npm test", lint]', ['verify'], ['npm test', 'lint']],
    ['args=[--max-turns, "50"]', ['args'], ['--max-turns', '50']],
    ['env={A: 1.10, B: x}', ['env'], { A: '1.10', B: 'x' }],
    ['env.A=1.10', ['env', 'A'], '1.10'],
    ['budget.cost=5', ['budget', 'cost'], 5],
    ['depends_on={task: a, when: always}', ['depends_on'], [{ task: 'a', when: 'always' }]],
    ['uses={gpu: 2}', ['uses'], [{ gpu: 2 }]],
    ['uses=deploy, gpu', ['uses'], ['deploy', 'gpu']],
    ['verify=[true, 1.10]', ['verify'], ['true', '1.10']],
    ['verify={ test -e x; }', ['verify'], ['{ test -e x; }']],
    ['retry.max_attempts=5', ['retry', 'max_attempts'], 5],
    ['retry.max_attempts=unlimited', ['retry', 'max_attempts'], 'unlimited'],
    ['retry.retry_on=network, tests', ['retry', 'retry_on'], ['network', 'tests']],
    ['retry.0.base=1s', ['retry', '0', 'base'], '1s'],
    ['matrix.node=20, 22', ['matrix', 'node'], ['20', '22']],
    ['matrix.exclude={node: 20}', ['matrix', 'exclude'], [{ node: 20 }]],
    ['retry={max_attempts: 3, base: 10s}', ['retry'], { max_attempts: 3, base: '10s' }],
  ])('%s is read as the schema has it', (written, path, value) => {
    expect(settingOf(written)).toEqual({ path, value });
  });

  it.each([
    ['priorty=P0', 'a task has no key "priorty" | Did you mean priority?'],
    ['xyzzy=1', 'A task has the keys id, title,'],
    ['id=x', 'a renamed task is a new one'],
    ['timeout', 'no value is given | Write timeout=VALUE, or timeout= to take the key away.'],
    ['budget.csot=5', 'budget has no key "csot"'],
    ['title.x=5', 'title has no key "x"'],
    ['retry.max_atempts=5', 'retry has no key "max_atempts"'],
    ['env={A', 'not valid YAML'],
    ['model_tier=x', 'a task has no key "model_tier"'],
  ])('%s is refused', (written, words) => {
    expect(refusal(() => settingOf(written))).toContain(words);
  });
});

describe('dependencies', () => {
  it('dependencies are added and taken away, and what is so already is not an edit', () => {
    const at = ['phases', 0, 'tasks', 1, 'depends_on'];
    expect(dependencyEdits(place('b'), '+x, -1.10,-c')).toEqual([
      { path: at, append: 'x' },
      { path: at, drop: 0 },
      { path: at, drop: 0 },
    ]);
    expect(dependencyEdits(place('b'), '+c')).toEqual([]);
  });

  it.each([
    ['c', 'a sign says what to do | Write +c to add it, -c to take it away.'],
    ['+', 'a sign says what to do'],
    ['-x', 'the task does not depend on x | It depends on 1.10, c.'],
  ])('%s is refused', (written, words) => {
    expect(refusal(() => dependencyEdits(place('b'), written))).toContain(words);
  });
});
