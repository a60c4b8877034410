import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS, type Settings } from '../../src/domain/settings/settings.ts';
import { taskPolicy } from '../../src/engine/attempt/completion.ts';

const settings = (agents: Partial<Settings['agents']>, retry: Settings['retry'] = null): Settings => ({
  ...DEFAULT_SETTINGS,
  retry,
  agents: { ...DEFAULT_SETTINGS.agents, ...agents },
});

/** Failures of one class after which there is no further attempt; `others` of another class were before. */
function attempts(given: Settings, name: string, others = 0): number {
  const policy = taskPolicy(given, null);
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

test('a policy of the settings decides about setups too', () => {
  expect(attempts(settings({ setup: ['npm ci'] }, { max_attempts: 4 }), 'setup')).toBe(4);
});
