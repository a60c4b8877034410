/** `init` and `uninit`, each several times at once. */

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { beforeEach, expect, test, vi } from 'vitest';
import { init } from '../../src/commands/init.ts';
import { uninit } from '../../src/commands/uninit.ts';
import { World } from '../support/commands/world.ts';

const ADDED = ['.claude/settings.json', 'AGENTS.md', 'CLAUDE.md'];

let world: World;
beforeEach(() => {
  world = new World();
});

/** Calls `first`, and `second` as a whole before its call number `at` that looks at a file, opens or removes it. Null: it makes fewer. */
async function within<T>(at: number, first: () => Promise<T>, second: () => Promise<T>): Promise<[T, T] | null> {
  let inner: Promise<T> | undefined;
  let calls = 0;
  for (const name of ['lstatSync', 'openSync', 'rmSync'] as const) {
    const call = fs[name] as (...given: unknown[]) => unknown;
    const counted = (...given: unknown[]) => {
      if (calls++ === at) inner = second();
      return call(...given);
    };
    vi.spyOn(fs, name).mockImplementation(counted as never);
  }
  syncBuiltinESMExports();
  const outer = await first().finally(() => {
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  });
  return inner === undefined ? null : [outer, await inner];
}

test('of two init at once each file is written by one, whenever the second comes', async () => {
  const both = () => init.run(world.context, { agents: true, hooks: true });
  const alone = await both();
  const texts = () => ADDED.map((name) => fs.readFileSync(world.path(name), 'utf8'));
  const wanted = texts();
  for (let at = 0; ; at++) {
    await uninit.run(world.context, {});
    const done = await within(at, both, both);
    if (done === null) break;
    expect(texts()).toEqual(wanted);
    expect(done.flatMap(({ created }) => created).sort()).toEqual([...alone.created].sort());
    expect(done.flatMap(({ updated }) => updated)).toEqual([]);
  }
  expect(fs.readdirSync(world.project).sort()).toEqual(['.claude', '.forge', 'AGENTS.md', 'CLAUDE.md', 'plans']);
});

test('what a person adds to AGENTS.md while init writes it stays', async () => {
  for (let at = 0; ; at++) {
    fs.writeFileSync(world.path('AGENTS.md'), 'Mine.\n');
    const edit = async () => fs.appendFileSync(world.path('AGENTS.md'), 'More.\n');
    const done = await within<unknown>(at, () => init.run(world.context, { agents: true }), edit);
    const text = fs.readFileSync(world.path('AGENTS.md'), 'utf8');
    expect(text).toContain('<!-- forge:begin -->');
    if (done === null) break;
    expect(text).toContain('Mine.\n');
    expect(text).toContain('More.\n');
  }
});

test('two uninit at once remove all that init wrote, whenever the second comes', async () => {
  const remove = () => uninit.run(world.context, {});
  for (let at = 0; ; at++) {
    await init.run(world.context, { agents: true, hooks: true });
    const done = await within(at, remove, remove);
    expect(fs.readdirSync(world.project)).toEqual([]);
    if (done === null) break;
  }
});

test('init writes its files where uninit removes the folder that it has just made, whenever that comes', async () => {
  for (let at = 0; ; at++) {
    const begun = async () => void (await init.run(world.context, { agents: true, hooks: true }));
    const done = await within<unknown>(at, begun, () => uninit.run(world.context, {}));
    if (done === null) break;
    await uninit.run(world.context, {});
    // A folder in which another one was writing may stay, empty: it could be the user's.
    const left = fs.readdirSync(world.project, { recursive: true, withFileTypes: true });
    expect(left.filter((entry) => !entry.isDirectory())).toEqual([]);
  }
});
