/** What tasks have come to, and where it is: at the end of a run, in `status` and in `show`. */

import { expect, it } from 'vitest';
import { orchestrate, project } from '../support/cli.ts';
import { Repository } from '../support/repository.ts';

const VERDICT = `echo '{"verdict": "ready_for_review", "summary": "Adds the parser"}' > "$FORGE_VERDICT_FILE"`;

it('the summary, the branch and the worktree of a result are told', async () => {
  const work = 'echo one > one.txt && git add one.txt && git commit -qm one';
  const cwd = project([`id: a, title: A, run: ${JSON.stringify(`${work} && ${VERDICT}`)}`, 'id: b, title: B'], {
    '.forge/settings.yaml': 'workspace: worktree\n',
  });
  new Repository(cwd).commit({ 'readme.txt': 'r' });
  const run = await orchestrate(['run', '--task', 'a'], { cwd });
  expect(run.stdout).toContain('\nResults\n  a  Adds the parser; branch forge/a\n');
  const [a, b] = (await orchestrate(['status', '--json'], { cwd })).json().data.tasks;
  expect(a).toMatchObject({ summary: 'Adds the parser', branch: 'forge/a' });
  expect(a.worktree_path).toMatch(/\.forge\/worktrees\/a$/);
  expect(b).toMatchObject({ summary: null, branch: null, worktree_path: null });
  expect((await orchestrate(['status'], { cwd })).stdout).toContain('Adds the parser; branch forge/a');
  const shown = (await orchestrate(['show', 'a'], { cwd })).stdout;
  expect(shown).toMatch(/result +Adds the parser\n +branch +forge\/a\n +worktree +\S/);
});

it('a task that is begun again has no summary of before', async () => {
  const cwd = project([`id: a, title: A, run: ${JSON.stringify(VERDICT)}`]);
  const run = (await orchestrate(['run', '--json'], { cwd })).stdout.trimEnd().split('\n').at(-1) ?? '';
  expect(JSON.parse(run).results).toEqual([
    { task_id: 'a', state: 'shipped', branch: null, worktree_path: null, summary: 'Adds the parser' },
  ]);
  await orchestrate(['rerun', 'a'], { cwd });
  const [a] = (await orchestrate(['status', '--json'], { cwd })).json().data.tasks;
  expect(a).toMatchObject({ state: 'unclaimed', summary: null });
});
