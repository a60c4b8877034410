/**
 * The shape of a plan file. `spec/schema/phases.schema.json` is generated from here, including descriptions, and `spec/PLAN.md`
 * explains it to people. `checks.ts` has what a shape cannot express (existing ids, no cycles).
 */

import * as z from 'zod/mini';
import { ID_PATTERN } from '../../lib/ids.ts';
import { inWords } from '../../lib/schema-issues.ts';
import { closest } from '../../lib/text.ts';
import { CHANGES, WORKERS } from '../settings/settings.ts';
import {
  budget,
  command,
  dependencies,
  described,
  fileGlobs,
  filledText,
  globs,
  ignored,
  key,
  must,
  passedText,
  questionBudget,
  resources,
  shellKey,
  text,
  texts,
} from './declare.ts';
import { matrixSchema } from './matrix-schema.ts';
import { ESTIMATES, PHASE_STATUSES, PRIORITIES, TASK_STATUSES } from './plan.ts';
import { envKey, retryKey, timeoutKey } from './run-keys.ts';

/** Read as `paused`: a status in plans of the older tool of this format. */
export const DEFERRED_STATUS = 'deferred-v0.5';

const ID_ERROR = 'an id is at most 64 letters, digits, ".", "_" and "-", and starts with a letter or digit';

const id = (description: string) => described(z.string().check(z.regex(ID_PATTERN, { error: ID_ERROR })), description);
const name = (description: string) => described(z.string().check(z.minLength(1)), description);
const unused = (what: string) => ignored(`${what} Accepted and ignored.`);

// Ids of other systems are often bare numbers, which YAML does not read as text.
const foreignId = z.union([text, z.number()]);

/** Relative, and below the folder that it is relative to. */
const folder = command.check(
  must((path) => {
    const isOutside = path.startsWith('/') || path.split('/').includes('..');
    return isOutside ? { message: 'must be a folder in the workspace: a relative path without ".."' } : null;
  }),
);

const owner = z.string().check(
  must((type) => {
    if (type === 'human' || closest(type, ['human']) === null) return null;
    const message = `only "human" makes a task a checkpoint, found ${inWords(type)}`;
    return { message, suggestion: 'Write human.' };
  }),
);

