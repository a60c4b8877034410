/** Plans of several files, with matrices and folders, as the command line runs and changes them. */

import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folder, orchestrate, within } from '../support/cli.ts';

const textIn = (cwd: string, name: string) => readFileSync(join(cwd, name), 'utf8');
const onePhase = (tasks: string, more = '') =>
  `project: p\n${more}phases:\n  - id: one\n    name: One\n    tasks:\n${tasks}`;
const PLAN = 'plans/phases.yaml';

describe('a matrix', () => {
  it('a matrix is run, a task for each combination, with its values; one name means all', async () => {
    const task = `      - id: test\n        title: Test \${{ matrix.node }}\n        run: echo "$FORGE_MATRIX_NODE" > out-\${{ matrix.node }}\n        matrix: {node: [20, 22]}\n`;
    const cwd = folder({ [PLAN]: onePhase(`${task}      - {id: other, title: Other, run: touch other}\n`) });
    const { code, stdout } = await orchestrate(['run', '--task', 'test'], { cwd });
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('test.node-22') });
    expect([textIn(cwd, 'out-20'), textIn(cwd, 'out-22'), existsSync(join(cwd, 'other'))]).toEqual([
      '20\n',
      '22\n',
      false,
    ]);
    const { stderr } = await orchestrate(['why', 'test'], { cwd });
    expect(stderr).toContain('Such as test.node-20, test.node-22.');
  });

  it('a matrix is changed and dropped by the task that is written', async () => {
    const cwd = folder({
      [PLAN]: onePhase(
        '      - {id: test, title: Test, run: "true", matrix: {node: [20, 22]}}\n      - {id: ship, title: Ship, depends_on: [test]}\n',
      ),
    });
    const refused = await orchestrate(['edit', 'test.node-20', '--set', 'priority=P0'], { cwd });
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('made by the matrix of test') });
    await within(['edit', 'test', '--set', 'priority=P0'], { cwd });
    expect(await within(['drop', 'test'], { cwd })).toMatchObject({ blocks: ['ship'], changed: true });
    expect(await within(['add', 'Test', '--depends-on', 'test'], { cwd })).toMatchObject({ task_id: 'test-2' });
    expect(textIn(cwd, PLAN)).toContain('matrix: {node: [20, 22]}, priority: P0, status: dropped}');
  });
});

describe('cwd', () => {
  const tasks = '      - {id: a, title: A, run: pwd > ../here, verify: [test -e inner], cwd: packages/api}\n';

  it('cwd is where the command and the checks of a task start', async () => {
    const cwd = folder({ [PLAN]: onePhase(tasks), 'packages/api/inner': '' });
    expect((await orchestrate(['run'], { cwd })).code).toBe(0);
    expect(textIn(cwd, 'packages/here')).toMatch(/\/packages\/api\n$/);
  });

  it('cwd has to be there, in the workspace: else the task is not started, and another goes on', async () => {
    const cwd = folder({ [PLAN]: onePhase(`${tasks}      - {id: b, title: B, run: touch done}\n`) });
    const { code, stdout, stderr } = await orchestrate(['run'], { cwd });
    expect(code).toBe(4);
    expect((stdout + stderr).replace(/\s+/g, ' ')).toContain(
      'task a is not started: there is no folder packages/api in',
    );
    expect(existsSync(join(cwd, 'done'))).toBe(true);
    mkdirSync(join(cwd, 'packages'));
    symlinkSync('/tmp', join(cwd, 'packages/api'));
    const again = await orchestrate(['exec', 'a', '--', 'true'], { cwd });
    expect(again.stderr.replace(/\s+/g, ' ')).toContain('is a link that leads out of it');
  });
});

describe('include', () => {
  const API =
    'phases:\n  - id: api\n    name: API\n    tasks:\n      - {id: b, title: B, run: touch b}  # of the API\n';
  const root = onePhase('      - {id: a, title: A, run: "true"}\n', 'include: [../packages/api/plan.yaml]\n');
  const INCLUDED = 'packages/api/plan.yaml';

  it('add, edit and drop write to the file in which the task stands, and the next command sees it', async () => {
    const cwd = folder({ [PLAN]: root, [INCLUDED]: API });
    // The plan is in the cache from here on.
    expect((await within(['graph'], { cwd })).tasks).toHaveLength(2);
    const added = await within(['add', 'More', '--discovered-from', 'b'], { cwd });
    expect(added).toMatchObject({ file: INCLUDED, phase_id: 'api', line: 6 });
    await within(['edit', 'b', '--set', 'run=touch c'], { cwd });
    await within(['drop', 'more'], { cwd });
    expect(textIn(cwd, PLAN)).toBe(root);
    const expected = API.replace('touch b', 'touch c').concat(
      '      - {id: more, title: More, discovered_from: b, status: dropped}\n',
    );
    expect(textIn(cwd, INCLUDED)).toBe(expected);
    expect((await within(['show', 'more'], { cwd })).task).toMatchObject({ status: 'dropped', discovered_from: 'b' });
  });

  it('a problem is shown with the line of the file that has it', async () => {
    const cwd = folder({ [PLAN]: root, [INCLUDED]: API.replace('title: B', 'tilte: B') });
    const { code, stderr } = await orchestrate(['phases'], { cwd });
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining(`${INCLUDED}:5:17`) });
    expect(stderr).toContain('5 |       - {id: b, tilte: B, run: touch b}  # of the API');
  });

  it.each<[string, (place: string) => void, string]>([
    [
      'a link out of the project',
      (place) => symlinkSync(join(folder({ 'plan.yaml': API }), 'plan.yaml'), place),
      'out of',
    ],
    ['a link to itself', (place) => symlinkSync('plan.yaml', place), 'ELOOP'],
    ['a folder', (place) => mkdirSync(place), 'EISDIR'],
  ])('%s in place of an included file is a problem with the place that names it', async (_, make, why) => {
    const cwd = folder({ [PLAN]: root, 'packages/api/x': '' });
    make(join(cwd, INCLUDED));
    const { code, stderr } = await orchestrate(['phases'], { cwd });
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringMatching(/phases\.yaml:2:11\s+include: /) });
    expect(stderr).toContain(why);
  });

  it('a plan that includes others needs no phases of its own', async () => {
    const cwd = folder({ [PLAN]: `project: x\ninclude: [../${INCLUDED}]\n`, [INCLUDED]: API });
    expect((await within(['graph'], { cwd })).tasks).toHaveLength(1);
  });

  it('a run that is going on takes up what is added to an included file', async () => {
    const line = '      - {id: later, title: Later, run: touch later}';
    const add = onePhase(
      `      - id: a\n        title: A\n        run: 'echo "${line}" >> ${INCLUDED}'\n`,
      'include: [../packages/api/plan.yaml]\n',
    );
    const cwd = folder({ [PLAN]: add, [INCLUDED]: API });
    expect((await orchestrate(['run'], { cwd })).code).toBe(0);
    expect(existsSync(join(cwd, 'later'))).toBe(true);
  });
});
