/** Settings with every default filled in. `parse.ts` reads them from `.forge/settings.yaml`; `spec/PLAN.md` describes the file. */

import type { RetentionPolicy } from '../gc/retention.ts';
import type { ErrorRule } from '../retry/classify.ts';
import type { RetryYaml } from '../retry/schema.ts';

/** Coding agents with a preset command line. `custom` needs `worker_command`, and so does `acp`: any agent that speaks that protocol. */
export const WORKERS = ['acp', 'claude', 'codex', 'copilot', 'cursor', 'gemini', 'opencode', 'qwen', 'custom'] as const;
export type WorkerName = (typeof WORKERS)[number];

/** Those that can review. */
export const REVIEWERS = ['claude', 'codex', 'copilot', 'cursor', 'gemini', 'opencode', 'qwen'] as const;
type ReviewerName = (typeof REVIEWERS)[number];

export const OVERLAP_MODES = ['lenient', 'strict'] as const;
export const WORKSPACES = ['none', 'worktree'] as const;
export const SHIP_POLICIES = ['none', 'merge'] as const;
export const SHIP_SIGN = ['git', 'never'] as const;
/** Whether a task's work must change a file. */
export const CHANGES = ['required', 'none'] as const;
export type Changes = (typeof CHANGES)[number];

/**
 * What `notify` may name. `stalled`: a worker was stopped because it did nothing any more or waited for input, or a run has given up a review
 * or a merge. `finished`: the run.
 */
export const NOTIFY_EVENTS = ['question', 'failed', 'finished', 'shipped', 'stalled'] as const;
export type NotifyEvent = (typeof NOTIFY_EVENTS)[number];

export const TRACKER_TYPES = ['none', 'file', 'github'] as const;

/** Durations are milliseconds. Null: see the key. */
export interface Settings {
  version: 1;
  project: { name: string | null; description: string | null };
  /** The plan's place, relative to the project; null: one of the usual places. */
  plan: string | null;
  agents: AgentSettings;
  /** For tasks without their own; null: the built-in policy, with `retry_attempts` and `retry_backoff_ms_max`. */
  retry: RetryYaml | null;
  errors: readonly ErrorRule[];
  /** Names of variables whose values are masked besides those that look like secrets. */
  redact: readonly string[];
  /** `timeout_ms` limits each command. */
  verify: { commands: readonly string[]; timeout_ms: number };
  workspace: (typeof WORKSPACES)[number];
  /** A worker that waits longer gives its task back until then. */
  steps: { park_after_ms: number };
  /** How long the worktree of a task is kept after it was shipped; null: forever. */
  worktrees: { keep_ms: number | null };
  /** What `gc --prune` goes by, and a run at its end; null: no run removes anything, and `gc --prune` goes by its defaults. */
  retention: RetentionPolicy | null;
  /** Who gets notifications of a run, or of an exec. */
  notify: readonly NotifySettings[];
  /** Whether the terminal of a run rings when a person is needed. */
  bell: boolean;
  /** For tasks that do not say so themselves; null: required of agents. Looked at in worktrees alone. */
  changes: Changes | null;
  /** By a command, or a coding agent; both null: no review. `model`: null: what the agent itself is set to. `timeout_ms` limits a review. */
  review: {
    command: string | null;
    worker: ReviewerName | null;
    model: string | null;
    args: readonly string[];
    timeout_ms: number;
  };
  /** The most of each resource that tasks in flight may use together. */
  limits: Readonly<Record<string, number>>;
  /** What each task (for what its own budget leaves out), each run, and all attempts in the project may use. */
  budget: { task: Budget; run: Budget; project: Budget };
  /** The limit of each log of a command; null: none. */
  logs: { max_bytes: number | null };
  /** Null base: the branch of the main checkout. `sign`: merges, where git signs commits; or never. */
  ship: { policy: (typeof SHIP_POLICIES)[number]; base: string | null; sign: (typeof SHIP_SIGN)[number] };
  /** `path` is for `file`, relative to the project; `options` is the rest of the block. */
  tracker: { type: (typeof TRACKER_TYPES)[number]; path: string; options: Readonly<Record<string, unknown>> };
}

/** One of `command` and `webhook` is null. */
export interface NotifySettings {
  on: readonly NotifyEvent[];
  /** For /bin/sh. */
  command: string | null;
  /** A web address, or the name of the variable that has it: `$NAME`. */
  webhook: string | null;
}

/** Null: no limit. */
export interface Budget {
  /** US dollars. */
  cost: number | null;
  /** Read and written by models. */
  tokens: number | null;
  attempts: number | null;
  /** How long attempts take, of a run how long it takes; milliseconds. */
  wall_clock: number | null;
}

