/** Files that are no part of a commit: logs of tasks, attempts and runs; prompts and drafts. */

import fs from 'node:fs';
import path from 'node:path';
import { cutMark, partsOf } from '../../domain/log-cuts.ts';
import { maskOf } from '../../domain/secrets.ts';
import { cutMiddle } from '../../lib/fs/cut-middle.ts';
import { entriesIn, makeFolder, refuseSymlink, sumOf, swept } from '../../lib/fs/folders.ts';
import { asIoError, ifThere, NO_PATH, whileDoing } from '../../lib/fs/io-errors.ts';
import { type Appended, appendLines, readLines } from '../../lib/fs/json-lines.ts';
import { removeLeft } from '../../lib/fs/litter.ts';
import { createFile, createLog } from '../../lib/fs/new-file.ts';
import { lastLinesAt, readCapped, readFrom, readIfThere } from '../../lib/fs/read.ts';
import { replaceInPlace } from '../../lib/fs/replace.ts';
import { isUuid } from '../../lib/ids.ts';
import { oneLine } from '../../lib/text.ts';
import type {
  AttemptArtifacts,
  AttemptRef,
  Draft,
  EventLog,
  Leftovers,
  LogCut,
  LogName,
  LogStream,
  OpenLog,
  WorkerLogs,
} from '../port.ts';
import { replaceIn, type StateTree } from './tree.ts';

/** What of an attempt's folder decides nothing and is read by people alone. `drafts`: of an earlier version. */
const LEFTOVERS = ['drafts', 'events.jsonl', 'input.json', 'prompt.md', 'logs', 'doing'];

/** How the names of drafts begin. They have no folder: to make and remove one takes as long as four files. */
const DRAFT = 'draft-';

/** What a worker was told. */
const TOLD = ['prompt.md', 'input.json'];

/** What its worker does now. A worker may write there what it likes. */
const DOING = 'doing';
const DOING_MAX_BYTES = 4096;
const DOING_MAX_CHARS = 200;

/** Most of a log that is read, its end, bytes. */
const LOG_MAX_BYTES = 16 * 1024 * 1024;

export class FileEventLog implements EventLog {
  readonly #tree: StateTree;

  constructor(tree: StateTree) {
    this.#tree = tree;
  }

  async read(stream: LogStream, having?: readonly string[]): Promise<Record<string, unknown>[]> {
    const file = this.#file(stream);
    return readLines(ifThere(`reading ${file}`, () => readIfThere(file, LOG_MAX_BYTES, { end: true })) ?? '', having);
  }

  async append(stream: LogStream, entry: object): Promise<Appended> {
    // The attempt of a tree written by hand may have no folder yet.
    if (stream.log === 'events') this.#tree.ensureAttempt(stream.taskId, stream.attemptId);
    const file = this.#file(stream);
    return whileDoing(`appending to ${file}`, () => appendLines(file, [entry]));
  }

  #file(stream: LogStream): string {
    switch (stream.log) {
      case 'claim-history':
        return `${this.#tree.taskFolder(stream.taskId)}/claim-history.jsonl`;
      case 'events':
        return `${this.#tree.attemptFolder(stream.taskId, stream.attemptId)}/events.jsonl`;
      case 'notifications':
        return `${this.#tree.runFolder(stream.runId)}/notifications.jsonl`;
    }
  }
}

export class FileArtifacts implements AttemptArtifacts {
  readonly #tree: StateTree;

  constructor(tree: StateTree) {
    this.#tree = tree;
  }

  folder({ taskId, attemptId }: AttemptRef): string {
    return this.#tree.layout.attempt(taskId, attemptId);
  }

  logPath(attempt: AttemptRef, log: LogName): string {
    return `${this.folder(attempt)}/logs/${log}`;
  }

  placeForDraft(attempt: AttemptRef, draft: Draft): string {
    this.#tree.ensureAttempt(attempt.taskId, attempt.attemptId);
    return this.draftPath(attempt, draft);
  }

