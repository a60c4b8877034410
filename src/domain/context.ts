/** Everything impure that decisions and verbs get passed in: clocks, randomness, environment, processes. */

import { uuidv7 } from '../lib/ids.ts';
import type { Liveness, MachineIdentity, OwnerIdentity } from './task/identity.ts';

export interface Context {
  /** Wall clock, milliseconds since the epoch. */
  now(): number;
  /** Whole milliseconds on a clock that cannot be set, the same for every process of one boot. */
  monotonicMs(): number;
  /** A number in [0, 1). */
  random(): number;
  /** `count` bytes of the system's randomness. */
  randomBytes(count: number): Uint8Array;
  env: Record<string, string | undefined>;
  /** Absolute path of the folder the command was started in. */
  cwd: string;
  pid: number;
  machine(): MachineIdentity;
  liveness(owner: OwnerIdentity): Liveness;
}

/** A fresh UUIDv7: for a run, a claim, an attempt, a question. */
export function newId(context: Pick<Context, 'now' | 'randomBytes'>): string {
  return uuidv7(context.now(), context.randomBytes(10));
}
