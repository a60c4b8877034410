/** Machines, owners and workers as they are written to disk, and the rules that compare them. */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';

const text = z.string();

const machine = {
  host: text,
  /** Changes with every boot; '' when unknown. */
  boot_id: text,
  /** The pid namespace, `pid:[4026531836]`; '' where there are none (macOS). */
  pid_ns: text,
};

const owner = {
  ...machine,
  pid: z.int(),
  /**
   * When the process started, by the kernel: `ticks:<n>` (clock ticks since boot) or `lstart:<date>`. It is compared for equality
   * and never read as a time: a wall clock time would change when the clock is set.
   */
  started_at: text,
};

export const MachineIdentitySchema = once(() => z.looseObject(machine));
export type MachineIdentity = z.infer<ReturnType<typeof MachineIdentitySchema>>;

/** A process that renews a lease by itself. */
export const OwnerIdentitySchema = once(() => z.looseObject(owner));
export type OwnerIdentity = z.infer<ReturnType<typeof OwnerIdentitySchema>>;

/** A worker's process group. `pid` leads the group; where the numbers differ it has none of its own, since it has a terminal with others. */
export const WorkerIdentitySchema = once(() =>
  z.looseObject({ ...owner, pgid: owner.pid, claim_id: text, attempt_id: text }),
);
export type WorkerIdentity = z.infer<ReturnType<typeof WorkerIdentitySchema>>;

/** `unknown`: it cannot be known from here, so only the lease's expiry counts. */
export type Liveness = 'alive' | 'dead' | 'unknown';

/** Whether a pid recorded on `a` names the same process on `b`. An unknown boot equals no other. */
export function sameMachine(a: MachineIdentity, b: MachineIdentity): boolean {
  return a.boot_id !== '' && a.boot_id === b.boot_id && a.pid_ns === b.pid_ns && a.host === b.host;
}

/** PROC_PID_INIT_INO in the kernel's `include/linux/proc_ns.h`: the first pid namespace has this number on every boot. */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]';

/** What a machine is called that was given no name, as those of a shared folder may be. */
const NO_NAME = /^(localhost(\..*)?|\(none\)|)$/;

/** The name of a machine, where one name is one machine: outside of containers, which often share one, and where it was given one. */
export function soleName({ host = '', pid_ns }: Partial<MachineIdentity>): string | undefined {
  const isFirst = pid_ns === '' || pid_ns === FIRST_PID_NAMESPACE;
  return isFirst && !NO_NAME.test(host) ? host : undefined;
}

/**
 * Whether every process of `then` has ended because the machine was restarted.
 *
 * Outside of containers one host name is one machine, so another boot id is a later boot. Containers often share a name while
 * they run on different kernels, so inside of one nothing follows.
 */
export function rebootedSince(then: MachineIdentity, now: MachineIdentity): boolean {
  const name = soleName(now);
  return (
    name !== undefined &&
    name === soleName(then) &&
    then.pid_ns === now.pid_ns &&
    then.boot_id !== '' &&
    now.boot_id !== '' &&
    then.boot_id !== now.boot_id
  );
}
