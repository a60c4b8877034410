/** The files that gc looks at beside a task's record. */

import fs from 'node:fs';
import type { GcAnswer, GcAttempt, GcLeaseFile, GcQuestion } from '../../domain/gc/gc-plan.ts';
import { AnswerSchema, QuestionSchema } from '../../domain/question/records.ts';
import { isAttemptOf } from '../../domain/task/attempts.ts';
import { parseRecord } from '../../domain/task/parse-record.ts';
import { type Lease, LeaseSchema, RECORD_MAX_BYTES, VerdictSchema } from '../../domain/task/records.ts';
import { crc32 } from '../../lib/checksum.ts';
import { entriesIn, isRealEntry } from '../../lib/fs/folders.ts';
import { errorCode } from '../../lib/fs/io-errors.ts';
import { readCapped } from '../../lib/fs/read.ts';
import { isTaskId, isUuid } from '../../lib/ids.ts';
import { parseJson } from '../../lib/json.ts';
import type { GcArtifacts } from '../port.ts';
import type { Layout } from './layout.ts';
import type { FolderRead } from './task-files.ts';

/** What most looks are answered with is that there is nothing. */
const NO_EXCEPTION = { throwIfNoEntry: false } as const;

/** `lease.json`, and what a person or another tool has put beside it under a name like that. */
export const LEASE_FILE = /^lease[^/]*\.json[^/]*$/;

/**
 * What lies beside the record of a task that was just read, and the folders and files of its attempts that it was found in,
 * as paths below the task's folder. Throws IO_ERROR.
 */
export function artifactsOf(
  layout: Layout,
  { task_id, names, record }: FolderRead,
): { artifacts: GcArtifacts; places: string[] } {
  const places: string[] = [];
  const all = names.includes('attempts') ? attemptsOf(layout, task_id, record, places) : [];
  const attempts = all.filter(
    ({ verdict, questions, answers }) => verdict !== null || questions.length > 0 || answers.length > 0,
  );
  return { artifacts: { lease_files: leaseFilesOf(layout, task_id, names), attempts }, places };
}

/**
 * The attempts of a task with what they asked and handed in. The verdict of the record's current attempt matters, no other.
 * What they were found in goes to `places`.
 */
export function attemptsOf(
  layout: Layout,
  taskId: string,
  record: Parameters<typeof isAttemptOf>[0],
  places: string[] = [],
): GcAttempt[] {
  const task = layout.task(taskId);
  const current = record?.state.current_attempt_id ?? null;
  const isAttempt = isAttemptOf(record);
  places.push('/attempts');
  return foldersIn(`${task}/attempts`, current).map((attempt_id) => {
    if (!isAttempt(attempt_id)) {
      const verdict_path = `attempts/${attempt_id}`;
      return { attempt_id, verdict: 'stray', verdict_path, verified: false, questions: [], answers: [] };
    }
    const attempt = `/attempts/${attempt_id}`;
    places.push(attempt);
    // Asking for the few names that matter takes less than listing all.
    const has = (name: string) => fs.lstatSync(`${task}${attempt}/${name}`, NO_EXCEPTION) !== undefined;
    const handedIn = attempt_id === current && has('verdict.json');
    const verified = handedIn && has('verdict.verified.json');
    const isOpen = handedIn && !verified;
    if (isOpen) places.push(`${attempt}/verdict.json`);
    return {
      attempt_id,
      verdict: isOpen ? verdictIn(`${task}${attempt}/verdict.json`) : null,
      verdict_path: `attempts/${attempt_id}/verdict.json`,
      verified,
      questions: filesIn(task, `${attempt}/questions`, places).map(asQuestion),
      answers: filesIn(task, `${attempt}/answers`, places).map(asAnswer),
    };
  });
}

/** A folder has a link by its own name, one from itself, and one from each folder in it. */
const LINKS_WITH_ONE_FOLDER = 3;

