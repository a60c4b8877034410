/** What gc looks at and changes beside the records of tasks: leases, questions, answers and verdicts as files, and the first version's layout. */

import fs from 'node:fs';
import path from 'node:path';
import type { GcAnswer, GcAttempt, GcLeaseFile, GcQuestion, TreeIdentity } from '../../domain/gc/gc-plan.ts';
import { AnswerSchema, QuestionSchema } from '../../domain/question/questions.ts';
import { isAttemptOf, strayText } from '../../domain/task/attempts.ts';
import {
  type Lease,
  LeaseSchema,
  parseRecord,
  RECORD_MAX_BYTES,
  type TaskSummary,
  VerdictSchema,
} from '../../domain/task/records.ts';
import { isTerminal } from '../../domain/task/states.ts';
import { crc32 } from '../../lib/checksum.ts';
import { ForgeError, isForeign } from '../../lib/errors.ts';
import { entriesIn, makeFolder, realEntriesIn, refuseSymlink, swept, syncDir } from '../../lib/fs/folders.ts';
import { errorCode, ifThere, whileDoing } from '../../lib/fs/io-errors.ts';
import { isLeft } from '../../lib/fs/litter.ts';
import { takingTurns } from '../../lib/fs/locks.ts';
import { readCapped } from '../../lib/fs/read.ts';
import { isUuid, requireUuid } from '../../lib/ids.ts';
import { parseJson } from '../../lib/json.ts';
import type { GcArtifacts, GcStore, LegacyMove, Snapshot } from '../port.ts';
import { TMP_PREFIX } from './record-file.ts';
import { SurplusFiles } from './surplus.ts';
import type { FolderRead } from './task-files.ts';
import type { Layout } from './tree.ts';

/** What most looks are answered with is that there is nothing. */
const NO_EXCEPTION = { throwIfNoEntry: false } as const;

/** `lease.json`, and what a person or another tool has put beside it under a name like that. */
export const LEASE_FILE = /^lease[^/]*\.json[^/]*$/;
const isTemporary = (name: string) => name.startsWith(TMP_PREFIX);

/** Longest name of a file, characters. Source: NAME_MAX of Linux and macOS. */
const NAME_MAX_CHARS = 255;

/** A path below some folder with its inode and ctime, whole milliseconds. */
export type Stamp = [path: string, inode: number, changedMs: number];

export const stampOf = (path: string, { ino, ctimeMs }: fs.Stats): Stamp => [path, ino, Math.trunc(ctimeMs)];

/**
 * What lies beside the record of a task that was just read, and the folders and files of its attempts that it was found in, as they were before
 * they were read; their paths are below the task's folder. Throws IO_ERROR.
 */
export function artifactsOf(
  layout: Layout,
  { task_id, names, record }: Pick<FolderRead, 'task_id' | 'names'> & { record: TaskSummary | null },
): { artifacts: GcArtifacts; stamps: Stamp[] } {
  const stamps: Stamp[] = [];
  const litter = names.filter(isTemporary);
  const all = names.includes('attempts') ? attemptsOf(layout, task_id, record, { stamps, litter, foreign: [] }) : [];
  const attempts = all.filter(
    ({ verdict, questions, answers }) => verdict !== null || questions.length > 0 || answers.length > 0,
  );
  return { artifacts: { lease_files: leaseFilesOf(layout, task_id, names), attempts, litter }, stamps };
}

/**
 * The attempts of a task with what they asked and handed in. The verdict of the record's current attempt matters, no other.
 * What they were found in goes to `stamps`, temporary files among it to `litter`; both as paths below the task's folder.
 */
