/** Which processes a lock takes for gone. */

import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { lockOwner } from '../../src/process/lock-owner.ts';
import { systemContext } from '../../src/process/system-context.ts';

test('the process that a lock names is gone once it has ended, and no sooner', async () => {
  const child = spawn('/bin/sh', ['-c', 'read forever'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const { me } = lockOwner({ ...systemContext(), pid: child.pid ?? 0 });
  const here = lockOwner(systemContext());
  expect([here.isGone(me), here.isGone(here.me)]).toEqual([false, false]);
  child.stdin.end();
  await ended;
  expect(here.isGone(me)).toBe(true);
});

test.each(['', 'null', '{}', '{"pid": 1}', 'junk'])('nothing is said to be gone by `%s`', (line) => {
  expect(lockOwner(systemContext()).isGone(line)).toBe(false);
});
