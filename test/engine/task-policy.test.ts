import { expect, test } from 'vitest';
import type { PlanTask } from '../../src/domain/plan/plan.ts';
import { DEFAULT_SETTINGS, type Settings } from '../../src/domain/settings/settings.ts';
import { taskPolicy } from '../../src/engine/attempt/completion.ts';
import { onePhase } from '../support/domain/plans.ts';

const settings = (agents: Partial<Settings['agents']>, retry: Settings['retry'] = null): Settings => ({
  ...DEFAULT_SETTINGS,
  retry,
  agents: { ...DEFAULT_SETTINGS.agents, ...agents },
});

/** Failures of one class after which there is no further attempt; `others` of another class were before. */
function attempts(given: Settings, name: string, others = 0, task: PlanTask | null = null): number {
  const policy = taskPolicy(given, task);
  const budget = (error: string) => policy.policyFor(error);
  const shared = budget('setup') === budget('exit.1');
  for (let made = 1; ; made++) {
    const count = { attempts: made + others };
    if (policy.retryBackoff(name, count, () => made + (shared ? others : 0)) === null) return made;
  }
}

test.each([
  ['setups that fail leave a worker its attempts', { setup: ['npm ci'] }, 3, 10],
  ['no setup is tried more often than a task', { setup: ['npm ci'], retry_attempts: 2 }, 2, 2],
])('by default %s', (_, agents, setups, others) => {
  expect(attempts(settings(agents), 'setup', 5)).toBe(setups);
  expect(attempts(settings(agents), 'exit.1', 2)).toBe(others);
});

test('by default a coding agent is tried twice, but as often as anything where it is not to blame', () => {
  const agent = settings({ worker: 'claude' });
  const task = onePhase({ id: 'a' }).tasks[0] ?? null;
  const tried = (name: string) => attempts(agent, name, 0, task);
  expect(['verify.tests', 'exit.1', 'context', 'crash', 'timeout'].map(tried)).toEqual([2, 2, 2, 2, 2]);
  expect(['rate_limit', 'overloaded', 'network', 'review.changes', 'ship.conflict'].map(tried)).toEqual([
    10, 10, 10, 10, 10,
  ]);
  expect(['auth', 'billing', 'budget'].map(tried)).toEqual([1, 1, 1]);
});

test('a policy of the settings decides about setups too', () => {
  expect(attempts(settings({ setup: ['npm ci'] }, { max_attempts: 4 }), 'setup')).toBe(4);
});
