/** Says of a time limit how long it is and where it stands, for a failure that reached it. */

import type { PlanTask } from '../domain/plan/plan.ts';
import type { ProjectPaths } from '../domain/project-paths.ts';
import { DEFAULT_SETTINGS, type Settings, STALL_MS } from '../domain/settings/settings.ts';
import { orNull } from '../lib/errors.ts';
import { durationText, parseDuration } from '../lib/time.ts';
import type { YamlPath } from '../lib/yaml.ts';
import { readOptional, shown } from './find-project.ts';
import type { SourceText } from './parse-cache.ts';
import { loadPlanned } from './plan-file.ts';

interface LimitEnv {
  paths: ProjectPaths;
  settings: Pick<Settings, 'plan' | 'verify' | 'review' | 'agents'>;
}

/** `30s (plans/phases.yaml:7)`; without a place where the plan says something else by now. */
export async function taskLimit(env: LimitEnv, { id, matrix, timeout_ms: ms }: PlanTask): Promise<string> {
  if (ms === null) return settingLimit(env, 'worker');
  const place = await orNull(async () => {
    const { taskPlace } = await import('../domain/plan/places.ts');
    const loaded = await loadPlanned(env);
    const at = loaded && taskPlace([loaded, ...loaded.included], matrix?.task ?? id);
    return at && (await placeIn(at, ms, [...at.path, 'timeout']));
  });
  return place ?? durationText(ms);
}

/** The limits of the settings: where each stands, and what it is. */
const LIMITS = {
  verify: { path: ['verify', 'timeout'], ms: ({ verify }: LimitEnv['settings']) => verify.timeout_ms },
  review: { path: ['review', 'timeout'], ms: ({ review }: LimitEnv['settings']) => review.timeout_ms },
  stall: {
    path: ['agents', 'stall_timeout'],
    ms: ({ agents }: LimitEnv['settings']) => agents.stall_timeout ?? STALL_MS,
  },
  worker: { path: ['agents', 'timeout'], ms: ({ agents }: LimitEnv['settings']) => agents.timeout ?? 0 },
  setup: { path: ['agents', 'setup_timeout_ms'], ms: ({ agents }: LimitEnv['settings']) => agents.setup_timeout_ms },
};
export type LimitName = keyof typeof LIMITS;

/** `10m (.forge/settings.yaml:3)`, or `10m (verify.timeout, by default)`. */
export async function settingLimit({ paths, settings }: LimitEnv, name: LimitName): Promise<string> {
  const { path, ms: limitIn } = LIMITS[name];
  const ms = limitIn(settings);
  const text = await orNull(async () => readOptional(paths.settings));
  const source = { file: shown(paths, paths.settings), text: text ?? '' };
  const place = await placeIn(source, ms, path);
  const isDefault = ms === limitIn(DEFAULT_SETTINGS);
  return place ?? `${durationText(ms)} (${path.join('.')}${isDefault ? ', by default' : ''})`;
}

/** The duration as it stands in that part of the text, and its place; null where it is not this duration. */
async function placeIn({ file, text }: SourceText, ms: number, path: YamlPath): Promise<string | null> {
  const { positionsOf } = await import('../lib/yaml.ts');
  const positions = positionsOf(text);
  const spelled = positions.spelling(path);
  const place = spelled !== null && parseDuration(spelled) === ms ? positions.place(path) : null;
  // Bare digits would be taken for seconds.
  return place && `${/^\d+$/.test(spelled ?? '') ? durationText(ms) : spelled} (${file}:${place.line})`;
}
