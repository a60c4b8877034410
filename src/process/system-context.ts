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
    // Node asks the system for each variable of `process.env` at every look.
    env: { ...process.env },
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

/** Read from the device at once, bytes: an id takes ten. */
const POOL_BYTES = 640;

let pool = new Uint8Array(0);

function randomBytes(count: number): Uint8Array {
  if (pool.length < count) pool = read(Math.max(count, POOL_BYTES));
  const bytes = pool.slice(0, count);
  pool = pool.subarray(count);
  return bytes;
}

// Straight from the device: loading node:crypto for a few ids would slow every start.
function read(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  const fd = openSync('/dev/urandom', 'r');
  try {
    for (let filled = 0; filled < count; ) filled += readSync(fd, bytes, filled, count - filled, null);
    return bytes;
  } finally {
    closeSync(fd);
  }
}
