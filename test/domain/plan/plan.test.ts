import { describe, expect, test } from 'vitest';
import { parsePlan } from '../../../src/domain/plan/parse.ts';
import type { Plan } from '../../../src/domain/plan/plan.ts';
import { SMALLEST_PLAN } from '../../../src/domain/plan/schema.ts';
import { coercePolicy, RetryPolicy } from '../../../src/domain/retry/retry.ts';
import { TASK_RETRY_DEFAULT } from '../../../src/domain/retry/schema.ts';
import fc, { runs } from '../../support/properties.ts';

const FILE = 'plans/phases.yaml';

function planOf(text: string): Plan {
  const result = parsePlan(text, FILE);
  if (!result.ok) throw new Error(`not a plan:\n${linesOf(text).join('\n')}`);
  return result.plan;
}

/** The problems of a plan, each as `line:column message` and its suggestion behind ` | `. */
function linesOf(text: string): string[] {
  const result = parsePlan(text, FILE);
  if (result.ok) return [];
  return result.problems.map(({ message, place, suggestion }) => {
    expect(place.file).toBe(FILE);
    return `${place.line}:${place.column} ${message}${suggestion === undefined ? '' : ` | ${suggestion}`}`;
  });
}

test('the hint for a file that has not the form of a plan yet is a plan that works', () => {
  const hintOf = (text: string) => {
    const result = parsePlan(text, FILE);
    return result.ok ? 'none' : result.hint;
  };
  const hint = `The smallest plan that works: ${SMALLEST_PLAN}`;
  for (const text of [
    'phases:\n  - tasks:\n      - run: make',
    'tasks: {build: make}',
    '- build',
    'project: x\nphases: []',
  ])
    expect(hintOf(text)).toBe(hint);
  const withoutTitle = '{project: x, phases: [{id: p, name: P, tasks: [{id: a, title: A}, {id: b}]}]}';
  for (const text of [withoutTitle, 'include: [a.yaml]']) expect(hintOf(text)).toBeUndefined();
  expect(planOf(SMALLEST_PLAN).tasks).toMatchObject([{ id: 'build', run: 'make' }]);
});

/** A plan of one phase whose tasks begin in line 6, at column 9. */
function withTasks(...tasks: string[]): string {
  const lines = tasks.flatMap((task) =>
    task.split('\n').map((line, i) => `${i === 0 ? '      - ' : '        '}${line}`),
  );
  return ['project: demo', 'phases:', '  - id: phase-1', '    name: One', '    tasks:', ...lines, ''].join('\n');
}

/** One task, `a`, with more keys; the first of them stands in line 8, at column 9. */
function withKeys(keys: string): string {
  return withTasks(`id: a\ntitle: A\n${keys}`);
}

describe('a duration without a unit', () => {
  const warningsOf = (text: string) => {
    const result = parsePlan(text, FILE);
    return result.ok ? result.warnings : linesOf(text);
  };

  test('a plan warns of a short duration without a unit, with its place and both readings', () => {
    expect(warningsOf(withKeys('timeout: 30'))).toEqual([
      'plans/phases.yaml:8:18 task "a": timeout: 30 is 30 ms; for 30 seconds write 30s',
    ]);
    expect(
      warningsOf(withKeys('timeout: "1"\nretry: [{retry_on: [x], base: 5}, {cap: 999, max_attempts: 3}]')),
    ).toEqual([
      'plans/phases.yaml:8:18 task "a": timeout: 1 is 1 ms; for 1 second write 1s',
      'plans/phases.yaml:9:39 task "a": retry[0].base: 5 is 5 ms; for 5 seconds write 5s',
      'plans/phases.yaml:9:49 task "a": retry[1].cap: 999 is 999 ms; for 999 seconds write 999s',
    ]);
  });

  test.each([
    'timeout: 1000',
    'timeout: 30ms',
    'timeout: 30s',
    'retry: {max_attempts: 5, base: 0, factor: 3}',
    'question_budget: {soft: 1, hard: 2}',
    'env: {TIMEOUT: 30, retry: 5}\ntracker_issue_id: 30',
  ])('a plan does not warn of %s', (keys) => {
    expect(warningsOf(withKeys(keys))).toEqual([]);
  });
});

