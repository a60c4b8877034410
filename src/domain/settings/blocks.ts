/** The shapes of the small blocks of `.forge/settings.yaml`. */

import * as z from 'zod/mini';
import { DEFAULT_RETENTION } from '../gc/retention.ts';
import { duration, key, size } from '../plan/declare.ts';
import { DEFAULT_SETTINGS } from './settings.ts';

const { logs } = DEFAULT_SETTINGS;

export const stepsSchema = z.strictObject({
  park_after: key(
    duration,
    'A worker that has to wait longer gives its slot back, and its task goes on with another attempt then.',
    DEFAULT_SETTINGS.steps.park_after_ms,
  ),
});

export const worktreesSchema = z.strictObject({
  keep: key(
    duration,
    'How long the worktree and the merged branch of a shipped task are kept, such as 3d; then a run removes them at its end. Left out: for ever.',
    null,
  ),
});

export const retentionSchema = z.strictObject({
  older_than: key(
    duration,
    'How long shipped and cancelled tasks, and runs, keep what gc --prune removes after they have ended, such as 30d.',
    DEFAULT_RETENTION.olderThanMs,
    { default: '90d' },
  ),
  failed_older_than: key(
    duration,
    'The same of failed tasks. Left out: for ever.',
    DEFAULT_RETENTION.failedOlderThanMs,
  ),
});

/** Less than this would not hold an error message, bytes. */
const LOG_LEAST_BYTES = 1000;

export const logsSchema = z.strictObject({
  max_bytes: key(
    size(LOG_LEAST_BYTES),
    'How large each log of a worker, a check or a reviewer may get, such as 500kB, 50MB, 1GB; above it its middle is cut. unlimited: no limit.',
    logs.max_bytes ?? 'unlimited',
    { default: '50MB', examples: ['1GB'] },
  ),
});