export const taskSchema = described(
  z
    .strictObject({
      id: id(
        'Names the task in commands, in depends_on and on disk. Unique in the whole plan, ignoring case. A renamed task is a new task.',
      ),
      title: name('What is to be done, in one line.'),
      description: key(text, 'What the worker needs to know.', null),
      type: key(text, 'The kind of work, in words of your own.', null),
      priority: key(z.enum(PRIORITIES), 'Which of the ready tasks of a phase go first: P0, then P1, then P2.', 'P1'),
      estimate: key(
        z.enum(ESTIMATES),
        'Size of the task. It weighs the critical path that the live view shows, and nothing else.',
        null,
      ),
      owner_type: key(
        owner,
        'Who does it. "human" makes the task a checkpoint: it is never given to a worker and ends when its status is set to done.',
        null,
      ),
      depends_on: key(
        dependencies,
        'The tasks that must be shipped, or have the status done, before this one starts: ids, or mappings that say otherwise.',
        [],
        { examples: [['build', { task: 'test', when: 'always' }]] },
      ),
      continue_on_error: key(
        z.boolean(),
        'When it fails for good, tasks that wait for it start as if it had shipped, its phase can be finished, and a run can end well.',
        false,
      ),
      acceptance: key(texts, 'When the task counts as done, in prose. Never executed; see verify.', []),
      write_globs: key(
        globs,
        'The files that the task will write, relative to the project. Tasks that would write the same locked file do not run at once.',
        [],
        { examples: [['src/api/**']] },
      ),
      uses: key(
        resources,
        'What it uses while it is in flight: names of resources, or how much of each. The settings limit them under limits.',
        {},
        { examples: [['deploy', { gpu: 1 }]] },
      ),
      tracker_issue_id: key(foreignId, 'The issue of this task in the tracker.', null),
      status: key(
        z.enum([...TASK_STATUSES, DEFERRED_STATUS]),
        'active: to be done. paused: not now. done: finished elsewhere; tasks that depend on it may start. dropped: will never be done; tasks that depend on it never start. deferred-v0.5 is read as paused.',
        'active',
      ),
      question_budget: key(
        questionBudget(null, null, [
          'Questions after which the worker is asked to decide by itself.',
          'Questions after which no more are taken.',
        ]),
        'How many questions the worker may ask, over all attempts. What is left out comes from the settings.',
        null,
      ),
      run: key(
        command,
        "A command line, or a script of several lines, started in the task's workspace or else in the project folder. Without it the task waits for an agent to claim it.",
        null,
        { examples: ['npm test'] },
      ),
      worker: key(
        z.enum(WORKERS),
        'The coding agent that does the task, when it has no run: one with a preset, or custom, which is agents.worker_command. Left out: as the settings say.',
        null,
      ),
      model: key(
        command,
        'The model that its worker uses: passed on as --model. Left out: that of the settings, for the same worker.',
        null,
      ),
      args: key(
        z.array(passedText),
        'Further arguments of its worker, a word each. Left out: those of the settings, for the same worker.',
        null,
        { examples: [['--max-turns', '50']] },
      ),
      budget: key(
        budget('How long all attempts take together.'),
        'What the task may use, over all attempts. Over it the task has failed as budget, until a person retries it. Left out: as the settings say.',
        null,
        { examples: [{ cost: 5 }] },
      ),
      changes: key(
        z.enum(CHANGES),
        'Whether the work must change a file, where it is done in a worktree. Left out: as the settings say.',
        null,
      ),
      shell: shellKey('of this task'),
      cwd: key(
        folder,
        'The folder where run and verify are started, or the worker, relative to the workspace of the task. It has to be there then.',
        null,
        { examples: ['packages/api'] },
      ),
      verify: key(
        z.array(command),
        'Command lines that must succeed before the result counts. Run in order, after run.',
        [],
        { examples: [['npm test', 'npm run lint']] },
      ),
      inputs: key(
        fileGlobs,
        'The files that the task reads, relative to the project: see cache. A leading ! takes files away.',
        [],
        {
          examples: [['src/**', 'package.json']],
        },
      ),
      outputs: key(
        fileGlobs,
        'The files that the task makes, relative to the project: kept with cache. A leading ! takes files away.',
        [],
        {
          examples: [['dist/**']],
        },
      ),
      cache: key(
        z.boolean(),
        'Whether the outputs are kept on this machine, so that a task whose inputs, command and environment are the same is not done again.',
        false,
      ),
      timeout: timeoutKey(),
      env: envKey(),
      retry: retryKey(),
      matrix: key(
        matrixSchema,
        `Makes a task of each combination of values, such as test.node-20. A text has a value by $${'{{ matrix.node }}'}, run and verify also by FORGE_MATRIX_NODE.`,
        null,
        { examples: [{ node: [20, 22], os: ['linux'] }] },
      ),
      discovered_from: key(
        text,
        'The task in whose work it was found, for people. It need not be in the plan any more.',
        null,
      ),
      split_into: unused('Tasks that this one was split into.'),
      model_tier: unused('How capable a model the task needs.'),
      deferred_at: unused('When it was deferred.'),
      deferred_reason: unused('Why it was deferred.'),
      dropped_at: unused('When it was dropped.'),
      dropped_reason: unused('Why it was dropped.'),
      paused_at: unused('When it was paused.'),
      paused_reason: unused('Why it was paused.'),
    })
    .check(
      must(({ run, ...task }) => {
        const key =
          run === null ? undefined : (['worker', 'model', 'args'] as const).find((name) => task[name] !== null);
        if (key === undefined) return null;
        const message = 'counts for tasks without run: nothing else starts a worker';
        return { message, suggestion: `Leave out run or ${key}.`, path: [key] };
      }),
      must(({ cache, run, inputs }) => {
        if (!cache || (run !== null && inputs.length > 0)) return null;
        const message =
          run === null
            ? 'counts for tasks with run: an agent does not do the same twice'
            : 'needs inputs: without them nothing says when to do the task again';
        return { message, suggestion: run === null ? 'Leave it out.' : 'Such as inputs: [src/**].', path: ['cache'] };
      }),
    ),
  'A piece of work for one worker.',
);

