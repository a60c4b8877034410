/** The shapes of the small blocks of `.forge/settings.yaml`, and of some of its values. */

import * as z from 'zod/mini';
import { DEFAULT_RETENTION, keptFault } from '../gc/retention.ts';
import { amount, budget, command, duration, filledText, key, must, size } from '../plan/declare.ts';
import { isBranchPrefix } from '../task/workspaces.ts';
import { DEFAULT_SETTINGS, NOTIFY_EVENTS } from './settings.ts';

const { logs } = DEFAULT_SETTINGS;

export const stepsSchema = z.strictObject({
  park_after: key(
    duration,
    'A worker that has to wait longer gives its slot back, and its task goes on with another attempt then.',
    DEFAULT_SETTINGS.steps.park_after_ms,
  ),
});

const kept = duration.check(
  must((ms) => {
    const message = keptFault(ms);
    return message === null ? null : { message, suggestion: `Write ${ms}d, ${ms}h, or 0 for not at all.` };
  }),
);

export const branchPrefix = filledText.check(
  must((prefix: string) => {
    if (isBranchPrefix(prefix)) return null;
    return {
      message: 'is not a name that git allows for branches',
      suggestion: 'Write a word, or several with a slash between them.',
    };
  }),
);

export const worktreeRoot = command.check(
  must((place: string) =>
    /^~|\$/.test(place)
      ? {
          message: 'has a ~ or a $, which only a shell replaces',
          suggestion: 'Write the path in full, or from the project.',
        }
      : null,
  ),
);

export const worktreesSchema = z.strictObject({
  keep: key(
    kept,
    'How long the worktree and the merged branch of a shipped task are kept, such as 3d; then a run removes them at its end. Left out: forever.',
    null,
  ),
});

export const retentionSchema = z.strictObject({
  older_than: key(
    kept,
    'How long shipped and cancelled tasks, and runs, keep what gc --prune removes after they have ended, such as 30d.',
    DEFAULT_RETENTION.olderThanMs,
    { default: '90d' },
  ),
  failed_older_than: key(kept, 'The same of failed tasks. Left out: forever.', DEFAULT_RETENTION.failedOlderThanMs),
});

export const budgetSchema = z.strictObject({
  task: key(
    budget('How long all attempts at a task take together.'),
    'Of each task, for what its own budget leaves out.',
    null,
  ),
  run: key(budget('How long a run takes.'), 'Of each run.', null),
  project: key(budget('How long all attempts take together.'), 'Of the whole project, over all runs.', null),
});

const webhook = command.check(
  must((text: string) => {
    if (/^(?:https?:\/\/\S+|\$\w+|\$\{\w+\})$/.test(text)) return null;
    return {
      message: 'must be a web address, or the name of a variable that has one',
      suggestion: 'Write https://..., or $NAME: an address that is a secret stands in a variable.',
    };
  }),
);

const ONE_TARGET = 'needs one of command and webhook';

export const notifySchema = z
  .strictObject({
    on: z.array(z.enum(NOTIFY_EVENTS)).check(z.minLength(1), z.describe('Which events it gets.')),
    command: key(
      command,
      'A command line that is run for each event: with FORGE_NOTIFY_EVENT, FORGE_NOTIFY_TEXT and others, and JSON on its stdin.',
      null,
    ),
    webhook: key(
      webhook,
      'A web address that the same JSON is sent to (POST), or $NAME of a variable that has it.',
      null,
    ),
  })
  .check(
    must(({ command, webhook }: { command: string | null; webhook: string | null }) =>
      (command === null) === (webhook === null) ? { message: ONE_TARGET, suggestion: 'Write one of them.' } : null,
    ),
  );

/** Less than this would not hold an error message, bytes. */
const LOG_LEAST_BYTES = 1000;

const logsSchema = z.strictObject({
  max_bytes: key(
    size(LOG_LEAST_BYTES),
    'How large each log of a worker, a check or a reviewer may get, such as 500kB, 50MB, 1GB; above it its middle is cut. unlimited: no limit.',
    logs.max_bytes ?? 'unlimited',
    { default: '50MB', examples: ['1GB'] },
  ),
});

export const limitsKey = key(
  z.record(filledText, amount),
  'The most of each resource that tasks in flight may use together, by the names that tasks have under uses.',
  {},
  { examples: [{ deploy: 1, gpu: 2 }] },
);

export const logsKey = key(
  z.pipe(
    logsSchema,
    z.transform(({ max_bytes: bytes }) => ({ max_bytes: bytes === 'unlimited' ? null : bytes })),
  ),
  'The output that is kept.',
  logs,
  { default: undefined },
);
