/** Locks that a process must hold to go on. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { exclusively } from '../../src/lib/fs/locks.ts';
import { refused } from '../support/commands/world.ts';
import { emptyFolder } from '../support/store/tree.ts';

test('a second caller waits for the lock and then runs', async () => {
  const lock = path.join(emptyFolder(), 'lock');
  const said: string[] = [];
  let first = () => {};
  const held = new Promise<void>((resolve) => {
    first = resolve;
  });
  let begun = () => {};
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const one = exclusively(lock, async () => {
    begun();
    await held;
    said.push('one');
  });
  await hasBegun;
  const two = exclusively(lock, async () => said.push('two'));
  first();
  await Promise.all([one, two]);
  expect(said).toEqual(['one', 'two']);
});

test('a lock that cannot be created is refused at once', async () => {
  const error = await refused(() => exclusively(path.join(emptyFolder(), 'x'.repeat(300)), async () => 'never'));
  expect(error).toMatchObject({ code: 'IO_ERROR', message: expect.stringContaining('ENAMETOOLONG') });
});

test('a holder that lost its lock during a pause finds out when it asks', async () => {
  const lock = path.join(emptyFolder(), 'lock');
  const seen = await exclusively(lock, async (held) => {
    const before = held();
    fs.rmdirSync(lock);
    const gone = held();
    fs.mkdirSync(lock);
    return { before, gone, taken: held() };
  });
  expect(seen).toEqual({ before: true, gone: false, taken: false });
});
