/** Locks that a process must hold to go on. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { clearLock, exclusively } from '../../src/lib/fs/locks.ts';
import { refused } from '../support/refused.ts';
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

test('a lock with a time in the future that no process renews is taken over', async () => {
  const lock = path.join(emptyFolder(), 'lock');
  fs.mkdirSync(lock);
  const future = new Date('2099-01-01T00:00:00Z');
  fs.utimesSync(lock, future, future);
  // The library renews no lock more often than once a second.
  const terms = { staleMs: 2000, waitMs: 20_000 };
  expect(await exclusively(lock, async () => 'mine', { terms })).toBe('mine');
  expect(fs.existsSync(lock)).toBe(false);
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

describe('a lock that names its owner', () => {
  const gone = { me: 'gone', isGone: (line: string) => line === 'gone' };
  const alive = { me: 'alive', isGone: (line: string) => line === 'gone' };

  /** A lock as a killed process leaves it. */
  async function leftLock(owner: typeof gone): Promise<string> {
    const lock = path.join(emptyFolder(), 'lock');
    const kept = `${lock}.kept`;
    await exclusively(lock, async () => fs.copyFileSync(`${lock}.owner`, kept), { owner });
    fs.mkdirSync(lock);
    const { ino, birthtimeNs } = fs.lstatSync(lock, { bigint: true });
    const [, line] = fs.readFileSync(kept, 'utf8').split('\n');
    fs.writeFileSync(`${lock}.owner`, `${ino} ${birthtimeNs}\n${line}`);
    return lock;
  }

  /** Too short for a lock to become stale. */
  const terms = { staleMs: 60_000, waitMs: 300 };

  test('a lock that names its owner is taken over without a wait when its process is gone', async () => {
    const lock = await leftLock(gone);
    expect(await exclusively(lock, async (held) => held(), { owner: alive, terms })).toBe(true);
    expect(fs.readdirSync(path.dirname(lock))).toEqual(['lock.kept']);
  });

  test('a lock that names its owner is cleared with its owner only when its process is gone', async () => {
    const lock = await leftLock(gone);
    clearLock(lock, gone);
    expect(fs.readdirSync(path.dirname(lock))).toEqual(['lock.kept']);
    // Killed between the two.
    fs.copyFileSync(`${lock}.kept`, `${lock}.owner`);
    clearLock(lock, gone);
    expect(fs.readdirSync(path.dirname(lock))).toEqual(['lock.kept']);
    const living = await leftLock(alive);
    clearLock(living, gone);
    expect(fs.readdirSync(path.dirname(living)).sort()).toEqual(['lock', 'lock.kept', 'lock.owner']);
  });

  test.each([
    ['is waited for while its process lives', alive, ''],
    ['is waited for when what names its owner is about another lock', gone, '1 '],
  ])('%s', async (_, owner, other) => {
    const lock = await leftLock(owner);
    if (other !== '') fs.writeFileSync(`${lock}.owner`, `${other}\ngone`);
    const error = await refused(() => exclusively(lock, async () => 'never', { owner: alive, terms }));
    expect(error).toMatchObject({ code: 'IO_ERROR' });
    expect(fs.existsSync(lock)).toBe(true);
  });
});
