/** `run` and `exec` under faults: the tasks that each works on, and fresh projects of them. */

import { expect, onTestFinished } from 'vitest';
import type { VerbName } from '../../../src/commands/registry.ts';
import { commandLine } from './forge.ts';
import { Play, type PlayTask } from './play.ts';
import { cleanRun, isSteady, type TracedCall } from './strace.ts';

export interface RunScenario {
  name: string;
  verb: VerbName;
  tasks: PlayTask[];
  args: readonly string[];
}

export const RUN_SCENARIOS: readonly RunScenario[] = [
  { name: 'a run', verb: 'run', tasks: [{ id: 'a' }], args: ['run'] },
  { name: 'a run whose worker fails first', verb: 'run', tasks: [{ id: 'a', kind: 'flaky' }], args: ['run'] },
  { name: 'an exec', verb: 'exec', tasks: [{ id: 'a' }], args: ['exec', 'a', '--', 'sh', Play.worker] },
];

/** `steady`: the calls of a run without a fault that can be aimed at. `fresh` makes another project. */
export interface PreparedRun {
  steady: TracedCall[];
  fresh(): string;
  play(dir: string): Play;
  command(dir: string): string[];
}

/** Runs the command without a fault. Processes that the scenario leaves are ended with the test. */
export async function preparedRun({ tasks, args }: RunScenario): Promise<PreparedRun> {
  const plays = new Map<string, Play>();
  const fresh = (): string => {
    const play = new Play(tasks, { retry_attempts: 1000, retry_backoff_ms_max: 20, kill_grace_ms: 200 });
    plays.set(play.dir, play);
    return play.dir;
  };
  onTestFinished(() => {
    for (const play of plays.values()) play.cleanUp();
  });
  const playIn = (dir: string): Play => {
    const play = plays.get(dir);
    if (play === undefined) throw new Error(`there is no play in ${dir}`);
    return play;
  };
  const command = (dir: string) => ['env', ...Play.environment(dir), ...commandLine(dir, args)];
  const clean = fresh();
  const { calls } = await cleanRun(command(clean), clean);
  playIn(clean).expectAllDone();
  const steady = calls.filter(isSteady);
  expect(steady.length).toBeGreaterThan(10);
  return { steady, fresh, play: playIn, command };
}

/** Another `run` finishes what a fault has left of a run, and leaves no process. `where`: for messages. */
export async function expectFinished(play: Play, where: string): Promise<void> {
  const next = play.forge('run');
  expect(await next.ended, `${where}\n${next.stderr}`).toEqual({ code: 0, signal: null });
  play.expectAllDone();
  expect(play.leftovers() ?? [], where).toEqual([]);
}
