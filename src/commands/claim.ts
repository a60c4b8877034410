/** `claim`: take a task, for an agent that works by shelling out. */

import * as z from 'zod/mini';
import { newId } from '../domain/context.ts';
import type { PlanTask } from '../domain/plan/plan.ts';
import { rivalsOf } from '../domain/schedule/overlap.ts';
import type { OwnerIdentity } from '../domain/task/identity.ts';
import { type ClaimResult, claimTask } from '../domain/task/operations.ts';
import { settleClaim, softOverlaps } from '../engine/attempt/overlap.ts';
import { stopFormerWorker } from '../engine/attempt/takeover.ts';
import { instantOf, observerOf } from '../engine/env.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { identifyOwner } from '../process/processes.ts';
import { type LoadedPlan, requirePlan } from '../project/plan-file.ts';
import { changeTask } from '../store/change.ts';
import type { TaskSummaryRead } from '../store/port.ts';
import {
  claimFirstAvailable,
  finishVerification,
  oneTaskOrNext,
  refuseUnlessReady,
  requireReady,
} from './shared/claimable.ts';
import { command, flag, option, optionalRunField, optionalTaskField, optionalText, SAMPLE } from './shared/command.ts';
import { countSchema } from './shared/data.ts';
import { plannedTask, readAll, readFor, resumeSettled } from './shared/reads.ts';
import { underRun } from './shared/runs.ts';
import { type CommandContext, openSession, type Session } from './shared/session.ts';

const input = z.object({
  task: optionalTaskField({ unless: '--next' }),
  next: flag('The first task that is ready'),
  run: optionalRunField(),
  claim_id: option(optionalText(), 'id', 'A UUID of your own: a repeat gets the same lease'),
  owner_pid: option(
    z.optional(z.int().check(z.gte(1))),
    'pid',
    'A process that lives as long as the work; its death frees the task',
  ),
});
type Input = z.infer<typeof input>;

export const claim = command({
  changes: true,
  usage: '<task>|--next [options]',
  examples: [
    ['claim build', 'take build'],
    ['claim --next --json', 'take whatever is next, for a script'],
    [`claim build --claim-id ${SAMPLE.claim}`, 'safe to repeat'],
  ],
  input,
  output: () =>
    z.strictObject({
      task_id: z.string(),
      claim_id: z.string(),
      generation: countSchema(),
      run_id: z.string(),
      expires_at: z.string(),
    }),
  run,
});

/** Throws NOT_READY, OVERLAP_CONFLICT, LEASE_EXISTS, LEASE_NOT_EXPIRED, LEASE_STOLEN, TASK_NOT_FOUND, RUN_NOT_FOUND, INVALID_ARGS. */
async function run(context: CommandContext, options: Input): Promise<ClaimResult> {
  const session = await openSession(context);
  const chosen = oneTaskOrNext('claim', options);
  const loaded = await requirePlan(session);
  const owner = options.owner_pid === undefined ? null : requireOwner(options.owner_pid);
  const claimId = options.claim_id === undefined ? newId(session.ctx) : requireUuid(options.claim_id, '--claim-id');
  const { candidates, reads } = await candidatesOf(session, loaded, chosen, claimId);
  const held = candidates.map(({ id }) => reads.get(id)?.record?.lease).find((lease) => lease?.claim_id === claimId);
  return underRun(session, held?.owner_run_id ?? options.run, {}, (runId) =>
    claimFirstAvailable(candidates, chosen === null, (task) =>
      claimOne(session, loaded, task, reads, { claimId, runId, owner }),
    ),
  );
}

/** What to try, in order. Refuses here what is known not to be ready, before a run is opened for nothing. */
async function candidatesOf(session: Session, loaded: LoadedPlan, chosen: string | null, claimId: string) {
  if (chosen === null) {
    const { reads } = await readAll(session);
    await resumeSettled(session, reads);
    const repeat = loaded.plan.tasks.find(({ id }) => reads.get(id)?.record?.lease?.claim_id === claimId);
    return { candidates: repeat === undefined ? requireReady(session, loaded, reads) : [repeat], reads };
  }
  const task = plannedTask(loaded, chosen);
  const reads = await readFor(session, loaded, task);
  await resumeSettled(session, reads);
  const record = reads.get(task.id)?.record ?? null;
  if (record?.lease?.claim_id !== claimId) refuseUnlessReady(session, loaded, task, reads, record);
  return { candidates: [task], reads };
}

function requireOwner(pid: number): OwnerIdentity {
  const owner = identifyOwner(pid);
  if (owner === null) throw new ForgeError('INVALID_ARGS', `--owner-pid ${pid}: there is no such process`);
  return owner;
}

interface Wanted {
  claimId: string;
  runId: string;
  owner: OwnerIdentity | null;
}

async function claimOne(
  session: Session,
  loaded: LoadedPlan,
  task: PlanTask,
  reads: Map<string, TaskSummaryRead>,
  { claimId, runId, owner }: Wanted,
): Promise<ClaimResult> {
  const { agents } = session.settings;
  await finishVerification(session, loaded, task, reads, runId);
  const { result, record } = await changeTask(session, task.id, (current) => {
    if (current.lease?.claim_id !== claimId) refuseUnlessReady(session, loaded, task, reads, current);
    return claimTask(current, {
      claimId,
      runId,
      owner,
      ttlMs: agents.lease_ttl_ms,
      instant: instantOf(session),
      observer: observerOf(session),
      abandonLimit: agents.retry_attempts,
      unchecked: rivalsOf(task, loaded.plan, agents).length > 0,
    });
  });
  if (result === null) throw new ForgeError('NOT_READY', `task ${task.id} was abandoned too often and has failed`);
  await settleClaim(session, loaded.plan, task, record);
  await stopFormerWorker(session, record);
  for (const warning of await softOverlaps(session, loaded.plan, task)) session.warn(warning);
  return result;
}
