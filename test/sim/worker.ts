/** Plays schedules in a worker thread, a range of seeds at a time. */

import { parentPort } from 'node:worker_threads';
import { noStats, type Stats } from './oracle.ts';
import { type Failure, runSchedule } from './schedule.ts';
import type { Setting } from './world.ts';

/** Seeds `first` up to, not including, `end`. */
export interface Job {
  setting: Setting;
  first: number;
  end: number;
  /** Failures after which the rest is left. */
  enough: number;
}

export interface JobResult {
  first: number;
  schedules: number;
  failures: Failure[];
  stats: Stats;
}

function runJob({ setting, first, end, enough }: Job): JobResult {
  const stats = noStats();
  const failures: Failure[] = [];
  let seed = first;
  for (; seed < end && failures.length < enough; seed++) {
    const failure = runSchedule(seed, setting, stats);
    if (failure !== null) failures.push(failure);
  }
  return { first, schedules: seed - first, failures, stats };
}

// A refusal is part of the game; its stack trace would cost more than the decision.
Error.stackTraceLimit = 0;
parentPort?.on('message', (job: Job) => parentPort?.postMessage(runJob(job)));
