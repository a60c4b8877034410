/** Notices a worker that does nothing any more: it writes nothing, and none of its processes computes. */

import type { WorkerIdentity } from '../../domain/task/identity.ts';
import { cpuMsOf } from '../../process/cpu.ts';
import { allStartedWith, groupMembers } from '../../process/processes.ts';
import { type AttemptRef, STREAMS } from '../../store/port.ts';
import type { Env } from '../env.ts';

/** How often is looked, as a part of the time that silence may last; and at most, milliseconds. */
const LOOKS = 8;
const MOST_MS = 15_000;

/** What a program that only waits computes all the same, of the time that has passed. */
const IDLE = 0.005;

/** Calls `stalled` once the worker has been silent for `stallMs`, until what this returns is called. */
export function watchForStall(
  env: Env,
  attempt: AttemptRef,
  worker: WorkerIdentity,
  { stallMs, stalled }: { stallMs: number; stalled: () => void },
): () => void {
  const now = () => env.ctx.monotonicMs();
  const look = () => ({ at: now(), written: writtenBy(env, attempt), cpuMs: cpuMsOf(processesOf(worker)) });
  let last = look();
  let activeAt = last.at;
  const timer = setInterval(
    () => {
      const seen = look();
      const computed = seen.cpuMs !== null && Math.abs(seen.cpuMs - (last.cpuMs ?? 0)) > IDLE * (seen.at - last.at);
      if (seen.written !== last.written || computed) activeAt = seen.at;
      last = seen;
      if (seen.at - activeAt < stallMs) return;
      clearInterval(timer);
      stalled();
    },
    Math.min(MOST_MS, Math.ceil(stallMs / LOOKS)),
  ).unref();
  return () => clearInterval(timer);
}

function writtenBy({ artifacts }: Env, attempt: AttemptRef): number {
  return STREAMS.reduce((sum, stream) => sum + artifacts.readLog(attempt, `${stream}.log`, -1).next, 0);
}

/** Its group, and what carries its claim in groups and sessions of its own. */
function processesOf({ pgid, claim_id, started_at }: WorkerIdentity): number[] {
  try {
    const others = allStartedWith({ FORGE_CLAIM_ID: claim_id }, { since: started_at }).found;
    return [...new Set([...groupMembers(pgid), ...others].map(({ pid }) => pid))];
  } catch {
    // Without a process table only what it writes is seen.
    return [];
  }
}
