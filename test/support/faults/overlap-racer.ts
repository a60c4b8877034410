/**
 * One of many that work through tasks of which some may not be worked on at once. Between the answer to its claim and the
 * end of its attempt it has a folder that only one process can make, for the files that its task writes. Prints the tasks
 * that it has done, and those of which it did not get the folder.
 */

import fs from 'node:fs';
import { createInterface } from 'node:readline';
import { claim } from '../../../src/commands/claim.ts';
import { complete } from '../../../src/commands/complete.ts';
import { dispatch } from '../../../src/commands/dispatch.ts';
import type { CommandContext } from '../../../src/commands/shared/session.ts';
import { status } from '../../../src/commands/status.ts';
import { ForgeError } from '../../../src/lib/errors.ts';
import { systemContext } from '../../../src/process/system-context.ts';

const { dir, run, tasks } = JSON.parse(process.argv[2] ?? '') as { dir: string; run: string; tasks: number };
const call: CommandContext = { ctx: systemContext(), dir, warn: () => {} };

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
console.log(JSON.stringify('ready'));
await lines.next();

const told = { done: [] as string[], collided: [] as string[], waited: 0 };
for (;;) {
  try {
    const { task_id: task, claim_id } = await claim.run(call, { next: true, run });
    const { attempt_id: attempt } = await dispatch.run(call, { task, claim: claim_id, run, phase: 'implement' });
    const held = `${dir}/held-${task.split('-')[0]}`;
    try {
      fs.mkdirSync(held);
      // Another process gets a chance to take a task with these files.
      await status.run(call, {});
      fs.rmdirSync(held);
    } catch {
      told.collided.push(task);
    }
    await complete.run(call, { task, attempt, verdict_file: `${dir}/verdict.json` });
    told.done.push(task);
  } catch (error) {
    if (!(error instanceof ForgeError) || error.code !== 'NOT_READY') throw error;
    told.waited += 1;
    if ((await status.run(call, {})).counts['shipped'] === tasks) break;
  }
}
console.log(JSON.stringify(told));
process.exit(0);
