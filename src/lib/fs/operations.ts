/**
 * The few file system calls that the commit protocol is made of.
 *
 * The protocol is written as generators that yield these calls and receive their results. So the same code runs on the real
 * file system (`drivers.ts`) and, in tests, on a simulated one that pauses, crashes and loses unsynced data between any two calls.
 */

import { errorCode } from './io-errors.ts';

export type FsCall =
  /** Names in a folder. */
  | { call: 'list'; path: string }
  /** Text of a regular file of at most `max` bytes, no symlink followed. */
  | { call: 'read'; path: string; max: number }
  /** Creates a file that must not exist (mode 0600), empty. Returns a handle. */
  | { call: 'create'; path: string }
  /** Opens a file that must exist; what is written goes behind all that is in it then. No symlink is followed. Returns a handle. */
  | { call: 'append'; path: string }
  | { call: 'write'; handle: Handle; text: string }
  | { call: 'setTime'; handle: Handle; ms: number }
  | { call: 'syncFile'; handle: Handle }
  | { call: 'close'; handle: Handle }
  /** Makes everything that was linked, renamed or removed in a folder durable. */
  | { call: 'syncDir'; path: string }
  | { call: 'mkdir'; path: string }
  | { call: 'link'; from: string; to: string }
  | { call: 'rename'; from: string; to: string }
  | { call: 'unlink'; path: string }
  /** Modification time in milliseconds, or null when it does not exist. */
  | { call: 'modified'; path: string };

export type Handle = number & { readonly handle: unique symbol };

/** A step of the protocol: yields calls, returns `T`. A failed call is thrown into it as an error with a `code`. */
export type Step<T> = Generator<FsCall, T, unknown>;

const send = function* <T>(call: FsCall): Step<T> {
  return (yield call) as T;
};

export const list = (path: string): Step<string[]> => send({ call: 'list', path });
export const read = (path: string, max: number): Step<string> => send({ call: 'read', path, max });
export const create = (path: string): Step<Handle> => send({ call: 'create', path });
export const append = (path: string): Step<Handle> => send({ call: 'append', path });
export const write = (handle: Handle, text: string): Step<void> => send({ call: 'write', handle, text });
export const setTime = (handle: Handle, ms: number): Step<void> => send({ call: 'setTime', handle, ms });
export const syncFile = (handle: Handle): Step<void> => send({ call: 'syncFile', handle });
export const close = (handle: Handle): Step<void> => send({ call: 'close', handle });
export const syncDir = (path: string): Step<void> => send({ call: 'syncDir', path });
export const mkdir = (path: string): Step<void> => send({ call: 'mkdir', path });
export const link = (from: string, to: string): Step<void> => send({ call: 'link', from, to });
export const rename = (from: string, to: string): Step<void> => send({ call: 'rename', from, to });
export const unlink = (path: string): Step<void> => send({ call: 'unlink', path });
export const modified = (path: string): Step<number | null> => send({ call: 'modified', path });

/** Runs a step; false where it fails with `code`. Throws any other error. */
export function* unless(code: string, step: Step<unknown>): Step<boolean> {
  try {
    yield* step;
    return true;
  } catch (error) {
    if (errorCode(error) === code) return false;
    throw error;
  }
}

/** Runs a step whose failure does not matter: cleanup, or what a later call does again. */
export function* quietly(step: Step<unknown>): Step<boolean> {
  try {
    yield* step;
    return true;
  } catch {
    return false;
  }
}
