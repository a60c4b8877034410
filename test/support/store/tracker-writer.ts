/** One of several concurrent writers of a tracker file. Its first argument says what to write; it begins on a line of stdin. */

import fs from 'node:fs';
import { createInterface } from 'node:readline';
import { FileTracker } from '../../../src/trackers/file/file-tracker.ts';

interface Orders {
  project: string;
  name: string;
  rounds: number;
  /** Exits after its copy is written and before the rename. */
  dies?: boolean;
}

const { project, name, rounds, dies } = JSON.parse(process.argv[2] ?? '') as Orders;
if (dies === true) fs.renameSync = () => process.kill(process.pid, 'SIGKILL');
let made = 0;
const tracker = new FileTracker({
  project,
  file: 'tracker.yaml',
  now: () => Date.now(),
  newOp: () => `${name}-${process.pid}-${made++}`,
  waitMs: 60_000,
});

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
console.log('ready');
await lines.next();
if (dies === true) await tracker.claim(name, name);
const won = await tracker.claim('shared', name);
for (let round = 0; round < rounds; round++) {
  await tracker.comment('shared', `${name} ${round}`);
  await tracker.setState(name, round % 2 === 0 ? 'in_progress' : 'open');
}
console.log(JSON.stringify({ won }));
process.exit(0);
