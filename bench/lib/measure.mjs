/**
 * Taking times so that a busy or slow machine does not decide the result: two things are timed in turns, and what counts
 * is the median of the ratios of neighbours.
 */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';

/** The middle of `values`; the mean of the two middle ones when their number is even. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** What `work` takes, milliseconds. */
export async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/**
 * CPU time that a process has taken, and that all have that it has waited for, with those that they have: milliseconds, which the kernel
 * counts in steps of 10. Linux alone. Source: proc_pid_stat(5), utime, stime, cutime and cstime.
 */
export function cpuOf(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
  const [user, system, ofUser, ofSystem] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11)
    .map(Number);
  return { own: (user + system) * 10, children: (ofUser + ofSystem) * 10 };
}

/**
 * Times `ours` and `base` in turns. Each is given the number of its round and may return its own time in milliseconds,
 * else the call is timed. Round 0 warms up and does not count. Every other round swaps the order, so that neither always
 * pays for what the other left behind. `cpu`: what their processes took, for a call of each.
 */
export async function inTurns(ours, base, rounds) {
  const times = { ours: [], base: [] };
  const cpu = { ours: 0, base: 0 };
  const take = async (name, work, round) => {
    let own;
    const before = cpuOf('self').children;
    const outer = await timed(async () => {
      own = await work(round);
    });
    if (round === 0) return;
    times[name].push(typeof own === 'number' ? own : outer);
    cpu[name] += (cpuOf('self').children - before) / rounds;
  };
  for (let round = 0; round <= rounds; round++) {
    const order = [
      ['ours', ours],
      ['base', base],
    ];
    if (round % 2 === 1) order.reverse();
    for (const [name, work] of order) await take(name, work, round);
  }
  const ratios = times.ours.map((time, index) => time / times.base[index]);
  return { ours: median(times.ours), base: median(times.base), ratio: median(ratios), times, ratios, cpu };
}

/** Runs a command to its end, unseen. Throws, with what it printed on stderr, when it does not exit with 0. */
export function execute(command, args, options = {}) {
  const done = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options });
  if (done.error !== undefined) throw done.error;
  if (done.status === 0) return done;
  throw new Error(`${command} ${args.join(' ')} ended with ${done.status ?? done.signal}: ${done.stderr}`);
}
