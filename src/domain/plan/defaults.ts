/** What a plan and its phases say for all of their tasks. Pure. */

import { valueAt } from '../../lib/schema-issues.ts';
import type { Spelling, YamlPath } from '../../lib/yaml.ts';
import { type DefaultsYaml, INHERITED, type TaskYaml } from './schema.ts';

/** The defaults of a plan or a phase, with the places where they stand. */
export interface DefaultsLevel {
  keys: Partial<Omit<DefaultsYaml, 'env'>>;
  env: Record<string, string>;
}

/** Which worker, and how: a task that has the first key itself takes none of the others. */
const OF_WORKER = ['worker', 'model', 'args'];

/**
 * The level of what stands at `path`: its `defaults`, and its `shell`, which is the same as one in there. A key that is there without a value
 * counts: below it there is none.
 */
export function levelOf(
  { shell, defaults }: Pick<TaskYaml, 'shell'> & { defaults: DefaultsYaml | null },
  root: unknown,
  path: YamlPath,
  spell: Spelling,
): DefaultsLevel {
  const given = INHERITED.filter(
    (key) => defaults !== null && key !== 'env' && valueAt(root, [...path, 'defaults', key]) !== undefined,
  );
  const keys = Object.fromEntries(given.map((key) => [key, defaults?.[key]]));
  return {
    keys: { ...(shell === null ? {} : { shell }), ...keys },
    env: spelledEnv(defaults?.env ?? {}, [...path, 'defaults'], spell),
  };
}

function spelledEnv(env: TaskYaml['env'], path: YamlPath, spell: Spelling): Record<string, string> {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, spell(value, [...path, 'env', name])]));
}

/**
 * A task with what it does not say itself, from `levels`, the nearest first. Variables are merged, one by one; of any other key the nearest counts
 * as a whole. What is about a worker is for tasks without `run`.
 */
export function withDefaults(
  task: TaskYaml,
  root: unknown,
  path: YamlPath,
  levels: readonly DefaultsLevel[],
  spell: Spelling,
): { keys: TaskYaml; env: Record<string, string> } {
  const ownEnv = spelledEnv(task.env, path, spell);
  const says = levels.filter(({ keys, env }) => Object.keys(keys).length + Object.keys(env).length > 0);
  // As in most plans.
  if (says.length === 0) return { keys: task, env: ownEnv };
  const raw = valueAt(root, path) as object;
  const ownWorker = task.run !== null || Object.hasOwn(raw, 'worker');
  const merged: Record<string, unknown> = {};
  for (const { keys } of says.toReversed()) Object.assign(merged, keys);
  for (const key of INHERITED)
    if (Object.hasOwn(raw, key) || (ownWorker && OF_WORKER.includes(key))) delete merged[key];
  const env: Record<string, string> = {};
  for (const level of says.toReversed()) Object.assign(env, level.env);
  return { keys: { ...task, ...merged }, env: { ...env, ...ownEnv } };
}
