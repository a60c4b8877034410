import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parsePlan } from '../../src/domain/plan/parse.ts';
import { pathsOf } from '../../src/domain/project-paths.ts';
import { parseSettings } from '../../src/domain/settings/parse.ts';
import { settingLimit, taskLimit } from '../../src/project/limits.ts';
import { emptyFolder } from '../support/store/tree.ts';

const PLAN = `project: p
phases:
  - id: one
    name: One
    tasks:
      - {id: 1.1, title: A, timeout: 30s}
      - id: 1.10
        title: B
        timeout: 30s
`;

function projectWith(plan: string, settings: string) {
  const root = emptyFolder();
  fs.mkdirSync(path.join(root, 'plans'));
  fs.mkdirSync(path.join(root, '.forge'));
  fs.writeFileSync(path.join(root, 'plans/phases.yaml'), plan);
  fs.writeFileSync(path.join(root, '.forge/settings.yaml'), settings);
  const parsed = parseSettings(settings, '.forge/settings.yaml');
  if (!parsed.ok) throw new Error('not settings');
  return { paths: pathsOf(root), settings: parsed.settings };
}

function taskOf(plan: string, id: string) {
  const parsed = parsePlan(plan, 'plans/phases.yaml');
  const task = parsed.ok ? parsed.plan.byId.get(id) : undefined;
  if (task === undefined) throw new Error('no such task');
  return task;
}

test('the timeout of a task is named with its place in the plan', async () => {
  const env = projectWith(PLAN, '');
  expect(await taskLimit(env, taskOf(PLAN, '1.1'))).toBe('30s (plans/phases.yaml:6)');
  expect(await taskLimit(env, taskOf(PLAN, '1.10'))).toBe('30s (plans/phases.yaml:9)');
});

test('a timeout without a unit is named with one', async () => {
  const bare = PLAN.replaceAll('30s', '30000');
  expect(await taskLimit(projectWith(bare, ''), taskOf(bare, '1.1'))).toBe('30s (plans/phases.yaml:6)');
});

test.each([
  ['says something else', PLAN.replaceAll('30s', '1m')],
  ['is broken', '{'],
  ['has no such task', 'project: p\nphases: []\n'],
])('the timeout of a task is named without a place where the plan %s by now', async (_how, now) => {
  expect(await taskLimit(projectWith(now, ''), taskOf(PLAN, '1.1'))).toBe('30s');
});

test('the timeouts of the settings are named with their place, or as defaults', async () => {
  const env = projectWith(PLAN, 'workspace: none\nverify: {timeout: 1h30m}\n');
  expect(await settingLimit(env, 'verify')).toBe('1h30m (.forge/settings.yaml:2)');
  expect(await settingLimit(env, 'review')).toBe('30m (review.timeout, by default)');
});

test('a task without a timeout of its own names that of the settings', async () => {
  const env = projectWith(PLAN, 'agents:\n  timeout: 2h\n');
  expect(await taskLimit(env, { ...taskOf(PLAN, '1.1'), timeout_ms: null })).toBe('2h (.forge/settings.yaml:2)');
});
