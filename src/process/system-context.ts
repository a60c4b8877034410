/** The only place where the outside enters: the real clocks, randomness, environment and process table. */

import { closeSync, openSync, readSync } from 'node:fs';
import type { Context } from '../domain/context.ts';
import { ForgeError } from '../lib/errors.ts';
import { thisMachine } from './machine.ts';
import { ownerLiveness } from './processes.ts';

/** The context of this process. Throws IO_ERROR when its working directory is gone. */
export function systemContext(): Context {
  return {
    now: () => Date.now(),
    monotonicMs: () => Number(process.hrtime.bigint() / 1_000_000n),
    random: () => Math.random(),
    randomBytes,
    env: process.env,
    cwd: workingDirectory(),
    pid: process.pid,
    machine: thisMachine,
    liveness: ownerLiveness,
  };
}

function workingDirectory(): string {
  try {
    return process.cwd();
  } catch (cause) {
    throw new ForgeError('IO_ERROR', 'the current directory no longer exists', {
      hint: 'Change to a folder that exists, then repeat the command.',
      cause,
    });
  }
}

// Straight from the device: loading node:crypto for a few ids would slow every start.
function randomBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  const fd = openSync('/dev/urandom', 'r');
  try {
    for (let filled = 0; filled < count; ) filled += readSync(fd, bytes, filled, count - filled, null);
    return bytes;
  } finally {
    closeSync(fd);
  }
}