describe('valid plan', () => {
  test('an id that YAML reads as a number or a boolean is the text that stands there', () => {
    const plan = planOf(
      withTasks(
        'id: 1.10\ntitle: A',
        'id: 1.1\ntitle: B',
        'id: 0x1F\ntitle: C',
        'id: true\ntitle: D',
        'id: e\ntitle: E\ndepends_on: [1.10, 0x1F, true, "1.1"]',
      )
        .replace('id: phase-1', 'id: 2.0')
        .concat('  - {id: 3, name: Three, blocked_by: 2.0, tasks: []}\n'),
    );
    expect(plan.tasks.map(({ id }) => id)).toEqual(['1.10', '1.1', '0x1F', 'true', 'e']);
    expect(plan.byId.get('e')?.depends_on).toEqual(['1.10', '0x1F', 'true', '1.1']);
    expect(plan.phases.map(({ id, blocked_by }) => [id, blocked_by])).toEqual([
      ['2.0', null],
      ['3', '2.0'],
    ]);
  });

  test('a dependency may say when the task starts for it, and whether it has to be there', () => {
    const plan = planOf(
      withTasks(
        'id: 1.10\ntitle: A',
        'id: b\ntitle: B\ndepends_on: [{task: 1.10, when: failure}, {task: gone, optional: true}, {task: a}]',
        'id: a\ntitle: A\ncontinue_on_error: true',
      ),
    );
    expect(plan.byId.get('b')).toMatchObject({
      depends_on: ['1.10', 'a'],
      conditions: { '1.10': { when: 'failure', optional: false } },
    });
    expect(plan.byId.get('a')?.continue_on_error).toBe(true);
  });

  test('an omitted key of a plan is null, empty or its default', () => {
    const plan = planOf(withTasks('id: a\ntitle: A'));
    expect(plan).toMatchObject({ project: 'demo', tracker_url: null, gate_check_command: null, source: null });
    expect(plan.phases).toEqual([
      {
        id: 'phase-1',
        name: 'One',
        status: 'active',
        blocked_by: null,
        goal: null,
        gate_criteria: [],
        task_ids: ['a'],
      },
    ]);
    expect(plan.tasks).toEqual([
      {
        id: 'a',
        parent: null,
        input: null,
        phase_id: 'phase-1',
        title: 'A',
        description: null,
        type: null,
        priority: 'P1',
        estimate: null,
        owner_type: null,
        human: false,
        depends_on: [],
        conditions: {},
        continue_on_error: false,
        uses: {},
        acceptance: [],
        write_globs: [],
        tracker_issue_id: null,
        status: 'active',
        question_budget: null,
        run: null,
        worker: null,
        model: null,
        args: null,
        budget: null,
        shell: null,
        changes: null,
        verify: [],
        inputs: [],
        outputs: [],
        cache: false,
        timeout_ms: null,
        env: {},
        retry: null,
        cwd: null,
        matrix: null,
        discovered_from: null,
      },
    ]);
    expect(plan.byId.get('a')).toBe(plan.tasks[0]);
    expect(plan.phaseById.get('phase-1')).toBe(plan.phases[0]);
  });

  test('every key of a plan is kept', () => {
    const plan = planOf(`
project: demo
tracker_url: https://tracker.example/demo
gate_check_command: make gate
source: {tracker: github, project_id: 42, synced_at: 2026-01-02T03:04:05Z, spec_revision: 0012}
phases:
  - id: phase-2.1
    name: Two
    status: paused
    blocked_by: phase-1
    goal: To be through
    gate_criteria: [all green]
    tasks:
      - id: B.1_x-y
        title: B
        description: |
          Long.
        type: backend
        priority: P0
        estimate: XL
        owner_type: human
        depends_on: [a, a]
        uses: [deploy, {gpu: 2}, gpu]
        acceptance: [it works]
        write_globs: ['src/**']
        tracker_issue_id: 007
        status: done
        question_budget: {hard: 4}
        run: make b
        budget: {cost: 2.5, tokens: 1.5M}
        shell: bash  -eu
        changes: none
        verify: [make check, 'true']
        inputs: [src]
        outputs: ['dist/**']
        cache: true
        timeout: 2h
        env: {PLAIN: text, VERSION: 1.10, HEX: 0x1F, FLAG: True, EMPTY: ''}
        retry: {max_attempts: 3, base: 10s}
        discovered_from: 1.10
  - id: phase-1
    name: One
    tasks:
      - {id: a, title: A, worker: codex, model: gpt-5.5, args: [--search, '']}
`);
    expect(plan.tasks[1]).toMatchObject({ worker: 'codex', model: 'gpt-5.5', args: ['--search', ''] });
    expect(plan).toMatchObject({
      tracker_url: 'https://tracker.example/demo',
      gate_check_command: 'make gate',
      source: { tracker: 'github', project_id: '42', synced_at: '2026-01-02T03:04:05Z', spec_revision: '0012' },
    });
    expect(plan.phases[0]).toEqual({
      id: 'phase-2.1',
      name: 'Two',
      status: 'paused',
      blocked_by: 'phase-1',
      goal: 'To be through',
      gate_criteria: ['all green'],
      task_ids: ['B.1_x-y'],
    });
    expect(plan.tasks[0]).toEqual({
      id: 'B.1_x-y',
      parent: null,
      input: null,
      phase_id: 'phase-2.1',
      title: 'B',
      description: 'Long.\n',
      type: 'backend',
      priority: 'P0',
      estimate: 'XL',
      owner_type: 'human',
      human: true,
      depends_on: ['a'],
      conditions: {},
      continue_on_error: false,
      uses: { deploy: 1, gpu: 3 },
      acceptance: ['it works'],
      write_globs: ['src/**'],
      tracker_issue_id: '007',
      status: 'done',
      question_budget: { soft: null, hard: 4 },
      run: 'make b',
      worker: null,
      model: null,
      args: null,
      budget: { cost: 2.5, tokens: 1_500_000, attempts: null, wall_clock: null },
      shell: ['bash', '-eu'],
      changes: 'none',
      verify: ['make check', 'true'],
      inputs: ['src'],
      outputs: ['dist/**'],
      cache: true,
      timeout_ms: 7_200_000,
      env: { PLAIN: 'text', VERSION: '1.10', HEX: '0x1F', FLAG: 'True', EMPTY: '' },
      retry: { max_attempts: 3, base: '10s' },
      cwd: null,
      matrix: null,
      discovered_from: '1.10',
    });
  });

  test('a key of a plan without a value counts as omitted', () => {
    const keys = ['description', 'priority', 'depends_on', 'verify', 'timeout', 'env', 'retry', 'status', 'run'];
    const empty = planOf(withKeys(keys.map((key) => `${key}:`).join('\n')));
    expect(empty.tasks).toEqual(planOf(withTasks('id: a\ntitle: A')).tasks);
  });

  test('keys and values of the older tool are accepted in a plan', () => {
    const plan = planOf(`
project: "demo"
tracker_url: ""
gate_check_command: "npm test"
source:
  tracker: linear
  project_id: "768871a9"
  synced_at: "2026-05-17T22:17:11Z"
  spec_revision: "8fa22260"
phases:
  - id: phase-1
    tracker_milestone_id: "d1aade3f"
    name: "Foundations"
    status: active
    goal: "A working skeleton"
    gate_criteria:
      - "All tasks closed"
    tasks:
      - id: P1-T01
        tracker_issue_id: ""
        title: "Set the toolchain up"
        description: "Add the compiler."
        type: foundation
        priority: P0
        depends_on: []
        estimate: M
        owner_type: devops-engineer
        acceptance:
          - "The build passes"
        model_tier: standard
      - id: P1-T02
        title: "Later"
        description: "Not now."
        type: docs
        priority: P2
        depends_on: [P1-T01]
        estimate: S
        owner_type: backend-dev
        acceptance: ["Written"]
        status: deferred-v0.5
        deferred_at: 2026-05-17
        deferred_reason: "No time"
        split_into: [P1-T01]
  - id: phase-2
    name: "Core"
    status: blocked
    blocked_by: phase-1
    goal: ""
    gate_criteria: [""]
    tasks: []
`);
    expect(plan.tracker_url).toBeNull();
    expect(plan.tasks.map(({ id, status, human }) => [id, status, human])).toEqual([
      ['P1-T01', 'active', false],
      ['P1-T02', 'paused', false],
    ]);
  });

  test('a retry policy of a plan is one that the retry module accepts', () => {
    const [task] = planOf(withKeys('retry: {max_attempts: 3, base: 0}')).tasks;
    const policy = coercePolicy(task?.retry ?? {}, TASK_RETRY_DEFAULT);
    expect(policy).toBeInstanceOf(RetryPolicy);
    expect(policy.maxAttempts).toBe(3);
  });
});

