/** What a task, a run or a project may use. Over it nothing more is started without a person. Pure. */

import { durationText, formatDuration } from '../../lib/time.ts';
import type { Plan, PlanTask } from '../plan/plan.ts';
import type { Budget, Settings } from '../settings/settings.ts';
import { readable, type SeenRecord, type TaskSummary } from '../task/records.ts';
import { costText, type Spent, spendingOf, spentInAll, sumOf, tokensText } from '../task/spending.ts';
import { isInFlight } from '../task/states.ts';
import { pendingVerification } from '../verify/verification.ts';

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
  recordOf(taskId: string): SeenRecord;
  budget: Settings['budget'];
}

/**
 * Why nothing more is started in the project: what all its tasks have used, and the attempts that are being made; null while it has
 * something left. `active`: ids of tasks that the caller works on.
 */
export function projectUsedUp({ plan, recordOf, budget }: Standing, active: Iterable<string> = []): string | null {
  if (isUnlimited(budget.project)) return null;
  const spent = projectSpent({ plan, recordOf });
  const working = new Set([...active, ...plan.tasks.flatMap(({ id }) => (isAtWork(readable(recordOf(id))) ? id : []))]);
  return usedUp(budget.project, { ...spent, attempts: spent.attempts + working.size });
}

/** An attempt at it is being made, which is counted once it has ended. */
function isAtWork(record: TaskSummary | null): boolean {
  if (record === null || !isInFlight(record.state.state)) return false;
  const isOwn = pendingVerification(record) === null;
  return isOwn || spendingOf(record)?.attempt_id !== record.state.current_attempt_id;
}

/** Whether what a task uses is counted, also where no agent says it. */
export function isBudgeted(task: Pick<PlanTask, 'budget'> | null, budget: Settings['budget']): boolean {
  const own = task === null ? budget.task : taskBudget(task, budget);
  return !isUnlimited(own) || !isUnlimited(budget.project);
}

/** What all attempts at the tasks of a plan have used. */
export function projectSpent({ plan, recordOf }: Pick<Standing, 'plan' | 'recordOf'>): Spent {
  const records = plan.tasks.flatMap(({ id }) => readable(recordOf(id)) ?? []);
  return sumOf(records.map(spentInAll));
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
  const record = isUnlimited(budget) ? null : readable(standing.recordOf(task.id));
  const spent = record && spendingOf(record)?.spent;
  const own = spent ? usedUp(budget, spent) : null;
  if (own !== null)
    return reason(`its budget is used up: ${own}; raise it, or begin anew with \`forge orchestrate retry ${task.id}\``);
  const all = project();
  return all === null ? [] : reason(projectText(all));
}

/** `used`: as `projectUsedUp`. */
export function projectText(used: string): string {
  return `the budget of the project is used up: ${used}; raise budget.project in the settings`;
}