/** The keys of a task that a phase, or the plan, can have for all of theirs. */
export const INHERITED = [
  'priority',
  'worker',
  'model',
  'args',
  'budget',
  'question_budget',
  'changes',
  'shell',
  'cwd',
  'verify',
  'timeout',
  'env',
  'retry',
] as const;

const { shape } = taskSchema;
const inherited = Object.fromEntries(INHERITED.map((name) => [name, shape[name]]));
const defaultsSchema = z.strictObject(inherited as Pick<typeof shape, (typeof INHERITED)[number]>);

const defaultsKey = (where: string) =>
  key(
    defaultsSchema,
    `Keys of all tasks ${where}, where a task does not have them itself. Variables of env are added to those of the task.`,
    null,
  );

const phaseSchema = described(
  z.strictObject({
    id: id('Names the phase, for example phase-1 or phase-2.1. Unique among phases.'),
    name: name('What the phase is called.'),
    status: key(
      z.enum(PHASE_STATUSES),
      'Tasks start only while their phase is active. done: the phase is finished, whatever its tasks say.',
      'active',
    ),
    blocked_by: key(text, 'Id of a phase that must be finished first.', null),
    goal: key(text, 'What the phase is for.', null),
    shell: shellKey('of the tasks of this phase'),
    defaults: defaultsKey('of this phase'),
    gate_criteria: key(texts, 'When the phase counts as reached, in prose. Never executed.', []),
    tasks: described(
      z.array(taskSchema),
      'The tasks of the phase. Among equals the one that stands first starts first.',
    ),
    tracker_milestone_id: unused('The milestone in the tracker.'),
  }),
  'A stretch of the plan. Ready tasks of an earlier phase start before those of a later one.',
);

const sourceSchema = z.strictObject({
  tracker: key(text, 'The kind of tracker.', null),
  project_id: key(foreignId, 'The project in the tracker.', null),
  synced_at: key(text, 'When the plan was last written from the tracker, ISO 8601.', null),
  spec_revision: key(foreignId, 'The revision of the specification that the plan follows.', null),
});

/** A key of a person's own. */
export const isOwnKey = (name: string) => name.startsWith('x-');

/** A plan that works, for who begins one. In a single line, as hints are. */
export const SMALLEST_PLAN =
  '{project: demo, phases: [{id: p1, name: Build, tasks: [{id: build, title: Build it, run: make}]}]}';

export const planSchema = z.strictObject({
  project: name('The name of the project.'),
  phases: key(z.array(phaseSchema), 'The phases, in the order of work. Required of a file that includes no other.', []),
  tracker_url: key(text, 'Where people find the tracker.', null),
  shell: shellKey('of all tasks'),
  defaults: defaultsKey('of the plan'),
  include: key(
    z.array(filledText),
    'Other plan files, relative to this one: their phases come after those of this file.',
    [],
    { examples: [['packages/api/plan.yaml']] },
  ),
  source: key(sourceSchema, 'Where the plan was generated from.', null),
  gate_check_command: key(text, 'A command that checks a phase gate. Accepted, never executed.', null),
});

/** A file that another one includes. It may be a plan of its own, of which only phases, defaults and shell count then. */
export const includedSchema = z.strictObject({
  ...planSchema.shape,
  project: key(text, 'The name of the project, where the file is a plan of its own.', null),
});

export type PlanYaml = z.output<typeof planSchema>;
export type TaskYaml = PlanYaml['phases'][number]['tasks'][number];
export type DefaultsYaml = NonNullable<PlanYaml['defaults']>;