  dropOtherDrafts({ taskId, attemptId: own }: AttemptRef, draft: Draft): void {
    for (const attemptId of this.#attemptsOf(taskId).filter((id) => id !== own)) {
      const file = this.draftPath({ taskId, attemptId }, draft);
      if (fs.lstatSync(file, { throwIfNoEntry: false }) === undefined) continue;
      try {
        fs.rmSync(file, { recursive: true });
        // With it goes what it alone was in: the folder of an attempt that no commit refers to.
        fs.rmdirSync(this.folder({ taskId, attemptId }));
      } catch {
        // The attempt has other files too.
      }
    }
  }

  draftPath(attempt: AttemptRef, draft: Draft): string {
    const ending = draft === 'verdict' || draft === 'review' ? '.json' : '';
    return `${this.folder(attempt)}/${DRAFT}${draft}${ending}`;
  }

  openLogs(attempt: AttemptRef): WorkerLogs {
    const dir = `${this.#tree.ensureAttempt(attempt.taskId, attempt.attemptId)}/logs`;
    const open = (log: LogName) => createLog(`${dir}/${log}`);
    return whileDoing(`making the logs in ${dir}`, () => {
      makeFolder(dir);
      const [stdout, stderr] = [open('stdout.log'), open('stderr.log')];
      return { stdout, stderr, close: () => [stdout, stderr].forEach((fd) => void fs.closeSync(fd)) };
    });
  }

