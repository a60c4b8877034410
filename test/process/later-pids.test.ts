import { spawnSync } from 'node:child_process';
import { uptime } from 'node:os';
import { describe, expect, test } from 'vitest';
import { type PidCounter, startedAfter } from '../../src/process/later-pids.ts';

/** A counter that says what `lasts` has, one after the other, and has these processes. */
function counterOf(lasts: readonly (number | null)[], there: readonly number[] = [], roundMs = 60_000): PidCounter {
  const left = [...lasts];
  return {
    last: () => (left.length > 1 ? (left.shift() ?? null) : (left[0] ?? null)),
    isThere: (pid) => there.includes(pid),
    roundMs: () => roundMs,
  };
}

/** A `started_at` of so many milliseconds ago. */
const ago = (ms: number) => `ticks:${Math.round(uptime() * 100 - ms / 10)}`;

describe('startedAfter', () => {
  test('startedAfter names the later processes that are still there, and none that was before', () => {
    expect(startedAfter(100, ago(0), counterOf([110], [90, 100, 104, 110, 111]))).toEqual([104, 110]);
  });

  test('startedAfter asks again when a process was started while it asked', () => {
    expect(startedAfter(100, ago(0), counterOf([101, 102, 102], [102]))).toEqual([102]);
  });

  test.each([
    ['processes are started all the time', ago(0), counterOf([101, 102, 103, 104, 105, 106, 107])],
    ['the last number is below, since the numbers have come round', ago(0), counterOf([90])],
    ['the numbers may have come round and be above again', ago(5000), counterOf([101], [], 2000)],
    ['so many numbers were given out that a look at all processes is no dearer', ago(0), counterOf([100_000])],
    ['the kernel does not tell the last number', ago(0), counterOf([null])],
    ['the start is in a form of another system', 'lstart:Mon Nov 3 09:34:10 2025', counterOf([101])],
  ])('startedAfter can not tell where %s', (_, startedAt, counter) => {
    expect(startedAfter(100, startedAt, counter)).toBeNull();
  });

  test.runIf(process.platform === 'linux')('startedAfter skips a process that has ended', () => {
    const { pid } = spawnSync('/bin/true');
    const now = `ticks:${Math.floor(uptime() * 100)}`;
    expect(startedAfter(pid - 1, now) ?? []).not.toContain(pid);
  });
});
