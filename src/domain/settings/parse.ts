/** Parses the text of `.forge/settings.yaml`, or finds everything that is wrong with it. `spec/PLAN.md` describes the file. */

import type { Problem } from '../../lib/errors.ts';
import { parseDuration } from '../../lib/time.ts';
import { parseYaml, type YamlPath } from '../../lib/yaml.ts';
import {
  durationText,
  type Finding,
  pathText,
  shapeFindings,
  toProblems,
  valueAt,
  WITHOUT_WORDS,
} from '../plan/findings.ts';
import { checkBudget, checkGlobs, refuseNul, retryFindings } from '../plan/value-checks.ts';
import { IGNORED_AGENT_KEYS, IGNORED_BLOCKS, type SettingsYaml, settingsSchema } from './schema.ts';
import { type AgentSettings, DEFAULT_SETTINGS, type Settings } from './settings.ts';

type SettingsResult = { ok: true; settings: Settings; warnings: string[] } | { ok: false; problems: Problem[] };

/**
 * Reads settings; an empty file gives the defaults. Keys that start with `x-` belong to the user and are ignored at every level.
 * All problems are reported, in file order, with line and column; `file` is the name they show. Warnings name keys that are
 * accepted but have no effect.
 */
export function parseSettings(text: string, file: string): SettingsResult {
  const yaml = parseYaml(text, file);
  if (!yaml.ok) return yaml;
  const value = withoutExtensions(yaml.value ?? {});
  const schema = settingsSchema();
  const shape = schema.safeParse(value, WITHOUT_WORDS);
  const issues = shape.success ? [] : shape.error.issues;
  const findings = [...shapeFindings(schema, value, issues, pathText), ...checkValues(value)];
  if (findings.length > 0 || !shape.success) return { ok: false, problems: toProblems(findings, text, file) };
  return { ok: true, settings: fillIn(shape.data), warnings: warningsOf(value) };
}

function withoutExtensions(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutExtensions);
  if (typeof value !== 'object' || value === null) return value;
  const own = Object.entries(value).filter(([key]) => !key.startsWith('x-'));
  return Object.fromEntries(own.map(([key, part]) => [key, withoutExtensions(part)]));
}

// ---------------------------------------------------------------------------------------------- what shape can't say

/** Durations of zero would make a lease that never holds, or a loop without pauses. */
const MORE_THAN_ZERO = [
  'lease_ttl_ms',
  'heartbeat_interval_ms',
  'self_lease_ttl_ms',
  'self_heartbeat_ms',
  'question_timeout_ms',
] as const;

/** A heartbeat at or after the end of its lease is always too late. */
const BEATS = [
  { beat: 'heartbeat_interval_ms', lease: 'lease_ttl_ms' },
  { beat: 'self_heartbeat_ms', lease: 'self_lease_ttl_ms' },
] as const;

function checkValues(value: unknown): Finding[] {
  const agents = valueAt(value, ['agents']);
  const retry = valueAt(value, ['retry']);
  const ofAgents = [
    ...MORE_THAN_ZERO.flatMap((key) => checkAboveZero(agents, key)),
    ...BEATS.flatMap((pair) => checkBeat(agents, pair)),
    ...checkBudget(withBudgetDefaults(agents)),
    ...checkCopies(agents),
    ...checkWorker(agents),
    ...checkGlobs(valueAt(agents, ['hard_lock_globs']), ['hard_lock_globs']),
    ...checkGlobs(valueAt(agents, ['preflight_globs']), ['preflight_globs']),
  ];
  return [
    ...ofAgents.map((finding): Finding => inBlock('agents', finding)),
    ...['verify', 'review'].flatMap((block) =>
      checkAboveZero(valueAt(value, [block]), 'timeout').map((finding) => inBlock(block, finding)),
    ),
    ...checkCommands(value).map(
      (finding): Finding => ({ ...finding, message: `${pathText(finding.path)}: ${finding.message}` }),
    ),
    ...(retry === undefined || retry === null
      ? []
      : retryFindings(retry, []).map((finding) => inBlock('retry', finding))),
  ];
}

/** The other workers have a command line of their own. */
function checkWorker(agents: unknown): Finding[] {
  if (valueAt(agents, ['worker']) !== 'custom' || (valueAt(agents, ['worker_command']) ?? null) !== null) return [];
  return [
    {
      path: ['worker'],
      message: 'custom needs worker_command',
      suggestion: 'Write `worker_command: my-agent < "$FORGE_PROMPT_FILE"` beside it, or name a preset.',
    },
  ];
}

/** Git would refuse a pattern that leads out of the repository, but only when the first worktree is made. */
function checkCopies(agents: unknown): Finding[] {
  const globs = valueAt(agents, ['worktree_copy']);
  if (!Array.isArray(globs)) return [];
  return globs.flatMap((glob: unknown, i): Finding[] => {
    if (typeof glob !== 'string' || !(glob.startsWith('/') || glob.split('/').includes('..'))) return [];
    return [
      {
        path: ['worktree_copy', i],
        message: 'must name files below the project',
        suggestion: 'Leave out / at the start, and every `..`.',
      },
    ];
  });
}

