/** Changes one task over any `TaskStore`: read, decide, commit, and again after a conflict. */

import {
  type Answer,
  lacksQuestion,
  lateAnswer,
  type OpenQuestion,
  openQuestion,
  settleQuestion,
  withQuestion,
} from '../domain/question/questions.ts';
import type { Instant } from '../domain/task/deadlines.ts';
import { freshRecord, type TaskRecord, type TaskSummary } from '../domain/task/records.ts';
import { andThen, type Decision, repeated } from '../domain/task/transition.ts';
import { ForgeError } from '../lib/errors.ts';
import { isoTime } from '../lib/time.ts';
import { eventsOf, type Subscriber } from './events.ts';
import type { StandingDocument, TaskRead, TaskStore, TaskSummaryRead } from './port.ts';

export interface ChangeEnv {
  store: TaskStore;
  now(): number;
  instant(): Instant;
  newOp(): string;
  /** Gets what a person should know although nothing failed. */
  warn(message: string): void;
  /** Gives what a commit has changed to every subscriber. Never rejects. */
  publish: Subscriber;
}

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

export interface ChangeOptions {
  /** An answer to the question that the task waits on; one that is there already has precedence. */
  offered?: Answer;
  /** The error for a task that nothing has happened to, or that was removed meanwhile; null: it is changed too. Default: so is any. */
  unknown?: () => Promise<ForgeError | null>;
  /**
   * What is decided on first, as it was read before; a commit on it conflicts if the record has changed since. An edit of its views that was
   * made meanwhile is not decided on: a change that leaves state and lease as they are leaves it for the next one, and any other moves it aside. Default: it is read.
   */
  seen?: TaskRead | undefined;
  /** False: a decision that changes nothing answers nothing, so what it was made on need not be durable. Default: true. */
  settles?: boolean;
}

/**
 * Decides on the newest record and commits the decision with its documents; decides again when the record has changed, or
 * one of the documents exists with other content. The decider gets a fresh record for a task without one, and refuses by
 * throwing. Throws what `decide` throws, SCHEMA_INVALID for an unreadable record, IO_ERROR, and STATE_VERSION_CONFLICT after
 * `CHANGE_TRIES` conflicts.
 */
export async function changeTask<R>(
  env: ChangeEnv,
  taskId: string,
  decide: Decider<R>,
  { offered, unknown, seen, settles = true }: ChangeOptions = {},
): Promise<Changed<R>> {
  let standing: StandingDocument | null = null;
  for (let attempt = 0; attempt < CHANGE_TRIES; attempt++) {
    const read = (attempt === 0 ? seen : undefined) ?? (await env.store.read(taskId, { thorough: true }));
    refuseUnreadable(read);
    const missing = read.record === null ? await unknown?.() : null;
    if (missing) throw missing;
    const record = read.record ?? freshRecord(taskId, isoTime(env.now()));
    const known = await withOpenQuestion(env.store, record);
    const due = await dueAnswer(env, known, offered);
    // A parked task whose question is settled is resumed first, in the same commit, so that any change finishes a cut-off move.
    const resumed = due && settlingBy(due, known, env.now());
    const decided = await decide(resumed?.record ?? known, read, standing);
    const decision = resumed === null ? decided : andThen(known, resumed, () => decided);
    const { record: next, documents = [], added } = decision;
    if (next === null) {
      if (documents.length > 0) {
        standing = await env.store.createDocuments(taskId, documents, env.newOp());
        if (standing !== null) continue;
      } else if (settles && read.origin === 'record') await env.store.settle(taskId, env.newOp());
      return { result: decision.result, record, version: read.version };
    }
    const request = { expected: read.version, op: env.newOp(), record: next, documents, added };
    const commit = await env.store.commit(taskId, request);
    if (commit.kind === 'standing') standing = commit.document;
    if (commit.kind !== 'committed') continue;
    const warnings = [...read.warnings.map((warning) => `task ${taskId}: ${warning}`), ...commit.warnings];
    for (const warning of warnings) env.warn(warning);
    await env.publish(eventsOf(known, commit.record, decision, due?.answer ?? null, warnings));
    return { result: decision.result, record: commit.record, version: commit.version };
  }
  throw new ForgeError('STATE_VERSION_CONFLICT', `task ${taskId} was changed by others ${CHANGE_TRIES} times in a row`);
}

