/** Stops the given group and prints the result. With `self` it passes its own identity, like a worker that takes over its own task. */

import type { WorkerIdentity } from '../../../src/domain/task/identity.ts';
import { stopWorker } from '../../../src/process/groups.ts';
import { thisMachine } from '../../../src/process/machine.ts';
import { processStart } from '../../../src/process/processes.ts';

const input: { worker?: WorkerIdentity; self?: true; graceMs: number } = JSON.parse(process.argv[2] ?? '');
const own = {
  pid: process.pid,
  pgid: process.pid,
  started_at: processStart(process.pid) ?? '',
  claim_id: 'own',
  attempt_id: 'own',
};
const result = await stopWorker(input.worker ?? { ...thisMachine(), ...own }, { graceMs: input.graceMs });
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