describe('invalid task', () => {
  test.each<[string, string, ...string[]]>([
    ['unknown key', 'depend_on: []', '8:9 task "a": unknown key "depend_on" | Did you mean "depends_on"?'],
    ['a key of other tools', 'cmd: x', '8:9 task "a": unknown key "cmd" | Did you mean "run"?'],
    ['a key that every object has', 'constructor: x', '8:9 task "a": unknown key "constructor"'],
    [
      'a word for a boolean',
      'cache: yes',
      '8:16 task "a": cache: expected true or false, found text "yes" | Write true, without quotes.',
    ],
    ['unknown key, like no other', 'flavour: x', '8:9 task "a": unknown key "flavour"'],
    [
      'bad enum',
      'priority: p0',
      '8:19 task "a": priority: expected P0, P1 or P2, found text "p0" | Did you mean "P0"?',
    ],
    ['bad enum, like none or all', 'priority: P7', '8:19 task "a": priority: expected P0, P1 or P2, found text "P7"'],
    ['bad estimate', 'estimate: huge', '8:19 task "a": estimate: expected S, M, L or XL, found text "huge"'],
    [
      'bad duration',
      'timeout: 5 minutes',
      '8:18 task "a": timeout: expected a duration such as 500ms, 30s, 5m, 2h, 1d or 1h30m, found text "5 minutes" | Write 5m.',
    ],
    [
      'fraction of a duration',
      'timeout: 1.5h',
      '8:18 task "a": timeout: expected a duration such as 500ms, 30s, 5m, 2h, 1d or 1h30m, found text "1.5h" | Write 90m.',
    ],
    [
      'negative duration',
      'timeout: -1',
      '8:18 task "a": timeout: expected a duration such as 500ms, 30s, 5m, 2h, 1d or 1h30m, found the number -1',
    ],
    [
      'globs with faults',
      'write_globs: ["src/[ab", ok/**, ../x]',
      '8:23 task "a": write_globs[0]: text "src/[ab" has a [ that is not closed | For the character itself, write \\[.',
      '8:41 task "a": write_globs[2]: text "../x" must name files below the project | Leave out every `..`.',
    ],
    [
      'globs that only take files away',
      'outputs: ["!dist/**"]',
      '8:18 task "a": outputs: takes files away from none | Name first what is meant: ["src/**", "!src/**/*.md"].',
    ],
    ['an empty glob', 'write_globs: [""]', '8:23 task "a": write_globs[0]: may not be empty'],
    ['no time at all', 'timeout: 0s', '8:18 task "a": timeout: must be more than 0 | Leave it out for no limit.'],
    [
      'text for a list',
      'verify: npm test',
      '8:17 task "a": verify: expected a list, found text "npm test" | Write it as a list: ["npm test"].',
    ],
    [
      'a number for text',
      'acceptance: [1.10]',
      '8:22 task "a": acceptance[0]: expected text, found the number 1.1 | Put it in quotes: "1.10".',
    ],
    [
      'a sentence that became a mapping',
      'acceptance:\n  - Works: always',
      '9:13 task "a": acceptance[0]: expected text, found a mapping | Put the text in quotes: a colon and a space in it start a mapping.',
    ],
    ['a list for text', 'run: [make]', '8:14 task "a": run: expected text, found a list'],
    ['empty command', 'run: ""', '8:14 task "a": run: may not be empty'],
    ['NUL in a command', 'verify: ["a\\0b"]', '8:18 task "a": verify[0]: may not hold a NUL character'],
    [
      'a variable without a value',
      'env: {A: }',
      '8:15 task "a": env.A: expected text, a number or true or false, found nothing',
    ],
    [
      'a variable that no shell could read',
      'env: {A-B: x}',
      '8:15 task "a": env.A-B: a variable name has letters, digits and "_" only, and does not start with a digit',
    ],
    [
      'a variable of forge',
      'env: {FORGE_DIR: x}',
      '8:15 task "a": env.FORGE_DIR: names that start with FORGE_ are set by forge itself',
    ],
    [
      'a model for a command line',
      'run: make\nmodel: opus',
      '9:16 task "a": model: counts for tasks without run: nothing else starts a worker | Leave out run or model.',
    ],
    [
      'a budget in words',
      'budget: {tokens: plenty, cost: 0, attempts: 1.5}',
      '8:26 task "a": budget.tokens: expected a number of tokens such as 500000, 500k or 2M',
      '8:40 task "a": budget.cost: must be more than 0',
      '8:53 task "a": budget.attempts: expected a whole number, found the number 1.5',
    ],
    [
      'a checkpoint that would be none',
      'owner_type: Human',
      '8:21 task "a": owner_type: only "human" makes a task a checkpoint, found text "Human" | Write human.',
    ],
    [
      'limits the wrong way round',
      'question_budget: {soft: 7, hard: 2}',
      '8:33 task "a": question_budget.soft: the soft limit (7) is above the hard one (2)',
    ],
    [
      'a part of a count',
      'question_budget: {soft: 1.5}',
      '8:33 task "a": question_budget.soft: expected a whole number, found the number 1.5',
    ],
    [
      'a retry policy that cannot be meant',
      'retry: {max_attempts: 0, bas: 3s}',
      '8:31 task "a": retry.max_attempts: a number of attempts is 1 or more, or "unlimited"',
      '8:34 task "a": retry.bas: unknown key "bas" | Did you mean "base"?',
    ],
    [
      'a resource that is none',
      'uses: [{}]',
      '8:16 task "a": uses[0]: names no resource | Write how much of which: {gpu: 1}.',
    ],
    [
      'an amount that is none',
      'uses: [{gpu: 0}]',
      '8:22 task "a": uses[0].gpu: expected 1 or more, found the number 0',
    ],
    ['no retry policy', 'retry: []', '8:16 task "a": retry: a composite retry policy needs at least one policy'],
    [
      'a condition that is none',
      'depends_on: [{task: a1, when: sucess, optional: true}]',
      '8:39 task "a": depends_on[0].when: expected success, failure or always, found text "sucess" | Did you mean "success"?',
    ],
    [
      'a wrong key of a dependency',
      'depends_on: [{task: a1, optional: true, whn: always}]',
      '8:49 task "a": depends_on[0]: unknown key "whn" | Did you mean "when"?',
    ],
    [
      'an unknown dependency in a mapping',
      'depends_on: [{task: nowhere}]',
      '8:22 task "a": unknown dependency "nowhere"',
    ],
    [
      'a number as a condition',
      'depends_on: [[a1]]',
      '8:22 task "a": depends_on[0]: expected text or a mapping, found a list',
    ],
    ['self dependency', 'depends_on: [a]', '8:22 task "a" depends on itself (cycle: a -> a)'],
    [
      'dependency on a phase',
      'depends_on: [phase-1]',
      '8:22 task "a": unknown dependency "phase-1" | "phase-1" is a phase. To wait for it, set blocked_by on the phase of this task.',
    ],
  ])('a task is refused for: %s', (_, keys, ...expected) => {
    expect(linesOf(withKeys(keys))).toEqual(expected);
  });

  test('a retry policy behind a catch-all is refused', () => {
    expect(linesOf(withKeys('retry:\n  - {}\n  - {retry_on: [timeout]}'))).toEqual([
      expect.stringMatching(/^10:13 task "a": retry\[1\]: .*can never decide/),
    ]);
  });
});

