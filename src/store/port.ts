/** What everything else knows of the state tree, and what another backend would implement. */

import type { AgentSession } from '../domain/agents/session.ts';
import type { ChildResult, FanOut } from '../domain/fan-out/fan-outs.ts';
import type { GcAttempt, GcLeaseFile, TreeIdentity } from '../domain/gc/gc-plan.ts';
import type { InUse } from '../domain/gc/surplus.ts';
import type { Answer, Question } from '../domain/question/questions.ts';
import type { Reviewed, Shipped } from '../domain/review/reviews.ts';
import type { Chunk } from '../domain/steps/journal.ts';
import type {
  AttemptManifest,
  DocumentKind,
  Lease,
  NewDocument,
  RunManifest,
  TaskRecord,
  TaskSummary,
  Verdict,
} from '../domain/task/records.ts';
import type { Verified } from '../domain/verify/verification.ts';
import { crc32 } from '../lib/checksum.ts';
import type { Room } from '../lib/fs/folders.ts';
import type { LockOwner } from '../lib/fs/locks.ts';

/** A task as it was read: its whole record, or the summary that a snapshot holds. */
export interface TaskRead<R extends TaskSummary = TaskRecord> {
  task_id: string;
  /** Names the version for a commit; 0 when nothing has been committed yet. */
  version: number;
  /** Where the record comes from: `none` there is none, `files` a tree written by hand, `record` a committed version. */
  origin: 'none' | 'files' | 'record';
  /** The record, with a person's valid edits in it; null when there is none or it can't be read. */
  record: R | null;
  /** Why the record can't be read, or must not be changed before a person has fixed a file; null when all is well. */
  problem: string | null;
  /** Things a person should know that stop nothing. */
  warnings: string[];
}

export type TaskSummaryRead = TaskRead<TaskSummary>;

export type TaskCommit =
  | RecordCommit
  /** One of the documents is there already, with other content. */
  | { kind: 'standing'; document: StandingDocument };

/** The change of a record. */
export type RecordCommit =
  | {
      kind: 'committed';
      version: number;
      record: TaskRecord;
      /** What went less well after the commit stood: no failure, but worth telling. */
      warnings: string[];
    }
  /** Another commit was first. */
  | { kind: 'conflict' };

export interface CommitRequest {
  /** The version that it was decided on: `TaskRead.version`. */
  expected: number;
  /** Names this try; unique. */
  op: string;
  record: TaskRecord;
  /** Default: none. */
  documents?: readonly NewDocument[];
  /** `Decision.added`. */
  added?: readonly object[] | undefined;
}

export type { DocumentKind, NewDocument } from '../domain/task/records.ts';

/** What each kind of document is. */
export interface Documents {
  manifest: AttemptManifest;
  question: Question;
  answer: Answer;
  verdict: Verdict;
  verified: Verified;
  review: Reviewed;
  ship: Shipped;
  session: AgentSession;
  steps: Chunk;
  'fan-out': FanOut;
  result: ChildResult;
}

/** A document that is there already. */
export type StandingDocument = {
  [K in DocumentKind]: { kind: K; attemptId: string; value: Documents[K] };
}[DocumentKind];

/** An append-only log. */
export type LogStream =
  | { log: 'claim-history'; taskId: string }
  | { log: 'events'; taskId: string; attemptId: string }
  | { log: 'notifications'; runId: string };

/** Where lines are kept that follow commits and decide nothing. A process that is killed may leave its last line out. */
export interface EventLog {
  /**
   * Adds a line. The task, attempt or run must be known. Returns how long the log was before and is with it: what others have added between two
   * lines of a process shows by that. Throws IO_ERROR.
   */
  append(stream: LogStream, entry: object): Promise<{ from: number; to: number }>;
  /**
   * The whole lines of a log, oldest first, of a long one the last ones; those that are damaged are left out. `having`: only those with a member that is written as one of these, such as
   * `"name":"build"`; of a long log that takes a fraction of the time. Throws IO_ERROR.
   */
  read(stream: LogStream, having?: readonly string[]): Promise<Record<string, unknown>[]>;
}

/** An attempt at a task. */
export interface AttemptRef {
  taskId: string;
  attemptId: string;
}

export const STREAMS = ['stdout', 'stderr'] as const;
export type StreamName = (typeof STREAMS)[number];

/** The logs that `logs` shows: of what has prepared the checkout, and of the worker. */
export const SHOWN_LOGS = ['setup', ...STREAMS] as const;
export type ShownLog = (typeof SHOWN_LOGS)[number];

/** A log of an attempt: that of a stream of its worker, `SETUP_LOG`, `checkLog` or `stepLog`. */
export type LogName = `${string}.log`;

