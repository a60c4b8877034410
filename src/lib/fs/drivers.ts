/** Runs protocol steps on the real file system. */

import fs from 'node:fs';
import { folderSynced, syncDir, synced } from './folders.ts';
import type { FsCall, Step } from './operations.ts';
import { readCapped } from './read.ts';

/** A driver runs a step to its end. */
export type Driver = <T>(step: Step<T>) => Promise<T>;

/** The folder of a first version is there most often, and an error of Node's own takes longer than the call. */
const THERE = Object.assign(new Error('EEXIST: file already exists'), { code: 'EEXIST' });

const APPENDING = fs.constants.O_WRONLY | fs.constants.O_APPEND | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK;

export function performSync(call: FsCall): unknown {
  switch (call.call) {
    case 'list':
      return fs.readdirSync(call.path);
    case 'read':
      return readCapped(call.path, call.max);
    case 'create':
      return fs.openSync(call.path, 'wx', 0o600);
    case 'append':
      return fs.openSync(call.path, APPENDING);
    case 'write':
      return fs.writeFileSync(call.handle, call.text);
    case 'setTime':
      return fs.futimesSync(call.handle, call.ms / 1000, call.ms / 1000);
    case 'syncFile':
      return fs.fsyncSync(call.handle);
    case 'close':
      return fs.closeSync(call.handle);
    case 'syncDir':
      return syncDir(call.path);
    case 'mkdir':
      if (fs.existsSync(call.path)) throw THERE;
      return fs.mkdirSync(call.path, { mode: 0o700 });
    case 'link':
      return fs.linkSync(call.from, call.to);
    case 'rename':
      return fs.renameSync(call.from, call.to);
    case 'unlink':
      return fs.unlinkSync(call.path);
    case 'modified':
      return fs.lstatSync(call.path, { throwIfNoEntry: false })?.mtimeMs ?? null;
  }
}

/** Runs a step with blocking calls, the fastest way for a process that does one thing. */
export function runSync<T>(step: Step<T>): T {
  let next = step.next();
  while (next.done !== true) {
    let result: unknown;
    try {
      result = performSync(next.value);
    } catch (error) {
      next = step.throw(error);
      continue;
    }
    next = step.next(result);
  }
  return next.value;
}

/** The driver of short-lived verbs. */
export const blocking: Driver = async (step) => runSync(step);

/** The driver of `run`: while it waits for the disk (fsync), the process goes on with its other tasks. */
export const yielding: Driver = async (step) => {
  let next = step.next();
  while (next.done !== true) {
    const { value } = next;
    let result: unknown;
    try {
      if (value.call === 'syncFile') await synced(value.handle);
      else if (value.call === 'syncDir') await folderSynced(value.path);
      else result = performSync(value);
    } catch (error) {
      next = step.throw(error);
      continue;
    }
    next = step.next(result);
  }
  return next.value;
};
