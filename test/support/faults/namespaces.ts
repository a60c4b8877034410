/** Pid namespaces of their own. Only root may make them. */

import { spawnSync } from 'node:child_process';
import { shell } from '../cli.ts';

/** Why none can be made here; null when they can. */
export function noPidNamespaces(): string | null {
  if (process.platform !== 'linux') return 'pid namespaces are of Linux';
  const { error, status, stderr } = spawnSync(
    'unshare',
    ['--pid', '--fork', '--mount', 'mount', '-t', 'proc', 'proc', '/proc'],
    {
      encoding: 'utf8',
    },
  );
  if (error !== undefined) return 'unshare is not installed';
  return status === 0 ? null : stderr.trim();
}

/**
 * Runs lines of shell in a new pid namespace that still has the outer one's /proc. `forge` is the command there, and `seeing`
 * calls one with the right /proc. Returns the output.
 */
export function inPidNamespace(lines: string, cwd: string): string {
  const inside = `forge() { "$NODE" "$FORGE_BIN" orchestrate "$@"; }
seeing() { unshare --mount sh -c 'mount -t proc proc /proc && exec "$NODE" "$FORGE_BIN" orchestrate "$@"' sh "$@"; }
${lines}`;
  return shell('exec unshare --pid --fork /bin/sh -c "$INSIDE"', { cwd, env: { INSIDE: inside } }).stdout;
}
