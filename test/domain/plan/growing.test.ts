/** Plans that say things once: defaults, keys of their own, matrices and other files. */

import { describe, expect, it } from 'vitest';
import { parsePlan } from '../../../src/domain/plan/parse.ts';
import type { Plan, PlanTask } from '../../../src/domain/plan/plan.ts';
import { SMALLEST_PLAN } from '../../../src/domain/plan/schema.ts';
import { ID_PATTERN } from '../../../src/lib/ids.ts';
import fc from '../../support/properties.ts';

/** `files`: what may be included. */
function planOf(text: string, files: Record<string, string> = {}): Plan {
  const result = parsePlan(text, 'plan.yaml', (file) => files[file] ?? null);
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 1));
  return result.plan;
}

function linesOf(text: string, files: Record<string, string> = {}): string[] {
  const result = parsePlan(text, 'plan.yaml', (file) => files[file] ?? null);
  if (result.ok) throw new Error('it has no problems');
  return result.problems.map(({ place, message, suggestion }) =>
    [`${place.file}:${place.line}:${place.column}`, message, suggestion].filter(Boolean).join(' | '),
  );
}

const task = (plan: Plan, id: string) => plan.byId.get(id) as PlanTask;

describe('a reference to a value of a matrix', () => {
  const warningsOf = (lines: string) => {
    const result = parsePlan(`project: p\n${lines}`, 'plan.yaml');
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    return result.warnings;
  };
  const R = `\${{ matrix.node }}`;

  it('is warned of, with its place, where no value takes its place', () => {
    expect(
      warningsOf(`defaults: {env: {N: "${R}"}}
phases:
  - id: one
    name: One
    defaults: {cwd: "${R}"}
    tasks:
      - {id: a, title: "${R}", run: "x ${R} ${R}", verify: [y, "${R}"]}
      - {id: b, title: B, run: "x ${R}", matrix: {node: [1, 2]}}
`),
    ).toEqual([
      `plan.yaml:2:21 defaults.env.N: ${R} stays as it is: values of a matrix are for texts of its task`,
      `plan.yaml:6:21 phase "one": defaults.cwd: ${R} stays as it is: values of a matrix are for texts of its task`,
      `plan.yaml:8:${22 + R.length + 11} task "a": run: ${R} stays as it is: the task has no matrix`,
      expect.stringMatching(/^plan\.yaml:8:\d+ task "a": verify\[1\]: /),
    ]);
  });

  it('may stand in prose, such as about a workflow that is to be changed', () => {
    const prose = `title: "Fix ${R}", description: "${R}", acceptance: ["${R}"]`;
    expect(warningsOf(`phases: [{id: one, name: One, tasks: [{id: a, ${prose}}]}]\n`)).toEqual([]);
  });
});

describe('defaults', () => {
  const text = `
project: p
shell: sh
defaults:
  timeout: 10m
  retry: {max_attempts: 3}
  env: {A: plan, B: plan, V: 1.10}
  worker: claude
  model: opus
phases:
  - id: one
    name: One
    shell: zsh
    defaults:
      timeout: 5m
      verify: [npm test]
      env: {B: phase}
      shell: bash -eu
    tasks:
      - {id: a, title: A, run: x}
      - {id: b, title: B, timeout: 1m, verify: [], env: {B: task}, retry: {max_attempts: 1}, shell: fish}
      - {id: c, title: C, timeout:, worker: codex}
  - id: two
    name: Two
    tasks: [{id: d, title: D}]
`;

  it('count for what a task does not say itself, the nearest first; variables are merged', () => {
    const plan = planOf(text);
    expect(task(plan, 'a')).toMatchObject({
      timeout_ms: 300_000,
      retry: { max_attempts: 3 },
      verify: ['npm test'],
      env: { A: 'plan', B: 'phase', V: '1.10' },
      shell: ['bash', '-eu'],
    });
    expect(task(plan, 'b')).toMatchObject({
      timeout_ms: 60_000,
      retry: { max_attempts: 1 },
      verify: [],
      env: { A: 'plan', B: 'task', V: '1.10' },
      shell: ['fish'],
      worker: 'claude',
    });
    expect(task(plan, 'd')).toMatchObject({ timeout_ms: 600_000, verify: [], shell: ['sh'], model: 'opus' });
  });

  it('a key without a value has none of the defaults', () => {
    expect(task(planOf(text), 'c').timeout_ms).toBeNull();
  });

  it('a worker is for tasks without run, and goes with its own model', () => {
    const plan = planOf(text);
    expect(task(plan, 'a')).toMatchObject({ run: 'x', worker: null, model: null });
    expect(task(plan, 'c')).toMatchObject({ worker: 'codex', model: null });
  });

  it('defaults are checked where they stand', () => {
    const wrong = text.replace('timeout: 5m', 'timeout: 5 minutes').replace('  worker: claude', '  wroker: claude');
    expect(linesOf(wrong)).toEqual([
      'plan.yaml:8:3 | defaults: unknown key "wroker" | Did you mean "worker"?',
      'plan.yaml:15:16 | phase "one": defaults.timeout: expected a duration such as 500ms, 30s, 5m, 2h, 1d or 1h30m, found text "5 minutes" | Write 5m.',
    ]);
    expect(linesOf(text.replace('  model: opus', '  depends_on: [a]'))[0]).toContain('unknown key "depends_on"');
  });
});