export function attemptsOf(
  layout: Layout,
  taskId: string,
  record: Parameters<typeof isAttemptOf>[0],
  found: Found = { stamps: [], litter: [], foreign: [] },
): GcAttempt[] {
  const { litter } = found;
  const task = layout.task(taskId);
  const current = record?.state.current_attempt_id ?? null;
  const isAttempt = isAttemptOf(record);
  const entries = entriesSeen(task, '/attempts', found);
  for (const entry of entries) {
    if (isAttempt(entry.name) && !entry.isDirectory()) found.foreign.push(`/attempts/${entry.name}`);
  }
  const folders = entries.filter((entry) => entry.isDirectory());
  const attempts = folders.map(({ name: attempt_id }): GcAttempt => {
    if (!isAttempt(attempt_id)) return { ...NO_ATTEMPT, attempt_id, verdict_path: `attempts/${attempt_id}` };
    const attempt = `/attempts/${attempt_id}`;
    const names = entriesSeen(task, attempt, found).map(({ name }) => name);
    for (const name of names) if (isTemporary(name)) litter.push(`${attempt.slice(1)}/${name}`);
    const handedIn = attempt_id === current && names.includes('verdict.json');
    const verified = handedIn && names.includes('verdict.verified.json');
    const isOpen = handedIn && !verified;
    if (isOpen) fileSeen(task, `${attempt}/verdict.json`, found);
    return {
      attempt_id,
      verdict: isOpen ? verdictIn(`${task}${attempt}/verdict.json`) : null,
      verdict_path: `attempts/${attempt_id}/verdict.json`,
      verified,
      questions: names.includes('questions') ? filesIn(task, `${attempt}/questions`, found).map(asQuestion) : [],
      answers: names.includes('answers') ? filesIn(task, `${attempt}/answers`, found).map(asAnswer) : [],
    };
  });
  const foreign = found.foreign.map((path) => ({ ...NO_ATTEMPT, attempt_id: '', verdict_path: path.slice(1) }));
  return [...attempts, ...foreign];
}

const NO_ATTEMPT = { verdict: 'stray', verified: false, questions: [], answers: [] } as const;

/** What a look at a task came by, as paths below its folder. */
interface Found {
  stamps: Stamp[];
  litter: string[];
  /** What is there in place of a folder. */
  foreign: string[];
}

/** The entries of a folder below that of a task. One that is missing needs no stamp: creating it changes that of the folder above. */
function entriesSeen(task: string, path: string, { stamps, foreign }: Found): fs.Dirent[] {
  try {
    return entriesIn(task + path, (stat) => {
      stamps.push(stampOf(path, stat));
      if (!stat.isDirectory()) foreign.push(path);
    });
  } catch (error) {
    if (!isForeign(error)) throw error;
    foreign.push(path);
    return [];
  }
}

/** A file that is about to be read. */
function fileSeen(task: string, path: string, { stamps }: Found): void {
  const stat = fs.lstatSync(task + path, NO_EXCEPTION);
  if (stat !== undefined) stamps.push(stampOf(path, stat));
}

interface FoundFile {
  id: string;
  path: string;
  /** Null: it can't be read. */
  text: string | null;
}

function filesIn(task: string, folder: string, found: Found): FoundFile[] {
  return entriesSeen(task, folder, found).flatMap(({ name }) => {
    const id = name.replace(/\.json$/, '');
    const path = `${folder}/${name}`;
    if (isTemporary(name)) found.litter.push(path.slice(1));
    if (!isUuid(id) || id === name) return [];
    fileSeen(task, path, found);
    const text = textOf(task + path);
    if (text === undefined) return [];
    return [{ id, path: path.slice(1), text }];
  });
}

/** The content of a file that anyone may have written; null: it can't be read. */
function parsed<T>(
  schema: Parameters<typeof parseRecord<T>>[0],
  text: string | null,
): ReturnType<typeof parseRecord<T>> {
  if (text === null) return { ok: false, why: 'it is not a regular file of at most 64 KiB' };
  return parseRecord(schema, parseJson(text));
}

function asQuestion({ id, path, text }: FoundFile): GcQuestion {
  const question = parsed(QuestionSchema, text);
  const said = question.ok ? { status: question.value.status, why: '' } : { status: null, why: question.why };
  return { question_id: id, path, digest: crc32(text ?? ''), ...said };
}

function asAnswer({ id, path, text }: FoundFile): GcAnswer {
  const answer = parsed(AnswerSchema, text);
  const { option_id, answered_by } = answer.ok ? answer.value : { option_id: undefined, answered_by: '' };
  return { question_id: id, path, digest: text === null ? null : crc32(text), option_id, answered_by };
}

function verdictIn(file: string): GcAttempt['verdict'] {
  const verdict = parsed(VerdictSchema, textOf(file) ?? null);
  return verdict.ok ? verdict.value.verdict : 'unreadable';
}

