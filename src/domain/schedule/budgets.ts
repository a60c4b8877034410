/** What a task, a run or a project may use. Over it nothing more is started without a person. Pure. */

import { durationText, formatDuration } from '../../lib/time.ts';
import type { Plan, PlanTask } from '../plan/plan.ts';
import type { Budget, Settings } from '../settings/settings.ts';
import type { TaskSummary } from '../task/records.ts';
import { costText, NOTHING_SPENT, type Spent, spendingOf, spentInAll, sumOf, tokensText } from '../task/spending.ts';

/** The class of an attempt that its budget has ended. */
export const OVER_BUDGET = 'budget';

/** Which part of a budget is used up, in words; null while none is. A part that is null has no limit. */
export function usedUp(budget: Budget, spent: Spent): string | null {
  const { cost, tokens, attempts, wall_clock } = budget;
  if (cost !== null && (spent.cost ?? 0) >= cost) return `${costText(spent.cost ?? 0)} of ${costText(cost)}`;
  if (tokens !== null && spent.tokens >= tokens) return `${tokensText(spent.tokens)} of ${tokensText(tokens)} tokens`;
  if (attempts !== null && spent.attempts >= attempts) return `${spent.attempts} of ${attempts} attempts`;
  if (wall_clock !== null && spent.wall_clock_ms >= wall_clock)
    return `${formatDuration(spent.wall_clock_ms)} of ${durationText(wall_clock)}`;
  return null;
}

/** The budget of a task: its own, and the settings' where that says nothing. */
export function taskBudget({ budget }: Pick<PlanTask, 'budget'>, settings: Settings['budget']): Budget {
  const { task } = settings;
  if (budget === null) return task;
  return {
    cost: budget.cost ?? task.cost,
    tokens: budget.tokens ?? task.tokens,
    attempts: budget.attempts ?? task.attempts,
    wall_clock: budget.wall_clock ?? task.wall_clock,
  };
}

export function isUnlimited(budget: Budget): boolean {
  return Object.values(budget).every((part) => part === null);
}

interface Standing {
  plan: Pick<Plan, 'tasks'>;
  recordOf(taskId: string): TaskSummary | null | 'unreadable';
  budget: Settings['budget'];
}

/** Why nothing more is started in the project: what all its tasks have used; null while it has something left. */
export function projectUsedUp({ plan, recordOf, budget }: Standing): string | null {
  return isUnlimited(budget.project) ? null : usedUp(budget.project, projectSpent({ plan, recordOf }));
}

/** What all attempts at the tasks of a plan have used. */
export function projectSpent({ plan, recordOf }: Pick<Standing, 'plan' | 'recordOf'>): Spent {
  const spent = plan.tasks.map(({ id }) => {
    const record = recordOf(id);
    return record === null || record === 'unreadable' ? NOTHING_SPENT : spentInAll(record);
  });
  return sumOf(spent);
}

export interface BudgetReason {
  code: 'BUDGET';
  message: string;
  on: null;
}

/** Why the task is not started now over what was used; none where it has something left. `project`: as `projectUsedUp`. */
export function budgetReasons(task: PlanTask, standing: Standing, project: () => string | null): BudgetReason[] {
  const reason = (message: string) => [{ code: 'BUDGET' as const, message, on: null }];
  const budget = taskBudget(task, standing.budget);
  const record = isUnlimited(budget) ? null : standing.recordOf(task.id);
  const spent = record === null || record === 'unreadable' ? null : spendingOf(record)?.spent;
  const own = spent ? usedUp(budget, spent) : null;
  if (own !== null)
    return reason(`its budget is used up: ${own}; raise it, or begin anew with \`forge orchestrate retry ${task.id}\``);
  const all = project();
  return all === null
    ? []
    : reason(`the budget of the project is used up: ${all}; raise budget.project in the settings`);
}
