/** Changes one task over any `TaskStore`: read, decide, commit, and again after a conflict. */

import { type Answer, settleQuestion } from '../domain/question/questions.ts';
import { andThen, type Decision } from '../domain/task/operations.ts';
import { freshRecord, type TaskRecord } from '../domain/task/records.ts';
import { repeated } from '../domain/task/transition.ts';
import { ForgeError } from '../lib/errors.ts';
import { isoTime } from '../lib/time.ts';
import type { ChangeEnv } from './change-env.ts';
import { eventsOf } from './events.ts';
import type { StandingDocument, TaskRead, TaskSummaryRead } from './port.ts';
import { type DueAnswer, dueAnswer, withOpenQuestion } from './settle-question.ts';

export interface Changed<R> {
  result: R;
  /** The record after the change, or as it was when the request repeated an earlier one. */
  record: TaskRecord;
  version: number;
}

/**
 * Decides on a record. `standing`: a document that an earlier try wanted to create and that is there with other content;
 * null as long as none was.
 */
type Decider<R> = (
  record: TaskRecord,
  read: TaskRead,
  standing: StandingDocument | null,
) => Decision<R> | Promise<Decision<R>>;

/** Limit of conflicts in a row. */
const CHANGE_TRIES = 200;

/**
 * Decides on the newest record and commits the decision with its documents; decides again when the record has changed, or
 * one of the documents exists with other content. The decider gets a fresh record for a task without one, and refuses by
 * throwing. `offered`: an answer to the question that the task waits on; an existing answer has precedence.
 * Throws what `decide` throws, SCHEMA_INVALID for an unreadable record, IO_ERROR, and STATE_VERSION_CONFLICT after
 * `CHANGE_TRIES` conflicts.
 */
export async function changeTask<R>(
  env: ChangeEnv,
  taskId: string,
  decide: Decider<R>,
  offered: Answer | null = null,
): Promise<Changed<R>> {
  let standing: StandingDocument | null = null;
  for (let attempt = 0; attempt < CHANGE_TRIES; attempt++) {
    const read = await env.store.read(taskId, { thorough: true });
    refuseUnreadable(read);
    const record = read.record ?? freshRecord(taskId, isoTime(env.now()));
    const known = await withOpenQuestion(env.store, record);
    const due = await dueAnswer(env, known, offered);
    const decision: Decision<R> = await decidedAfter(due, known, env.now(), (current) =>
      decide(current, read, standing),
    );
    const { record: next, documents = [] } = decision;
    if (next === null) {
      if (documents.length > 0) {
        standing = await env.store.createDocuments(taskId, documents, env.newOp());
        if (standing !== null) continue;
      } else if (read.origin === 'record') await env.store.settle(taskId, env.newOp());
      return { result: decision.result, record, version: read.version };
    }
    const commit = await env.store.commit(taskId, { expected: read.version, op: env.newOp(), record: next, documents });
    if (commit.kind === 'standing') standing = commit.document;
    if (commit.kind !== 'committed') continue;
    const warnings = [...read.warnings.map((warning) => `task ${taskId}: ${warning}`), ...commit.warnings];
    for (const warning of warnings) env.warn(warning);
    await env.publish(eventsOf(known, commit.record, decision, due?.answer ?? null, warnings));
    return { result: decision.result, record: commit.record, version: commit.version };
  }
  throw new ForgeError('STATE_VERSION_CONFLICT', `task ${taskId} was changed by others ${CHANGE_TRIES} times in a row`);
}

/** A parked task whose question is settled is resumed first, in the same commit, so that any change finishes a cut-off move. */
async function decidedAfter<R>(
  due: DueAnswer | null,
  record: TaskRecord,
  nowMs: number,
  decide: (record: TaskRecord) => Decision<R> | Promise<Decision<R>>,
): Promise<Decision<R>> {
  if (due === null) return decide(record);
  const { answer, open, given } = due;
  const documents = given ? [] : [{ kind: 'answer' as const, attemptId: open.attempt_id, value: answer }];
  const settled = { ...settleQuestion(record, answer, nowMs), documents };
  const decision = await decide(settled.record ?? record);
  return andThen(record, settled, () => decision);
}

/** Resumes a parked task whose question is settled. Returns the new record; null while it waits, and for one not parked. */
export async function resumeIfSettled(env: ChangeEnv, read: TaskSummaryRead): Promise<TaskRecord | null> {
  if (read.record?.state.state !== 'blocked_on_question' || read.problem !== null) return null;
  const record = await withOpenQuestion(env.store, read.record);
  if ((await dueAnswer(env, record)) === null) return null;
  return (await changeTask(env, read.task_id, () => repeated(null))).record;
}

export function refuseUnreadable(read: TaskRead): void {
  if (read.problem === null) return;
  throw new ForgeError('SCHEMA_INVALID', `task ${read.task_id}: ${read.problem}`, {
    details: { task_id: read.task_id },
    hint: `Look at the files in .forge/orchestrator/tasks/${read.task_id}; spec/STATE.md says what they hold. Nothing was changed.`,
  });
}
