/**
 * The shape of a plan file. `spec/schema/phases.schema.json` is generated from here, including descriptions, and `spec/PLAN.md`
 * explains it to people. `checks.ts` has what a shape cannot express (existing ids, no cycles).
 */

import * as z from 'zod/mini';
import { ID_PATTERN } from '../../lib/ids.ts';
import { once } from '../../lib/once.ts';
import { durationSchema, type RetryYaml, retrySchema } from '../retry/schema.ts';
import { ESTIMATES, PHASE_STATUSES, PRIORITIES, TASK_STATUSES } from './plan.ts';

/** Read as `paused`: a status in plans of the older tool of this format. */
export const DEFERRED_STATUS = 'deferred-v0.5';

const ID_ERROR = 'an id is at most 64 letters, digits, ".", "_" and "-", and starts with a letter or digit';
const ENV_NAME_ERROR = 'a variable name has letters, digits and "_" only, and does not start with a digit';
const FORGE_NAME_ERROR = 'names that start with FORGE_ are set by forge itself';

interface Meta {
  /** The default of an omitted key; shown by editors. */
  default?: unknown;
  examples?: unknown[];
}

/** Adds the text that an editor shows. `register` changes the schema in place, where `check` would build it twice. */
export function described<T extends z.ZodMiniType>(schema: T, description: string, meta: Meta = {}): T {
  z.globalRegistry.add(schema, { description, ...meta });
  return schema;
}

/** An optional key. `key:` without a value is null in YAML and means the same. */
export function optional<T extends z.ZodMiniType>(schema: T, description: string, meta: Meta = {}) {
  return described(z.optional(z.nullable(schema)), description, meta);
}

const filled = () => z.string().check(z.minLength(1));
const id = () => z.string().check(z.regex(ID_PATTERN, { error: ID_ERROR }));

/** Shared parts. Only parts with a description of their own must be made anew for each use: it belongs to one object. */
const parts = once(() => {
  const text = z.string();
  const filledText = filled();
  return {
    text,
    texts: z.array(text),
    filledText,
    filledTexts: z.array(filledText),
    // Ids of other systems are often bare numbers, which YAML does not read as text.
    foreignId: z.union([text, z.number()]),
    anything: z.unknown(),
  };
});

type RetrySchema = z.ZodMiniType<RetryYaml>;

/** Accepted so that existing plans load; it has no effect. */
const ignored = (what: string) => optional(parts().anything, `${what} Accepted and ignored.`);

const envSchema = once(() => {
  const name = z
    .string()
    .check(
      z.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: ENV_NAME_ERROR }),
      z.regex(/^(?!FORGE_)/, { error: FORGE_NAME_ERROR }),
    );
  return z.record(name, z.union([parts().text, z.number(), z.boolean()]));
});

const questionBudgetSchema = once(() => {
  const budget = z.int().check(z.minimum(0));
  return z.strictObject({
    soft: optional(budget, 'Questions after which the worker is asked to decide by itself.'),
    hard: optional(budget, 'Questions after which no more are taken.'),
  });
});