/** The log of the check that runs as number `index` (from 1) of its attempt, stdout and stderr as they come. */
export function checkLog(index: number, name: string): LogName {
  return `verify-${index}-${name}.log`;
}

/** All that the step has written to stdout, where that is more than its record keeps. Names that differ in case are one file on some systems. */
export function stepLog(step: string): LogName {
  return `step-${step}-${crc32(step)}.log`;
}

/** The log of what has prepared the attempt's checkout. */
export const SETUP_LOG: LogName = 'setup.log';

export interface LogCut {
  maxBytes: number;
  before: number;
  secrets: readonly string[];
}

/** What a worker may leave before it ends; what counts is the document that is made of it. */
export type Draft = 'verdict' | 'review' | 'result' | 'outputs' | RetryAfterDraft;

/** When what has failed is to be tried again: of a worker, or of one try of a step by an id. */
export type RetryAfterDraft = 'retry-after' | `retry-after-${string}`;

/** A log that a process writes to by its file descriptor. */
export interface OpenLog {
  fd: number;
  /** Throws IO_ERROR. */
  write(bytes: Uint8Array): void;
  close(): void;
}

/** The logs of a worker, by file descriptors; `close` when they are handed on. */
export interface WorkerLogs extends Record<StreamName, number> {
  close(): void;
}

/**
 * Files of attempts that are no part of a commit. They are on the machine that the attempt runs on, whatever keeps the
 * records, since processes write and read them by path or descriptor. None of them is durable.
 */
export interface AttemptArtifacts {
  /** Folder of the attempt, and path of a log, to be shown to people. Throw INVALID_ID. */
  folder(attempt: AttemptRef): string;
  logPath(attempt: AttemptRef, log: LogName): string;
  /** Makes the logs of a worker. Throws IO_ERROR, also when there are some. */
  openLogs(attempt: AttemptRef): WorkerLogs;
  /** Opens a log from its beginning: what an earlier process has written there is dropped. Throws IO_ERROR. */
  openLog(attempt: AttemptRef, log: LogName): OpenLog;
  /**
   * Text of a log from byte `offset` on (from its end when negative), at most 64 KiB, and the offset to go on from: its end, where it
   * has been cut to less. Empty where there is none.
   */
  readLog(attempt: AttemptRef, log: LogName, offset: number): { text: string; next: number };
  /** When something was last written to a log, milliseconds since the epoch; null where there is none. */
  writtenAt(attempt: AttemptRef, log: LogName): number | null;
  /** Byte at which the last `lines` of a log begin; 0 where it has no more, and where there is none. */
  tailOffset(attempt: AttemptRef, log: LogName, lines: number): number;
  /**
   * Takes the middle out of a log that has got larger than `maxBytes`, and says so in its place; its writer goes on. `before`: what was cut
   * of it before; returns what is missing in all, bytes. A secret that a cut would part is masked first. Throws IO_ERROR.
   */
  cutLog(attempt: AttemptRef, log: LogName, cut: LogCut): Promise<number>;
  /** Overwrites `secrets` in a log whose writer has ended, each with as many asterisks. Throws IO_ERROR. */
  maskLog(attempt: AttemptRef, log: LogName, secrets: readonly string[]): Promise<void>;
  /** Writes the worker's prompt, once; returns a path for the worker. Throws IO_ERROR. */
  writePrompt(attempt: AttemptRef, text: string): string;
  /** Writes what a child is given, once; returns a path for the worker. Throws IO_ERROR. */
  writeInput(attempt: AttemptRef, text: string): string;
  /** Makes the place where a worker may leave a draft; returns `draftPath`. Throws IO_ERROR. */
  placeForDraft(attempt: AttemptRef, draft: Draft): string;
  /** Removes this draft of the other attempts of the task: what a killed process has left. Throws IO_ERROR where these can't be listed. */
  dropOtherDrafts(attempt: AttemptRef, draft: Draft): void;
  /** Path at which the worker may leave a draft. */
  draftPath(attempt: AttemptRef, draft: Draft): string;
  /** Text of a draft. Throws a system error: ENOENT when there is none, EFBIG above `maxBytes`, ELOOP for a symlink; IO_ERROR where one is in place of the folder. */
  readDraft(attempt: AttemptRef, draft: Draft, maxBytes: number): string;
  /**
   * The attempts of a task that still have files which only serve to look back, oldest first: logs, prompts, drafts, and notes of workers
   * where they are files too. Attempts with names that forge does not give are left out. Throws IO_ERROR.
   */
  leftovers(taskId: string): Leftovers[];
  /** Removes these files of an attempt; returns what it has removed. Can be repeated after a kill. Throws IO_ERROR. */
  removeLeftovers(attempt: AttemptRef): Leftovers;
  /** Says what the worker of an attempt does now, for people; '' for nothing. Never throws. */
  tellDoing(attempt: AttemptRef, text: string): void;
  /** What was said last; '' where nothing is. Never throws. */
  doing(attempt: AttemptRef): string;
  /**
   * Removes what says nothing of an attempt whose processes have ended: logs that are empty, and folders that are. `told`: also what its worker
   * was told, which is made of the plan and the record. Never rejects.
   */
  tidy(attempt: AttemptRef, options: { told: boolean }): Promise<void>;
  /** Removes all files of an attempt that no commit refers to. Never throws. */
  discard(attempt: AttemptRef): void;
}