/** A task as it is on disk now, for who decides about it. Throws SCHEMA_INVALID where it can't be read, IO_ERROR. */
export async function readToDecide({ store }: Pick<ChangeEnv, 'store'>, taskId: string): Promise<TaskRead> {
  const read = await store.read(taskId, { thorough: true });
  refuseUnreadable(read);
  return read;
}

function refuseUnreadable(read: TaskRead): void {
  if (read.problem === null) return;
  throw new ForgeError('SCHEMA_INVALID', `task ${read.task_id}: ${read.problem}`, {
    details: { task_id: read.task_id },
    hint: 'Nothing was changed. Fix the file that is named, by spec/STATE.md; `forge orchestrate doctor` names all such files.',
  });
}

/** That a task has no record. */
export function noState(taskId: string, options: { hint?: string } = {}): ForgeError {
  const message = `task ${taskId} has no state: nothing has happened to it yet, or it was removed`;
  return new ForgeError('STATE_NOT_FOUND', message, options);
}

// --- parked tasks ----------------------------------------------------------------------------------------------------

/** The record with the question that a tree written by hand keeps only in a file. */
export async function withOpenQuestion<R extends TaskSummary>(store: TaskStore, record: R): Promise<R> {
  const { task_id, current_attempt_id } = record.state;
  if (!lacksQuestion(record)) return record;
  const open = (await store.listQuestions(task_id)).filter(
    ({ attemptId, question }) =>
      (current_attempt_id === null || attemptId === current_attempt_id) && question.status === 'open',
  );
  const last = open.at(-1);
  return last === undefined ? record : withQuestion(record, last.attemptId, last.question);
}

interface DueAnswer {
  open: OpenQuestion;
  answer: Answer;
  /** Whether it is there already; otherwise the commit creates it. */
  given: boolean;
}

/**
 * What settles the question that the task is parked on: the answer that is there, else `offered`, else what its deadline
 * makes of it. Null while it waits, and for a task that is not parked.
 */
async function dueAnswer(
  env: Pick<ChangeEnv, 'store' | 'now' | 'instant'>,
  record: TaskSummary,
  offered?: Answer,
): Promise<DueAnswer | null> {
  const open = openQuestion(record);
  if (open === null) return null;
  const first = await env.store.readDocument('answer', record.state.task_id, open.attempt_id, open.question_id);
  if (first !== null) return { open, answer: first, given: true };
  const answer = offered?.question_id === open.question_id ? offered : lateAnswer(open, env.instant());
  return answer === null ? null : { open, answer, given: false };
}

function settlingBy({ answer, open, given }: DueAnswer, record: TaskRecord, nowMs: number): Decision<unknown> {
  const documents = given ? [] : [{ kind: 'answer' as const, attemptId: open.attempt_id, value: answer }];
  return { ...settleQuestion(record, answer, nowMs), documents };
}

/** The record as the next change will find it, without a commit. Throws SCHEMA_INVALID for a damaged answer. */
export async function withSettledQuestion(
  env: Pick<ChangeEnv, 'store' | 'now' | 'instant'>,
  record: TaskRecord,
): Promise<TaskRecord> {
  const known = await withOpenQuestion(env.store, record);
  const due = await dueAnswer(env, known);
  return (due && settleQuestion(known, due.answer, env.now()).record) ?? known;
}

/** Resumes a parked task whose question is settled. Returns the new record; null while it waits, and for one not parked. */
export async function resumeIfSettled(env: ChangeEnv, read: TaskSummaryRead): Promise<TaskRecord | null> {
  if (read.record?.state.state !== 'blocked_on_question' || read.problem !== null) return null;
  const record = await withOpenQuestion(env.store, read.record);
  if ((await dueAnswer(env, record)) === null) return null;
  return (await changeTask(env, read.task_id, () => repeated(null))).record;
}