  openLog(attempt: AttemptRef, log: LogName): OpenLog {
    const file = this.logPath(attempt, log);
    this.#tree.ensureAttempt(attempt.taskId, attempt.attemptId);
    return whileDoing(`opening ${file}`, () => {
      // What a worker has put in the place of the folder makes way.
      const dir = path.dirname(file);
      if (fs.lstatSync(dir, { throwIfNoEntry: false })?.isDirectory() === false) fs.rmSync(dir);
      makeFolder(dir);
      fs.rmSync(file, { force: true });
      const fd = createLog(file);
      const writeAll = (bytes: Uint8Array) => {
        for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at);
      };
      const write = (bytes: Uint8Array) => whileDoing(`writing ${file}`, () => writeAll(bytes));
      return { fd, write, close: () => fs.closeSync(fd) };
    });
  }

  readLog(attempt: AttemptRef, log: LogName, offset: number): { text: string; next: number } {
    const file = this.logPath(attempt, log);
    if (!hasRealFolder(file)) return { text: '', next: Math.max(0, offset) };
    const stat = fs.lstatSync(file, { throwIfNoEntry: false });
    // Most logs are.
    const isEmpty = stat?.isFile() === true && stat.size === 0;
    return isEmpty ? { text: '', next: 0 } : readFrom(file, offset);
  }

  writtenAt(attempt: AttemptRef, log: LogName): number | null {
    const file = this.logPath(attempt, log);
    const look = () => fs.lstatSync(file, { throwIfNoEntry: false });
    const stat = hasRealFolder(file) ? ifThere(`looking at ${file}`, look, NO_PATH) : null;
    return stat?.isFile() ? Math.floor(stat.mtimeMs) : null;
  }

  tailOffset(attempt: AttemptRef, log: LogName, lines: number): number {
    const file = this.logPath(attempt, log);
    return hasRealFolder(file) ? lastLinesAt(file, lines) : 0;
  }

  async cutLog(attempt: AttemptRef, log: LogName, { maxBytes, before, secrets }: LogCut): Promise<number> {
    const file = this.logPath(attempt, log);
    if (!hasRealFolder(file)) return before;
    const stat = fs.lstatSync(file, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile() || stat.size <= maxBytes) return before;
    const prepare = (start: number, end: number) => replaceInPlace(file, masksOf(secrets), { start, end });
    try {
      return await cutMiddle(file, { max: maxBytes, ...partsOf(maxBytes), before, mark: cutMark, prepare });
    } catch (error) {
      throw asIoError(error, `cutting ${file}`);
    }
  }

  async maskLog(attempt: AttemptRef, log: LogName, secrets: readonly string[]): Promise<void> {
    const file = this.logPath(attempt, log);
    // Most logs are empty.
    if (secrets.length === 0 || !hasRealFolder(file) || fs.lstatSync(file, { throwIfNoEntry: false })?.size === 0)
      return;
    try {
      await replaceInPlace(file, masksOf(secrets));
    } catch (error) {
      throw asIoError(error, `masking secrets in ${file}`);
    }
  }

  writePrompt(attempt: AttemptRef, text: string): string {
    return this.#writeOnce(attempt, 'prompt.md', text);
  }

  writeInput(attempt: AttemptRef, text: string): string {
    return this.#writeOnce(attempt, 'input.json', text);
  }

  #writeOnce(attempt: AttemptRef, name: string, text: string): string {
    const file = `${this.#tree.ensureAttempt(attempt.taskId, attempt.attemptId)}/${name}`;
    whileDoing(`writing ${file}`, () => createFile(file, text));
    return file;
  }

  readDraft(attempt: AttemptRef, draft: Draft, maxBytes: number): string {
    refuseSymlink(this.folder(attempt));
    return readIfThere(this.draftPath(attempt, draft), maxBytes);
  }

  tellDoing(attempt: AttemptRef, text: string): void {
    try {
      const file = `${this.#tree.attemptFolder(attempt.taskId, attempt.attemptId)}/${DOING}`;
      if (text === '') fs.rmSync(file, { force: true });
      else replaceIn(file, text, `doing-${process.pid}`);
    } catch {
      // It is for people who look just now.
    }
  }

  doing(attempt: AttemptRef): string {
    try {
      const text = readCapped(
        `${this.#tree.attemptFolder(attempt.taskId, attempt.attemptId)}/${DOING}`,
        DOING_MAX_BYTES,
      );
      return oneLine(text, DOING_MAX_CHARS);
    } catch {
      return '';
    }
  }

  leftovers(taskId: string): Leftovers[] {
    return this.#attemptsOf(taskId).flatMap((attemptId) => this.#sweep({ taskId, attemptId }, false) ?? []);
  }

  #attemptsOf(taskId: string): string[] {
    return this.#tree
      .foldersIn(`${this.#tree.taskFolder(taskId)}/attempts`)
      .filter(isUuid)
      .sort();
  }

  removeLeftovers(attempt: AttemptRef): Leftovers {
    return this.#sweep(attempt, true) ?? { attempt_id: attempt.attemptId, files: 0, bytes: 0 };
  }

  /** Null: there are none. */
  #sweep({ taskId, attemptId }: AttemptRef, remove: boolean): Leftovers | null {
    const folder = this.#tree.attemptFolder(taskId, attemptId);
    const names = entriesIn(folder).map(({ name }) => name);
    const left = names.filter((name) => LEFTOVERS.includes(name) || name.startsWith(DRAFT));
    const rooms = left.map((name) => swept(`${folder}/${name}`, { remove }));
    return rooms.every((room) => room === null) ? null : { attempt_id: attemptId, ...sumOf(rooms) };
  }

  async tidy(attempt: AttemptRef, { told }: { told: boolean }): Promise<void> {
    try {
      const folder = this.#tree.attemptFolder(attempt.taskId, attempt.attemptId);
      if (told) for (const name of TOLD) removeLeft(`${folder}/${name}`);
      const logs = entriesIn(`${folder}/logs`).map(({ name }) => `${folder}/logs/${name}`);
      const silent = logs.filter((file) => fs.lstatSync(file).size === 0);
      for (const file of silent) removeLeft(file);
      // Some file systems take longer for that than for all the rest, and others may go on meanwhile.
      if (silent.length === logs.length) await new Promise((done) => fs.rmdir(`${folder}/logs`, done));
    } catch {
      // What stays does no harm.
    }
  }

  discard(attempt: AttemptRef): void {
    try {
      fs.rmSync(this.folder(attempt), { recursive: true, force: true });
    } catch {
      // An attempt that nothing refers to did not happen, also where its files stay.
    }
  }
}

/** A worker may have put a symlink in the place of the folder of its logs. */
function hasRealFolder(file: string): boolean {
  const look = () => fs.lstatSync(path.dirname(file), { throwIfNoEntry: false });
  return ifThere(`looking at ${file}`, look, ['ELOOP', ...NO_PATH])?.isDirectory() === true;
}

function masksOf(secrets: readonly string[]): Map<string, string> {
  return new Map(secrets.map((secret) => [secret, maskOf(secret)]));
}
