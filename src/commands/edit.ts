/** `edit`: change a task of the plan. */

import * as z from 'zod/mini';
import { dependencyEdits, settingEdit, settingOf } from '../domain/plan/task-edits.ts';
import { invalidArgs } from '../lib/errors.ts';
import { command, operand, optional } from './shared/command.ts';
import { changedPlan, changedTaskFields, placeToChange } from './shared/plan-change.ts';
import { openSession } from './shared/session.ts';

export const edit = command({
  changes: true,
  usage: '<task> --set <key=value>...|--depends-on <+a,-b> [options]',
  notes:
    'Changes the plan in place: comments, quotes and all other lines stay. The plan is checked as a whole before. A value is read as the key\n' +
    'has it: text as it is, a list as `a,b` or `[a, b]`, anything else as YAML; without a value the key is taken away.',
  examples: [
    ['edit build --set priority=P0 --set timeout=10m', 'do it first, and no longer than that'],
    ['edit test --depends-on +lint,-build', 'wait for lint, and not for build any more'],
    ['edit test --set "verify=[npm test, npm run lint]"', 'a list'],
    ['edit test --set env.NODE_ENV=test --set timeout=', 'one variable; and no time limit'],
  ],
  input: z.object({
    // Not the worker's own task by default: what is changed is said.
    task: operand(z.string(), 'Id of a task of the plan', { id: 'task' }),
    set: optional.texts('key=value', 'A key of the task and its value; may be repeated'),
    depends_on: optional.text('list', '`+a,-b`: tasks to wait for from now on, and no more'),
  }),
  output: () =>
    z.strictObject({
      ...changedTaskFields(),
      /** The keys that were set or taken away. */
      keys: z.array(z.string()),
      /** Whether the file is another now. */
      changed: z.boolean(),
    }),
  /** Throws INVALID_ARGS, INVALID_ID, TASK_NOT_FOUND, PHASES_NOT_FOUND, PHASES_PARSE_ERROR, IO_ERROR. */
  async run(context, { task, set = [], depends_on }) {
    if (set.length === 0 && depends_on === undefined)
      throw invalidArgs('say what to change', `Such as forge orchestrate edit ${task} --set priority=P0`);
    const settings = set.map(settingOf);
    const session = await openSession(context);
    return changedPlan(session, (seen) => {
      const place = placeToChange(seen, task);
      const edits = [
        ...settings.map((setting) => settingEdit(place, setting)),
        ...(depends_on === undefined ? [] : dependencyEdits(place, depends_on)),
      ];
      const keys = [...settings.map(({ path }) => path.join('.')), ...(depends_on === undefined ? [] : ['depends_on'])];
      return {
        file: place.file,
        edits,
        at: place.path,
        result: { task_id: task, keys: [...new Set(keys)], changed: edits.length > 0 },
      };
    });
  },
});
