/** Spreads schedules over worker threads. */

import { Worker } from 'node:worker_threads';
import { noStats, type Stats } from './oracle.ts';
import type { Failure } from './schedule.ts';
import type { Job, JobResult } from './worker.ts';
import type { Setting } from './world.ts';

export interface PoolRequest {
  /** The bundled worker. */
  file: string;
  setting: Setting;
  seed: number;
  schedules: number;
  threads: number;
  /** Failures after which no more schedules are begun. */
  enough?: number;
  onProgress?: (done: number) => void;
}

export interface PoolResult {
  schedules: number;
  /** In the order of their seeds. */
  failures: Failure[];
  stats: Stats;
  elapsedMs: number;
}

/** Schedules a thread is given at once: small enough that all threads end together. */
const CHUNK = 2_000;

export async function simulate(request: PoolRequest): Promise<PoolResult> {
  const begun = performance.now();
  const { seed, schedules, setting, enough = 1 } = request;
  const total: PoolResult = { schedules: 0, failures: [], stats: noStats(), elapsedMs: 0 };
  let next = seed;
  const nextJob = (): Job | null => {
    const first = next;
    if (first >= seed + schedules || total.failures.length >= enough) return null;
    next = Math.min(first + CHUNK, seed + schedules);
    return { setting, first, end: next, enough };
  };
  const take = (result: JobResult) => {
    total.schedules += result.schedules;
    total.failures.push(...result.failures);
    for (const key of Object.keys(total.stats) as (keyof Stats)[]) total.stats[key] += result.stats[key];
    request.onProgress?.(total.schedules);
  };
  const threads = Math.min(request.threads, Math.ceil(schedules / CHUNK));
  await Promise.all(Array.from({ length: threads }, () => work(request.file, nextJob, take)));
  total.failures.sort((a, b) => a.seed - b.seed);
  total.elapsedMs = performance.now() - begun;
  return total;
}

/** One thread's share: a job at a time until there is none. */
async function work(file: string, nextJob: () => Job | null, take: (result: JobResult) => void): Promise<void> {
  const first = nextJob();
  if (first === null) return;
  // Schedules make much garbage that dies young.
  const worker = new Worker(file, { resourceLimits: { maxYoungGenerationSizeMb: 64 } });
  try {
    await new Promise<void>((resolve, reject) => {
      worker.on('error', reject);
      worker.on('message', (result: JobResult) => {
        take(result);
        const job = nextJob();
        if (job === null) resolve();
        else worker.postMessage(job);
      });
      worker.postMessage(first);
    });
  } finally {
    await worker.terminate();
  }
}

/** A failure as a person needs it: what broke, the calls that led there, and how to see it again. */
export function explain(failure: Failure): string {
  return [
    ...failure.trace,
    '',
    `seed ${failure.seed}: ${failure.message}`,
    `again: npm run simulate -- --seed ${failure.seed} --schedules 1${failure.focus === null ? '' : ` --focus ${failure.focus}`}`,
  ].join('\n');
}
