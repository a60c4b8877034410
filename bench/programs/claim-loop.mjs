/**
 * One of several processes that claim, dispatch and complete the tasks of a project, all down the same list from the same
 * end, so that they meet as often as they can.
 *
 * usage: node claim-loop.mjs PROJECT COUNT. Says `ready`, starts when it reads a line, prints the ids that it completed,
 * one JSON array, and ends.
 */

import { openSession } from '../../src/commands/shared/session.ts';
import { newId } from '../../src/domain/context.ts';
import { coercePolicy } from '../../src/domain/retry/retry.ts';
import { TASK_RETRY_DEFAULT } from '../../src/domain/retry/schema.ts';
import { completeTask } from '../../src/domain/task/complete-attempt.ts';
import { claimTask, dispatchTask } from '../../src/domain/task/operations.ts';
import { instantOf, observerOf } from '../../src/engine/env.ts';
import { ForgeError } from '../../src/lib/errors.ts';
import { identifyOwner } from '../../src/process/processes.ts';
import { systemContext } from '../../src/process/system-context.ts';
import { changeTask } from '../../src/store/change.ts';
import { taskId } from '../lib/plans.mjs';

const [project, count] = process.argv.slice(2);
const session = await openSession({ ctx: systemContext(), dir: project, warn: (message) => console.error(message) });
const owner = identifyOwner(process.pid);
const runId = newId(session.ctx);
const policy = coercePolicy(undefined, TASK_RETRY_DEFAULT);
const route = { reviewed: true, shipped: true };
const ttlMs = 60_000;
const mine = [];

process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
process.stdin.destroy();
for (let index = 0; index < Number(count); index++) {
  const claimId = await claimed(taskId(index));
  if (claimId === null) continue;
  await worked(taskId(index), claimId);
  mine.push(taskId(index));
}
process.stdout.write(`${JSON.stringify(mine)}\n`);

/** The claim; null when somebody else has the task, or has done it. */
async function claimed(id) {
  const { record } = await session.store.read(id);
  if (record !== null && record.state.state !== 'unclaimed') return null;
  const claimId = newId(session.ctx);
  try {
    await changeTask(session, id, (current) =>
      claimTask(current, {
        claimId,
        runId,
        owner,
        ttlMs,
        instant: instantOf(session),
        observer: observerOf(session),
        abandonLimit: 10,
      }),
    );
    return claimId;
  } catch (error) {
    if (error instanceof ForgeError && ['LEASE_EXISTS', 'ILLEGAL_TRANSITION'].includes(error.code)) return null;
    throw error;
  }
}

async function worked(id, claimId) {
  const attemptId = newId(session.ctx);
  await changeTask(session, id, (record) =>
    dispatchTask(record, { claimId, runId, attemptId, worker: null, ttlMs, instant: instantOf(session) }),
  );
  const outcome = {
    kind: 'verdict',
    verdict: { version: 1, verdict: 'ready_for_review', summary: '' },
    written: false,
  };
  await changeTask(session, id, (record) =>
    completeTask(record, {
      attemptId,
      outcome,
      policy,
      route,
      workerGone: true,
      instant: session.instant(),
      random: Math.random,
    }),
  );
}