describe('keys of its own', () => {
  it('a plan may have at its root what begins with x-, for anchors', () => {
    const text = `
x-node: &node {timeout: 1m, env: {A: a}}
project: p
phases: [{id: one, name: One, tasks: [{id: a, title: A, <<: *node}]}]
`;
    expect(task(planOf(text), 'a')).toMatchObject({ timeout_ms: 60_000, env: { A: 'a' } });
    expect(linesOf(text.replace('id: a,', 'id: a, x-mine: 1,'))[0]).toContain('unknown key "x-mine"');
  });
});

describe('cwd', () => {
  const withCwd = (cwd: string) =>
    `project: p\nphases: [{id: one, name: One, tasks: [{id: a, title: A, cwd: ${cwd}}]}]`;

  it.each([
    ['packages/api', 'packages/api'],
    ['./packages//api/', 'packages/api'],
    ['.', null],
  ])('%s is %s', (cwd, folder) => {
    expect(task(planOf(withCwd(cwd)), 'a').cwd).toBe(folder);
  });

  it.each(['/etc', '../up', 'a/../../b'])('%s is refused', (cwd) => {
    expect(linesOf(withCwd(cwd))).toEqual([
      'plan.yaml:2:62 | task "a": cwd: must be a folder in the workspace: a relative path without ".."',
    ]);
  });
});

