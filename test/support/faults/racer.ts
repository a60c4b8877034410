/** One of many that claim whatever is next until nothing is. Its first argument is the project; prints what it got. */

import { createInterface } from 'node:readline';
import { claim } from '../../../src/commands/claim.ts';
import type { CommandContext } from '../../../src/commands/shared/session.ts';
import { ForgeError } from '../../../src/lib/errors.ts';
import { systemContext } from '../../../src/process/system-context.ts';

const { dir, run } = JSON.parse(process.argv[2] ?? '') as { dir: string; run: string };
const call: CommandContext = { ctx: systemContext(), dir, warn: () => {} };

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
console.log(JSON.stringify('ready'));
await lines.next();

const won: { task_id: string; claim_id: string; generation: number }[] = [];
for (;;) {
  try {
    const { task_id, claim_id, generation } = await claim.run(call, { next: true, run });
    won.push({ task_id, claim_id, generation });
  } catch (error) {
    if (!(error instanceof ForgeError) || error.code !== 'NOT_READY') throw error;
    break;
  }
}
console.log(JSON.stringify(won));
process.exit(0);
