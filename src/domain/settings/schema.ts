/**
 * The shape of `.forge/settings.yaml`. `spec/schema/settings.schema.json` is generated from here, including descriptions and
 * defaults, and `spec/PLAN.md` explains it to people.
 */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { described, optional } from '../plan/schema.ts';
import { errorRulesSchema } from '../retry/classify.ts';
import { durationSchema, type RetryYaml, retrySchema } from '../retry/schema.ts';
import {
  type AgentSettings,
  DEFAULT_SETTINGS,
  OVERLAP_MODES,
  SHIP_POLICIES,
  TRACKER_TYPES,
  WORKERS,
  WORKSPACES,
} from './settings.ts';

/** Top-level keys of the older tool's settings. Accepted, without effect. */
export const IGNORED_BLOCKS = {
  secrets: 'where a secret manager keeps its secrets',
  design: 'where the design documents come from',
  second_opinion: 'when a second model is asked',
  codex: 'the older name of second_opinion',
  drive: 'how a single ticket is taken through review and merge',
  decisions: 'where drafts of decisions are kept',
  doctor: 'what its own diagnosis looks at',
  models: 'which models its router may choose',
  methodology_version: 'the version of its templates',
} as const;

/** The same inside `agents`. */
export const IGNORED_AGENT_KEYS = {
  max_concurrent: 'set max_parallel instead',
  subagent_cap_per_main: 'set max_parallel instead',
  poll_interval_ms: 'forge polls as often as it needs to',
  on_persistent_failure: 'the retry policy decides',
  branch_strategy: 'see ship',
  primary_host_cli: 'see worker_command',
  review_host_cli: 'see review',
  cursor_host_beta_opt_in: 'see worker_command',
  enabled_root_files: 'forge writes no agent files',
  default_model_tier: 'forge routes no models',
  question_budget_soft: 'set question_budget.soft instead',
  question_budget_hard: 'set question_budget.hard instead',
} as const;

/** Shared parts. */
const parts = once(() => {
  const filled = z.string().check(z.minLength(1));
  return {
    filled,
    globs: z.array(filled),
    fromOne: z.int().check(z.minimum(1)),
    fromZero: z.int().check(z.minimum(0)),
    anything: z.unknown(),
  };
});

const ignored = (keys: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(keys).map(([key, why]) => [key, optional(parts().anything, `Accepted and ignored (${why}).`)]),
  );

const { agents } = DEFAULT_SETTINGS;

/** A key of `agents`, described with its default. */
function agentKey<T extends z.ZodMiniType>(key: keyof AgentSettings, schema: T, description: string) {
  return optional(schema, description, { default: agents[key] });
}

const agentsSchema = once(() => {
  const { filled, globs, fromOne, fromZero } = parts();
  const duration = durationSchema();
  return z.strictObject({
    max_parallel: optional(fromOne, 'How many tasks one run works on at once. Left out: one for each core.'),
    lease_ttl_ms: agentKey('lease_ttl_ms', duration, 'How long a claim holds without a heartbeat.'),
    heartbeat_interval_ms: agentKey(
      'heartbeat_interval_ms',
      duration,
      'How often an agent is asked to send a heartbeat. Less than lease_ttl_ms.',
    ),
    steal_grace_ms: agentKey(
      'steal_grace_ms',
      duration,
      'How long after its end a lease is still left alone, for clocks that differ.',
    ),
    self_lease_ttl_ms: agentKey(
      'self_lease_ttl_ms',
      duration,
      'lease_ttl_ms for workers whose heartbeat forge sends itself, under run and exec.',
    ),
    self_heartbeat_ms: agentKey(
      'self_heartbeat_ms',
      duration,
      'How often forge sends that heartbeat. Less than self_lease_ttl_ms.',
    ),
    kill_grace_ms: agentKey(
      'kill_grace_ms',
      duration,
      'How long a worker may take to end after SIGTERM before it gets SIGKILL.',
    ),
    retry_attempts: agentKey(
      'retry_attempts',
      fromOne,
      'Attempts of a task, the first included, where no retry policy says otherwise.',
    ),
    retry_backoff_ms_max: agentKey(
      'retry_backoff_ms_max',
      duration,
      'The longest delay between attempts, where no retry policy says otherwise.',
    ),
    question_timeout_ms: agentKey(
      'question_timeout_ms',
      duration,
      'How long a question waits before its default answer applies, or it expires.',
    ),
    question_max_attempts: agentKey('question_max_attempts', fromOne, 'How often one decision may be asked about.'),
    question_budget: agentKey(
      'question_budget',
      z.strictObject({
        soft: optional(fromZero, 'Questions of a task after which its worker is asked to decide by itself.', {
          default: agents.question_budget.soft,
        }),
        hard: optional(fromZero, 'Questions of a task after which no more are taken.', {
          default: agents.question_budget.hard,
        }),
      }),
      'How many questions one task may ask, over all attempts.',
    ),
    worktree_root: agentKey('worktree_root', filled, 'Where git worktrees of tasks are made, relative to the project.'),
    worktree_copy: agentKey(
      'worktree_copy',
      globs,
      'Files of the project that git does not track and that every worktree gets a copy of. Replaces the default list.',
    ),
    hard_lock_globs: agentKey(
      'hard_lock_globs',
      globs,
      'Files that only one task at a time may write. Replaces the default list.',
    ),
    preflight_globs: agentKey(
      'preflight_globs',
      globs,
      'Files that a worker should ask about before it writes them; see guardrail-check.',
    ),
    overlap: agentKey(
      'overlap',
      z.enum(OVERLAP_MODES),
      'lenient: only locked files keep tasks with overlapping write_globs apart. strict: any overlap does.',
    ),
    worker: optional(
      z.enum(WORKERS),
      'The coding agent that does tasks without run: one with a preset, or custom, which needs worker_command. Left out: they wait for an agent.',
    ),
    worker_command: optional(
      filled,
      'The command line, for /bin/sh, that does tasks without run, also in place of the preset of worker. Left out: that of worker.',
    ),
    log_rotate_max_bytes: agentKey('log_rotate_max_bytes', fromOne, 'Size in bytes at which a log file is rotated.'),
    ...ignored(IGNORED_AGENT_KEYS),
  });
});