export interface AgentSettings {
  /** Null: one for each core. */
  max_parallel: number | null;
  lease_ttl_ms: number;
  heartbeat_interval_ms: number;
  steal_grace_ms: number;
  self_lease_ttl_ms: number;
  self_heartbeat_ms: number;
  kill_grace_ms: number;
  retry_attempts: number;
  retry_backoff_ms_max: number;
  question_timeout_ms: number;
  question_max_attempts: number;
  question_budget: { soft: number; hard: number };
  worktree_root: string;
  branch_prefix: string;
  /** The first port of slot 1 of a run. */
  port_base: number;
  worktree_copy: readonly string[];
  /** Command lines that prepare each worktree and each checkout of a merge. */
  setup: readonly string[];
  setup_timeout_ms: number;
  /** Of an attempt at a task that has no timeout of its own, milliseconds; null: none. */
  timeout: number | null;
  /** How long a worker may do nothing, milliseconds; null: `STALL_MS` for coding agents, and no limit for others. */
  stall_timeout: number | null;
  hard_lock_globs: readonly string[];
  preflight_globs: readonly string[];
  overlap: (typeof OVERLAP_MODES)[number];
  /** The agent for tasks without `run`; `worker_command` overrides `worker`. Both null: an agent that claims them. */
  worker: WorkerName | null;
  worker_command: string | null;
  /** Of `worker`; null: what the agent itself is set to. */
  model: string | null;
  /** Further arguments of `worker`. */
  args: readonly string[];
  /** The next attempt goes on with the session of its agent. */
  resume: boolean;
  log_rotate_max_bytes: number;
}

/** How long a coding agent may do nothing where the settings do not say, milliseconds. */
export const STALL_MS = 1_800_000;

const NO_BUDGET: Budget = { cost: null, tokens: null, attempts: null, wall_clock: null };

/** The settings without a settings file, deeply frozen. */
export const DEFAULT_SETTINGS: Settings = deepFreeze({
  version: 1,
  project: { name: null, description: null },
  plan: null,
  agents: {
    max_parallel: null,
    lease_ttl_ms: 1_800_000,
    heartbeat_interval_ms: 300_000,
    steal_grace_ms: 300_000,
    self_lease_ttl_ms: 60_000,
    self_heartbeat_ms: 15_000,
    kill_grace_ms: 10_000,
    retry_attempts: 10,
    retry_backoff_ms_max: 300_000,
    question_timeout_ms: 1_800_000,
    question_max_attempts: 3,
    question_budget: { soft: 3, hard: 6 },
    worktree_root: '.forge/worktrees',
    branch_prefix: 'forge',
    // Linux and macOS give outgoing connections ports from 32768 and 49152 on.
    port_base: 20_000,
    // What tools need and people often keep out of git: secrets, and instructions to agents.
    worktree_copy: [
      '.env',
      '.env.*',
      '.envrc',
      'AGENTS.md',
      'CLAUDE.md',
      'AGENTS.local.md',
      'CLAUDE.local.md',
      '.claude/**',
      '.npmrc',
      '.tool-versions',
    ],
    setup: [],
    setup_timeout_ms: 1_800_000,
    timeout: null,
    stall_timeout: null,
    // Files that two branches can hardly change independently: what a package manager reads and writes, what is numbered in
    // sequence or generated as a whole, and build configuration. Only at the top of the project: `**/package.json` would exclude
    // any two tasks below `src/`, since both might write one there.
    hard_lock_globs: [
      'package.json',
      'package-lock.json',
      'npm-shrinkwrap.json',
      'pnpm-lock.yaml',
      'pnpm-workspace.yaml',
      'yarn.lock',
      'bun.lock',
      'tsconfig.json',
      'Cargo.toml',
      'Cargo.lock',
      'go.mod',
      'go.sum',
      'Gemfile',
      'Gemfile.lock',
      'composer.json',
      'composer.lock',
      'pyproject.toml',
      'poetry.lock',
      'uv.lock',
      '.github/workflows/**',
      '.gitlab-ci.yml',
      'migrations/**',
      'db/migrate/**',
      'db/schema.rb',
      'prisma/schema.prisma',
      'prisma/migrations/**',
      'plans/phases.yaml',
    ],
    preflight_globs: [],
    overlap: 'lenient',
    worker: null,
    worker_command: null,
    model: null,
    args: [],
    resume: false,
    log_rotate_max_bytes: 10_485_760,
  },
  retry: null,
  errors: [],
  redact: [],
  verify: { commands: [], timeout_ms: 600_000 },
  workspace: 'none',
  steps: { park_after_ms: 30_000 },
  worktrees: { keep_ms: null },
  notify: [],
  bell: true,
  retention: null,
  changes: null,
  review: { command: null, worker: null, model: null, args: [], timeout_ms: 1_800_000 },
  limits: {},
  budget: { task: NO_BUDGET, run: NO_BUDGET, project: NO_BUDGET },
  logs: { max_bytes: 50_000_000 },
  ship: { policy: 'none', base: null, sign: 'git' },
  tracker: { type: 'none', path: 'plans/tracker.yaml', options: {} },
});

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
