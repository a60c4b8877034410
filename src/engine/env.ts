/** The environment that engine functions get, and what is derived from it. */

import type { Context } from '../domain/context.ts';
import type { Plan, PlanTask } from '../domain/plan/plan.ts';
import type { ProjectPaths } from '../domain/project-paths.ts';
import type { SchedulingContext } from '../domain/schedule/readiness.ts';
import { secretsIn } from '../domain/secrets.ts';
import type { Settings } from '../domain/settings/settings.ts';
import type { Instant } from '../domain/task/deadlines.ts';
import type { OwnerIdentity } from '../domain/task/identity.ts';
import { instantFor, type LeaseObserver } from '../domain/task/leases.ts';
import type { RunManifest, TaskSummary } from '../domain/task/records.ts';
import { ForgeError } from '../lib/errors.ts';
import type { Cache } from '../lib/fs/cache.ts';
import { identifyOwner, tableFault } from '../process/processes.ts';
import type { ChangeEnv } from '../store/change.ts';
import type { AttemptArtifacts, EventLog, TaskSummaryRead } from '../store/port.ts';

export interface Env extends ChangeEnv {
  ctx: Context;
  paths: ProjectPaths;
  settings: Settings;
  artifacts: AttemptArtifacts;
  eventLog: EventLog;
  /** Results that earlier processes have computed. */
  cache: Cache;
  /** To be called before what may take long: while it goes on, the files of the program may be replaced or removed. */
  lasts(): void;
}

export function instantOf({ ctx }: Pick<Env, 'ctx'>): Instant {
  return instantFor({ nowMs: ctx.now(), monoMs: ctx.monotonicMs(), machine: ctx.machine() });
}

export function observerOf({ ctx, settings }: Env): LeaseObserver {
  return {
    nowMs: ctx.now(),
    monoMs: ctx.monotonicMs(),
    // Three files of the system: read where there is a lease.
    get machine() {
      return ctx.machine();
    },
    liveness: ctx.liveness,
    graceMs: settings.agents.steal_grace_ms,
  };
}

/** This process, as the owner of its leases. Throws IO_ERROR. */
export function ownIdentity({ ctx }: Pick<Env, 'ctx'>): OwnerIdentity {
  const owner = identifyOwner(ctx.pid);
  if (owner !== null) return owner;
  throw (
    tableFault() ??
    new ForgeError('IO_ERROR', 'the process table cannot be read, so leases could not be tied to this process')
  );
}

/** Values that are masked wherever they come up: of forge's own environment, and of a task's variables. */
export function secretsOf({ ctx, settings }: Pick<Env, 'ctx' | 'settings'>, task: PlanTask | null = null): string[] {
  if (Object.keys(task?.env ?? {}).length > 0) return secretsIn({ ...ctx.env, ...task?.env }, settings.redact);
  const known = SECRETS.get(ctx.env);
  if (known?.redact === settings.redact) return known.secrets;
  const secrets = secretsIn(ctx.env, settings.redact);
  SECRETS.set(ctx.env, { redact: settings.redact, secrets });
  return secrets;
}

/** Those of this process's own environment, which every attempt asks for several times. */
const SECRETS = new WeakMap<object, { redact: readonly string[]; secrets: string[] }>();

/** Whether forge itself reviews and merges verified tasks. */
export function doesItself({ review, ship }: Settings): SchedulingContext['does'] {
  return { review: review.command !== null || review.worker !== null, ship: ship.policy === 'merge' };
}

/** Whether git decides if work counts, so that its setup is looked at before a worker begins. */
export function looksAtGit({ settings }: Pick<Env, 'settings'>): boolean {
  const { review, ship } = doesItself(settings);
  return settings.workspace === 'worktree' || review || ship;
}

/** A scheduling context over records that are already read. */
export function schedulingContextOf(
  env: Env,
  plan: Plan,
  reads: ReadonlyMap<string, TaskSummaryRead>,
): SchedulingContext {
  return {
    plan,
    observer: observerOf(env),
    does: doesItself(env.settings),
    workers: env.settings.agents,
    reviewer: env.settings.review.worker,
    rules: env.settings.agents,
    limits: env.settings.limits,
    budget: env.settings.budget,
    recordOf: (taskId) => {
      const read = reads.get(taskId);
      if (read === undefined) return null;
      return read.record === null && read.problem !== null ? 'unreadable' : read.record;
    },
  };
}

/** The same context with a newer record of one task. */
export function withRecord(
  scheduling: SchedulingContext,
  taskId: string,
  record: TaskSummary | null,
): SchedulingContext {
  return { ...scheduling, recordOf: (id) => (id === taskId && record !== null ? record : scheduling.recordOf(id)) };
}

/** `open`: it has no end. `dead`: it has no end, but its process is gone. */
export type RunStanding = 'open' | 'ended' | 'dead';

export function runStanding({ ctx }: Pick<Env, 'ctx'>, { ended_at, owner }: RunManifest): RunStanding {
  if (ended_at) return 'ended';
  return owner && ctx.liveness(owner) === 'dead' ? 'dead' : 'open';
}

/** How long a heartbeat renews a lease: as long as it was taken for, milliseconds. */
export function ttlOf({ settings }: Pick<Env, 'settings'>, record: TaskSummary): number {
  return record.lease?.ttl_ms ?? settings.agents.lease_ttl_ms;
}
