/** `run --junit` and `run --summary`: what is in the files, also when the run is interrupted. */

import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { orchestrate, project, startCli } from '../support/cli.ts';
import { until } from '../support/processes.ts';

const TASKS = ['id: a, title: A, run: "true"', 'id: b, title: B, run: "echo no >&2; exit 3", retry: {max_attempts: 1}'];

it('a run leaves JUnit XML and a summary, in folders that it makes, and says the same as without', async () => {
  const cwd = project([...TASKS, 'id: c, title: C, run: "true", depends_on: [b]']);
  const run = await orchestrate(['run', '--json', '--junit', 'reports/ci/junit.xml', '--summary', 'summary.md'], {
    cwd,
  });
  expect(run.code).toBe(1);
  expect(run.stdout).not.toContain('::error');
  const xml = readFileSync(join(cwd, 'reports/ci/junit.xml'), 'utf8');
  expect(xml).toMatch(/<testcase name="a: A" classname="phase-1" time="\d+\.\d{3}"\/>/);
  expect(xml).toContain('<failure message="exit.3: no" type="exit.3">no</failure>');
  expect(xml).toContain('<skipped message="it depends on b, which is failed"/>');
  expect(readFileSync(join(cwd, 'summary.md'), 'utf8')).toMatch(
    /^## ❌ test: failed in .*\n\n1 failed, 1 skipped, 1 passed\n/,
  );
  expect(readdirSync(join(cwd, 'reports/ci'))).toEqual(['junit.xml']);
  await orchestrate(['run', '--junit', 'reports/ci/junit.xml'], { cwd });
  expect(readFileSync(join(cwd, 'reports/ci/junit.xml'), 'utf8')).toContain('message="it was shipped before this run"');
});

it('what is skipped, and what the plan says is over, has that as its reason', async () => {
  const cwd = project([
    'id: a, title: A, matrix: {on: [x, y]}, run: "true"',
    'id: alarm, title: Alarm, depends_on: [{task: a, when: failure}], run: "true"',
    'id: old, title: Old, status: dropped',
  ]);
  await orchestrate(['run', '--junit', 'j.xml'], { cwd });
  const reasons = [...readFileSync(join(cwd, 'j.xml'), 'utf8').matchAll(/<skipped message="([^"]*)"/g)];
  expect(reasons.map(([, reason]) => reason)).toEqual([
    'it is skipped: it runs only when one of a fails, and none has failed',
    'the plan says that it is dropped',
  ]);
});

it('an interrupted run leaves its reports too, and does not say of what it has stopped that it was not started', async () => {
  const cwd = project([
    'id: a, title: A, run: "touch started; sleep 60"',
    'id: b, title: B, run: "true", depends_on: [a]',
  ]);
  const { process: child, ended } = startCli(['orchestrate', 'run', '--junit', 'j.xml', '--summary', 's.md'], { cwd });
  await until('the worker', () => existsSync(join(cwd, 'started')));
  child.kill('SIGINT');
  expect((await ended).code).toBe(130);
  const junit = readFileSync(join(cwd, 'j.xml'), 'utf8');
  expect(junit).toMatch(/tests="2" failures="0" errors="0" skipped="2"/);
  expect(junit).toContain('<skipped message="it is ready for its next attempt, which was not started"/>');
  expect(readFileSync(join(cwd, 's.md'), 'utf8')).toContain('## ⏭️ test: interrupted in ');
});

it.each([
  [['--junit', 'folder'], /^--junit folder: it is a folder$/],
  [
    ['--summary', 'plans/phases.yaml/x'],
    /^--summary plans\/phases\.yaml\/x: its folder cannot be made or written to \(E[A-Z]+\)$/,
  ],
  [['--junit', 'report', '--summary', './report'], /^--junit and --summary both name report$/],
  [['--summary', 'plans/phases.yaml'], /^--summary plans\/phases\.yaml: the report would replace it$/],
  [['--junit', '.forge/settings.yaml'], /^--junit \.forge\/settings\.yaml: the report would replace it$/],
  [['--junit='], /^--junit: it names no file$/],
  [['--junit', 'x.xml', '--dry-run'], /^--dry-run runs nothing/],
])('a run with %j is refused before it starts', async (more, said) => {
  const cwd = project(TASKS);
  mkdirSync(join(cwd, 'folder'));
  const { error } = (await orchestrate(['run', '--json', ...more], { cwd })).json();
  expect(error).toMatchObject({ code: 'INVALID_ARGS', message: expect.stringMatching(said) });
  expect(existsSync(join(cwd, '.forge/orchestrator'))).toBe(false);
});
