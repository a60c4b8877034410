/** FORGE_SLOT and FORGE_PORT_BASE, as the commands of a run find them. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { orchestrate, project } from '../support/cli.ts';

const NOTE = (what: string) => `echo ${what} $FORGE_TASK_ID \${FORGE_SLOT:-none} \${FORGE_PORT_BASE:-none} >> told`;

/** Goes on once the other task is at work too. */
const MEET = ': > here-$FORGE_TASK_ID; until [ -e here-a ] && [ -e here-b ]; do sleep 0.02; done';

const told = (at: string) => fs.readFileSync(path.join(at, 'told'), 'utf8').trim().split('\n').sort();

test('tasks that a run works on at once have the lowest free slots, with 100 ports each, and so do their checks', async () => {
  const at = project(
    [
      `id: a, title: A, run: '${MEET}; ${NOTE('work')}', verify: ['${NOTE('check')}']`,
      `id: b, title: B, run: '${MEET}; ${NOTE('work')}'`,
      `id: c, title: C, run: '${NOTE('work')}', depends_on: [a, b]`,
    ],
    { '.forge/settings.yaml': 'agents: {max_parallel: 2, port_base: 21000}\n' },
  );
  expect(await orchestrate(['run'], { cwd: at })).toMatchObject({ code: 0 });
  expect(told(at)).toEqual(['check a 1 21000', 'work a 1 21000', 'work b 2 21100', 'work c 1 21000']);
});

test('a slot without room for its ports has none', async () => {
  const at = project(
    [`id: a, title: A, run: '${MEET}; ${NOTE('work')}'`, `id: b, title: B, run: '${MEET}; ${NOTE('work')}'`],
    { '.forge/settings.yaml': 'agents: {max_parallel: 2, port_base: 65436}\n' },
  );
  expect(await orchestrate(['run'], { cwd: at })).toMatchObject({ code: 0 });
  expect(told(at)).toEqual(['work a 1 65436', 'work b 2 none']);
});

test('a command of exec has no slot, but for that of the worker that has called exec', async () => {
  const at = project(
    [`id: a, title: A, verify: ['${NOTE('check')}']`, `id: b, title: B, verify: ['${NOTE('check')}']`],
    {
      '.forge/settings.yaml': 'agents: {port_base: 21000}\n',
    },
  );
  const exec = (task: string, env: Record<string, string>) =>
    orchestrate(['exec', task, '--', 'sh', '-c', NOTE('work')], { cwd: at, env });
  expect(await exec('a', {})).toMatchObject({ code: 0 });
  expect(await exec('b', { FORGE_SLOT: '3', FORGE_PORT_BASE: '20200' })).toMatchObject({ code: 0 });
  expect(told(at)).toEqual(['check a none none', 'check b 3 20200', 'work a none none', 'work b 3 20200']);
});
