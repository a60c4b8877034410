/** Questions under faults: asked, answered, and settled by their deadline. */

import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { answer } from '../../../src/commands/answer.ts';
import { claim } from '../../../src/commands/claim.ts';
import { dispatch } from '../../../src/commands/dispatch.ts';
import { question } from '../../../src/commands/question.ts';
import { questions } from '../../../src/commands/questions.ts';
import type { QuestionRow } from '../../../src/commands/shared/question-rows.ts';
import type { CommandContext } from '../../../src/commands/shared/session.ts';
import { ledgerOf, openQuestion } from '../../../src/domain/question/questions.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { auditTask, type TaskFiles, taskDir } from './audit.ts';
import { asked, callOn } from './forge.ts';
import { makeProject } from './project.ts';
import { MINE, OTHER, project, repeat, SCENARIOS, type Scenario, TASK, worked } from './scenarios.ts';
import { STEP_SCENARIOS } from './step-scenarios.ts';

const ASKER = '01a00000-0000-7000-8000-00000000000c';
const KEY = 'format';
const TEXT = 'Keep the old format?';
const MINUTE_MS = 60_000;

const OPTIONS = JSON.stringify(['keep', 'drop', 'wait'].map((id) => ({ id, label: id })));

/** Read from outside of the project, so that copies of it find it too. */
function optionsFile(): string {
  return `${makeProject({ 'options.json': OPTIONS })}/options.json`;
}

export function hourAgo(dir: string): CommandContext {
  const call = callOn(dir);
  const { ctx } = call;
  const now = () => ctx.now() - 60 * MINUTE_MS;
  return { ...call, ctx: { ...ctx, now, monotonicMs: () => ctx.monotonicMs() - 60 * MINUTE_MS } };
}

/** A tree whose task has asked, an hour ago, for longer than a test takes or until long ago. */
export async function parked(deadline: { over: boolean; default?: string }): Promise<{ dir: string; id: string }> {
  const dir = project();
  const call = hourAgo(dir);
  const { run_id } = await claim.run(call, { task: TASK, claim_id: ASKER });
  const { attempt_id } = await dispatch.run(call, { task: TASK, claim: ASKER, run: run_id, phase: 'implement' });
  const { question_id } = await question.run(call, {
    task: TASK,
    attempt: attempt_id,
    decision_key: KEY,
    question: TEXT,
    options_file: optionsFile(),
    default: deadline.default,
    deadline: deadline.over ? MINUTE_MS : 24 * 60 * MINUTE_MS,
  });
  return { dir, id: question_id };
}

/** The record of the task; there is one in every tree here. */
function recordIn(dir: string): TaskRecord {
  const { record } = auditTask(dir, TASK);
  if (record === null) throw new Error('the record is gone');
  return record;
}

/** What the record says of everything that was asked and settled. */
export function ledgerIn(dir: string): ReturnType<typeof ledgerOf> {
  return ledgerOf(recordIn(dir));
}

/** The names of what the task's attempts have asked, or of what was answered, whatever the record knows of it. */
function namesOf(kind: 'questions' | 'answers', dir: string): string[] {
  const attempts = `${taskDir(dir, TASK)}/attempts`;
  return fs
    .readdirSync(attempts, { recursive: true, encoding: 'utf8' })
    .filter((name) => path.basename(path.dirname(name)) === kind && name.endsWith('.json'))
    .map((name) => path.basename(name, '.json'));
}

async function rows(dir: string): Promise<QuestionRow[]> {
  return (await questions.run(callOn(dir), {})).questions;
}

function expectUncharged(dir: string): void {
  expect(recordIn(dir).state).toMatchObject({ attempt_count: 1, failure_count: 0 });
}

/** The next attempt asks again, and is told what was decided. */
export async function nextIsTold(dir: string, option: string): Promise<void> {
  const call = callOn(dir);
  const { run_id } = await claim.run(call, { task: TASK, claim_id: OTHER });
  const { attempt_id } = await dispatch.run(call, { task: TASK, claim: OTHER, run: run_id, phase: 'implement' });
  const again = { task: TASK, attempt: attempt_id, decision_key: KEY, question: TEXT, options_file: optionsFile() };
  expect(await question.run(call, again)).toMatchObject({ status: 'answered', option_id: option });
}

