/** A group member that is inspected during its exec. */

import { expect, test, vi } from 'vitest';
import { spawnGated } from '../../src/process/gated-worker.ts';
import { stopWorker } from '../../src/process/groups.ts';
import { thisMachine } from '../../src/process/machine.ts';
import { groupMembers } from '../../src/process/processes.ts';
import { killGroup } from '../support/processes.ts';

const looks = vi.hoisted(() => ({ count: 0 }));

vi.mock('../../src/process/processes.ts', async (original) => {
  const real = await original<typeof import('../../src/process/processes.ts')>();
  // The kernel shows the environment of such a process as empty.
  return {
    ...real,
    startedWith: (...args: Parameters<typeof real.startedWith>) => looks.count++ > 0 && real.startedWith(...args),
  };
});

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
    try {
      const identity = { ...thisMachine(), ...worker.identity, claim_id: 'c', attempt_id: 'a' };
      expect(await stopWorker(identity, { graceMs: 1000 })).toBe('stopped');
      expect(looks.count).toBeGreaterThan(1);
      expect(groupMembers(pgid)).toEqual([]);
    } finally {
      killGroup(pgid);
    }
  },
);
