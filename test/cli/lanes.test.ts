/** `run` with so many tasks that lanes start its workers. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lookUp, processStart } from '../../src/process/processes.ts';
import { orchestrate, project, startCli } from '../support/cli.ts';
import { auditTask } from '../support/faults/audit.ts';
import { until } from '../support/processes.ts';

/** Tasks of no interest, enough for lanes. */
const FIRST = Array.from({ length: 20 }, (_, n) => `id: t${n}, title: T, run: "true"`);
const ALL = `depends_on: [${FIRST.map((_, n) => `t${n}`).join(', ')}]`;

/** Writes the pids of its lane and its own to a file named after the attempt, `begun-1`, `begun-2`, as a whole. */
const BEGIN = 'echo $PPID $$ > .begun && mv .begun begun-$FORGE_ATTEMPT_NUMBER';

async function begun(cwd: string, attempt: number): Promise<{ lane: number; pid: number }> {
  const file = join(cwd, `begun-${attempt}`);
  await until(`attempt ${attempt} runs`, () => existsSync(file));
  const [lane = 0, pid = 0] = readFileSync(file, 'utf8').split(' ').map(Number);
  return { lane, pid };
}

describe('run with lanes', () => {
  it('a worker is the child of a lane, is recorded, and the lane ends with the run', async () => {
    const cwd = project([
      ...FIRST,
      `id: last, title: L, run: "${BEGIN}; until test -e go; do sleep 0.02; done", ${ALL}`,
    ]);
    const run = startCli(['orchestrate', 'run'], { cwd });
    const { lane, pid } = await begun(cwd, 1);
    const { record } = auditTask(cwd, 'last');
    expect(record?.worker).toMatchObject({ pid, pgid: pid, started_at: processStart(pid) });
    expect(lane).not.toBe(run.process.pid);
    expect(readFileSync(`/proc/${lane}/cmdline`, 'utf8')).toMatch(/^\/bin\/bash\0/);
    writeFileSync(join(cwd, 'go'), '');
    expect(await run.ended).toMatchObject({ code: 0 });
    expect(lookUp(lane)).toBe('missing');
  });

  it('a worker whose lane is killed is lost when it has ended, and its task is tried again', async () => {
    const script = `${BEGIN}; test $FORGE_ATTEMPT_NUMBER = 2 || kill -9 $PPID`;
    const cwd = project([...FIRST, `id: last, title: L, run: "${script}", retry: {base: 0}, ${ALL}`]);
    const { code, stdout } = await orchestrate(['run', '--json'], { cwd });
    expect([code, stdout]).toEqual([0, expect.stringContaining('"class":"worker.lost"')]);
    const [one, two] = [await begun(cwd, 1), await begun(cwd, 2)];
    expect(one.lane).not.toBe(two.lane);
  });

  it('a worker of a run that is killed goes on with its lane, and the next run takes its task over', async () => {
    const script = `${BEGIN}; test $FORGE_ATTEMPT_NUMBER = 2 || while :; do sleep 0.02; done`;
    const cwd = project([...FIRST, `id: last, title: L, run: "${script}", ${ALL}`]);
    const run = startCli(['orchestrate', 'run'], { cwd });
    const { lane, pid } = await begun(cwd, 1);
    run.process.kill('SIGKILL');
    await run.ended;
    expect([processStart(pid), processStart(lane)]).not.toContain(null);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect([processStart(pid), (await begun(cwd, 2)).pid]).toEqual([null, expect.any(Number)]);
    await until('the lane is gone', () => processStart(lane) === null);
  });
});