describe('invalid ids and references', () => {
  test.each<[string, string, ...string[]]>([
    ['missing id', withTasks('title: A'), '6:9 task number 1: "id" is missing'],
    ['missing title', withTasks('id: a'), '6:9 task "a": "title" is missing'],
    [
      'bad id',
      withTasks('id: my task\ntitle: A'),
      '6:13 task "my task": id: an id is at most 64 letters, digits, ".", "_" and "-", and starts with a letter or digit | Write my-task.',
    ],
    [
      'a number as id that is not an id as it is spelled',
      withTasks('id: -12\ntitle: A'),
      '6:13 task "-12": id: an id is at most 64 letters, digits, ".", "_" and "-", and starts with a letter or digit | Write 12.',
    ],
    [
      'a dependency that is spelled otherwise than the number of its id',
      withTasks('id: 1.10\ntitle: A', 'id: b\ntitle: B\ndepends_on: [1.1]'),
      '10:22 task "b": unknown dependency "1.1" | Did you mean "1.10"?',
    ],
    [
      'two ids of one spelling, one of them in quotes',
      withTasks('id: 1.10\ntitle: A', 'id: "1.10"\ntitle: B'),
      '8:13 duplicate task id "1.10" (first in line 6)',
    ],
    [
      'duplicate id',
      withTasks('id: a\ntitle: A', 'id: b\ntitle: B', 'id: a\ntitle: C'),
      '10:13 duplicate task id "a" (first in line 6)',
    ],
    [
      'ids equal but for case',
      withTasks('id: a\ntitle: A', 'id: A\ntitle: B'),
      '8:13 task ids "a" and "A" differ only in case, and some file systems take them for one (first in line 6)',
    ],
    [
      'one issue for two tasks',
      withTasks('id: a\ntitle: A\ntracker_issue_id: M-7', 'id: b\ntitle: B\ntracker_issue_id: M-7'),
      '11:27 task "b": issue "M-7" stands for task "a" (first in line 8) | Remove one tracker_issue_id.',
    ],
    [
      'one issue for two tasks, as text and as a number',
      withTasks('id: a\ntitle: A\ntracker_issue_id: "7"', 'id: b\ntitle: B\ntracker_issue_id: 7'),
      '11:27 task "b": issue "7" stands for task "a" (first in line 8) | Remove one tracker_issue_id.',
    ],
    [
      'unknown dependency',
      withTasks('id: build\ntitle: A', 'id: b\ntitle: B\ndepends_on: [biuld]'),
      '10:22 task "b": unknown dependency "biuld" | Did you mean "build"?',
    ],
    [
      'cycle',
      withTasks(
        'id: a\ntitle: A\ndepends_on: [b]',
        'id: b\ntitle: B\ndepends_on: [c]',
        'id: c\ntitle: C\ndepends_on: [a]',
      ),
      '8:22 tasks depend on each other in a cycle: a -> b -> c -> a | Remove one of these dependencies.',
    ],
    ['not a task', withTasks('just text'), '6:9 task number 1: expected a mapping, found text "just text"'],
  ])('a plan is refused for: %s', (_, text, ...expected) => {
    expect(linesOf(text)).toEqual(expected);
  });

  test.each<[string, string, ...string[]]>([
    ['an empty file', '', `1:1 the plan is empty | The smallest one that works: ${SMALLEST_PLAN}`],
    [
      'another kind of value',
      '- a',
      '1:1 expected a mapping, found a list | It has the keys project, phases, tracker_url, shell, defaults, include, source, gate_check_command.',
    ],
    [
      'a key of all tasks at the root',
      'project: x\nenv: {A: b}\nphases: [{id: p, name: P, tasks: []}]',
      '2:1 unknown key "env" | Did you mean "defaults.env"?',
    ],
    [
      'phases by their ids',
      'project: x\nphases:\n  one: {name: One, tasks: []}',
      '3:3 phases: expected a list, found a mapping | Begin each with a dash and its id: - id: one.',
    ],
    [
      'a list of one without its dash, and variables as a list',
      withTasks('id: a\ntitle: A\nuses: {gpu: 1}\nenv: [A=b]\nallow_failure: true'),
      '8:15 task "a": uses: expected a list, found a mapping | Make it a list: put a dash before it, or brackets around it.',
      '9:14 task "a": env: expected a mapping, found a list | Write a name and its value: {NAME: value}.',
      '10:9 task "a": unknown key "allow_failure" | Did you mean "continue_on_error"?',
    ],
    ['no phases', 'project: x\nphases: []', '2:9 phases: a plan needs at least one phase'],
    ['nothing for phases', 'project: x\nphases:', '1:1 "phases" is missing'],
    [
      'misspelt root key',
      'project: x\nphase: []',
      '1:1 "phases" is missing',
      '2:1 unknown key "phase" | Did you mean "phases"?',
    ],
    [
      'duplicate phase id',
      'project: x\nphases:\n  - {id: p, name: P, tasks: []}\n  - {id: p, name: Q, tasks: []}',
      '4:10 duplicate phase id "p" (first in line 3)',
    ],
    [
      'unknown phase',
      'project: x\nphases:\n  - {id: phase-1, name: P, blocked_by: pase-1, tasks: []}',
      '3:40 phase "phase-1": blocked_by names an unknown phase, "pase-1" | Did you mean "phase-1"?',
    ],
    [
      'a phase that blocks itself',
      'project: x\nphases:\n  - {id: p, name: P, blocked_by: p, tasks: [{id: a, title: A}]}',
      '3:34 phase "p" is blocked by itself (cycle: p -> p)',
    ],
    [
      'phases that block each other',
      'project: x\nphases:\n  - {id: p, name: P, blocked_by: q, tasks: [{id: a, title: A}]}\n  - {id: q, name: Q, blocked_by: p, tasks: []}',
      '3:34 phases block each other in a cycle: p -> q -> p | Remove one blocked_by.',
    ],
    [
      'bad phase status',
      'project: x\nphases:\n  - {id: p, name: P, status: actve, tasks: []}',
      '3:30 phase "p": status: expected active, blocked, done or paused, found text "actve" | Did you mean "active"?',
    ],
    ['no YAML', 'project: "x\n', expect.stringContaining('not valid YAML')],
  ])('a plan is refused for references or cycles: %s', (_, text, ...expected) => {
    expect(linesOf(text)).toEqual(expected);
  });

  test('all problems of a plan are reported at once, in file order', () => {
    const text = withTasks(
      'id: a\ntitel: A\npriority: P9\ndepends_on: [nowhere, b]',
      'id: b\ntitle: B\ndepends_on: [a]\ntimeout: soon\nretry: {max_attempts: x}',
    );
    expect(linesOf(text).map((line) => line.split(' ', 1)[0])).toEqual([
      '6:9',
      '7:9',
      '8:19',
      '9:22',
      '9:31',
      '13:18',
      '14:31',
    ]);
  });

  test('a problem inside an alias is placed where the text is written', () => {
    const text = withTasks('id: a\ntitle: A\nenv: &shared {1A: x}', 'id: b\ntitle: B\nenv: *shared');
    expect(linesOf(text).map((line) => line.split(' ', 1)[0])).toEqual(['8:23', '8:23']);
  });

  test('text of a plan is shown without its control characters', () => {
    const [line] = linesOf(withTasks('id: "a\\e[31m"\ntitle: A'));
    expect(line).toContain('task "a"');
    expect(line).not.toContain('\u001b');
  });
});

