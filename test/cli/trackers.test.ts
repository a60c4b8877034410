/** `run` and `exec` with a file tracker, by the real command. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { jsonLines, orchestrate, project } from '../support/cli.ts';

const ISSUES = `# Ours. Ask Ann.
issues:
  - id: 1
    task_id: a
    state: open   # first
  - id: 2
    state: open
  - id: 3
    task_id: other
    state: open
`;
const TASKS = [
  'id: a, title: A, run: "true"',
  'id: b, title: B, run: "exit 3", tracker_issue_id: 2, retry: {max_attempts: 1}',
];

function withTracker(issues: string): string {
  return project(TASKS, {
    '.forge/settings.yaml': 'tracker: {type: file, path: issues.yaml}\n',
    'issues.yaml': issues,
  });
}

it('run updates the tracker with results and failures and keeps its comments', async () => {
  const cwd = withTracker(ISSUES);
  const { code, stdout, stderr } = await orchestrate(['run'], { cwd });
  expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
  expect(stdout).not.toContain('tracker');
  const run = /run ([0-9a-f-]{36})/.exec(stdout)?.[1];
  const text = readFileSync(join(cwd, 'issues.yaml'), 'utf8');
  expect(text.replace(/ts: ".*"/, 'ts: "NOW"')).toBe(`# Ours. Ask Ann.
issues:
  - id: 1
    task_id: a
    state: done   # first
    claimed_by: "${run}"
  - id: 2
    state: open
    comments:
      - ts: "NOW"
        text: "task b has failed at attempt 1: exit.3: exited with code 3"
  - id: 3
    task_id: other
    state: open
`);
});

it('run reports an unreadable tracker once and does its work', async () => {
  const cwd = withTracker('issues: {');
  const { code, stdout } = await orchestrate(['run', '--json', '--task', 'a'], { cwd });
  expect(code).toBe(0);
  const events = jsonLines(stdout);
  expect(events.filter(({ type }) => type === 'warning')).toEqual([
    expect.objectContaining({
      message: expect.stringMatching(/^the tracker is not in step with task a: issues\.yaml:\d+: /),
    }),
  ]);
  expect(events.at(-1)).toMatchObject({ type: 'run_finished', counts: { shipped: 1 } });
});

it('exec updates the tracker', async () => {
  const cwd = withTracker(ISSUES);
  const { code } = await orchestrate(['exec', 'a', '--', 'true'], { cwd });
  expect(code).toBe(0);
  expect(readFileSync(join(cwd, 'issues.yaml'), 'utf8')).toContain('state: done   # first');
});
