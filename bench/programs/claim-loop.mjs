/**
 * One of several processes that claim, dispatch and complete the tasks of a project, all in the order of work, from the first
 * task on.
 *
 * usage: node claim-loop.mjs PROJECT. Says `ready`, starts when it reads a line, prints the ids that it completed, one JSON
 * array, and ends.
 */

import { readAll } from '../../src/commands/shared/reads.ts';
import { openSession } from '../../src/commands/shared/session.ts';
import { newId } from '../../src/domain/context.ts';
import { coercePolicy } from '../../src/domain/retry/retry.ts';
import { TASK_RETRY_DEFAULT } from '../../src/domain/retry/schema.ts';
import { inOrder, jumpAhead, notBegun } from '../../src/domain/schedule/run-order.ts';
import { completeTask } from '../../src/domain/task/complete-attempt.ts';
import { claimTask, dispatchTask } from '../../src/domain/task/operations.ts';
import { instantOf, observerOf, schedulingContextOf } from '../../src/engine/env.ts';
import { ForgeError } from '../../src/lib/errors.ts';
import { identifyOwner } from '../../src/process/processes.ts';
import { systemContext } from '../../src/process/system-context.ts';
import { requirePlan } from '../../src/project/plan-file.ts';
import { changeTask } from '../../src/store/change.ts';

const [project] = process.argv.slice(2);
const session = await openSession({ ctx: systemContext(), dir: project, warn: (message) => console.error(message) });
const owner = identifyOwner(process.pid);
const runId = newId(session.ctx);
const policy = coercePolicy(undefined, TASK_RETRY_DEFAULT);
const route = { reviewed: true, shipped: true };
const ttlMs = 60_000;
const { plan } = await requirePlan(session);
const mine = [];

process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
process.stdin.destroy();
const { reads } = await readAll(session);
const scheduling = schedulingContextOf(session, plan, reads);
let left = inOrder(scheduling);
while (left.length > 0) {
  const [{ id }] = left;
  left = left.slice(1);
  const claimId = await claimed(id);
  if (claimId === null) {
    left = jumpAhead(notBegun(left, reads, await session.store.list()), scheduling, session.ctx.random);
    continue;
  }
  await worked(id, claimId);
  mine.push(id);
}
process.stdout.write(`${JSON.stringify(mine)}\n`);

/** The claim; null when another process has the task, or has done it. */
async function claimed(id) {
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