describe('deadlock across phases', () => {
  const across = (first: string, second: string) => `project: x
phases:
  - {id: p1, name: One, tasks: [{id: a, title: A, depends_on: [b]${first}}]}
  - {id: p2, name: Two, blocked_by: p1, tasks: [{id: b, title: B${second}}]}
`;

  test('a deadlock across phases is explained step by step', () => {
    expect(linesOf(across('', ''))).toEqual([
      '3:64 deadlock: "a" depends on "b"; "b" is in phase "p2", which waits for phase "p1"; phase "p1" is not finished before "a" | Remove the dependency, or move one of the tasks to another phase.',
    ]);
  });

  test('a deadlock through phases in between is found', () => {
    const text = `project: x
phases:
  - {id: p1, name: One, tasks: [{id: a, title: A, depends_on: [c]}]}
  - {id: p2, name: Two, blocked_by: p1, tasks: [{id: b, title: B}]}
  - {id: p3, name: Three, blocked_by: p2, tasks: [{id: c, title: C}]}
`;
    expect(linesOf(text)).toEqual([
      expect.stringMatching(/^3:64 deadlock: "a" depends on "c"; .* "p1" is not finished before "a" \|/),
    ]);
  });

  test.each([
    ['the one that waits is dropped', ', status: dropped', ''],
    ['the one that is waited for is done', '', ', status: done'],
  ])('a dependency across phases is no deadlock when %s', (_, first, second) => {
    expect(linesOf(across(first, second))).toEqual([]);
  });

  test('a dependency across phases is no deadlock when the blocking phase is done', () => {
    expect(linesOf(across('', '').replace('name: One', 'name: One, status: done'))).toEqual([]);
  });
});

