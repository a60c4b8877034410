/** Notices a worker that does nothing any more: it writes nothing, no file in its worktree changes, and none of its processes computes. */

import { waitingPrompt } from '../../domain/agents/waiting-prompt.ts';
import type { WorkerIdentity } from '../../domain/task/identity.ts';
import { changedSince } from '../../lib/fs/changed-since.ts';
import { cpuMsOf } from '../../process/cpu.ts';
import { allStartedWith, groupMembers } from '../../process/processes.ts';
import { type AttemptRef, STREAMS } from '../../store/port.ts';
import type { Env } from '../env.ts';

/** How often is looked, as a part of the time that silence may last; and at most, milliseconds. */
const LOOKS = 8;
const MOST_MS = 15_000;

/** What a program that only waits computes all the same, of the time that has passed: of OpenCode 1.18 it is 1.3 percent. */
const IDLE = 0.03;

/** A question that stands for so long as the last that it has written gets no answer, milliseconds. */
const PROMPT_MS = 60_000;

/** Tools change these by themselves, or too much at once to look at. */
const NOT_WORK = ['.git', '.forge', 'node_modules'];

/**
 * Calls `stalled` once the worker has been silent for `stallMs`, or for a minute after it has asked something, until what this returns is
 * called. `worktree`: that it has to itself; null: none.
 */
export function watchForStall(
  env: Env,
  attempt: AttemptRef,
  worker: WorkerIdentity,
  { stallMs, worktree, stalled }: { stallMs: number; worktree: string | null; stalled: () => void },
): () => void {
  const now = () => env.ctx.monotonicMs();
  const look = () => ({ at: now(), written: writtenBy(env, attempt), cpuMs: cpuMsOf(processesOf(worker)) });
  let last = look();
  let silentMs = 0;
  let activeMs = env.now();
  const active = (): void => {
    [silentMs, activeMs] = [0, env.now()];
  };
  const everyMs = Math.min(MOST_MS, Math.ceil(stallMs / LOOKS));
  const timer = setInterval(() => {
    const seen = look();
    const passedMs = seen.at - last.at;
    const computed = seen.cpuMs !== null && Math.abs(seen.cpuMs - (last.cpuMs ?? 0)) > IDLE * passedMs;
    // Where this process stood still for longer, as with a container that is paused, so did the worker.
    silentMs += Math.min(passedMs, 2 * everyMs);
    if (seen.written !== last.written || computed) active();
    last = seen;
    if (silentMs < stallMs && (silentMs < PROMPT_MS || !asks(env, attempt))) return;
    if (worktree !== null && changedSince(worktree, { sinceMs: activeMs, nowMs: env.now() }, NOT_WORK)) return active();
    clearInterval(timer);
    stalled();
  }, everyMs).unref();
  return () => clearInterval(timer);
}

function asks({ artifacts }: Env, attempt: AttemptRef): boolean {
  return STREAMS.some((stream) => waitingPrompt(artifacts.readLog(attempt, `${stream}.log`, -1000).text) !== null);
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