const settingsWith = (retry: z.ZodMiniType<RetryYaml>) => {
  const { filled, globs } = parts();
  return z.strictObject({
    version: optional(
      z.literal(1, { error: 'forge reads settings of version 1 only' }),
      'The version of this format.',
      {
        default: 1,
      },
    ),
    project: optional(
      z.strictObject({
        name: optional(filled, 'What the project is called.'),
        description: optional(z.string(), 'What the project is.'),
      }),
      'About the project, for people.',
    ),
    plan: optional(
      filled,
      'Where the plan is, relative to the project. Left out: plans/phases.yaml, phases.yaml or .forge/plans/phases.yaml.',
    ),
    agents: optional(
      agentsSchema(),
      'How workers are run, watched and limited. Durations are milliseconds, or text such as 30s, 5m, 2h.',
    ),
    retry: optional(retry, 'When a failed attempt is tried again, for tasks that say nothing themselves.'),
    errors: optional(errorRulesSchema(), 'Rules that give failures a class to retry on; the first that matches wins.', {
      default: [],
    }),
    verify: optional(
      z.strictObject({
        commands: optional(globs, 'Command lines that must succeed for every task, besides its own verify.', {
          default: [],
        }),
        timeout: optional(durationSchema(), "How long each of these commands, and of a task's own verify, may take.", {
          default: DEFAULT_SETTINGS.verify.timeout_ms,
        }),
      }),
      'What every result must pass.',
    ),
    workspace: optional(
      z.enum(WORKSPACES),
      'none: workers run in the project folder. worktree: each task gets a git worktree and a branch.',
      { default: 'none' },
    ),
    review: optional(
      z.strictObject({
        command: optional(filled, 'A command line that reviews a verified result. Left out: no review.'),
        timeout: optional(durationSchema(), 'How long a review may take.', {
          default: DEFAULT_SETTINGS.review.timeout_ms,
        }),
      }),
      'The review of verified results.',
    ),
    ship: optional(
      z.strictObject({
        policy: optional(z.enum(SHIP_POLICIES), 'none: reviewed is shipped. merge: the branch of the task is merged.', {
          default: 'none',
        }),
        base: optional(filled, 'The branch that is merged into. Left out: the branch of the main checkout.'),
      }),
      'What happens to reviewed results.',
    ),
    tracker: optional(
      z.looseObject({
        type: described(
          z.enum(TRACKER_TYPES),
          'none, file (a YAML file in the project) or github (issues, by the gh command).',
        ),
        path: optional(filled, 'The file of a file tracker, relative to the project.', {
          default: DEFAULT_SETTINGS.tracker.path,
        }),
      }),
      'Where issues are tracked outside of forge.',
      { default: { type: 'none' } },
    ),
    ...ignored(IGNORED_BLOCKS),
  });
};

/** The schema that settings are read by. It accepts any `retry`, which `retryProblems` checks. */
export const settingsSchema = once(() => settingsWith(z.custom<RetryYaml>()));

/** The same with the full schema of `retry`, for editors. */
export const fullSettingsSchema = once(() => settingsWith(retrySchema()));

export type SettingsYaml = z.infer<ReturnType<typeof settingsSchema>>;