describe('plan warnings', () => {
  test.each<[string, string, ...string[]]>([
    [
      'a dependency that was dropped',
      withTasks('id: a\ntitle: A\nstatus: dropped', 'id: b\ntitle: B\ndepends_on: [a]'),
      'task "b" depends on "a", which is dropped, so it can never start',
    ],
    [
      'a command of a task for a human',
      withKeys('owner_type: human\nrun: make'),
      'task "a" is for a human, so its run is never executed',
    ],
    [
      'an empty phase that is waited for',
      'project: x\nphases:\n  - {id: p, name: P, tasks: []}\n  - {id: q, name: Q, blocked_by: p, tasks: []}',
      'phase "p" has no tasks, so it counts as finished and blocks nothing',
    ],
    ['nothing', withTasks('id: a\ntitle: A')],
  ])('a plan gives a warning for: %s', (_, text, ...expected) => {
    expect(parsePlan(text, FILE)).toMatchObject({ ok: true, warnings: expected });
  });
});

// ---------------------------------------------------------------------------------------------- any plan

interface Sketch {
  /** Number of tasks, dealt out to three phases in turn. */
  size: number;
  /** Pairs of task numbers: the first depends on the second. */
  edges: [number, number][];
  /** For each phase the number of the one that blocks it. */
  blockedBy: (number | null)[];
}

