/** What must hold after a command was cut short or refused, wherever that was. */

import fs from 'node:fs';
import { expect } from 'vitest';
import { claim } from '../../../src/verbs/claim.ts';
import { phases, why } from '../../../src/verbs/phases.ts';
import { show } from '../../../src/verbs/show.ts';
import { status } from '../../../src/verbs/status.ts';
import { auditTask, expectViewsOf, type TaskFiles } from './audit.ts';
import { type Answer, asked, callOn } from './forge.ts';
import { copyProject, dropProject, LOGS, listing } from './project.ts';
import { finish, MINE, OTHER, repeat, type Scenario, TASK } from './scenarios.ts';

export interface Cut {
  scenario: Scenario;
  /** The tree as the command left it. It is worked on, and removed when all is well. */
  dir: string;
  args: readonly string[];
  /** The task before the command. */
  before: TaskFiles;
  /** What the command still answered; null when nothing. */
  answer: Answer | null;
}

/** Everything at once: the look, a stranger's turn, the caller's repeat, and the rest of the task's life. */
export async function expectUsable(cut: Cut): Promise<void> {
  const now = auditTask(cut.dir, TASK);
  const committed = now.newest > cut.before.newest;
  expect(now.newest - cut.before.newest).toBeLessThanOrEqual(1);
  if (cut.answer?.ok === true) expect(committed, 'what was reported as done is there').toBe(true);
  await readersWork(cut.dir, now);
  const copy = copyProject(cut.dir);
  await strangerFirst({ ...cut, dir: copy }, now);
  await callerRepeats(cut);
  dropProject(copy);
  dropProject(cut.dir);
}

/** Reading works, sees what is committed, and writes nothing. */
async function readersWork(dir: string, { record }: TaskFiles): Promise<void> {
  const call = callOn(dir);
  const files = listing(dir, LOGS);
  const seen = await status(call, {});
  const row = seen.tasks.find((task) => task.task_id === TASK);
  if (record !== null) {
    expect(row).toMatchObject({ state: record.state.state, generation: record.memo.generation });
    expect((await show(call, { task: TASK })).lease?.claim_id ?? null).toBe(record.lease?.claim_id ?? null);
  }
  await why(call, { task: TASK });
  await phases(call, { ready: true });
  expect(listing(dir, LOGS)).toEqual(files);
}

/** Somebody else comes before the caller does: he gets the task properly, or is refused and changes nothing. */
async function strangerFirst({ dir, args }: Cut, before: TaskFiles): Promise<void> {
  const his = await asked(claim(callOn(dir), { task: TASK, claimId: OTHER }));
  const now = auditTask(dir, TASK);
  if (his.ok) {
    expect(now.newest).toBe(before.newest + 1);
    expect(his.data.generation).toBeGreaterThan(before.record?.memo.generation ?? 0);
    expect(now.record?.lease?.claim_id).toBe(OTHER);
  } else {
    expect(['LEASE_EXISTS', 'NOT_READY']).toContain(his.code);
    expect(now.newest).toBe(before.newest);
  }
  const mine = await asked(repeat(dir, args));
  if (!his.ok) return;
  if (!mine.ok) expect(['LEASE_EXISTS', 'LEASE_STOLEN', 'STALE_ATTEMPT', 'NOT_READY']).toContain(mine.code);
  const after = auditTask(dir, TASK);
  expect(after.newest, 'a late caller changes nothing').toBe(now.newest);
  expect(after.record?.lease?.claim_id).toBe(OTHER);
}

/** The caller asks again, gets his answer, and the task can be brought to its end. */
async function callerRepeats({ dir, args, scenario, before }: Cut): Promise<void> {
  const answer = await repeat(dir, args);
  expect(answer).toMatchObject(scenario.says);
  const now = auditTask(dir, TASK);
  if (scenario.repeatable) expect(now.newest, 'one request, one change').toBe(before.newest + 1);
  if (now.record === null) throw new Error('the repeated request has left no record');
  expectViewsOf(dir, TASK, now.record);
  if (now.record.state.state !== 'shipped') {
    expect(await finish(dir, now.record.lease === null ? null : MINE)).toBe('shipped');
  }
  expect(fs.readFileSync(`${dir}/.forge/.gitignore`, 'utf8')).toContain('orchestrator/');
  const end = auditTask(dir, TASK);
  if (end.record !== null) expectViewsOf(dir, TASK, end.record);
}
