/** How long one attempt of a worker may last, and be silent. */

import type { PlanTask } from '../plan/plan.ts';
import { type AgentSettings, STALL_MS } from './settings.ts';

/** Milliseconds; null: no limit. */
export interface WorkerLimits {
  timeoutMs: number | null;
  stallMs: number | null;
}

/** `agent`: it is a coding agent whose output forge understands. `alone`: no person is there who could see that it is silent. */
export function workerLimits(
  { timeout_ms }: Pick<PlanTask, 'timeout_ms'>,
  { timeout, stall_timeout }: Pick<AgentSettings, 'timeout' | 'stall_timeout'>,
  { agent, alone }: { agent: boolean; alone: boolean },
): WorkerLimits {
  const stallMs = stall_timeout ?? (agent ? STALL_MS : null);
  return { timeoutMs: timeout_ms ?? timeout, stallMs: alone ? stallMs : null };
}
