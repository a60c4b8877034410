/** `run` and `exec`, killed in place of each system call that their first thread makes on the tree. The next run continues. */

import { describe, expect, onTestFinished, test } from 'vitest';
import { commandLine } from '../support/faults/forge.ts';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { Play, type PlayTask } from '../support/faults/play.ts';
import { dropProject } from '../support/faults/project.ts';
import { aroundCommits, cleanRun, faultyRun, isSteady, noStrace } from '../support/faults/strace.ts';

/** Points of one command in the sample. */
const SAMPLE = 6;

const missing = noStrace();
const title =
  missing === null ? 'SIGKILL in the place of a system call' : `SIGKILL at system calls (skipped: ${missing})`;

const CASES: { name: string; tasks: PlayTask[]; args(worker: string): string[] }[] = [
  { name: 'a run', tasks: [{ id: 'a' }], args: () => ['run'] },
  { name: 'a run whose worker fails first', tasks: [{ id: 'a', kind: 'flaky' }], args: () => ['run'] },
  { name: 'an exec', tasks: [{ id: 'a' }], args: (worker) => ['exec', 'a', '--', 'sh', worker] },
];

describe.skipIf(missing !== null)(title, () => {
  test.each(CASES)(
    '$name survives SIGKILL in place of any system call',
    { timeout: LONG ? 1_200_000 : 120_000 },
    async ({ tasks, args }) => {
      const plays = new Map<string, Play>();
      const fresh = (): string => {
        const play = new Play(tasks, { retry_attempts: 1000, retry_backoff_ms_max: 20, kill_grace_ms: 200 });
        plays.set(play.dir, play);
        return play.dir;
      };
      onTestFinished(() => {
        for (const play of plays.values()) play.cleanUp();
      });
      const command = (dir: string) => ['env', ...Play.environment(dir), ...commandLine(dir, args(Play.worker))];
      const clean = fresh();
      const { calls } = await cleanRun(command(clean), clean);
      plays.get(clean)?.expectAllDone();
      const steady = calls.filter(isSteady);
      expect(steady.length).toBeGreaterThan(10);
      await pooled(sampled(steady, SAMPLE, aroundCommits(steady).slice(-2)), async (point) => {
        const { dir } = await faultyRun(fresh, command, point, 'kill');
        const play = plays.get(dir);
        if (play === undefined) throw new Error(`there is no play in ${dir}`);
        const next = play.forge('run');
        const where = `after SIGKILL at ${point.name} ${point.count} (${point.shape})`;
        expect(await next.ended, `${where}\n${next.stderr}`).toEqual({ code: 0, signal: null });
        play.expectAllDone();
        expect(play.leftovers() ?? [], where).toEqual([]);
        dropProject(dir);
      });
    },
  );
});
