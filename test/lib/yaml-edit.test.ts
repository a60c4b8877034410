import { describe, expect, it } from 'vitest';
import { parseYaml, type YamlPath } from '../../src/lib/yaml.ts';
import { editYaml, type YamlEdit } from '../../src/lib/yaml-edit.ts';
import fc from '../support/properties.ts';

const lines = (...all: string[]) => all.join('\n');

/** The path of a task in the plans below. */
const TASK: YamlPath = ['phases', 0, 'tasks', 0];
const TASKS: YamlPath = TASK.slice(0, -1);

const BLOCK = lines(
  '# A plan.',
  'project: p',
  'phases:',
  '  - id: one   # the first',
  '    name: "One"',
  '    tasks:',
  "      - id: 'a'",
  '        title: A  # with care',
  '        depends_on: # why',
  '          - x  # first',
  '          # second',
  '          - y',
  '        run: |',
  '          npm test',
  '          npm run lint',
  '',
  '        # the end of a',
  '      - {id: b, title: B}',
  '      # - id: c',
  '',
);

const plan = (tasks: string) => `project: p\nphases:\n  - id: one\n    name: One\n    tasks:${tasks}`;

describe('an edit of YAML', () => {
  const cases: [what: string, before: string, edit: YamlEdit, from: string, to: string][] = [
    [
      'a scalar is replaced, and its comment stays',
      BLOCK,
      { path: [...TASK, 'title'], set: 'B: b' },
      'title: A ',
      'title: "B: b" ',
    ],
    [
      'a key is added behind the last of its mapping',
      BLOCK,
      { path: [...TASK, 'timeout'], set: '5m' },
      'npm run lint\n',
      'npm run lint\n        timeout: 5m\n',
    ],
    [
      'a script is replaced by a line',
      BLOCK,
      { path: [...TASK, 'run'], set: 'make && make test' },
      'run: |\n          npm test\n          npm run lint',
      'run: make && make test',
    ],
    [
      'a line is replaced by a script',
      BLOCK,
      { path: [...TASK, 'title'], set: 'A\n\nB\n' },
      'title: A  # with care',
      'title: |  # with care\n          A\n\n          B',
    ],
    [
      'a list of several lines is replaced by one in a line, and its first comment stays',
      BLOCK,
      { path: [...TASK, 'depends_on'], set: ['z'] },
      'depends_on: # why\n          - x  # first\n          # second\n          - y',
      'depends_on: [z] # why',
    ],
    [
      'an item is added to a list of several lines',
      BLOCK,
      { path: [...TASK, 'depends_on'], append: 'z' },
      '          - y\n',
      '          - y\n          - z\n',
    ],
    [
      'an item is taken out of a list of several lines',
      BLOCK,
      { path: [...TASK, 'depends_on'], drop: 0 },
      '          - x  # first\n',
      '',
    ],
    [
      'a key is taken away with its lines',
      BLOCK,
      { path: [...TASK, 'title'], set: undefined },
      '        title: A  # with care\n',
      '',
    ],
    [
      'the first key of an item is taken away',
      plan('\n      - title: A\n        id: a\n'),
      { path: [...TASK, 'title'], set: undefined },
      '- title: A\n        id: a',
      '- id: a',
    ],
    [
      'an item is written as the one before it, in braces',
      BLOCK,
      { path: TASKS, append: { id: 'c', title: 'C, c', depends_on: ['a'] } },
      'title: B}\n',
      'title: B}\n      - {id: c, title: "C, c", depends_on: [a]}\n',
    ],
    [
      'an item is written as the one before it, in lines',
      plan('\n      -   id: a\n          title: A'),
      { path: TASKS, append: { id: 'b', title: 'B', run: 'x\ny' } },
      'title: A',
      'title: A\n      -   id: b\n          title: B\n          run: |-\n            x\n            y',
    ],
    [
      'a list at the indentation of its key is added to',
      'tasks:\n- a\nnext: 1\n',
      { path: ['tasks'], append: 'b' },
      '- a\n',
      '- a\n- b\n',
    ],
    [
      'an empty list is written in lines',
      plan(' []\n'),
      { path: TASKS, append: { id: 'a' } },
      'tasks: []',
      'tasks:\n      - id: a',
    ],
    [
      'a key without a value gets one',
      plan('\n      - id: a\n        run:  # soon\n'),
      { path: [...TASK, 'run'], set: 'x' },
      'run:',
      'run: x',
    ],
    [
      'braces are added to',
      plan('\n      - {id: a, title: A} # x\n'),
      { path: [...TASK, 'run'], set: 'a: b' },
      'title: A}',
      'title: A, run: "a: b"}',
    ],
    [
      'a key behind a text that keeps its empty lines stands behind these',
      'tasks:\n  - id: a\n    run: |+\n      x\n\n  - id: b\n',
      { path: ['tasks', 0, 'title'], set: 'A' },
      'x\n\n',
      'x\n\n    title: A\n',
    ],
    [
      'the comment behind the sign of a text of several lines stays',
      'run: |-  # why\n  a\n  b\nnext: 1\n',
      { path: ['run'], set: 'c' },
      '|-  # why\n  a\n  b',
      'c  # why',
    ],
    ['empty braces are added to', 'env: {}\n', { path: ['env', 'A'], set: 1 }, '{}', '{A: 1}'],
    [
      'a key is taken out of braces',
      plan('\n      - {id: a, run: x, title: A}\n'),
      { path: [...TASK, 'run'], set: undefined },
      ', run: x',
      '',
    ],
    ['the first key is taken out of braces', 'a: {b: 1, c: 2}\n', { path: ['a', 'b'], set: undefined }, 'b: 1, ', ''],
    ['an item is added to brackets', 'a: [b, c] # d\n', { path: ['a'], append: 'd' }, 'c]', 'c, d]'],
    ['an item is taken out of brackets', 'a: [b, c] # d\n', { path: ['a'], drop: 0 }, 'b, ', ''],
    ['the last item is taken out', 'a:\n  - b\nc: 1\n', { path: ['a'], drop: 0 }, 'a:\n  - b', 'a: []'],
    [
      'brackets over several lines get a line more',
      'a: [\n  {b: 1}, # x\n  {b: 2} # y\n  ]\n',
      { path: ['a'], append: { b: 3 } },
      '{b: 2} # y',
      '{b: 2}, # y\n  {b: 3}',
    ],
    ['brackets that end with a comma keep it', 'a: [\n  b,\n  ]\n', { path: ['a'], append: 'c' }, '  b,', '  b,\n  c,'],
    [
      'JSON that is indented by tabs is added to with tabs',
      '{\n\t"a": [\n\t\t{"id": "x"}\n\t]\n}',
      { path: ['a'], append: { id: 'y' } },
      '"x"}',
      '"x"},\n\t\t{"id":"y"}',
    ],
    ['JSON stays JSON', '{"a": [{"id": "x"}]}', { path: ['a'], append: { id: 'y' } }, '"x"}', '"x"}, {"id":"y"}'],
    ['keys above that are missing are made', 'a: 1\n', { path: ['b', 'c'], set: 2 }, 'a: 1', 'a: 1\nb: {c: 2}'],
    [
      'an alias is replaced where it stands',
      'x: &x make\na:\n  run: *x\n',
      { path: ['a', 'run'], set: 'true' },
      '*x',
      '"true"',
    ],
    [
      'a key of a merge is set beside it',
      'x: &x {t: 1}\na:\n  <<: *x\n',
      { path: ['a', 't'], set: 2 },
      '<<: *x',
      '<<: *x\n  t: 2',
    ],
    [
      'a key of a merge is taken away by one without a value',
      'x: &x {t: 1}\na:\n  <<: *x\n',
      { path: ['a', 't'], set: undefined },
      '<<: *x',
      '<<: *x\n  t: null',
    ],
    ['a byte order mark stays', '\ufeffa: 1\n', { path: ['a'], set: 2 }, '1', '2'],
    [
      'a text without a last line break has none after it',
      'a:\n  - b',
      { path: ['a'], append: 'c' },
      '- b',
      '- b\n  - c',
    ],
  ];
  it.each(cases)('%s', async (_, before, edit, from, to) => {
    expect(before.split(from)).toHaveLength(2);
    expect(await editYaml(before, [edit])).toBe(before.replace(from, to));
    // Windows writes other line ends.
    const windows = (text: string) => text.replaceAll('\n', '\r\n');
    expect(await editYaml(windows(before), [edit])).toBe(windows(before).replace(windows(from), windows(to)));
  });

  it.each<[what: string, text: string, edit: YamlEdit]>([
    ['a value that an anchor shares', 'a: &x make\nb: *x\n', { path: ['a'], set: 'true' }],
    ['a mapping that an anchor shares', 'a: &x {t: 1}\nb: *x\n', { path: ['a', 't'], set: 2 }],
    ['what stands behind an alias', 'a: &x {t: 1}\nb: *x\n', { path: ['b', 't'], set: 2 }],
    ['a key below a text', 'a: b\n', { path: ['a', 't'], set: 2 }],
    ['what is not YAML', 'a: [\n', { path: ['a'], append: 2 }],
  ])('%s is not changed in place', async (_, text, edit) => {
    expect(await editYaml(text, [edit])).toBeNull();
  });

  it('any text is read back as it was set, in block and in flow, whatever else is there', async () => {
    const word = fc.constantFrom(
      'a',
      'true',
      'null',
      '~',
      '1.10',
      '0x1f',
      '2020-01-01',
      ' a',
      'a ',
      'a: b',
      'a #b',
      '- a',
      '# a',
      '*a',
      '&a',
      '{a',
      "it's",
      '"',
      '.5',
      '...',
      '---',
      'a\nb',
      'a\n',
      '\na',
      'a\n\n',
      '\t',
      '\u0085',
      '\u2028',
      '\x07',
      'é',
      '@a',
      'a,b',
      '!x',
      '? a',
      '$A',
    );
    const text = fc.oneof(
      word,
      fc.string(),
      fc.array(word, { maxLength: 3 }).map((words) => words.join('')),
    );
    await fc.assert(
      fc.asyncProperty(text, fc.constantFrom(BLOCK, plan(' [{id: a, title: A}]\n')), async (value, before) => {
        const edits = [
          { path: [...TASK, 'title'], set: value },
          { path: [...TASK, 'verify'], append: value },
          { path: TASKS, append: { id: 'z', title: value } },
        ];
        const after = await editYaml(before, edits);
        const read = parseYaml(after ?? '', 'f');
        const [task, ...more] =
          (read as { value: { phases: { tasks: Record<string, unknown>[] }[] } }).value.phases[0]?.tasks ?? [];
        expect(task).toMatchObject({ title: value, verify: [value] });
        expect(more.at(-1)).toEqual({ id: 'z', title: value });
      }),
      { numRuns: 100 },
    );
  });

  it('every line of another task stays, in its order, in whatever style a plan is written', async () => {
    const style = fc.constantFrom('lines', 'braces', 'comments');
    const written = (kind: string, id: string) => {
      if (kind === 'braces') return [`  - {id: ${id}, title: "T ${id}", run: 'x ${id}'}  # ${id}`];
      const comment = kind === 'comments' ? [`  # before ${id}`, ''] : [];
      return [
        ...comment,
        `  - id: ${id}   # the ${id}`,
        `    title: T ${id}`,
        '    run: |',
        `      x ${id}`,
        '',
        `      y ${id}`,
      ];
    };
    const edit = fc.constantFrom<(path: YamlPath) => YamlEdit>(
      (path) => ({ path: [...path, 'title'], set: 'another: one' }),
      (path) => ({ path: [...path, 'env'], set: { A: '1' } }),
      (path) => ({ path: [...path, 'env', 'A'], set: '1' }),
      (path) => ({ path: [...path, 'run'], set: 'a\nb' }),
      (path) => ({ path: [...path, 'run'], set: undefined }),
      (path) => ({ path: [...path, 'depends_on'], append: 'z' }),
      () => ({ path: ['tasks'], append: { id: 'new', title: 'New', run: 'a\nb' } }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(style, { minLength: 1, maxLength: 5 }),
        fc.nat(4),
        edit,
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        async (styles, at, change, newline, isEnded) => {
          const index = at % styles.length;
          const parts = styles.map((kind, i) => written(kind, `t${i}`));
          const before = ['# plan', 'tasks:', ...parts.flat()].join(newline) + (isEnded ? newline : '');
          const after = await editYaml(before, [change(['tasks', index])]);
          const now = (after ?? '').split(newline);
          let from = 0;
          for (const line of ['# plan', 'tasks:', ...parts.filter((_, i) => i !== index).flat()]) {
            const found = now.indexOf(line, from);
            expect(found, `${line} in ${after}`).toBeGreaterThanOrEqual(from);
            if (line !== '') from = found + 1;
          }
          expect(after?.endsWith(newline)).toBe(isEnded);
        },
      ),
      { numRuns: 150 },
    );
  });
});