/** Names of the folders in that of the attempts. Throws IO_ERROR. */
function foldersIn(folder: string, current: string | null): string[] {
  const links = fs.lstatSync(folder, NO_EXCEPTION)?.nlink;
  // Where the current one is all there is, as for most tasks, it need not be listed. File systems that count otherwise
  // count more, or none at all; those are listed.
  if (links === LINKS_WITH_ONE_FOLDER && current !== null && isTaskId(current)) {
    if (fs.lstatSync(`${folder}/${current}`, NO_EXCEPTION)?.isDirectory()) return [current];
  }
  const entries = entriesIn(folder).filter((entry) => entry.isDirectory());
  return entries.map(({ name }) => name);
}

interface FoundFile {
  id: string;
  path: string;
  /** Null: it can't be read. */
  text: string | null;
}

/** A missing folder needs no stamp: creating it changes that of its attempt. */
function filesIn(task: string, folder: string, places: string[]): FoundFile[] {
  if (!isRealEntry(task + folder)) return [];
  places.push(folder);
  return entriesIn(task + folder).flatMap(({ name }) => {
    const id = name.replace(/\.json$/, '');
    const path = `${folder}/${name}`;
    const text = isUuid(id) && id !== name ? textOf(task + path) : undefined;
    if (text === undefined) return [];
    places.push(path);
    return [{ id, path: path.slice(1), text }];
  });
}

function asQuestion({ id, path, text }: FoundFile): GcQuestion {
  const parsed = text === null ? null : parseRecord(QuestionSchema, parseJson(text) ?? null);
  const base = { question_id: id, path, digest: crc32(text ?? '') };
  if (parsed?.ok) return { ...base, status: parsed.value.status, why: '' };
  return { ...base, status: null, why: parsed === null ? 'it is no regular file of at most 64 KiB' : parsed.why };
}

function asAnswer({ id, path, text }: FoundFile): GcAnswer {
  const parsed = text === null ? null : parseRecord(AnswerSchema, parseJson(text) ?? null);
  const base = { question_id: id, path, digest: crc32(text ?? '') };
  if (!parsed?.ok) return { ...base, option_id: undefined, answered_by: '' };
  return { ...base, option_id: parsed.value.option_id, answered_by: parsed.value.answered_by };
}

function verdictIn(file: string): GcAttempt['verdict'] {
  const text = textOf(file);
  const parsed = typeof text === 'string' ? parseRecord(VerdictSchema, parseJson(text) ?? null) : null;
  return parsed?.ok ? parsed.value.verdict : 'unreadable';
}

/**
 * The files among `names` of a task's folder that look like leases. Nothing is read where there is nothing to tell apart,
 * no file but `lease.json`. What a kill has left aside is found so.
 */
export function leaseFilesOf(layout: Layout, taskId: string, names: readonly string[]): GcLeaseFile[] {
  const found = names.filter((name) => LEASE_FILE.test(name));
  if (found.every((name) => name === 'lease.json')) return [];
  const dir = layout.task(taskId);
  return found.sort().flatMap((path): GcLeaseFile[] => {
    // A folder is a lock, and no lease.
    if (fs.lstatSync(`${dir}/${path}`, NO_EXCEPTION)?.isDirectory() !== false) return [];
    const lease = readLease(`${dir}/${path}`);
    if (lease === null) return [];
    if (typeof lease === 'string') return [{ kind: 'unreadable', path, why: lease }];
    const { claim_id, generation, owner_run_id, expires_at } = lease;
    return [{ kind: 'read', path, claim_id, generation, owner_run_id, expires_at }];
  });
}

/** Null: there is none. A string says why it can't be read. */
export function readLease(file: string): Lease | string | null {
  const text = textOf(file);
  if (text === undefined) return null;
  if (text === null) return 'it is no regular file of at most 64 KiB';
  const parsed = parseRecord(LeaseSchema, parseJson(text) ?? null);
  return parsed.ok ? parsed.value : parsed.why;
}

/** Undefined: there is none, or none any more, since another gc may be at work. Null: it can't be read. */
export function textOf(file: string): string | null | undefined {
  try {
    return readCapped(file, RECORD_MAX_BYTES);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? undefined : null;
  }
}
