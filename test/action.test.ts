/** The GitHub Action: its script, run as a runner does it, with an `npx` that starts the forge of this repository. */

import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { environment, folder, project } from './support/cli.ts';

const ROOT = join(import.meta.dirname, '..');

interface Step {
  run?: string;
  env?: Record<string, string>;
}
const action: {
  inputs: Record<string, { description: string; default: string }>;
  runs: { using: string; steps: Step[] };
} = parse(readFileSync(join(ROOT, 'action.yml'), 'utf8'));
const step = action.runs.steps.at(-1) as Required<Step>;

const NPX = `#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
exec "${process.execPath}" "${join(ROOT, 'bin/forge-orchestrate.cjs')}" "$@"
`;

/** Runs the script in `cwd` with these inputs; the others have their defaults. */
function play(cwd: string, inputs: Record<string, string>) {
  const place = folder({ npx: NPX });
  chmodSync(join(place, 'npx'), 0o755);
  const summary = join(place, 'summary.md');
  writeFileSync(summary, 'what was there\n');
  const filled = (text: string) =>
    text.replace(/\$\{\{ inputs\.([a-z-]+) \}\}/g, (_, name) => inputs[name] ?? action.inputs[name]?.default ?? '?');
  const given = Object.fromEntries(Object.entries(step.env).map(([name, text]) => [name, filled(text)]));
  const env = environment({
    ...given,
    PATH: `${place}:${process.env['PATH']}`,
    GITHUB_ACTIONS: 'true',
    CI: 'true',
    GITHUB_WORKSPACE: cwd,
    GITHUB_STEP_SUMMARY: summary,
    RUNNER_TEMP: place,
  });
  const args = ['--noprofile', '--norc', '-e', '-o', 'pipefail', '-c', step.run];
  const { status, stdout, stderr } = spawnSync('bash', args, { cwd, encoding: 'utf8', env });
  return { status, stdout, stderr, summary: readFileSync(summary, 'utf8') };
}

const TASKS = [
  'id: build, title: B, run: "true"',
  'id: test, title: T, run: "echo no; exit 3", retry: {max_attempts: 1}',
];

describe('the action', () => {
  test('the action works through the plan, annotates what failed, and adds to the summary of the step', () => {
    const cwd = project(TASKS);
    const { status, stdout, summary } = play(cwd, {
      arguments: '--max-parallel 1\n--on-failure continue',
      junit: 'junit.xml',
    });
    expect(status).toBe(1);
    expect(stdout).toContain('\n::error file=plans/phases.yaml,line=7,title=task test::exit.3: no\n');
    expect(summary).toMatch(/^what was there\n## ❌ test: failed in /);
    expect(summary).toContain('Output of test');
    expect(readFileSync(join(cwd, 'junit.xml'), 'utf8')).toContain(
      '<failure message="exit.3: no" type="exit.3">no</failure>',
    );
  });

  test.each([
    ['status', /^ {4}test {2}2 tasks: 2 unclaimed$/m],
    ['gc', /^ {4}no divergences found$/m],
  ])('puts what %s says into the summary of the step', (command, said) => {
    const { status, summary } = play(project(TASKS), { command });
    expect(status).toBe(0);
    expect(summary).toMatch(said);
  });

  test('the action ends with the exit code of forge', () => {
    expect(play(project(TASKS), { command: 'status', arguments: '--nonsense' }).status).toBe(2);
    expect(play(project(['id: a, title: A, owner_type: human']), {}).status).toBe(4);
  });

  test('the action refuses another command, and runs nothing that an input says', () => {
    const cwd = project(TASKS);
    const { status, stdout } = play(cwd, { command: '$(touch made)' });
    expect({ status, stdout }).toEqual({
      status: 2,
      stdout: '::error title=forge::command is $(touch made); it must be run, gc or status\n',
    });
    play(cwd, { command: 'status', arguments: '$(touch made) ; touch made' });
    expect(existsSync(join(cwd, 'made'))).toBe(false);
  });

  test('the action has a description of each input, and hands all of them on by the environment', () => {
    for (const { description } of Object.values(action.inputs)) expect(description).toMatch(/\.$/);
    expect(step.run).not.toContain('${{');
  });
});
