/** Read verbs write nothing. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { doctor } from '../../src/commands/doctor.ts';
import { heartbeat } from '../../src/commands/heartbeat.ts';
import { home } from '../../src/commands/home.ts';
import { logs } from '../../src/commands/logs.ts';
import { phases, type ReadyData } from '../../src/commands/phases.ts';
import { renderWorkerPrompt } from '../../src/commands/render-worker-prompt.ts';
import { dryRun } from '../../src/commands/run.ts';
import { runList } from '../../src/commands/run-list.ts';
import { runStart } from '../../src/commands/run-start.ts';
import { show } from '../../src/commands/show.ts';
import { status } from '../../src/commands/status.ts';
import { watch } from '../../src/commands/watch.ts';
import { why } from '../../src/commands/why.ts';
import { dirOf } from '../support/commands/divergences.ts';
import { GRACE_MS, TTL_MS, TWO_PHASES, World } from '../support/commands/world.ts';

let world: World;
beforeEach(() => {
  world = new World(TWO_PHASES);
});

/** Two looks at everything, and what is shown of it. */
async function watched(): Promise<void> {
  const stop = new AbortController();
  await watch({ ...world.context, signal: stop.signal }, {}, (look) => {
    look();
    setImmediate(() => {
      look();
      stop.abort();
    });
  });
}

const ready = async (options = {}) => (await phases.run(world.context, { ready: true, ...options })) as ReadyData;
describe('read verbs', () => {
  const looks: [name: string, look: () => unknown][] = [
    ['status', () => status.run(world.context, {})],
    ['status --watch', () => watched()],
    ['phases', () => phases.run(world.context, {})],
    ['phases --ready', () => ready()],
    ['why', () => why.run(world.context, { task: 'build' })],
    ['show', () => show.run(world.context, { task: 'build' })],
    ['render-worker-prompt', () => renderWorkerPrompt.run(world.context, { task: 'build' })],
    ['logs', () => logs.run(world.context, { task: 'build' })],
    ['run list', () => runList.run(world.context, {})],
    ['run --dry-run', () => dryRun(world.context, {})],
    ['doctor', () => doctor.run(world.context, {})],
    ['home', () => home.run(world.context, {})],
  ];

  test.each(looks.filter(([name]) => name !== 'logs'))(
    '%s creates nothing in a project with only a plan',
    async (_name, look) => {
      const before = world.footprint();
      await look();
      expect(world.footprint()).toEqual(before);
    },
  );

  /** A tree with something of everything that a writer would be tempted to put right. */
  async function busyTree(): Promise<void> {
    const { attempt } = await world.start('build');
    await heartbeat.run(world.context, { task: 'build', attempt });
    await runStart.run(world.context, { name: 'idle' });
    world.write(`${dirOf('test')}/state.json`, '{"version":1,"task_id":"test","state":"failed"}');
    world.write(`${dirOf('ship')}/state.json`, '{"version":1');
    world.write(`${dirOf('left')}/state.json`, '{"version":1,"task_id":"left","state":"running"}');
    await world.put('sign', { state: 'shipped' });
    fs.rmSync(world.path(dirOf('sign'), 'state.json'));
    const lease = world.json(dirOf('build'), 'lease.json');
    world.write(`${dirOf('build')}/lease.json`, JSON.stringify({ ...lease, note: 'edited' }));
    world.write(`${dirOf('build')}/state.json`, JSON.stringify({ state_version: 1 }));
    world.write(`${dirOf('build')}/.tmp-left-behind`, '');
    world.wait(TTL_MS + GRACE_MS);
  }

  test.each(looks)('%s changes nothing in a tree with many divergences', async (_name, look) => {
    await busyTree();
    const before = world.footprint();
    await look();
    await look();
    expect(world.footprint()).toEqual(before);
  });

  test('the footprint of a tree detects a write', async () => {
    await busyTree();
    const before = world.footprint();
    fs.writeFileSync(world.path(dirOf('build'), '.tmp-left-behind'), '');
    expect(world.footprint()).not.toEqual(before);
  });
});
