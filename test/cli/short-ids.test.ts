/** Ids that a person shortens on the command line. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { orchestrate, project } from '../support/cli.ts';

it('the beginning of an id stands for it where it is the only one, and an attempt has a number', async () => {
  const cwd = project(['id: build, title: A, run: "echo one"', 'id: build-docs, title: B', 'id: docs, title: C']);
  await orchestrate(['run', '--task', 'build'], { cwd });
  expect((await orchestrate(['show', 'doc', '--json'], { cwd })).json().data.task_id).toBe('docs');
  expect((await orchestrate(['show', 'build', '--json'], { cwd })).json().data.task_id).toBe('build');
  const several = (await orchestrate(['why', 'bui', '--json'], { cwd })).json();
  expect(several.error).toMatchObject({
    code: 'INVALID_ARGS',
    message: 'bui is the beginning of several tasks: build, build-docs',
  });
  const logs = await orchestrate(['logs', 'build', '--attempt', '1', '--json'], { cwd });
  const { attempt_id, stdout } = logs.json().data;
  expect(stdout).toBe('one\n');
  const start = await orchestrate(['logs', 'build', '--attempt', attempt_id.slice(0, 20), '--json'], { cwd });
  expect(start.json().data.attempt_id).toBe(attempt_id);
  expect((await orchestrate(['logs', 'build', '--attempt', '3'], { cwd })).stderr).toContain(
    'task build has had no attempt 3',
  );
  const none = (await orchestrate(['logs', 'build', '--attempt', 'last', '--json'], { cwd })).json();
  expect(none.error.message).toBe('"last" is not a UUID, nor the number of an attempt (--attempt)');
});

it('a worker has to write ids in full', async () => {
  const cwd = project(['id: build, title: A']);
  const env = { FORGE_TASK_ID: 'build' };
  expect((await orchestrate(['why', 'bui', '--json'], { cwd, env })).json().error.code).toBe('TASK_NOT_FOUND');
});

it('forget takes no beginning of an id for the id', async () => {
  const cwd = project(['id: docs-old, title: A, run: "true"']);
  await orchestrate(['run'], { cwd });
  writeFileSync(join(cwd, 'plans/phases.yaml'), 'project: p\nphases: [{id: p, name: P, tasks: []}]\n');
  expect((await orchestrate(['forget', 'docs', '--json'], { cwd })).json().data.tasks).toEqual([]);
  expect((await orchestrate(['forget', 'docs-old', '--json'], { cwd })).json().data.tasks).toEqual(['docs-old']);
});