/** Of an attempt: what `removeLeftovers` removes. */
export interface Leftovers extends Room {
  attempt_id: string;
}

/** What of a task `removeSurplus` removes. `attempts`: those that go as a whole. */
export interface Surplus extends Room {
  attempts: number;
}

/** Where a question is. */
export interface QuestionPlace {
  task_id: string;
  attempt_id: string;
}

/** What gc looks at beside a task's record. */
export interface GcArtifacts {
  lease_files: readonly GcLeaseFile[];
  /** Those that have asked, were answered, or whose verdict is not verified. */
  attempts: readonly GcAttempt[];
  /** Files that were being written, as paths below the task's folder. */
  litter: readonly string[];
}

export interface Snapshot {
  tasks: TaskSummaryRead[];
  runs: RunManifest[];
  seen: {
    /** What lies beside the record of one of `tasks`. Throws IO_ERROR. */
    artifacts(taskId: string): GcArtifacts;
    /** Keeps what was seen for the next snapshot, where that pays. Never throws. */
    keep(): void;
  };
}

/** A document of the first version's layout, as paths from the project. */
export interface LegacyMove {
  from: string;
  to: string;
}

/** What gc does beyond commits: to leases and documents that no record refers to. All of it throws IO_ERROR. */
export interface GcStore {
  /** The task's own lease and its strays, as in `GcArtifacts`; none where there are no strays. */
  leaseFiles(taskId: string): Promise<GcLeaseFile[]>;
  /** What is kept among the attempts of a task and is none, by `isAttemptOf`; each as `strayText`. */
  strayAttempts(taskId: string, record: TaskSummary | null): Promise<string[]>;
  /** The lease of that name; null when there is none. Throws IO_ERROR also when it can't be read, INVALID_ARGS for a name that no lease has. */
  readLease(taskId: string, name: string): Promise<Lease | null>;
  /** Removes a lease while `holds` accepts it; `op` names this try. False when it is another one, which then stays. */
  removeLease(taskId: string, name: string, op: string, holds: (lease: Lease) => boolean): Promise<boolean>;
  /** Moves a question or an answer out of the way, whole. False when it is gone or not the one with that `digest`. Can be repeated after a kill. */
  archive(
    taskId: string,
    kind: 'questions' | 'answers',
    document: { attempt_id: string; question_id: string; digest: string },
  ): Promise<boolean>;
  /** What is left of the first version's layout, and where it would be moved. `stamp` names this time. */
  legacyMoves(stamp: string): Promise<LegacyMove[]>;
  /** Returns those that this call has moved. Can be repeated after a kill. */
  moveLegacy(moves: readonly LegacyMove[]): Promise<LegacyMove[]>;
  /**
   * Files of tasks and runs that were being written when their writer was killed, as paths from the project: those of tasks that
   * are over, and any that have not changed for an hour.
   */
  litter(snapshot: Snapshot, nowMs: number): Promise<string[]>;
  /** What of a task is not in use. Throws IO_ERROR. */
  surplus(taskId: string, inUse: InUse): Surplus;
  /** Removes that; returns what it has removed. `op` names this try. Can be repeated after a kill. Throws IO_ERROR. */
  removeSurplus(taskId: string, inUse: InUse, op: string): Promise<Surplus>;
  /** How much room tasks take. Throws IO_ERROR. */
  roomOf(taskIds: readonly string[]): Room;
  /** Removes tasks with all that they have, each at once as others see it. Returns what it has removed. Can be repeated after a kill. Throws IO_ERROR. */
  removeTasks(taskIds: readonly string[], op: string): Room;
  /** Removes what killed calls of `removeSurplus` and `removeTasks` have left. Throws IO_ERROR. */
  emptyTrash(): void;
  /** Removes runs with their notifications, each whole. Returns those that this call has removed. Can be repeated after a kill. */
  removeRuns(runIds: readonly string[]): Promise<string[]>;
  /** Which tree this is: a copy of it is another. Null when there is none yet. */
  identity(): Promise<TreeIdentity | null>;
  /** Runs `work` once no other gc runs, or after a few seconds: then `onBusy` gets the `me` of the other first. */
  takeTurn<T>(me: string, onBusy: (holder: string) => void, work: () => Promise<T>): Promise<T>;
}

