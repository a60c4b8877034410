/** `status --watch`: the live state of a project until it is stopped. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { LiveModel } from '../domain/run/live-model.ts';
import { schedulingContextOf } from '../engine/env.ts';
import { liveDetails } from '../engine/run/live-details.ts';
import { PlanSource } from '../engine/run/plan-source.ts';
import { RecordCache } from '../engine/run/record-cache.ts';
import { requirePlan } from '../project/plan-file.ts';
import { isOfRun, requireRun } from './shared/runs.ts';
import { type CommandContext, openSession } from './shared/session.ts';

/** How often the tree is looked at, milliseconds; and at least, in times of what the last look took. */
const POLL_MS = 500;
const POLL_TIMES = 10;

/**
 * Hands `show` a function that says how things stand whenever it is asked, and keeps what it knows fresh until the signal.
 * Throws PHASES_*, SETTINGS_INVALID, INVALID_ID, RUN_NOT_FOUND, IO_ERROR.
 */
export async function watch(
  context: CommandContext,
  options: { run?: string | undefined; children?: boolean | undefined },
  show: (look: () => LiveModel) => void,
): Promise<void> {
  const { signal } = context;
  const session = await openSession(context);
  const plans = new PlanSource(session, await requirePlan(session));
  const run = options.run === undefined ? null : (await requireRun(session, options.run)).run_id;
  const seen = new RecordCache(session.store);
  const modelOf = liveDetails(session);
  const selected = () =>
    run === null
      ? null
      : new Set([...seen.reads.values()].flatMap((read) => (isOfRun(read, run) ? [read.task_id] : [])));
  const look = () =>
    modelOf({
      scheduling: schedulingContextOf(session, plans.current.plan, seen.reads),
      selected: selected(),
      own: new Map(),
      unfolded: options.children === true,
    });
  for (let shown = false; signal?.aborted !== true; shown = true) {
    const began = session.ctx.monotonicMs();
    await plans.refresh(seen.reads.values());
    await seen.refresh(plans.current.plan.tasks);
    if (!shown) show(look);
    const pauseMs = Math.max(POLL_MS, POLL_TIMES * (session.ctx.monotonicMs() - began));
    // Rejects when it is aborted.
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}
