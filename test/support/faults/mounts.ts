/** Small file systems of their own, for disks that are full or read-only. Only root may mount. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { onTestFinished } from 'vitest';
import { freshPlace } from './project.ts';

function run(command: string, ...args: string[]): string | null {
  const { error, status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined) return `${command} is not installed`;
  return status === 0 ? null : stderr.trim();
}

/** Mounts an empty tmpfs with these options; it is unmounted when the test is done. Throws when that may not be done here. */
function mounted(options: string): string {
  const place = freshPlace();
  fs.mkdirSync(place);
  const why = run('mount', '-t', 'tmpfs', '-o', options, 'forge-faults', place);
  if (why !== null) throw new Error(why);
  onTestFinished(() => {
    run('umount', '-l', place);
  });
  return place;
}

export function smallDisk({ kilobytes, inodes }: { kilobytes: number; inodes: number }): string {
  return mounted(`size=${kilobytes}k,nr_inodes=${inodes}`);
}

/** Makes the disk that is mounted at `place` read-only from now on. */
export function makeReadOnly(place: string): void {
  const why = run('mount', '-o', 'remount,ro', place);
  if (why !== null) throw new Error(why);
}

/** Why nothing can be mounted here; null when it can. */
export function noMounts(): string | null {
  if (process.platform !== 'linux') return 'tmpfs is a file system of Linux';
  if (process.getuid?.() !== 0) return 'only root may mount';
  const place = fs.mkdtempSync('/tmp/forge-faults-mount-');
  try {
    const why = run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'forge-faults', place);
    if (why === null) run('umount', place);
    return why;
  } finally {
    fs.rmdirSync(place);
  }
}