const PHASES = [0, 1, 2];

function write({ size, edges, blockedBy }: Sketch): string {
  const task = (n: number) => {
    const needs = edges.filter(([from]) => from === n).map(([, to]) => `t${to}`);
    return `      - {id: t${n}, title: Task ${n}, depends_on: [${needs.join(', ')}]}\n`;
  };
  const numbers = Array.from({ length: size }, (_, n) => n);
  const phase = (p: number) => {
    const blocked = blockedBy[p] === null ? '' : `    blocked_by: p${blockedBy[p]}\n`;
    const tasks = numbers.filter((n) => n % 3 === p).map(task);
    return `  - id: p${p}\n    name: Phase ${p}\n${blocked}    tasks:\n${tasks.join('')}`;
  };
  return `project: any\nphases:\n${PHASES.map(phase).join('')}`;
}

/** Does whatever can be done until nothing can: says whether that was everything. */
function canBeDone({ size, edges, blockedBy }: Sketch): boolean {
  const left = new Set(Array.from({ length: size }, (_, n) => n));
  const mayStart = (n: number) => {
    const blocker = blockedBy[n % 3] ?? null;
    const isBlocked = blocker !== null && [...left].some((other) => other % 3 === blocker);
    return !isBlocked && edges.every(([from, to]) => from !== n || !left.has(to));
  };
  for (;;) {
    const next = [...left].filter(mayStart);
    if (next.length === 0) return left.size === 0;
    for (const n of next) left.delete(n);
  }
}

function sketches(blocker: fc.Arbitrary<number | null>): fc.Arbitrary<Sketch> {
  return fc.integer({ min: 3, max: 12 }).chain((size) =>
    fc.record({
      size: fc.constant(size),
      edges: fc.array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: 16 }),
      blockedBy: fc.tuple(blocker, blocker, blocker),
    }),
  );
}

const loose = sketches(fc.constant(null));
const anyhow = sketches(fc.option(fc.nat(2), { freq: 2 }));

/** The steps of every cycle of tasks that is named, as pairs of task numbers. */
function namedCycles(lines: readonly string[]): [number, number][][] {
  return lines.flatMap((line) => {
    const path =
      /cycle: (t\d+(?: -> t\d+)+)/
        .exec(line)?.[1]
        ?.split(' -> ')
        .map((id) => Number(id.slice(1))) ?? [];
    if (path.length === 0) return [];
    expect(path.at(0)).toBe(path.at(-1));
    return [path.slice(1).map((to, i): [number, number] => [path[i] ?? -1, to])];
  });
}

