/** Over its budget nothing more is started without a person. */

import { expect, test } from 'vitest';
import { taskBudget, usedUp } from '../../../src/domain/schedule/budgets.ts';
import { reasonsToWait } from '../../../src/domain/schedule/readiness.ts';
import { mayStillRun } from '../../../src/domain/schedule/run-selection.ts';
import { type Budget, DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import type { TaskRecord, TaskState } from '../../../src/domain/task/records.ts';
import { NOTHING_SPENT, type Spent } from '../../../src/domain/task/spending.ts';
import { onePhase, scheduling } from '../../support/domain/plans.ts';
import { record } from '../../support/domain/tasks.ts';

const NONE: Budget = DEFAULT_SETTINGS.budget.task;
const SPENT: Spent = { attempts: 3, wall_clock_ms: 90_000, tokens: 20_000, cost: 1.5 };

test.each<[what: string, budget: Partial<Budget>, used: string | null]>([
  ['nothing is limited', {}, null],
  ['more is allowed of everything', { cost: 2, tokens: 30_000, attempts: 4, wall_clock: 100_000 }, null],
  ['the cost is reached', { cost: 1.5 }, '$1.50 of $1.50'],
  ['the tokens are exceeded', { tokens: 10_000 }, '20k of 10k tokens'],
  ['the attempts are made', { attempts: 3 }, '3 of 3 attempts'],
  ['the time is over', { wall_clock: 60_000 }, '1m 30s of 1m'],
])('a budget is used up where it says so: %s', (_what, budget, used) => {
  expect(usedUp({ ...NONE, ...budget }, SPENT)).toBe(used);
});

test('an agent that names no cost has not reached one', () => {
  expect(usedUp({ ...NONE, cost: 1 }, { ...SPENT, cost: null })).toBeNull();
});

test('what the budget of a task leaves out comes from the settings', () => {
  const settings = { ...DEFAULT_SETTINGS.budget, task: { ...NONE, cost: 5, attempts: 4 } };
  expect(taskBudget({ budget: null }, settings)).toEqual(settings.task);
  const own = { cost: 9, tokens: 7, attempts: null, wall_clock: null };
  expect(taskBudget({ budget: own }, settings)).toEqual({ cost: 9, tokens: 7, attempts: 4, wall_clock: null });
});

function spending(state: TaskState, spent: Spent): TaskRecord {
  const made = record(state);
  made.memo.spending = { attempt_id: 'a', spent, before: null, session: null };
  return made;
}

test.each<[what: string, settings: Partial<typeof DEFAULT_SETTINGS.budget>, found: TaskRecord, reasons: string[][]]>([
  ['its own budget', { task: { ...NONE, cost: 1 } }, spending('awaiting_respawn', SPENT), [['BUDGET'], []]],
  [
    'the budget of the project',
    { project: { ...NONE, cost: 1 } },
    spending('shipped', SPENT),
    [['TASK_FINISHED'], ['BUDGET']],
  ],
  ['none, of which something is left', { task: { ...NONE, cost: 2 } }, spending('awaiting_respawn', SPENT), [[], []]],
  [
    'none, for its work is done',
    { task: { ...NONE, cost: 1 } },
    spending('ready_for_review', SPENT),
    [['TASK_WAITS_FOR_REVIEW'], []],
  ],
  ['none, for it is begun anew', { task: { ...NONE, cost: 1 } }, spending('unclaimed', NOTHING_SPENT), [[], []]],
])('a task waits for a person over %s', (_what, settings, found, reasons) => {
  const plan = onePhase({ id: 'a', run: 'true' }, { id: 'b', run: 'true' });
  const context = { ...scheduling(plan, { a: found }), budget: { ...DEFAULT_SETTINGS.budget, ...settings } };
  expect(plan.tasks.map((task) => reasonsToWait(task, context).map(({ code }) => code))).toEqual(reasons);
  const waiting = plan.tasks.filter((_, i) => reasons[i]?.includes('BUDGET')).map(({ id }) => id);
  const hopeful = mayStillRun(context, new Set(['a', 'b'])).map(({ id }) => id);
  for (const id of waiting) expect(hopeful).not.toContain(id);
});
