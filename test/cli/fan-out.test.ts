/** Fan-outs: the children that a task makes while it is worked on. */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { orchestrate, project, within } from '../support/cli.ts';

const child = (name: string, more: object = {}) => JSON.stringify({ name, run: 'true', ...more });

/** An attempt at work, and its environment. */
async function atWork(tasks = ['id: a, title: A', 'id: b, title: B'], files: Record<string, string> = {}) {
  const cwd = project(tasks, files);
  const { claim_id, run_id } = await within(['claim', 'a'], { cwd });
  const { attempt_id } = await within(['dispatch', 'a', '--claim', claim_id, '--run', run_id], { cwd });
  await within(['heartbeat', 'a', '--attempt', attempt_id], { cwd });
  const env = { FORGE_TASK_ID: 'a', FORGE_ATTEMPT_ID: attempt_id, FORGE_CLAIM_ID: claim_id };
  const fanOut = async (name: string, lines: readonly string[], attempt = env) => {
    const args = ['fan-out', name, '--from', '-', '--json'];
    return (await orchestrate(args, { cwd, env: attempt, input: lines.join('\n') })).json();
  };
  return { cwd, env, fanOut };
}

describe('fan-out', () => {
  it('fan-out makes its children once, from a file or from stdin, and says how many', async () => {
    const { cwd, env, fanOut } = await atWork();
    expect(await fanOut('files', [child('x'), child('y')])).toMatchObject({
      data: { task_id: 'a', name: 'files', children: 2, recorded: false },
    });
    writeFileSync(join(cwd, 'none.jsonl'), '');
    const { stdout } = await orchestrate(['fan-out', 'none', '--from', 'none.jsonl'], { cwd, env });
    expect(stdout).toBe('none: 0 children\n');
    expect((await within(['steps', 'a'], { cwd })).steps).toMatchObject([
      { name: 'files', kind: 'fan-out', status: 'completed', result: { children: 2 } },
      { name: 'none', kind: 'fan-out', status: 'completed', result: { children: 0 } },
    ]);
  });

  it('fan-out reads its children from a pipe that is named as a file, as a shell names that of <(...)', async () => {
    const { cwd, env } = await atWork();
    execFileSync('mkfifo', [join(cwd, 'pipe')]);
    const args = ['fan-out', 'files', '--from', 'pipe', '--json'];
    const [answer] = await Promise.all([
      orchestrate(args, { cwd, env }),
      writeFile(join(cwd, 'pipe'), `${child('x')}\nno JSON\n`),
    ]);
    expect(answer.json().error.details.problems).toMatchObject([{ place: { file: 'pipe', line: 2 } }]);
    const [made] = await Promise.all([
      orchestrate(args, { cwd, env }),
      writeFile(join(cwd, 'pipe'), `${child('x')}\n`),
    ]);
    expect(made.json()).toMatchObject({ data: { children: 1 } });
  });

  it('fan-out gives a later attempt the set that is there, whatever it is given', async () => {
    const { cwd, env, fanOut } = await atWork();
    await fanOut('files', [child('x'), child('y')]);
    await within(['release', 'a', '--claim', env.FORGE_CLAIM_ID], { cwd });
    const { claim_id, run_id } = await within(['claim', 'a'], { cwd });
    const { attempt_id } = await within(['dispatch', 'a', '--claim', claim_id, '--run', run_id], { cwd });
    const later = { ...env, FORGE_ATTEMPT_ID: attempt_id };
    expect(await fanOut('files', ['no JSON'], later)).toMatchObject({ data: { children: 2, recorded: true } });
  });

  it('fan-out is refused with every problem at its line, and then makes nothing', async () => {
    const { cwd, fanOut } = await atWork();
    const { error } = await fanOut('files', [child('x'), '', child('x'), child('y', { timeot: 1 })]);
    expect(error).toMatchObject({ code: 'INVALID_ARGS', message: expect.stringMatching(/^2 problems .* stdin:3 /) });
    expect(error.details.problems.map(({ place }: { place: object }) => place)).toEqual([
      { file: 'stdin', line: 3 },
      { file: 'stdin', line: 4 },
    ]);
    expect((await within(['steps', 'a'], { cwd })).steps).toEqual([]);
    expect(await fanOut('files', [child('x')])).toMatchObject({ ok: true });
  });

  it.each([
    ['a name that is none', 'a/b', 'INVALID_ID'],
    ["a name of forge's own", 'forge.x', 'INVALID_ID'],
    ['a name that the attempt has passed', 'files', 'STEP_REPEATED'],
    ['a name that differs from another only in case', 'Files', 'INVALID_ID'],
    ['the name of a step', 'build', 'INVALID_ID'],
  ])('is refused: %s', async (_what, name, code) => {
    const { cwd, env, fanOut } = await atWork();
    await orchestrate(['step', 'build', '--', 'true'], { cwd, env });
    await fanOut('files', [child('x')]);
    expect((await fanOut(name, [child('x')])).error).toMatchObject({ code });
  });

  it('fan-out keeps a step from having its name', async () => {
    const { cwd, env, fanOut } = await atWork();
    await fanOut('files', [child('x')]);
    const attempt = await orchestrate(['step', 'files', '--json', '--', 'true'], { cwd, env });
    expect(attempt.json().error).toMatchObject({ code: 'INVALID_ID' });
  });

  it('fan-out of an attempt that has lost its task is refused', async () => {
    const { cwd, env, fanOut } = await atWork();
    await within(['release', 'a', '--claim', env.FORGE_CLAIM_ID], { cwd });
    expect((await fanOut('files', [child('x')])).error).toMatchObject({ code: 'LEASE_STOLEN' });
  });
});
