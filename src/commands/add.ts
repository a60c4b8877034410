/** `add`: put a task into the plan. */

import * as z from 'zod/mini';
import { idOf, newTaskYaml, phaseForNew, plannedOrigin } from '../domain/plan/new-task.ts';
import { phasePlace } from '../domain/plan/places.ts';
import { idsIn, type Plan, PRIORITIES, tasksNamed } from '../domain/plan/plan.ts';
import { itemsOf, settingOf } from '../domain/plan/task-edits.ts';
import { ForgeError, invalidArgs } from '../lib/errors.ts';
import { listAt, valueAt } from '../lib/schema-issues.ts';
import { command, operand, optional, requireLength } from './shared/command.ts';
import { textOrNull } from './shared/data.ts';
import { changedPlan, changedTaskFields } from './shared/plan-change.ts';
import { nearest } from './shared/planned.ts';
import { openSession, type Session } from './shared/session.ts';

const TITLE_MAX = 500;

export const add = command({
  changes: true,
  notes:
    'Writes it at the end of its phase, in the style of the tasks there, and changes no other line. A run that is going on takes it up. The plan\n' +
    'is checked as a whole before.',
  examples: [
    ['add "Fix the flaky login test"', 'a task for an agent, in the last active phase'],
    ['add "Lint" --run "npm run lint" --depends-on build --priority P2', 'a command, after build'],
    ['add "Rate limits are not tested" --discovered-from api', 'found while working on api'],
  ],
  input: z.object({
    title: operand(z.string(), 'What is to be done, in one line'),
    id: optional.text('id', 'Its id (default: made of the title)'),
    phase: optional.text(
      'id',
      'The phase that it goes to (default: that of --discovered-from, else the last active one)',
    ),
    depends_on: optional.texts('id', 'A task that has to be shipped before; may be repeated'),
    run: optional.text('cmd', 'The command line that does it (default: none, so an agent does it)'),
    priority: optional.choice(PRIORITIES, 'Which ready tasks go first (default: P1)'),
    description: optional.text('text', 'What its worker needs to know', { stdin: true }),
    discovered_from: optional.text('task', 'The task in whose work it was found', { env: 'FORGE_TASK_ID' }),
    set: optional.texts('key=value', 'Any other key, as in edit; may be repeated'),
  }),
  output: () =>
    z.strictObject({ ...changedTaskFields(), phase_id: z.string(), title: z.string(), discovered_from: textOrNull() }),
  /** Throws INVALID_ARGS, INVALID_ID, TASK_NOT_FOUND, DUPLICATE_ID, PHASES_NOT_FOUND, PHASES_PARSE_ERROR, IO_ERROR. */
  async run(context, { title, id, phase, depends_on, discovered_from, set = [], ...keys }) {
    requireLength('the title', title, TITLE_MAX);
    const line = title.replace(/\s+/g, ' ').trim();
    const more = set.map(settingOf);
    const session = await openSession(context);
    let status = 'active';
    const added = await changedPlan(session, async ({ plan, texts }) => {
      await requireOrigin(session, plan, discovered_from);
      const phase_id = phase ?? phaseForNew(plan, discovered_from ?? null);
      const place = phasePlace(texts, phase_id);
      if (place === null)
        throw invalidArgs(
          `--phase ${phase_id}: there is no such phase in ${texts[0]?.file}`,
          nearest(phase_id, plan.phaseById.keys()).hint,
        );
      if (id !== undefined && tasksNamed(plan, id).length > 0)
        throw new ForgeError('DUPLICATE_ID', `there is a task ${id} in the plan already`);
      const task_id = id ?? idOf(title, idsIn(plan));
      const needed = depends_on?.flatMap(itemsOf);
      const written = newTaskYaml({ ...keys, id: task_id, title: line, depends_on: needed, discovered_from });
      for (const { path, value } of more) setIn(written, path, value);
      status = plan.phaseById.get(phase_id)?.status ?? status;
      const tasks = [...place.path, 'tasks'];
      const edits = [{ path: tasks, append: written }];
      return {
        file: place.file,
        edits,
        at: [...tasks, listAt(valueAt(place.value, place.path), 'tasks').length],
        result: { task_id, phase_id, title: line, discovered_from: discovered_from ?? null },
      };
    });
    if (status !== 'active')
      session.warn(`phase ${added.phase_id} is ${status}, so task ${added.task_id} does not start`);
    return added;
  },
});

/** Throws INVALID_ID, TASK_NOT_FOUND. */
async function requireOrigin(session: Session, plan: Plan, id: string | undefined): Promise<void> {
  if (id === undefined || plannedOrigin(plan, id) !== undefined) return;
  const { record } = await session.store.read(id);
  if (record !== null) return;
  throw new ForgeError(
    'TASK_NOT_FOUND',
    `--discovered-from ${id}: there is no such task`,
    nearest(id, plan.byId.keys()),
  );
}

function setIn(
  mapping: Record<string, unknown>,
  [key = '', ...rest]: readonly (string | number)[],
  value: unknown,
): void {
  if (rest.length === 0) mapping[key] = value;
  else {
    const inner = { ...(mapping[key] as Record<string, unknown> | undefined) };
    setIn(inner, rest, value);
    mapping[key] = inner;
  }
}