/**
 * The files among `names` of a task's folder that look like leases. Nothing is read where there is nothing to tell apart,
 * no file but `lease.json`. What a kill has left aside is found so.
 */
function leaseFilesOf(layout: Layout, taskId: string, names: readonly string[]): GcLeaseFile[] {
  const found = names.filter((name) => LEASE_FILE.test(name));
  if (found.every((name) => name === 'lease.json')) return [];
  const dir = layout.task(taskId);
  return found.sort().flatMap((path): GcLeaseFile[] => {
    // A folder is a lock, and no lease.
    if (fs.lstatSync(`${dir}/${path}`, NO_EXCEPTION)?.isDirectory() !== false) return [];
    const lease = leaseIn(`${dir}/${path}`);
    if (lease === null) return [];
    if (!lease.ok) return [{ kind: 'unreadable', path, why: lease.why }];
    const { claim_id, generation, owner_run_id, expires_at } = lease.value;
    return [{ kind: 'read', path, claim_id, generation, owner_run_id, expires_at }];
  });
}

/** Null: there is none. */
function leaseIn(file: string): ReturnType<typeof parseRecord<Lease>> | null {
  const text = textOf(file);
  return text === undefined ? null : parsed(LeaseSchema, text);
}

/** Undefined: there is none, or none any more, since another gc may be at work. Null: it can't be read. */
function textOf(file: string): string | null | undefined {
  try {
    return readCapped(file, RECORD_MAX_BYTES);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? undefined : null;
  }
}

export class GcFileStore extends SurplusFiles implements GcStore {
  async leaseFiles(taskId: string): Promise<GcLeaseFile[]> {
    const names = entriesIn(this.layout.task(taskId)).map(({ name }) => name);
    return leaseFilesOf(this.layout, taskId, names);
  }

  async strayAttempts(taskId: string, record: TaskSummary | null): Promise<string[]> {
    return attemptsOf(this.layout, taskId, record).flatMap((attempt) => strayText(attempt) ?? []);
  }

  async readLease(taskId: string, name: string): Promise<Lease | null> {
    const file = this.#leasePath(taskId, name);
    const lease = leaseIn(file);
    if (lease?.ok === false) throw new ForgeError('IO_ERROR', `reading ${file}: ${lease.why}`);
    return lease?.value ?? null;
  }