function checkCommands(value: unknown): Finding[] {
  const commands = valueAt(value, ['verify', 'commands']);
  const lists: YamlPath[] = Array.isArray(commands) ? commands.map((_, i) => ['verify', 'commands', i]) : [];
  const globs = valueAt(value, ['agents', 'worktree_copy']);
  const copies: YamlPath[] = Array.isArray(globs) ? globs.map((_, i) => ['agents', 'worktree_copy', i]) : [];
  const paths: YamlPath[] = [
    ['agents', 'worker_command'],
    ['review', 'command'],
    ['agents', 'worktree_root'],
    ['ship', 'base'],
    ...lists,
    ...copies,
  ];
  return refuseNul(paths.map((path) => [path, valueAt(value, path)]));
}

function inBlock(block: string, finding: Finding): Finding {
  const path: YamlPath = [block, ...finding.path];
  return { ...finding, path, message: `${pathText(path)}: ${finding.message}` };
}

function checkAboveZero(block: unknown, key: string): Finding[] {
  return parseDuration(valueAt(block, [key])) === 0 ? [{ path: [key], message: 'must be more than 0' }] : [];
}

function checkBeat(agents: unknown, { beat, lease }: (typeof BEATS)[number]): Finding[] {
  const written = { beat: valueAt(agents, [beat]), lease: valueAt(agents, [lease]) };
  const beatMs = parseDuration(written.beat ?? DEFAULT_SETTINGS.agents[beat]);
  const leaseMs = parseDuration(written.lease ?? DEFAULT_SETTINGS.agents[lease]);
  if (beatMs === null || leaseMs === null || leaseMs === 0 || beatMs < leaseMs) return [];
  const origin = (part: unknown) => (part === undefined || part === null ? ', the default' : '');
  const message = `the lease (${lease}: ${durationText(leaseMs)}${origin(written.lease)}) would run out between two heartbeats (${beat}: ${durationText(beatMs)}${origin(written.beat)})`;
  const wanted = durationText(Math.max(1, Math.floor(leaseMs / 4)));
  return [
    {
      path: [written.beat === undefined ? lease : beat],
      message,
      suggestion: `Set ${beat} to less than ${lease}, for example ${wanted}.`,
    },
  ];
}

function withBudgetDefaults(agents: unknown): unknown {
  const written = valueAt(agents, ['question_budget']);
  const { soft, hard } = DEFAULT_SETTINGS.agents.question_budget;
  return { soft: valueAt(written, ['soft']) ?? soft, hard: valueAt(written, ['hard']) ?? hard };
}

// ---------------------------------------------------------------------------------------------- filling in

function fillIn(yaml: SettingsYaml): Settings {
  const { type, path, ...options } = yaml.tracker ?? { type: DEFAULT_SETTINGS.tracker.type };
  return {
    version: 1,
    project: { name: yaml.project?.name ?? null, description: yaml.project?.description || null },
    plan: yaml.plan ?? DEFAULT_SETTINGS.plan,
    agents: fillInAgents(yaml.agents ?? {}),
    retry: yaml.retry ?? DEFAULT_SETTINGS.retry,
    errors: yaml.errors ?? DEFAULT_SETTINGS.errors,
    verify: {
      commands: yaml.verify?.commands ?? DEFAULT_SETTINGS.verify.commands,
      timeout_ms: parseDuration(yaml.verify?.timeout) ?? DEFAULT_SETTINGS.verify.timeout_ms,
    },
    workspace: yaml.workspace ?? DEFAULT_SETTINGS.workspace,
    review: {
      command: yaml.review?.command ?? DEFAULT_SETTINGS.review.command,
      timeout_ms: parseDuration(yaml.review?.timeout) ?? DEFAULT_SETTINGS.review.timeout_ms,
    },
    ship: {
      policy: yaml.ship?.policy ?? DEFAULT_SETTINGS.ship.policy,
      base: yaml.ship?.base ?? DEFAULT_SETTINGS.ship.base,
    },
    tracker: { type, path: path ?? DEFAULT_SETTINGS.tracker.path, options },
  };
}

/** Keys of durations, which are in milliseconds once they are read. */
const DURATION_KEY = /_ms(_max)?$/;

function fillInAgents(yaml: NonNullable<SettingsYaml['agents']>): AgentSettings {
  const defaults = DEFAULT_SETTINGS.agents;
  const filled = Object.entries(defaults).map(([key, fallback]) => {
    const written = valueAt(yaml, [key]);
    return [key, (DURATION_KEY.test(key) ? parseDuration(written) : written) ?? fallback];
  });
  const { soft, hard } = { ...yaml.question_budget };
  const budget = { soft: soft ?? defaults.question_budget.soft, hard: hard ?? defaults.question_budget.hard };
  return { ...Object.fromEntries(filled), question_budget: budget };
}

function warningsOf(value: unknown): string[] {
  const blocks = Object.keys(IGNORED_BLOCKS).filter((key) => valueAt(value, [key]) !== undefined);
  const keys = Object.entries(IGNORED_AGENT_KEYS).filter(([key]) => valueAt(value, ['agents', key]) !== undefined);
  return [
    ...blocks.map((key) => `${key} has no effect`),
    ...keys.map(([key, why]) => `agents.${key} has no effect: ${why}`),
  ];
}
