/** Commands of which each is slowed down at some of its system calls, at once: no order of their steps does harm. */

import fs from 'node:fs';
import { expect, test } from 'vitest';
import { doctor } from '../../src/commands/doctor.ts';
import type { GcData } from '../../src/commands/gc.ts';
import { ERROR_CODES, type ErrorCode } from '../../src/lib/errors.ts';
import { auditTask, expectViewsOf } from '../support/faults/audit.ts';
import { atOnce, type Slowed } from '../support/faults/delays.ts';
import { ask, callOn } from '../support/faults/forge.ts';
import { GIT_RIVALS } from '../support/faults/git-rivals.ts';
import { LONG, ROUNDS, SEED, SHORT, sampled, seeded } from '../support/faults/knobs.ts';
import { dropProject } from '../support/faults/project.ts';
import { LOOKS, RIVALS, type Rivals } from '../support/faults/rivals.ts';
import { noStrace } from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

/** Groups in the sample. */
const SAMPLE = 8;

/** Each ended by itself, with an answer, and a refused one as it should be. */
function expectAnswer({ args, ran, answer }: Slowed, allowed: readonly string[]): void {
  if (answer === null) throw new Error(`${args.join(' ')} gave no answer: ${JSON.stringify(ran)}`);
  if (answer.ok) {
    expect([0, ...(args[0] === 'run' ? [4] : [])], JSON.stringify(ran)).toContain(ran.code);
    return;
  }
  expect(allowed, `${args.join(' ')}: ${ran.stdout} ${ran.stderr}`).toContain(answer.error.code);
  expect(ran.code).toBe(ERROR_CODES[answer.error.code as ErrorCode].exit);
}

/** Nothing is left half done: views are as records say, and there is nothing to put right. */
async function expectWhole(dir: string, rows: readonly number[]): Promise<void> {
  const tasks = `${dir}/.forge/orchestrator/tasks`;
  for (const id of fs.existsSync(tasks) ? fs.readdirSync(tasks) : []) {
    const { record } = auditTask(dir, id);
    if (record !== null) expectViewsOf(dir, id, record);
  }
  const found = await ask(dir, 'gc', '--dry-run');
  if (!found.answer.ok && found.answer.error.code === 'PHASES_NOT_FOUND') return;
  const { planned } = (found.answer.ok ? found.answer.data : {}) as Partial<GcData>;
  expect(found.answer).toMatchObject({ ok: true, data: { reported: [], litter: { removed: [] } } });
  expect(planned?.filter(({ row }) => !rows.includes(row))).toEqual([]);
  const { checks } = await doctor.run(callOn(dir), {});
  expect(checks.filter(({ name, status }) => name === 'tasks' && status !== 'ok')).toEqual([]);
  const files = fs.readdirSync(dir, { recursive: true, encoding: 'utf8' });
  expect(files.filter((name) => /tmp|\.lock|~/.test(name))).toEqual([]);
}

async function meet({ prepare, refused, rows = [], holds }: Rivals, seed: number): Promise<void> {
  const { dir, lines, env } = await prepare();
  const look = LOOKS[Math.floor(seeded(seed)() * LOOKS.length)] ?? [];
  const all = await atOnce({ dir, lines: [...lines, look], env }, seed);
  const looked = all.pop();
  try {
    for (const each of all) expectAnswer(each, refused);
    if (looked !== undefined) expectAnswer(looked, ['PHASES_NOT_FOUND', 'STATE_NOT_FOUND', 'TASK_NOT_FOUND']);
    await expectWhole(dir, rows);
    await holds?.(
      dir,
      all.flatMap(({ answer }) => answer ?? []),
    );
  } catch (error) {
    const how = [...all, looked].map(
      (each) => `${each?.args.join(' ')}: ${each?.delay}\n  ${each?.ran.stdout}${each?.ran.stderr}`,
    );
    throw new Error(`seed ${seed}, ${dir}\n${how.join('\n')}`, { cause: error });
  }
  dropProject(dir);
}

describeUnless(noStrace(), 'commands at once, slowed down at system calls', () => {
  // What else may meet depends on the machine; the long run is for that.
  const all = [...RIVALS, ...GIT_RIVALS];
  test.each(SHORT ? all.slice(0, 1) : sampled(all, SAMPLE))(
    'whatever the order of their calls, they do no harm: $name',
    { timeout: LONG ? 3_600_000 : 120_000 },
    async (rivals) => {
      for (let round = 0; round < (LONG ? ROUNDS * 3 : 1); round++) await meet(rivals, SEED + round);
    },
  );
});