  #leasePath(taskId: string, name: string): string {
    if (LEASE_FILE.test(name) && name.length <= NAME_MAX_CHARS) return `${this.layout.task(taskId)}/${name}`;
    throw new ForgeError('INVALID_ARGS', `${name} is not a name of a lease file`);
  }

  /**
   * The file is taken aside first, so that what is checked is what is removed. Its name aside is a lease file's too: after a
   * kill the next gc finds it.
   */
  async removeLease(taskId: string, name: string, op: string, holds: (lease: Lease) => boolean): Promise<boolean> {
    const file = this.#leasePath(taskId, name);
    const aside = `${this.layout.task(taskId)}/lease.json.${requireUuid(op, 'commit')}`;
    const removed = ifThere(`removing ${file}`, () => {
      fs.renameSync(file, aside);
      const lease = leaseIn(aside);
      const isIt = lease?.ok === true && holds(lease.value);
      // A link does not overwrite what was put there meanwhile.
      if (!isIt) fs.linkSync(aside, file);
      fs.unlinkSync(aside);
      return isIt;
    });
    return removed ?? false;
  }

  async archive(
    taskId: string,
    kind: 'questions' | 'answers',
    { attempt_id, question_id, digest }: { attempt_id: string; question_id: string; digest: string },
  ): Promise<boolean> {
    const attempt = this.layout.attempt(taskId, attempt_id);
    const name = `${requireUuid(question_id, 'question')}.json`;
    const from = `${attempt}/${kind}/${name}`;
    const folder = `${attempt}/archived/${kind}`;
    // Where it is gone another gc was faster.
    const archived = ifThere(`archiving ${from}`, () => {
      refuseSymlink(`${attempt}/${kind}`);
      const text = textOf(from);
      if (typeof text !== 'string' || crc32(text) !== digest) return false;
      makeFolder(`${attempt}/archived`);
      makeFolder(folder);
      linkUnlessThere(from, `${folder}/${name}`, text);
      syncDir(folder);
      fs.unlinkSync(from);
      return true;
    });
    return archived ?? false;
  }

  async legacyMoves(stamp: string): Promise<LegacyMove[]> {
    return ['questions', 'answers'].flatMap((folder) =>
      entriesIn(`${this.layout.forge}/${folder}`)
        .flatMap((entry) => (entry.isFile() && /^[^.].*\.json$/.test(entry.name) ? [entry.name] : []))
        .sort()
        .map((name) => ({
          from: `.forge/${folder}/${name}`,
          to: `.forge/orchestrator/legacy/${stamp}/${folder}/${name}`,
        })),
    );
  }

  /** Each is renamed, so that it has one name at every moment, and one of several processes moves it. */
  async moveLegacy(moves: readonly LegacyMove[]): Promise<LegacyMove[]> {
    const { project } = this.layout;
    const isMoved = ({ from, to }: LegacyMove) => {
      const [source, target] = [`${project}/${from}`, `${project}/${to}`];
      const folder = path.dirname(target);
      const stamped = path.dirname(folder);
      return ifThere(`moving ${from}`, () => {
        for (const dir of [path.dirname(stamped), stamped, folder]) makeFolder(dir);
        // Nothing is overwritten; another time has another folder.
        if (fs.lstatSync(target, NO_EXCEPTION) !== undefined) return false;
        fs.renameSync(source, target);
        for (const dir of [folder, path.dirname(source)]) syncDir(dir);
        return true;
      });
    };
    return moves.filter((move) => isMoved(move) === true);
  }

  async litter({ tasks, seen }: Snapshot, nowMs: number): Promise<string[]> {
    const { project, runs, questionIndex } = this.layout;
    const ofTasks = tasks.flatMap(({ task_id, record }) => {
      const isOver = record !== null && isTerminal(record.state.state);
      const { litter } = seen.artifacts(task_id);
      return litter.map((name) => `${this.layout.task(task_id)}/${name}`).filter((file) => isLeft(file, nowMs, isOver));
    });
    const folders = entriesIn(runs).flatMap((entry) => (entry.isDirectory() ? [`${runs}/${entry.name}`] : []));
    const others = [...folders, path.dirname(questionIndex)].flatMap((folder) =>
      realEntriesIn(folder).flatMap(({ name }) => (isTemporary(name) ? [`${folder}/${name}`] : [])),
    );
    return [...ofTasks, ...others.filter((file) => isLeft(file, nowMs, false))].map((file) =>
      path.relative(project, file),
    );
  }

  /** Each has another name before its first file goes, so that no half of it is ever read. What a killed call has left under one goes as well. */
  async removeRuns(runIds: readonly string[]): Promise<string[]> {
    const { runs, run } = this.layout;
    whileDoing(`removing from ${runs}`, () => refuseSymlink(runs));
    const aside = (name: string) => `${runs}/${TMP_PREFIX}${name}`;
    const removed = runIds.filter((id) => {
      refuseSymlink(run(id));
      return ifThere(`removing run ${id}`, () => fs.renameSync(run(id), aside(id)) ?? true) !== null;
    });
    for (const { name } of entriesIn(runs)) if (isTemporary(name)) swept(`${runs}/${name}`, { remove: true });
    return removed;
  }

  async identity(): Promise<TreeIdentity | null> {
    const { orchestrator } = this.layout;
    const stat = fs.lstatSync(orchestrator, { throwIfNoEntry: false });
    return stat?.isDirectory() === true ? { path: fs.realpathSync(orchestrator), inode: stat.ino } : null;
  }

  takeTurn<T>(me: string, onBusy: (holder: string) => void, work: () => Promise<T>): Promise<T> {
    return takingTurns(`${this.layout.orchestrator}/.gc.lock`, me, onBusy, work);
  }
}

/** A process that was killed between the two names has left both; another file of that name is kept, and gets company. */
function linkUnlessThere(from: string, to: string, text: string): void {
  try {
    fs.linkSync(from, to);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    if (textOf(to) === text) return;
    const next = (_: string, n: string | undefined) => `.${Number(n?.slice(1) ?? 0) + 1}.json`;
    linkUnlessThere(from, to.replace(/(\.\d+)?\.json$/, next), text);
  }
}
