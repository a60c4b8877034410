import { describe, expect, it } from 'vitest';
import { dotOf, type Graph, type GraphTask, mermaidOf, treeOf } from '../../../src/domain/plan/graph.ts';
import fc from '../../support/properties.ts';

const task = (task_id: string, depends_on: string[] = [], more: Partial<GraphTask> = {}): GraphTask => ({
  task_id,
  phase_id: 'one',
  title: task_id.toUpperCase(),
  state: 'unclaimed',
  depends_on,
  outside: [],
  conditions: {},
  ...more,
});
const graph = (...tasks: GraphTask[]): Graph => ({ project: 'p', phases: [{ phase_id: 'one', name: 'One' }], tasks });

describe('a tree', () => {
  const drawn = (tasks: GraphTask[]) =>
    treeOf(tasks).map(
      ({ task: { task_id }, lead, also }) => `${lead}${task_id}${also.length === 0 ? '' : ` (${also})`}`,
    );

  it('a tree has each task below the dependency that it waits for longest, with the others named', () => {
    const tasks = [
      task('a'),
      task('b', ['a']),
      task('c', ['a']),
      task('d', ['a', 'c']),
      task('e', [], { outside: ['x'] }),
    ];
    expect(drawn(tasks)).toEqual(['a', '├─ b', '└─ c', '   └─ d (a)', 'e (x)']);
  });

  it('a tree does not depend on the order of the plan', () => {
    expect(drawn([task('c', ['b']), task('b', ['a']), task('a')])).toEqual(['a', '└─ b', '   └─ c']);
  });

  it('a tree has as many tasks below one as no call could take as arguments', () => {
    const many = Array.from({ length: 130_000 }, (_, i) => task(`t${i}`, ['first']));
    expect(drawn([task('first'), ...many])).toHaveLength(130_001);
  });

  it('a tree is indented by ten at most; below that the task above is named', () => {
    const chain = Array.from({ length: 20_000 }, (_, i) => task(`t${i}`, i === 0 ? [] : [`t${i - 1}`]));
    const rows = drawn(chain);
    expect(rows).toHaveLength(20_000);
    expect(rows[11]).toBe(`${' '.repeat(27)}└─ t11 (t10)`);
    expect(rows.at(-1)).toBe(`${' '.repeat(27)}└─ t19999 (t19998)`);
  });
});

/** What may be in a title. */
const HOSTILE = [
  '"',
  '\\',
  '#',
  ';',
  '<b>',
  '`x`',
  '[a]',
  '{a}',
  '(a)',
  '|',
  '%%',
  '--> x',
  'end',
  '\n',
  '&',
  '"]; x',
  '😀',
];
const anyTitle = fc.array(fc.constantFrom(...HOSTILE, 'word '), { maxLength: 6 }).map((parts) => parts.join(''));
const anyId = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/);

/** A line of a flowchart. */
const LINE =
  /^(?:flowchart TD| {2}subgraph p\d+\["(?:[^"#;<>]|#\d+;)*"\]| {4}t\d+\["(?:[^"#;<>]|<br>|#\d+;)*"\]| {2}end| {2}t\d+ --> t\d+)$/;

describe('a drawing', () => {
  it('a drawing for Mermaid names its nodes by numbers, and no text of a plan ends a text of the drawing', () => {
    fc.assert(
      fc.property(anyId, anyTitle, anyTitle, (id, title, name) => {
        const lines = mermaidOf({
          ...graph(task(id, [], { title }), task(`${id}2`, [id])),
          phases: [{ phase_id: 'one', name }],
        });
        for (const line of lines.split('\n')) {
          expect(line).toMatch(LINE);
        }
        expect(lines).toContain('t0 --> t1');
      }),
    );
  });

  it('a drawing for Graphviz has every text in quotes that it can not end', () => {
    const text = '"(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
    const line = new RegExp(
      `^(?:digraph ${text} \\{| {2}rankdir=LR;| {2}node \\[.*\\];| {2}subgraph cluster_\\d+ \\{| {4}label=${text};| {4}${text} \\[label=${text}(?:, fillcolor="#\\w+")?\\];| {2}\\}| {2}${text} -> ${text};|\\})$`,
    );
    fc.assert(
      fc.property(anyId, anyTitle, anyTitle, (id, title, project) => {
        const drawn = dotOf({ ...graph(task(id, [], { title, state: 'shipped' }), task(`${id}2`, [id])), project });
        for (const each of drawn.split('\n')) expect(each).toMatch(line);
      }),
    );
  });

  it('colours tasks by their states', () => {
    const drawn = mermaidOf(
      graph(task('a', [], { state: 'shipped' }), task('b', ['a'], { state: 'failed' }), task('c')),
    );
    expect(drawn.split('\n').slice(-4)).toEqual([
      '  classDef c0 fill:#c8e6c9,color:#000',
      '  class t0 c0',
      '  classDef c2 fill:#ffcdd2,color:#000',
      '  class t1 c2',
    ]);
  });
});
