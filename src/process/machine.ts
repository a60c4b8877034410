/** Which machine this is: the part of an identity that says where a pid is valid. */

import { readFileSync, readlinkSync } from 'node:fs';
import type { MachineIdentity } from '../domain/task/identity.ts';

let machine: MachineIdentity | undefined;

/** Read where the system has it as a file: the module that also knows it takes time to load. */
const hostname = () =>
  orEmpty(() => readFileSync('/proc/sys/kernel/hostname', 'latin1').trim()) ||
  process.getBuiltinModule('node:os').hostname();

/** The identity of this machine, read once a process. `boot_id` is '' when the system does not report it. */
export function thisMachine(): MachineIdentity {
  machine ??= {
    host: hostname(),
    boot_id: bootId(),
    pid_ns: process.platform === 'darwin' ? '' : orEmpty(() => readlinkSync('/proc/self/ns/pid')),
  };
  return { ...machine };
}

function bootId(): string {
  if (process.platform !== 'darwin') {
    return orEmpty(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim());
  }
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  const options = { encoding: 'latin1', timeout: 5_000 } as const;
  const { stdout } = spawnSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], options);
  return (stdout ?? '').trim();
}

function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
