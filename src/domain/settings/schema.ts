/**
 * The shape of `.forge/settings.yaml`. `spec/schema/settings.schema.json` is generated from here, including descriptions and
 * defaults, and `spec/PLAN.md` explains it to people.
 */

import * as z from 'zod/mini';
import type { RetentionPolicy } from '../gc/retention.ts';
import {
  command,
  described,
  duration,
  durationAboveZero,
  filledText,
  globs,
  ignored,
  key,
  must,
  passedText,
  questionBudget,
} from '../plan/declare.ts';
import { errorRulesSchema } from '../retry/classify.ts';
import { retrySchema } from '../retry/schema.ts';
import { LAST_PORT, PORTS_PER_SLOT } from '../run/slots.ts';
import {
  branchPrefix,
  budgetSchema,
  limitsKey,
  logsKey,
  notifySchema,
  retentionSchema,
  stepsSchema,
  worktreeRoot,
  worktreesSchema,
} from './blocks.ts';
import { reviewSchema } from './review-schema.ts';
import {
  CHANGES,
  DEFAULT_SETTINGS,
  OVERLAP_MODES,
  SHIP_POLICIES,
  SHIP_SIGN,
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

const ignoredKeys = (keys: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(keys).map(([name, why]) => [name, ignored(`Accepted and ignored (${why}).`)]));

/** Below 1024 ports are for the superuser; slot 1 has to have all of its own. */
const portBase = z.int().check(z.minimum(1024), z.maximum(LAST_PORT - PORTS_PER_SLOT + 1));

const fromOne = z.int().check(z.minimum(1));

const COMMANDS = 'expected a command line, or a list of them';

const commands = z.pipe(
  z.union([command, z.array(command)], { error: COMMANDS }),
  z.transform((written) => (typeof written === 'string' ? [written] : written)),
);

/** Git would refuse a pattern that leads out of the repository, but only when the first worktree is made. */
const copied = command.check(
  must((glob: string) => {
    if (!glob.startsWith('/') && !glob.split('/').includes('..')) return null;
    return {
      message: 'must name files below the project',
      suggestion: 'Leave out / at the start, and every `..`.',
    };
  }),
);

const { agents, verify, review, ship, tracker } = DEFAULT_SETTINGS;

const agentsSchema = z.strictObject({
  max_parallel: key(fromOne, 'How many tasks one run works on at once. Left out: one for each core.', null),
  lease_ttl_ms: key(durationAboveZero(), 'How long a claim holds without a heartbeat.', agents.lease_ttl_ms),
  heartbeat_interval_ms: key(
    durationAboveZero(),
    'How often an agent is asked to send a heartbeat. Less than lease_ttl_ms.',
    agents.heartbeat_interval_ms,
  ),
  steal_grace_ms: key(
    duration,
    'How long after its end a lease is still left alone, for clocks that differ.',
    agents.steal_grace_ms,
  ),
  self_lease_ttl_ms: key(
    durationAboveZero(),
    'lease_ttl_ms for workers whose heartbeat forge sends itself, under run and exec.',
    agents.self_lease_ttl_ms,
  ),
  self_heartbeat_ms: key(
    durationAboveZero(),
    'How often forge sends that heartbeat. Less than self_lease_ttl_ms.',
    agents.self_heartbeat_ms,
  ),
  kill_grace_ms: key(
    duration,
    'How long a worker may take to end after SIGTERM before it gets SIGKILL.',
    agents.kill_grace_ms,
  ),
  retry_attempts: key(
    fromOne,
    'Attempts of a task, the first included, where no retry policy says otherwise.',
    agents.retry_attempts,
  ),
  retry_backoff_ms_max: key(
    duration,
    'The longest delay between attempts, where no retry policy says otherwise.',
    agents.retry_backoff_ms_max,
  ),
  question_timeout_ms: key(
    durationAboveZero(),
    'How long a question waits before its default answer applies, or it expires.',
    agents.question_timeout_ms,
  ),
  question_max_attempts: key(fromOne, 'How often one decision may be asked about.', agents.question_max_attempts),
  question_budget: key(
    questionBudget(agents.question_budget.soft, agents.question_budget.hard, [
      'Questions of a task after which its worker is asked to decide by itself.',
      'Questions of a task after which no more are taken.',
    ]),
    'How many questions one task may ask, over all attempts.',
    agents.question_budget,
  ),
  worktree_root: key(
    worktreeRoot,
    'Where git worktrees of tasks are made, relative to the project.',
    agents.worktree_root,
  ),
  branch_prefix: key(
    branchPrefix,
    'What the branches of tasks begin with: the branch of task build is forge/build. It may have slashes.',
    agents.branch_prefix,
  ),
  port_base: key(
    portBase,
    'The first port of the workers of a run: slot 1 has 100 ports from here on, slot 2 the next 100. FORGE_PORT_BASE names the first of a slot.',
    agents.port_base,
  ),
  worktree_copy: key(
    z.array(copied),
    'Files of the project that git does not track and that every worktree gets a copy of. Replaces the default list.',
    agents.worktree_copy,
  ),
  setup: key(
    commands,
    'A command line, or a list of them, that prepares each worktree before a worker starts there, and each checkout of a merge before it is verified: npm ci. Done again when a lock file has changed.',
    agents.setup,
    { examples: [['npm ci']] },
  ),
  setup_timeout_ms: key(durationAboveZero(), 'How long each command of setup may take.', agents.setup_timeout_ms),
  timeout: key(durationAboveZero(), 'For one attempt at a task that has no timeout of its own.', agents.timeout),
  stall_timeout: key(
    durationAboveZero(),
    'How long a worker may write and compute nothing. Left out: 30m for coding agents of worker, no limit for others.',
    agents.stall_timeout,
  ),
  hard_lock_globs: key(
    globs,
    'Files that only one task at a time may write. Replaces the default list.',
    agents.hard_lock_globs,
  ),
  preflight_globs: key(
    globs,
    'Files that a worker should ask about before it writes them; see guardrail-check.',
    agents.preflight_globs,
  ),
  overlap: key(
    z.enum(OVERLAP_MODES),
    'lenient: only locked files keep tasks with overlapping write_globs apart. strict: any overlap does.',
    agents.overlap,
  ),
  worker: key(
    z.enum(WORKERS),
    'The coding agent that does tasks without run: one with a preset, or custom, which needs worker_command. Left out: they wait for an agent.',
    null,
  ),
  worker_command: key(
    command,
    'The command line, for /bin/sh, that does tasks without run, also in place of the preset of worker. Left out: that of worker.',
    null,
  ),
  model: key(command, 'The model that worker uses: passed on as --model. Left out: as the agent itself is set.', null),
  args: key(z.array(passedText), 'Further arguments of worker, a word each.', agents.args, {
    examples: [['--max-turns', '50']],
  }),
  resume: key(
    z.boolean(),
    "Whether the next attempt goes on with its agent's session, where the context of that was not full.",
    agents.resume,
  ),
  log_rotate_max_bytes: key(fromOne, 'Size in bytes at which a log file is rotated.', agents.log_rotate_max_bytes),
  ...ignoredKeys(IGNORED_AGENT_KEYS),
});

const verifySchema = z.strictObject({
  commands: key(
    z.array(command),
    'Command lines that must succeed for every task, besides its own verify.',
    verify.commands,
  ),
  timeout: key(
    durationAboveZero(),
    "How long each of these commands, and of a task's own verify, may take.",
    verify.timeout_ms,
  ),
});

/** A block of keys: left out, each has its default, so editors need not be told one. */
const NO_DEFAULT = { default: undefined };

export const settingsSchema = z.strictObject({
  version: key(
    z.literal(1, { error: 'forge reads settings of version 1 only' }),
    'The version of this format.',
    DEFAULT_SETTINGS.version,
  ),
  project: key(
    z.strictObject({
      name: key(filledText, 'What the project is called.', null),
      description: key(z.string(), 'What the project is.', null),
    }),
    'About the project, for people.',
    DEFAULT_SETTINGS.project,
    NO_DEFAULT,
  ),
  plan: key(
    filledText,
    'Where the plan is, relative to the project. Left out: plans/phases.yaml, phases.yaml or .forge/plans/phases.yaml.',
    null,
  ),
  agents: key(
    agentsSchema,
    'How workers are run, watched and limited. Durations are milliseconds, or text such as 30s, 5m, 2h.',
    agents,
    NO_DEFAULT,
  ),
  retry: key(retrySchema(), 'When a failed attempt is tried again, for tasks that say nothing themselves.', null),
  errors: key(
    errorRulesSchema(),
    'Rules that give failures a class to retry on; the first that matches wins.',
    DEFAULT_SETTINGS.errors,
  ),
  redact: key(
    z.array(filledText),
    'Names of variables whose values are masked in logs, prompts and messages, besides those whose names look like secrets.',
    DEFAULT_SETTINGS.redact,
  ),
  verify: key(
    z.pipe(
      verifySchema,
      z.transform(({ commands, timeout: timeout_ms }) => ({ commands, timeout_ms })),
    ),
    'What every result must pass.',
    verify,
    NO_DEFAULT,
  ),
  workspace: key(
    z.enum(WORKSPACES),
    'none: workers run in the project folder. worktree: each task gets a git worktree and a branch.',
    DEFAULT_SETTINGS.workspace,
  ),
  steps: key(
    z.pipe(
      stepsSchema,
      z.transform(({ park_after: park_after_ms }) => ({ park_after_ms })),
    ),
    'What holds for steps and waits of workers.',
    DEFAULT_SETTINGS.steps,
    NO_DEFAULT,
  ),
  worktrees: key(
    z.pipe(
      worktreesSchema,
      z.transform(({ keep: keep_ms }) => ({ keep_ms })),
    ),
    'How long worktrees are kept.',
    DEFAULT_SETTINGS.worktrees,
    NO_DEFAULT,
  ),
  retention: key(
    z.pipe(
      retentionSchema,
      z.transform(
        ({ older_than: olderThanMs, failed_older_than: failedOlderThanMs }): RetentionPolicy => ({
          olderThanMs,
          failedOlderThanMs,
        }),
      ),
    ),
    'How long what gc --prune removes is kept; with this block a run removes it at its end. Left out: only gc --prune does.',
    DEFAULT_SETTINGS.retention,
    NO_DEFAULT,
  ),
  notify: key(
    z.array(notifySchema),
    'Who gets a notification of questions, failures, shipped tasks, workers that stand still, and the ends of runs, by run and exec.',
    DEFAULT_SETTINGS.notify,
    { examples: [[{ on: ['question', 'failed'], command: 'notify-send "$FORGE_NOTIFY_TEXT"' }]] },
  ),
  bell: key(z.boolean(), 'Whether the terminal of a run rings when a person is needed.', DEFAULT_SETTINGS.bell),
  changes: key(
    z.enum(CHANGES),
    "required: work in a worktree that changes no file fails. none: that is as good. Left out: required of agents, unless their verdict says that nothing had to change; of commands not. A task's own changes key takes precedence.",
    DEFAULT_SETTINGS.changes,
  ),
  review: key(
    z.pipe(
      reviewSchema,
      z.transform(({ timeout: timeout_ms, ...reviewer }) => ({ ...reviewer, timeout_ms })),
    ),
    'The review of verified results.',
    review,
    NO_DEFAULT,
  ),
  budget: key(
    budgetSchema,
    'What may be used before a person has to decide. Over it nothing more is started, and what is at work is stopped.',
    null,
    NO_DEFAULT,
  ),
  limits: limitsKey,
  logs: logsKey,
  ship: key(
    z.strictObject({
      policy: key(
        z.enum(SHIP_POLICIES),
        'none: reviewed is shipped. merge: the branch of the task is merged.',
        ship.policy,
      ),
      base: key(command, 'The branch that is merged into. Left out: the branch of the main checkout.', null),
      sign: key(
        z.enum(SHIP_SIGN),
        'git: the merges that forge makes are signed where git signs commits (commit.gpgsign). never: they are not.',
        ship.sign,
      ),
    }),
    'What happens to reviewed results.',
    ship,
    NO_DEFAULT,
  ),
  tracker: key(
    z.pipe(
      z.looseObject({
        type: described(
          z.enum(TRACKER_TYPES),
          'none, file (a YAML file in the project) or github (issues, by the gh command).',
        ),
        path: key(filledText, 'The file of a file tracker, relative to the project.', tracker.path),
      }),
      z.transform(({ type, path, ...options }) => ({ type, path, options })),
    ),
    'Where issues are tracked outside of forge.',
    tracker,
    { default: { type: 'none' } },
  ),
  ...ignoredKeys(IGNORED_BLOCKS),
});