describe('generated plans', () => {
  test('a plan without a cycle is read, and its order is kept', () => {
    fc.assert(
      fc.property(loose, (any) => {
        const downhill = any.edges
          .map(([a, b]): [number, number] => [Math.max(a, b), Math.min(a, b)])
          .filter(([a, b]) => a !== b);
        const plan = planOf(write({ ...any, edges: downhill }));
        const numbers = Array.from({ length: any.size }, (_, n) => n);
        const order = PHASES.flatMap((phase) => numbers.filter((n) => n % 3 === phase));
        expect(plan.tasks.map((task) => task.id)).toEqual(order.map((n) => `t${n}`));
        for (const n of order) {
          const needs = downhill.filter(([from]) => from === n).map(([, to]) => `t${to}`);
          expect(plan.byId.get(`t${n}`)?.depends_on).toEqual([...new Set(needs)]);
        }
      }),
    );
  });

  test('a plan with random dependencies is read, or a real cycle is named', () => {
    fc.assert(
      fc.property(loose, (any) => {
        const lines = linesOf(write(any));
        const cycles = namedCycles(lines);
        expect(cycles).toHaveLength(lines.length);
        expect(lines.length === 0).toBe(canBeDone(any));
        for (const step of cycles.flat()) expect(any.edges).toContainEqual(step);
      }),
      runs(300),
    );
  });

  test('a plan with random phase blocks is read exactly when it can be completed', () => {
    fc.assert(
      fc.property(anyhow, (any) => {
        expect(parsePlan(write(any), FILE).ok).toBe(canBeDone(any));
      }),
      runs(1000),
    );
  });

  test('a damaged plan text is read or refused with a reason', () => {
    const base = withTasks(
      'id: a\ntitle: A\nretry: [{retry_on: [timeout]}, {max_attempts: 2}]\nenv: {A: 1}',
      'id: b\ntitle: B\ndepends_on: [a]\ntimeout: 5m',
    );
    const piece = fc.oneof(
      fc.string({ maxLength: 4 }),
      fc.constantFrom('\n', ': ', '- ', '  ', '[', '{', '"', 'a', '*x', '&x ', '{}', '[]', 'null', '-1', '\n        '),
    );
    fc.assert(
      fc.property(fc.nat(base.length), fc.nat(12), piece, (at, cut, insert) => {
        const text = base.slice(0, at) + insert + base.slice(at + cut);
        const result = parsePlan(text, FILE);
        if (result.ok) return;
        expect(result.problems.length).toBeGreaterThan(0);
        for (const { message, place } of result.problems) {
          expect(message).not.toBe('');
          expect(place.line).toBeGreaterThan(0);
        }
      }),
      runs(1000),
    );
  });

  test('every problem of a plan with random values has a place in the text', () => {
    const values = fc.jsonValue({ maxDepth: 3 }).filter((value) => !JSON.stringify(value).includes('__proto__'));
    const key = fc.constantFrom(
      'id',
      'title',
      'priority',
      'depends_on',
      'env',
      'retry',
      'timeout',
      'verify',
      'status',
      'question_budget',
      'acceptance',
    );
    fc.assert(
      fc.property(fc.dictionary(key, values), values, (task, blockedBy) => {
        const text = JSON.stringify(
          { project: 'x', phases: [{ id: 'p', name: 'P', blocked_by: blockedBy, tasks: [task] }] },
          null,
          1,
        );
        const lines = text.split('\n');
        const result = parsePlan(text, FILE);
        for (const { place } of result.ok ? [] : result.problems) {
          expect(place.column).toBeLessThanOrEqual(lines[(place.line ?? 0) - 1]?.length ?? -1);
        }
      }),
      runs(500),
    );
  });
});

describe('plan of ten thousand tasks', () => {
  const numbers = Array.from({ length: 10_000 }, (_, n) => n);
  const chain = (dependency: (n: number) => string) =>
    withTasks(...numbers.map((n) => `{id: task-${n}, title: T, depends_on: [${dependency(n)}]}`));

  test('a plan of ten thousand tasks in one chain is read', () => {
    const plan = planOf(chain((n) => (n === 0 ? '' : `task-${n - 1}`)));
    expect(plan.tasks).toHaveLength(10_000);
  });

  test('a cycle of ten thousand tasks is named in short', () => {
    const lines = linesOf(chain((n) => `task-${(n + 1) % 10_000}`));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/cycle: task-0 -> task-1 -> .* -> \.\.\. \(9986 more\) -> .* -> task-9999 -> task-0/);
  });

  test('a plan of ten thousand invalid tasks is refused with all problems', () => {
    const lines = linesOf(chain((n) => `tsak-${n}`));
    expect(lines).toHaveLength(10_000);
    expect(lines[0]).toContain('Did you mean "task-0"?');
  });
});
