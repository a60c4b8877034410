/** `claim`: take a task, for an agent that works by shelling out. */

import * as z from 'zod/mini';
import { newId } from '../domain/context.ts';
import { definitionOf } from '../domain/plan/definition.ts';
import type { OwnerIdentity } from '../domain/task/identity.ts';
import { ClaimResultSchema, claimTask } from '../domain/task/operations.ts';
import { rivalsFor, settleClaim } from '../engine/attempt/overlap.ts';
import { stopFormerWorker } from '../engine/attempt/takeover.ts';
import { instantOf, observerOf } from '../engine/env.ts';
import { invalidArgs } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { identifyOwner, tableFault } from '../process/processes.ts';
import { changeTask } from '../store/change.ts';
import { takeTask } from './shared/claimable.ts';
import { command, flag, optional, optionalRunField, optionalTaskField, SAMPLE } from './shared/command.ts';
import { openSession } from './shared/session.ts';

export const claim = command({
  changes: true,
  usage: '<task>|--next [options]',
  examples: [
    ['claim build', 'take build'],
    ['claim --next --json', 'take whatever is next, for a script'],
    [`claim build --claim-id ${SAMPLE.claim}`, 'safe to repeat'],
  ],
  input: z.object({
    task: optionalTaskField({ unless: 'next' }),
    next: flag('The first task that is ready'),
    run: optionalRunField(),
    claim_id: optional.text('id', 'A UUID of your own: a repeat gets the same lease'),
    owner_pid: optional.integer('pid', [1], 'A process that lives as long as the work; its death frees the task'),
  }),
  output: ClaimResultSchema,
  /** Throws NOT_READY, OVERLAP_CONFLICT, RESOURCE_LIMIT, LEASE_EXISTS, LEASE_NOT_EXPIRED, LEASE_STOLEN, TASK_NOT_FOUND, RUN_NOT_FOUND, INVALID_ARGS. */
  async run(context, options) {
    const session = await openSession(context);
    const { agents } = session.settings;
    const owner = options.owner_pid === undefined ? null : requireOwner(options.owner_pid);
    const claimId = options.claim_id === undefined ? newId(session.ctx) : requireUuid(options.claim_id, '--claim-id');
    return takeTask(session, 'claim', { ...options, claimId }, {}, async ({ task, plan, runId, refuse }) => {
      const { result, record } = await changeTask(session, task.id, (current) => {
        refuse(current);
        return claimTask(current, {
          claimId,
          runId,
          owner,
          ttlMs: agents.lease_ttl_ms,
          instant: instantOf(session),
          observer: observerOf(session),
          abandonLimit: agents.retry_attempts,
          unchecked: rivalsFor(session, plan, task).length > 0,
          definition: definitionOf(task),
        });
      });
      if (result === null) return null;
      await settleClaim(session, plan, task, record);
      await stopFormerWorker(session, record);
      return result;
    });
  },
});

function requireOwner(pid: number): OwnerIdentity {
  const owner = identifyOwner(pid);
  if (owner === null) throw tableFault() ?? invalidArgs(`--owner-pid ${pid}: there is no such process`);
  return owner;
}