/** What `doctor` says of one thing. */
export interface HealthCheck {
  name: string;
  status: 'ok' | 'warn' | 'fail';
  message: string;
  /** What to do about it; null when all is well. */
  fix: string | null;
}

/** A point in time, as the store that gave it remembers it. It means nothing to another process. */
export type ChangeCursor = object & { readonly changeCursor?: never };

export interface ReadOptions {
  /** For deciding a change; without it edits may be noticed a moment later. Default: false. */
  thorough?: boolean;
  /** What is read counts as seen: it is not among the changes since. Default: none. */
  cursor?: ChangeCursor | null;
}

export interface Changes {
  cursor: ChangeCursor;
  changed: string[];
}

export type EndedRun = RunManifest & { ended_at: string };

export interface TaskStore {
  /** Where the records of tasks are kept, for people. */
  readonly place: string;
  /** What `doctor` looks at where state is kept. `look` changes nothing; it throws IO_ERROR where it can't even look. */
  healthChecks(): { name: string; look(): HealthCheck }[];
  /** Makes the place that state is kept in, unless it is there; the first change of a project does it. Throws IO_ERROR. */
  ensureTree(): void;
  /** Ids of the tasks that have a record or a folder, in code point order. */
  list(): Promise<string[]>;
  /** A task as it stands. */
  read(taskId: string, options?: ReadOptions): Promise<TaskRead>;
  /**
   * Ids of the tasks that may have changed since `cursor` was given, those that are gone included, and a cursor for the next
   * call; cheaper than reading. What an attempt adds to its journal need not count. `cursor` null: those that there is something of. `taskIds`: only these, at every call with the cursor. Throws IO_ERROR.
   */
  changesSince(cursor: ChangeCursor | null, taskIds?: readonly string[]): Promise<Changes>;
  /**
   * Commits a record on the version that it was decided on, and creates the documents that it refers to: all, or nothing
   * happens. A document that is there with the same content counts as created. One of a commit that lost is not there
   * afterwards, but for answers and verdicts: of those one may stay, and is the one that counts. What verifies a verdict is
   * written over whatever is there: the record has what counts of it.
   * Throws IO_ERROR, only when nothing has changed; SCHEMA_INVALID for a record that is too large.
   */
  commit(taskId: string, request: CommitRequest): Promise<TaskCommit>;
  /** Creates documents that no record refers to yet. Returns one that is there already with other content, else null. */
  createDocuments(taskId: string, documents: readonly NewDocument[], op: string): Promise<StandingDocument | null>;
  /** `next` gives ids of tasks whose first versions this process is to commit: a commit of one prepares for some others. Default: of none. */
  readonly upcoming: { next: () => Iterable<string> };
  /** Makes sure that what `read` returned is durable, before it is reported as done. */
  settle(taskId: string, op: string): Promise<void>;
  /** A document; null when there is none. `id`: of a question, an answer, a part of a journal or a fan-out. Throws SCHEMA_INVALID. */
  readDocument<K extends DocumentKind>(
    kind: K,
    taskId: string,
    attemptId: string,
    id?: string,
  ): Promise<Documents[K] | null>;
  /** Ids of the tasks that may have fanned out, in code point order: all that have, and few others. The record of each decides. */
  parents(): Promise<string[]>;
  /** Finds a question by its id alone; null when there is none. */
  findQuestion(questionId: string, op: string): Promise<QuestionPlace | null>;
  /** The questions of all attempts of a task, oldest first; those that can't be read are left out. */
  listQuestions(taskId: string): Promise<{ attemptId: string; question: Question }[]>;
  /** Writes a question's file again: its `status` is a view of the record. */
  showQuestion(taskId: string, attemptId: string, question: Question, op: string): Promise<void>;
  /** Manifests of the task's attempts, oldest first; those that can't be read are left out. */
  listAttempts(taskId: string): Promise<AttemptManifest[]>;
  createRun(manifest: RunManifest, op: string): Promise<void>;
  /** Takes back a run that nothing was done under. */
  discardRun(runId: string): Promise<void>;
  /** Null when there is no such run. Throws SCHEMA_INVALID. */
  readRun(runId: string): Promise<RunManifest | null>;
  /** Sets `ended_at`, once; a repeat keeps the first. Returns the manifest; null when there is no such run. */
  endRun(runId: string, endedAt: string, op: string): Promise<EndedRun | null>;
  listRuns(): Promise<RunManifest[]>;
  /** Runs `work` while no other process edits the plan. The turn of a process that is gone is over. Throws what `work` throws, IO_ERROR. */
  planTurn<T>(owner: LockOwner, work: () => Promise<T>): Promise<T>;
  readonly gc: GcStore;
  snapshot(): Promise<Snapshot>;
}
