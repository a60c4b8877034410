/** Parses the text of `.forge/settings.yaml`, or finds everything that is wrong with it. `spec/PLAN.md` describes the file. */

import type { Problem } from '../../lib/errors.ts';
import { pathText, valueAt, WITHOUT_WORDS } from '../../lib/schema-issues.ts';
import { durationText, parseDuration } from '../../lib/time.ts';
import { parseYaml } from '../../lib/yaml.ts';
import { type Finding, shapeFindings, toProblems, unitWarnings } from '../plan/findings.ts';
import { firstPort, slotsFrom } from '../run/slots.ts';
import { IGNORED_AGENT_KEYS, IGNORED_BLOCKS, settingsSchema } from './schema.ts';
import { type Budget, DEFAULT_SETTINGS, type Settings } from './settings.ts';

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
  const shape = settingsSchema.safeParse(value, WITHOUT_WORDS);
  const issues = shape.success ? [] : shape.error.issues;
  const findings = [
    ...shapeFindings(settingsSchema, value, issues, pathText),
    ...checkAgents(valueAt(value, ['agents'])),
  ];
  if (findings.length > 0 || !shape.success) return { ok: false, problems: toProblems(findings, text, file) };
  const settings = known(DEFAULT_SETTINGS, {
    ...shape.data,
    agents: known(DEFAULT_SETTINGS.agents, shape.data.agents),
    budget: budgetOf(shape.data.budget),
  });
  const units = unitWarnings(settingsSchema, value, text, file, pathText);
  return { ok: true, settings, warnings: [...units, ...portWarnings(settings), ...warningsOf(value)] };
}

function withoutExtensions(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutExtensions);
  if (typeof value !== 'object' || value === null) return value;
  const own = Object.entries(value).filter(([key]) => !key.startsWith('x-'));
  return Object.fromEntries(own.map(([key, part]) => [key, withoutExtensions(part)]));
}

/** The keys of `value` that have a default, and so an effect. */
function known<T extends object>(defaults: T, value: T): T {
  return Object.fromEntries(Object.keys(defaults).map((key) => [key, value[key as keyof T]])) as T;
}

function budgetOf(written: { [K in keyof Settings['budget']]: Budget | null } | null): Settings['budget'] {
  const none = DEFAULT_SETTINGS.budget;
  return { task: written?.task ?? none.task, run: written?.run ?? none.run, project: written?.project ?? none.project };
}

/** A heartbeat at or after the end of its lease is always too late. */
const BEATS = [
  { beat: 'heartbeat_interval_ms', lease: 'lease_ttl_ms' },
  { beat: 'self_heartbeat_ms', lease: 'self_lease_ttl_ms' },
] as const;

/** Workers that are nothing without `worker_command`, and what it may be. */
const EXAMPLES: Readonly<Record<string, string>> = {
  custom: 'my-agent < "$FORGE_PROMPT_FILE"',
  acp: 'gemini --acp',
};

/** Keys of `agents` that contradict each other. The other workers have a command line of their own. */
function checkAgents(agents: unknown): Finding[] {
  const findings = BEATS.flatMap((pair) => checkBeat(agents, pair));
  const example = EXAMPLES[String(valueAt(agents, ['worker']))];
  if (example !== undefined && (valueAt(agents, ['worker_command']) ?? null) === null) {
    findings.push({
      path: ['agents', 'worker'],
      message: `agents.worker: ${valueAt(agents, ['worker'])} needs worker_command`,
      suggestion: `Write \`worker_command: ${example}\` beside it, or name a preset.`,
    });
  }
  const command = String(valueAt(agents, ['worker_command']) ?? '');
  if (valueAt(agents, ['worker']) === 'acp' && command.includes('FORGE_PROMPT_FILE')) {
    findings.push({
      path: ['agents', 'worker_command'],
      message: 'agents.worker: acp hands the prompt in over the protocol, and its agent needs its stdin for that',
      suggestion: `Write the command alone, such as \`${EXAMPLES['acp']}\`.`,
    });
  }
  return findings;
}

function checkBeat(agents: unknown, { beat, lease }: (typeof BEATS)[number]): Finding[] {
  const written = { beat: valueAt(agents, [beat]), lease: valueAt(agents, [lease]) };
  const beatMs = parseDuration(written.beat ?? DEFAULT_SETTINGS.agents[beat]);
  const leaseMs = parseDuration(written.lease ?? DEFAULT_SETTINGS.agents[lease]);
  if (beatMs === null || leaseMs === null || leaseMs === 0 || beatMs < leaseMs) return [];
  const origin = (part: unknown) => (part === undefined || part === null ? ', the default' : '');
  const path = ['agents', written.beat === undefined ? lease : beat];
  const message = `${pathText(path)}: the lease (${lease}: ${durationText(leaseMs)}${origin(written.lease)}) would run out between two heartbeats (${beat}: ${durationText(beatMs)}${origin(written.beat)})`;
  const wanted = durationText(Math.max(1, Math.floor(leaseMs / 4)));
  return [{ path, message, suggestion: `Set ${beat} to less than ${lease}, for example ${wanted}.` }];
}

function portWarnings({ agents: { port_base, max_parallel } }: Settings): string[] {
  if (max_parallel === null || firstPort(max_parallel, port_base) !== null) return [];
  const slots = slotsFrom(port_base);
  return [
    `agents.port_base: ${port_base} leaves ports for ${slots} of ${max_parallel} slots; the others have no FORGE_PORT_BASE`,
  ];
}

function warningsOf(value: unknown): string[] {
  const blocks = Object.keys(IGNORED_BLOCKS).filter((key) => valueAt(value, [key]) !== undefined);
  const keys = Object.entries(IGNORED_AGENT_KEYS).filter(([key]) => valueAt(value, ['agents', key]) !== undefined);
  return [
    ...blocks.map((key) => `${key} has no effect`),
    ...keys.map(([key, why]) => `agents.${key} has no effect: ${why}`),
  ];
}