/** The attempt asks again: one question is open, the one that was committed or else a new one, and it can be answered. */
async function isOpenOnce(dir: string, args: readonly string[], before: TaskFiles): Promise<void> {
  const { newest, record } = auditTask(dir, TASK);
  const first = newest > before.newest && record !== null ? openQuestion(record) : null;
  const written = namesOf('questions', dir);
  const again = (await repeat(dir, args)) as { question_id: string; expires_at: string };
  if (first === null) expect(written, 'what was not committed was not asked').not.toContain(again.question_id);
  else expect(again).toMatchObject({ question_id: first.question_id, expires_at: first.expires_at });
  expect(ledgerIn(dir)).toMatchObject({ open: { question_id: again.question_id }, settled: [] });
  expect(ledgerIn(dir).asked).toEqual([{ decision_key: KEY, count: 1 }]);
  expectUncharged(dir);
  for (const { question_id, status } of await rows(dir)) {
    const mine = question_id === again.question_id;
    expect(status).toBe(mine ? 'open' : 'withdrawn');
    if (mine) continue;
    const late = await asked(answer.run(callOn(dir), { question: question_id, option: 'drop' }));
    expect(late).toEqual({ ok: false, code: 'ILLEGAL_TRANSITION' });
  }
  await answer.run(callOn(dir), { question: again.question_id, option: 'keep' });
  await nextIsTold(dir, 'keep');
}

/** Another answer is given before the repeat: it is the answer if there was none yet, and is refused otherwise. */
async function firstAnswerCounts(dir: string, args: readonly string[], before: TaskFiles): Promise<void> {
  const id = args[1] ?? '';
  const given = namesOf('answers', dir).includes(id);
  const his = await asked(answer.run(callOn(dir), { question: id, option: 'drop', by: 'bob' }));
  expect(his).toMatchObject(given ? { ok: false, code: 'ILLEGAL_TRANSITION' } : { ok: true });
  const mine = await asked(repeat(dir, args));
  expect(mine).toMatchObject(given ? { ok: true } : { ok: false, code: 'ILLEGAL_TRANSITION' });
  const option = given ? 'keep' : 'drop';
  const { newest, record } = auditTask(dir, TASK);
  expect(newest, 'the task has moved on once').toBe(before.newest + 1);
  expect(record?.state.state).toBe('awaiting_respawn');
  expect(ledgerIn(dir)).toMatchObject({ open: null, settled: [{ question_id: id, option_id: option }] });
  expectUncharged(dir);
  await nextIsTold(dir, option);
}

/** An answer after the deadline counts if the default was not applied before, and is refused otherwise. */
function lateAnswerCounts(byDeadline: string | null) {
  return async (dir: string): Promise<void> => {
    const [first] = await rows(dir);
    const id = first?.question_id ?? '';
    const over = namesOf('answers', dir).includes(id);
    const late = await asked(answer.run(callOn(dir), { question: id, option: 'drop', by: 'bob' }));
    expect(late).toMatchObject(over ? { ok: false, code: 'ILLEGAL_TRANSITION' } : { ok: true });
    const option = over ? byDeadline : 'drop';
    const by = over ? (byDeadline === null ? 'expiry' : 'default') : 'bob';
    expect(ledgerIn(dir)).toMatchObject({ open: null });
    expect(ledgerIn(dir).settled).toMatchObject([{ question_id: id, option_id: option, answered_by: by }]);
    expectUncharged(dir);
  };
}

const NEXT = ['claim', '--next', '--claim-id', MINE];

/** The commands of `SCENARIOS`, those about questions, and those that keep a journal. */
export const ALL_SCENARIOS: readonly Scenario[] = [
  ...SCENARIOS,
  ...STEP_SCENARIOS,
  {
    name: 'question',
    async prepare() {
      const dir = project();
      const attempt = await worked(dir, { beats: 1 });
      const about = ['--decision-key', KEY, '--question', TEXT, '--options-file', optionsFile()];
      return { dir, args: ['question', TASK, '--attempt', attempt, ...about] };
    },
    says: { task_id: TASK, status: 'open', option_id: null },
    repeatable: true,
    also: isOpenOnce,
  },
  {
    name: 'answer',
    async prepare() {
      const { dir, id } = await parked({ over: false });
      return { dir, args: ['answer', id, '--option', 'keep', '--by', 'ada'] };
    },
    says: { task_id: TASK, option_id: 'keep', state: 'awaiting_respawn' },
    repeatable: true,
    also: firstAnswerCounts,
  },
  {
    name: 'claim --next, past a deadline with a default',
    async prepare() {
      return { dir: (await parked({ over: true, default: 'wait' })).dir, args: NEXT };
    },
    says: { task_id: TASK, claim_id: MINE, generation: 2 },
    repeatable: true,
    changes: 2,
    also: lateAnswerCounts('wait'),
  },
  {
    name: 'claim --next, past a deadline without one',
    async prepare() {
      return { dir: (await parked({ over: true })).dir, args: NEXT };
    },
    says: { task_id: TASK, claim_id: MINE, generation: 2 },
    repeatable: true,
    changes: 2,
    also: lateAnswerCounts(null),
  },
];
