/** `phases`: the plan and what can start now. `why`: one task's answer. */

import type { PlanPhase, Priority } from '../domain/plan/plan.ts';
import {
  isPhaseOver,
  type Outlook,
  outlook,
  overlapWarnings,
  queueFor,
  type Reason,
  reasonsToWait,
  type World,
} from '../domain/schedule/readiness.ts';
import type { PhaseOfWork } from '../domain/task/records.ts';
import { recordWarnings, type Warning, warningOf } from '../domain/warnings.ts';
import { worldOf } from '../engine/env.ts';
import { ForgeError } from '../lib/errors.ts';
import { closest } from '../lib/text.ts';
import type { LoadedPlan } from '../project/plan-file.ts';
import { requirePlan } from '../project/plan-file.ts';
import { divergences } from './shared/divergences.ts';
import { foresee, plannedTask, readAll, readFor } from './shared/reads.ts';
import { type Call, openSession } from './shared/session.ts';

export interface PhasesOptions {
  /** What can start now, and why the rest can't. */
  ready?: boolean | undefined;
  /** The work to look for: implement (default), review, ship. */
  phase?: PhaseOfWork | undefined;
  /** Only phases that wait for this phase, or with `ready` tasks that wait for this task or phase. */
  blockedBy?: string | undefined;
  /** At most this many ready tasks. */
  limit?: number | undefined;
}

export interface PhaseRow {
  phase_id: string;
  name: string;
  status: PlanPhase['status'];
  blocked_by: string | null;
  finished: boolean;
  tasks: number;
  shipped: number;
}

export interface ReadyData {
  ready: { task_id: string; phase_id: string; title: string; priority: Priority }[];
  waiting: { task_id: string; code: string; reason: string }[];
  human: { task_id: string; title: string }[];
  warnings: Warning[];
}

export type PhasesData = { phases: PhaseRow[]; warnings: Warning[] } | ReadyData;

/** Throws PHASES_NOT_FOUND, PHASES_PARSE_ERROR, INVALID_ARGS. */
export async function phases(call: Call, options: PhasesOptions): Promise<PhasesData> {
  const session = openSession(call);
  const loaded = requirePlan(session);
  const all = await readAll(session);
  const { reads } = all;
  const world = worldOf(session, loaded.plan, await foresee(session, reads));
  if (options.blockedBy !== undefined) requireName(loaded, options.blockedBy);
  const warnings = [...loaded.warnings.map((text) => warningOf(text)), ...[...reads.values()].flatMap(recordWarnings)];
  if (options.ready !== true) return { phases: phaseRows(world, options.blockedBy), warnings };
  warnings.push(...(await divergences(session, loaded.plan, all)));
  const view =
    options.phase === 'review' || options.phase === 'ship'
      ? viewOf({ ...queueFor(options.phase, world), human: [] }, [])
      : readyNow(world);
  const by = options.blockedBy;
  warnings.push(...view.warnings.map((text) => warningOf(text)));
  return {
    ready: by === undefined ? view.ready.slice(0, options.limit) : [],
    waiting: view.waiting.filter(({ reasons }) => by === undefined || reasons.some(({ on }) => on === by)).map(first),
    human: by === undefined ? view.human : [],
    warnings,
  };
}

function requireName({ plan, file }: LoadedPlan, name: string): void {
  if (plan.byId.has(name) || plan.phaseById.has(name)) return;
  const near = closest(name, [...plan.byId.keys(), ...plan.phaseById.keys()]);
  throw new ForgeError('INVALID_ARGS', `--blocked-by ${name}: there is no such task or phase in ${file}`, {
    ...(near === null ? {} : { hint: `Did you mean ${near}?` }),
  });
}

function phaseRows(world: World, blockedBy: string | undefined): PhaseRow[] {
  const wanted = world.plan.phases.filter((phase) => blockedBy === undefined || phase.blocked_by === blockedBy);
  return wanted.map((phase) => {
    const shipped = phase.task_ids.filter((id) => {
      const record = world.recordOf(id);
      return record !== null && record !== 'unreadable' && record.state.state === 'shipped';
    }).length;
    const { id: phase_id, name, status, blocked_by } = phase;
    return {
      phase_id,
      name,
      status,
      blocked_by,
      finished: isPhaseOver(phase, world),
      tasks: phase.task_ids.length,
      shipped,
    };
  });
}

interface View {
  ready: ReadyData['ready'];
  waiting: { task_id: string; reasons: Reason[] }[];
  human: ReadyData['human'];
  warnings: string[];
}

function readyNow(world: World): View {
  const view = outlook(world);
  return viewOf(view, overlapWarnings(view.ready, world));
}

function viewOf({ ready, waiting, human }: Pick<Outlook, 'ready' | 'waiting' | 'human'>, warnings: string[]): View {
  return {
    ready: ready.map(({ id, phase_id, title, priority }) => ({ task_id: id, phase_id, title, priority })),
    waiting: waiting.map(({ task, reasons }) => ({ task_id: task.id, reasons })),
    human: human.map(({ id, title }) => ({ task_id: id, title })),
    warnings,
  };
}

function first({ task_id, reasons }: { task_id: string; reasons: Reason[] }): ReadyData['waiting'][number] {
  return { task_id, code: reasons[0]?.code ?? '', reason: reasons.map(({ message }) => message).join('; ') };
}

export interface WhyData {
  task_id: string;
  ready: boolean;
  reasons: { code: string; message: string }[];
}

/** Every reason why a task can't start now; none when it can. Throws TASK_NOT_FOUND. */
export async function why(call: Call, options: { task: string }): Promise<WhyData> {
  const session = openSession(call);
  const loaded = requirePlan(session);
  const task = plannedTask(loaded, options.task);
  const reads = await foresee(session, await readFor(session, loaded, task));
  const reasons = reasonsToWait(task, worldOf(session, loaded.plan, reads));
  return {
    task_id: task.id,
    ready: reasons.length === 0,
    reasons: reasons.map(({ code, message }) => ({ code, message })),
  };
}