const taskSchema = (retry: RetrySchema) => {
  const { text, texts, filledText, filledTexts, foreignId } = parts();
  return described(
    z.strictObject({
      id: described(
        id(),
        'Names the task in commands, in depends_on and on disk. Unique in the whole plan, ignoring case. A renamed task is a new task.',
      ),
      title: described(filled(), 'What is to be done, in one line.'),
      description: optional(text, 'What the worker needs to know.'),
      type: optional(text, 'The kind of work, in words of your own.'),
      priority: optional(z.enum(PRIORITIES), 'Which of the ready tasks of a phase go first: P0, then P1, then P2.', {
        default: 'P1',
      }),
      estimate: optional(
        z.enum(ESTIMATES),
        'Size of the task. It weighs the critical path that the live view shows, and nothing else.',
      ),
      owner_type: optional(
        text,
        'Who does it. "human" makes the task a checkpoint: it is never given to a worker and ends when its status is set to done.',
      ),
      depends_on: optional(
        texts,
        'Ids of tasks that must be shipped, or have the status done, before this one starts.',
        { default: [] },
      ),
      acceptance: optional(texts, 'When the task counts as done, in prose. Never executed; see verify.', {
        default: [],
      }),
      write_globs: optional(
        filledTexts,
        'The files that the task will write, relative to the project. Tasks that would write the same locked file do not run at once.',
        {
          default: [],
          examples: [['src/api/**']],
        },
      ),
      tracker_issue_id: optional(foreignId, 'The issue of this task in the tracker.'),
      status: optional(
        z.enum([...TASK_STATUSES, DEFERRED_STATUS]),
        'active: to be done. paused: not now. done: finished elsewhere; tasks that depend on it may start. dropped: will never be done; tasks that depend on it never start. deferred-v0.5 is read as paused.',
        { default: 'active' },
      ),
      question_budget: optional(
        questionBudgetSchema(),
        'How many questions the worker may ask, over all attempts. What is left out comes from the settings.',
      ),
      run: optional(
        filledText,
        "A command line for /bin/sh, started in the task's workspace or else in the project folder. Without it the task waits for an agent to claim it.",
        {
          examples: ['npm test'],
        },
      ),
      verify: optional(
        filledTexts,
        'Command lines that must succeed before the result counts. Run in order, after run.',
        { default: [], examples: [['npm test', 'npm run lint']] },
      ),
      timeout: optional(
        durationSchema(),
        'How long one attempt may take: milliseconds, or text such as 30s, 5m, 2h. Left out: as long as it takes.',
        { examples: ['10m'] },
      ),
      env: optional(
        envSchema(),
        'Environment variables for run and verify. Numbers are passed as they are spelled. Names that start with FORGE_ are reserved.',
        { default: {} },
      ),
      retry: optional(
        retry,
        'When a failed attempt is tried again: one policy, a list of them, or a list with a cap on the sum. Left out: as the settings say.',
        {
          examples: [{ max_attempts: 3, base: '10s' }],
        },
      ),
      split_into: ignored('Tasks that this one was split into.'),
      model_tier: ignored('How capable a model the task needs.'),
      deferred_at: ignored('When it was deferred.'),
      deferred_reason: ignored('Why it was deferred.'),
      dropped_at: ignored('When it was dropped.'),
      dropped_reason: ignored('Why it was dropped.'),
      paused_at: ignored('When it was paused.'),
      paused_reason: ignored('Why it was paused.'),
    }),
    'A piece of work for one worker.',
  );
};

const phaseSchema = (retry: RetrySchema) => {
  const { text, texts } = parts();
  return described(
    z.strictObject({
      id: described(id(), 'Names the phase, for example phase-1 or phase-2.1. Unique among phases.'),
      name: described(filled(), 'What the phase is called.'),
      status: optional(
        z.enum(PHASE_STATUSES),
        'Tasks start only while their phase is active. done: the phase is finished, whatever its tasks say.',
        { default: 'active' },
      ),
      blocked_by: optional(text, 'Id of a phase that must be finished first.'),
      goal: optional(text, 'What the phase is for.'),
      gate_criteria: optional(texts, 'When the phase counts as reached, in prose. Never executed.', {
        default: [],
      }),
      tasks: described(
        z.array(taskSchema(retry)),
        'The tasks of the phase. Among equals the one that stands first starts first.',
      ),
      tracker_milestone_id: ignored('The milestone in the tracker.'),
    }),
    'A stretch of the plan. Ready tasks of an earlier phase start before those of a later one.',
  );
};

const sourceSchema = once(() => {
  const { text, foreignId } = parts();
  return z.strictObject({
    tracker: optional(text, 'The kind of tracker.'),
    project_id: optional(foreignId, 'The project in the tracker.'),
    synced_at: optional(text, 'When the plan was last written from the tracker, ISO 8601.'),
    spec_revision: optional(foreignId, 'The revision of the specification that the plan follows.'),
  });
});

const planWith = (retry: RetrySchema) => {
  const { text } = parts();
  return z.strictObject({
    project: described(filled(), 'The name of the project.'),
    phases: described(
      z.array(phaseSchema(retry)).check(z.minLength(1, { error: 'a plan needs at least one phase' })),
      'The phases, in the order of work.',
    ),
    tracker_url: optional(text, 'Where people find the tracker.'),
    source: optional(sourceSchema(), 'Where the plan was generated from.'),
    gate_check_command: optional(text, 'A command that checks a phase gate. Accepted, never executed.'),
  });
};

/** The schema that plans are read by. It accepts any `retry`, which `retryProblems` checks. */
export const planSchema = once(() => planWith(z.custom<RetryYaml>()));

/** The same with the full schema of `retry`, for editors. */
export const fullPlanSchema = once(() => planWith(retrySchema()));

export type PlanYaml = z.infer<ReturnType<typeof planSchema>>;
export type PhaseYaml = PlanYaml['phases'][number];
export type TaskYaml = PhaseYaml['tasks'][number];
