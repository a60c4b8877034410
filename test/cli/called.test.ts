/** Commands in text are those that work where forge was started. */

import { expect, it } from 'vitest';
import { orchestrate, project } from '../support/cli.ts';

const env = { npm_lifecycle_event: 'npx', npm_lifecycle_script: 'forge-orchestrate "run"' };
const plan = ['id: a, title: "For forge orchestrate", run: exit 1, retry: {max_attempts: 1}'];

it('through npx, hints, next commands and help name npx forge-orchestrate, and JSON does not', async () => {
  const cwd = project(plan);
  const run = await orchestrate(['run'], { cwd, env });
  expect(run.stdout).toContain('  npx forge-orchestrate retry a\n  npx forge-orchestrate run\n');
  expect(run.stdout).toContain('For forge orchestrate');
  expect((await orchestrate(['shwo'], { cwd, env })).stderr).toMatch(
    /`npx forge-orchestrate show`.*`npx forge-orchestrate --help`/s,
  );
  expect((await orchestrate(['retry'], { cwd, env })).stderr).toContain('hint: npx forge-orchestrate retry --failed');
  const coloured = { cwd, env: { ...env, FORCE_COLOR: '1' } };
  expect((await orchestrate(['retry'], coloured)).stderr).toContain('npx forge-orchestrate retry');
  expect((await orchestrate(['edit', 'a'], { cwd, env })).stderr).toContain('Such as npx forge-orchestrate edit a');
  const help = (await orchestrate(['init', '--help'], { cwd, env })).stdout;
  expect(help).toMatch(/Usage: npx forge-orchestrate init/);
  expect(help).toContain('`npx forge-orchestrate init` is the same');
  expect(help).not.toMatch(/forge (orchestrate|init)/);
  expect((await orchestrate(['shwo', '--json'], { cwd, env })).json().error.hint).toMatch(/`forge orchestrate/);
});

it.each([
  ['by a shell', {}],
  ['by another program that npx has started', { ...env, npm_lifecycle_script: 'vitest' }],
  ['by a worker', { ...env, FORGE_TASK_ID: 'a' }],
])('started %s, hints name forge orchestrate', async (_, env) => {
  const { stderr } = await orchestrate(['shwo'], { cwd: project(plan), env });
  expect(stderr).toContain('`forge orchestrate show`');
});
