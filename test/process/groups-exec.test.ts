/** A group member that is inspected during its exec. */

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { expect, onTestFinished, test, vi } from 'vitest';
import { spawnGated } from '../../src/process/gated-worker.ts';
import { stopWorker } from '../../src/process/groups.ts';
import { thisMachine } from '../../src/process/machine.ts';
import { groupMembers } from '../../src/process/processes.ts';
import { killGroup } from '../support/processes.ts';

/** Shows the environment of each process as empty once, as the kernel does during its exec. */
function showEmptyOnce(): { looks(): number } {
  const open = fs.openSync;
  const seen: string[] = [];
  vi.spyOn(fs, 'openSync').mockImplementation((file, ...rest) => {
    const isEnvironment = /^\/proc\/\d+\/environ$/.test(String(file));
    const isFirst = isEnvironment && !seen.includes(String(file));
    if (isEnvironment) seen.push(String(file));
    return open(isFirst ? '/dev/null' : file, ...rest);
  });
  syncBuiltinESMExports();
  onTestFinished(() => {
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  });
  return { looks: () => seen.length };
}

test.runIf(process.platform === 'linux')(
  'stopWorker checks again a process whose environment is empty during exec, and stops its group',
  async () => {
    const env = { PATH: process.env['PATH'], FORGE_CLAIM_ID: 'c' };
    const stdio = { stdin: 'empty', stdout: 'inherit', stderr: 'inherit' } as const;
    const worker = spawnGated({ shell: 'sleep 1000 &', cwd: '/', env, stdio });
    worker.open();
    await worker.exited;
    if (worker.identity === null) throw new Error('nothing was started');
    const { pgid } = worker.identity;
    const environment = showEmptyOnce();
    try {
      const identity = { ...thisMachine(), ...worker.identity, claim_id: 'c', attempt_id: 'a' };
      expect(await stopWorker(identity, { graceMs: 1000 })).toBe('stopped');
      expect(environment.looks()).toBeGreaterThan(1);
      expect(groupMembers(pgid)).toEqual([]);
    } finally {
      killGroup(pgid);
    }
  },
);
