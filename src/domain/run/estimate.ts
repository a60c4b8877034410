/** About how long the rest of a run takes, by how long attempts took before. Pure. */

import { madeIn } from '../../lib/once.ts';
import { fanOutOf } from '../fan-out/counts.ts';
import type { PlanTask } from '../plan/plan.ts';
import { hasWork, reasonsToWait, surveyOf, type WaitCode } from '../schedule/readiness.ts';
import type { Standing } from './live-model.ts';

/** A task that is still to be done. */
export interface Work {
  id: string;
  /** What it waits for; where that is not among the work, it is never begun. */
  after: readonly string[];
  /** How long it takes from now on, milliseconds. */
  ms: number;
  /** It has a slot. */
  isRunning: boolean;
  /** It is the end of a phase, which needs no slot: so what waits for a phase need not name all of its tasks. */
  isEnd?: true;
}

/** When all of `work` is done, on so many slots, each task begun as soon as it may be, in the order that is given; milliseconds. */
export function doneAfterMs(work: readonly Work[], slots: number): number {
  const left = new Map(work.map(({ id, after }) => [id, new Set(after)]));
  const behind = new Map<string, string[]>();
  for (const { id, after } of work)
    for (const before of after) if (left.has(before)) madeIn(behind, before, () => []).push(id);
  const byId = new Map(work.map((each) => [each.id, each]));
  const running = new Map<string, number>(work.flatMap(({ id, ms, isRunning }) => (isRunning ? [[id, ms]] : [])));
  const ready = work.filter(({ id, isRunning }) => !isRunning && left.get(id)?.size === 0).map(({ id }) => id);
  let now = 0;
  for (;;) {
    while (ready.length > 0 && running.size < Math.max(1, slots)) {
      const id = ready.shift() ?? '';
      running.set(id, now + (byId.get(id)?.ms ?? 0));
    }
    // What waits for itself, or for what is not to be done, is never begun.
    if (running.size === 0) return now;
    now = Math.max(now, Math.min(...running.values()));
    for (const [id, end] of [...running]) {
      if (end > now) continue;
      running.delete(id);
      const over = [id];
      for (const before of over) {
        for (const next of behind.get(before) ?? []) {
          const waits = left.get(next);
          waits?.delete(before);
          if (waits?.size === 0 && !running.has(next)) (byId.get(next)?.isEnd ? over : ready).push(next);
        }
      }
    }
  }
}

/** Reasons that time or the run itself removes. */
const PASSING: readonly WaitCode[] = [
  'DEPENDENCY_PENDING',
  'PHASE_BLOCKED',
  'BACKOFF',
  'AGENT_LIMIT',
  'OVERLAP_CONFLICT',
  'LEASE_IN_GRACE',
  'TASK_IN_FLIGHT',
];

/**
 * About how long the run takes from now on, milliseconds; null where nothing says how long a task takes. A task takes as long as its attempts
 * took, else as those of its siblings in a fan-out, else as those of others, in the middle. What waits for a person is left out. `known`: how long
 * attempts took, by task, milliseconds.
 */
export function leftMs(
  { scheduling, selected, own }: Standing,
  slots: number,
  known: ReadonlyMap<string, number>,
): number | null {
  const took = durationsOf(scheduling.plan.tasks, known);
  const survey = surveyOf(scheduling);
  const work: Work[] = [];
  const over = new Set<string>();
  const phases = new Set<string>();
  let isKnown = true;
  for (const task of scheduling.plan.tasks) {
    const running = own.get(task.id);
    const reasons = running === undefined ? reasonsToWait(task, scheduling, survey) : [];
    if (reasons[0]?.code === 'TASK_FINISHED' || reasons[0]?.code === 'TASK_SKIPPED') over.add(task.id);
    if (selected?.has(task.id) === false) continue;
    if (running === undefined && !hasWork(task, scheduling)) continue;
    if (!reasons.every(({ code }) => PASSING.includes(code))) continue;
    const ms = took(task.id);
    isKnown &&= ms !== null;
    const isRunning = running !== undefined || reasons.some(({ code }) => code === 'TASK_IN_FLIGHT');
    const after = reasons.flatMap(({ code, on }) => {
      if (on === null || code === 'TASK_IN_FLIGHT') return [];
      if (code !== 'PHASE_BLOCKED') return [on];
      phases.add(on);
      return [endOf(on)];
    });
    work.push({ id: task.id, after, ms: Math.max(0, (ms ?? 0) - (running?.age_ms ?? 0)), isRunning });
  }
  for (const phase of phases) {
    const after = scheduling.plan.phaseById.get(phase)?.task_ids.filter((id) => !over.has(id)) ?? [];
    if (after.length === 0) over.add(endOf(phase));
    else work.push({ id: endOf(phase), after, ms: 0, isRunning: false, isEnd: true });
  }
  const waiting = work.map((each) => ({ ...each, after: each.after.filter((id) => !over.has(id)) }));
  return isKnown ? doneAfterMs(waiting, slots) : null;
}

/** The end of a phase among the work. No task has such an id. */
function endOf(phase: string): string {
  return `/${phase}`;
}

/** How long a task takes; null where nothing tells. `known`: of those of which an attempt has ended. */
function durationsOf(
  tasks: readonly PlanTask[],
  known: ReadonlyMap<string, number>,
): (taskId: string) => number | null {
  const siblings = new Map<string, number[]>();
  for (const { id } of tasks) {
    const [fanOut, ms] = [fanOutOf(id), known.get(id)];
    if (fanOut !== null && ms !== undefined) madeIn(siblings, fanOut, () => []).push(ms);
  }
  const ofSiblings = new Map([...siblings].map(([fanOut, each]) => [fanOut, medianOf(each)]));
  const middle = medianOf([...known.values()]);
  return (id) => known.get(id) ?? ofSiblings.get(fanOutOf(id) ?? '') ?? middle;
}

function medianOf(values: readonly number[]): number | null {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? null;
}