describe('a matrix', () => {
  const withMatrix = (matrix: string, more = '') => `project: p
phases:
  - id: one
    name: One
    tasks:
      - {id: prepare, title: Prepare}
      - id: test
        title: Test
        depends_on: [prepare]
        run: npm test
        matrix: ${matrix}
        ${more}
      - {id: ship, title: Ship, depends_on: [test]}
`;
  const ids = (plan: Plan) => plan.tasks.map(({ id }) => id);

  it('a matrix makes a task of each combination, in the place of the task; what depends on it depends on all', () => {
    const plan = planOf(withMatrix('{node: [20, 1.10], os: [linux, "mac os"]}'));
    const made = [
      'test.node-20.os-linux',
      'test.node-20.os-mac-os',
      'test.node-1.10.os-linux',
      'test.node-1.10.os-mac-os',
    ];
    expect(ids(plan)).toEqual(['prepare', ...made, 'ship']);
    expect(plan.phases[0]?.task_ids).toEqual(ids(plan));
    expect(task(plan, 'ship').depends_on).toEqual(made);
    expect(task(plan, made[3] as string)).toMatchObject({
      title: 'Test (node 1.10, os mac os)',
      depends_on: ['prepare'],
      run: 'npm test',
      env: { FORGE_MATRIX_NODE: '1.10', FORGE_MATRIX_OS: 'mac os' },
      matrix: { task: 'test', values: { node: '1.10', os: 'mac os' } },
    });
  });

  it('a matrix puts its values into texts of the task', () => {
    const more = `env: {V: "v\${{matrix.node}}", W: 1.10}\n        cwd: packages/\${{ matrix.pkg }}\n        write_globs: ["packages/\${{ matrix.pkg }}/**"]`;
    const plan = planOf(
      withMatrix('{node: [20], pkg: [api, web]}', more).replace(
        'title: Test',
        `title: Test \${{ matrix.pkg }} on \${{ matrix.node }}`,
      ),
    );
    expect(task(plan, 'test.node-20.pkg-web')).toMatchObject({
      title: 'Test web on 20',
      env: { V: 'v20', W: '1.10' },
      cwd: 'packages/web',
      write_globs: ['packages/web/**'],
    });
  });

  it('a task can depend on one combination, or on that of its own values', () => {
    const text = withMatrix('{node: [20, 22]}')
      .replace('depends_on: [test]', `depends_on: ["build.on-\${{ matrix.on }}", test.node-22], matrix: {on: [a, b]}`)
      .concat('      - {id: build, title: Build, matrix: {on: [a, b]}}\n');
    const plan = planOf(text);
    expect(task(plan, 'ship.on-b').depends_on).toEqual(['build.on-b', 'test.node-22']);
  });

  it('a matrix leaves out and adds combinations as CI services do', () => {
    const rules = 'exclude: [{node: 20, os: mac}], include: [{node: 22, flag: x}, {node: 24, os: linux}, {all: y}]';
    const plan = planOf(withMatrix(`{node: [20, 22], os: [linux, mac], ${rules}}`));
    expect(
      Object.fromEntries(plan.tasks.flatMap(({ id, matrix }) => (matrix === null ? [] : [[id, matrix.values]]))),
    ).toEqual({
      'test.node-20.os-linux': { node: '20', os: 'linux', all: 'y' },
      'test.node-22.os-linux': { node: '22', os: 'linux', flag: 'x', all: 'y' },
      'test.node-22.os-mac': { node: '22', os: 'mac', flag: 'x', all: 'y' },
      'test.node-24.os-linux': { node: '24', os: 'linux' },
    });
  });

  it('ids are legal and distinct, and stay when values are added', () => {
    const value = fc.stringMatching(/^[a-z0-9._-]{1,5}$/);
    const axis = fc.uniqueArray(value, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(axis, axis, value, (a, b, more) => {
        const of = (x: string[], y: string[]) => ids(planOf(withMatrix(JSON.stringify({ a: x, b: y }))));
        const before = of(a, b);
        for (const id of before) expect(id).toMatch(ID_PATTERN);
        expect(new Set(before).size).toBe(before.length);
        expect(before.length).toBe(2 + a.length * b.length);
        if (!a.includes(more)) expect(of([more, ...a], b)).toEqual(expect.arrayContaining(before));
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ['{}', '11:17 | task "test": matrix: a matrix needs an axis | Such as node: [20, 22].'],
    ['{node: 20}', '11:24 | task "test": matrix.node: expected a list, found text "20"'],
    ['{node: []}', '11:24 | task "test": matrix.node: may not be an empty list'],
    ['{"a b": [1]}', '"a b" names no axis: a letter, then letters, digits, "_" and "-"'],
    [
      '{node: [20], exclude: [{nod: 20}]}',
      '11:46 | task "test": matrix.exclude[0].nod: "nod" is not an axis | Did you mean "node"?',
    ],
    ['{node: [20], include: [{}]}', '11:40 | task "test": matrix.include[0]: adds nothing | Name a value: {node: 22}.'],
    [
      '{node-v: [20], include: [{NODE_V: 22}]}',
      '11:17 | task "test": matrix: "node-v" and "NODE_V" are both the variable FORGE_MATRIX_NODE_V | Give one another name.',
    ],
    ['{node: [20], exclude: [{node: 20}]}', '11:39 | task "test": matrix.exclude: no combination is left'],
    [
      `{a: ${JSON.stringify([...Array(20).keys()])}, b: ${JSON.stringify([...Array(20).keys()])}}`,
      'makes 400 tasks; at most 256 are taken',
    ],
    ['{node: ["a b", "a-b"]}', 'its matrix makes the id "test.node-a-b" twice'],
    [`{node: [${'x'.repeat(60)}]}`, 'has 70 characters; at most 64 are taken | Shorten the id, or the values.'],
  ])('%s is refused', (matrix, words) => {
    const [line = ''] = linesOf(withMatrix(matrix));
    expect(line).toContain(words);
  });

  it.each([
    ['run: x', `depends_on: ["nobody-\${{ matrix.node }}"]`, 'task "test": unknown dependency "nobody-20"'],
    ['run: x', `env: {A: "\${{ matrix.nod }}"}`, 'env.A: the matrix has no axis "nod" | Did you mean "node"?'],
    ['run: x', `write_globs: ["\${{ matrix.node }}/../x"]`, 'write_globs[0]'],
    [
      'run: x',
      `verify: ["test \${matrix.node}"]`,
      `verify[0]: \${matrix.node} is no value of the matrix, and a bad substitution to a shell | Write \${{ matrix.node }}, or $FORGE`,
    ],
  ])('what is wrong with its tasks is told where it is written: %s %s', (_, more, words) => {
    const text = withMatrix('{node: [20, 22]}', more).replace(
      '        depends_on: [prepare]\n',
      more.startsWith('depends_on') ? '' : '        depends_on: [prepare]\n',
    );
    const lines = linesOf(text);
    expect(lines[0]).toContain(words);
    expect(lines.every((line) => line.startsWith(`plan.yaml:${more.startsWith('depends_on') ? 11 : 12}:`))).toBe(true);
  });

  it('a text with one brace around a name that is no axis, and prose with one, stay as they are', () => {
    const plan = planOf(
      withMatrix('{node: [20]}', `env: {A: "\${matrix.size}"}\n        description: "\${matrix.node}"`),
    );
    expect(task(plan, 'test.node-20')).toMatchObject({
      env: { A: `\${matrix.size}` },
      description: `\${matrix.node}`,
    });
  });

  it('what is wrong with all of its tasks is told once', () => {
    const lines = linesOf(withMatrix('{node: [20, 22]}').replace('depends_on: [prepare]', 'depends_on: [nobody]'));
    expect(lines).toEqual([expect.stringContaining('task "test": unknown dependency "nobody"')]);
  });

  it('its own id is that of no other task, and cycles through it are found', () => {
    const text = withMatrix('{node: [20]}');
    expect(linesOf(text.replace('id: ship', 'id: TEST'))[0]).toContain('differ only in case');
    expect(linesOf(text.replace('id: ship', 'id: test.node-20'))[0]).toContain(
      'duplicate task id "test.node-20" (first in line 7)',
    );
    expect(linesOf(text.replace('id: prepare,', 'id: prepare, depends_on: [ship],'))[0]).toContain(
      'cycle: prepare -> ship -> test.node-20 -> prepare',
    );
    expect(linesOf(text.replace('depends_on: [prepare]', 'depends_on: [test]'))[0]).toContain('depends on itself');
  });

  it('a text of a task without one may have the same signs', () => {
    const plan = planOf(
      `project: p\nphases: [{id: one, name: One, tasks: [{id: a, title: A, run: "echo \${{ matrix.x }}"}]}]`,
    );
    expect(task(plan, 'a').run).toBe(`echo \${{ matrix.x }}`);
  });
});

describe('include', () => {
  const root = `project: p
defaults: {timeout: 10m, env: {A: root}}
include: [api/plan.yaml, web.yaml]
phases:
  - {id: one, name: One, tasks: [{id: a, title: A}]}
`;
  const files = {
    'api/plan.yaml': `project: api
shell: bash
defaults: {env: {B: api}}
include: [../shared/plan.yaml]
phases:
  - {id: api, name: API, blocked_by: one, tasks: [{id: 1.10, title: B, depends_on: [a]}]}
`,
    'shared/plan.yaml': 'phases: [{id: shared, name: Shared, tasks: [{id: c, title: C, matrix: {x: [1]}}]}]\n',
    'web.yaml':
      'include: [shared/plan.yaml]\nphases: [{id: web, name: Web, tasks: [{id: d, title: D, depends_on: [c, 1.10]}]}]\n',
  };

  it('joins the phases of other files, each file once, with defaults of the files above', () => {
    const plan = planOf(root, files);
    expect(plan.phases.map(({ id }) => id)).toEqual(['one', 'api', 'shared', 'web']);
    expect(task(plan, '1.10')).toMatchObject({
      phase_id: 'api',
      timeout_ms: 600_000,
      env: { A: 'root', B: 'api' },
      shell: ['bash'],
    });
    expect(task(plan, 'c.x-1')).toMatchObject({ env: { A: 'root', B: 'api', FORGE_MATRIX_X: '1' }, shell: ['bash'] });
    expect(task(plan, 'd')).toMatchObject({ depends_on: ['c.x-1', '1.10'], shell: null });
    expect(plan.project).toBe('p');
  });

  it('an empty list of phases is as good as none beside an include, and without one an error in any file', () => {
    expect(planOf('project: p\nphases: []\ninclude: [shared/plan.yaml]', files).phases.map(({ id }) => id)).toEqual([
      'shared',
    ]);
    expect(linesOf('project: p\nphases: []\ninclude: []')).toEqual([
      'plan.yaml:2:9 | phases: a plan needs at least one phase',
    ]);
    expect(linesOf('project: p\ninclude: [a.yaml]', { 'a.yaml': 'phases: []' })).toEqual([
      'a.yaml:1:9 | phases: a plan needs at least one phase',
    ]);
  });

  it('include names the files that it has read', () => {
    const result = parsePlan(root, 'plan.yaml', (file) => files[file as keyof typeof files] ?? null);
    expect(result.ok && result.included.map(({ file }) => file)).toEqual([
      'api/plan.yaml',
      'shared/plan.yaml',
      'web.yaml',
    ]);
  });

  it('problems have the file, the line and the column in which they are', () => {
    expect(
      linesOf(root, {
        ...files,
        'api/plan.yaml': files['api/plan.yaml'].replace('depends_on: [a]', 'depends_on: [b], tiemout: 5m'),
        'web.yaml': files['web.yaml'].replace('id: d', 'id: a').replace('name: Web', 'name: 5'),
      }),
    ).toEqual([
      expect.stringMatching(/^api\/plan\.yaml:6:\d+ \| task "1\.10": unknown dependency "b"/),
      'api/plan.yaml:6:89 | task "1.10": unknown key "tiemout" | Did you mean "timeout"?',
      'web.yaml:2:26 | phase "web": name: expected text, found the number 5 | Put it in quotes: "5".',
      'web.yaml:2:42 | duplicate task id "a" (first in plan.yaml:5)',
    ]);
  });

  it.each([
    [
      '[gone.yaml]',
      'plan.yaml:3:11 | include: there is no file gone.yaml | A path is relative to the file that includes it.',
    ],
    [
      '[../up.yaml]',
      'plan.yaml:3:11 | include: ../up.yaml is not in the project | Name a file of it, relative to this one.',
    ],
    [
      '[/etc/plan.yaml]',
      'plan.yaml:3:11 | include: /etc/plan.yaml is not in the project | Name a file of it, relative to this one.',
    ],
    ['[plan.yaml]', 'plan.yaml:3:11 | include: the files include each other in a circle: plan.yaml -> plan.yaml'],
    [
      '[circle.yaml]',
      'circle.yaml:1:11 | include: the files include each other in a circle: plan.yaml -> circle.yaml -> plan.yaml',
    ],
    ['[broken.yaml]', 'broken.yaml:2:1 | '],
    ['[empty.yaml]', `empty.yaml:1:1 | the plan is empty | The smallest one that works: ${SMALLEST_PLAN}`],
    [
      'plan.yaml',
      'plan.yaml:3:10 | include: expected a list, found text "plan.yaml" | Write it as a list: ["plan.yaml"].',
    ],
  ])('%s is refused', (include, words) => {
    const more = {
      'circle.yaml': 'include: [plan.yaml]\nphases: [{id: c, name: C, tasks: []}]\n',
      'broken.yaml': 'phases: [\n',
      'empty.yaml': '# nothing\n',
    };
    const [line] = linesOf(root.replace('[api/plan.yaml, web.yaml]', include), more);
    expect(line).toContain(words);
  });

  it('that is named from the project in place of its file is refused with the way to it', () => {
    const text = 'project: p\ninclude: [api/plan.yaml]\nphases: [{id: a, name: A, tasks: []}]\n';
    const result = parsePlan(text, 'plans/phases.yaml', (file) => (file === 'api/plan.yaml' ? 'phases: []\n' : null));
    expect(result).toMatchObject({
      problems: [{ suggestion: 'Write ../api/plan.yaml: a path is relative to the file that includes it.' }],
    });
  });
});
