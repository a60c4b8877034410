/**
 * A tracker that is a YAML file in the project. Changes are made under a lock, to a synced copy that replaces the file; so readers
 * see the file before or after, and a killed process leaves the one before.
 */

import fs from 'node:fs';
import path from 'node:path';
import { isClosed } from '../../domain/tracker-issues.ts';
import { ForgeError, type Problem } from '../../lib/errors.ts';
import { syncDir, synced } from '../../lib/fs/folders.ts';
import { errorCode, whyUnread } from '../../lib/fs/io-errors.ts';
import { exclusivelySoon } from '../../lib/fs/locks.ts';
import { readCapped } from '../../lib/fs/read.ts';
import { valueAt } from '../../lib/schema-issues.ts';
import { oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import type { IssueState, Tracker, TrackerIssue } from '../port.ts';
import { type IssueChange, isChangedTo, parseTrackerFile } from './document.ts';

/** Limit of the file, bytes. Everything on disk is untrusted. */
const MAX_BYTES = 4 * 1024 * 1024;

/** How long to wait for the lock, milliseconds. Longer than the lock of a killed holder lasts. */
const WAIT_MS = 4000;

/** How often a change is made again because an editor saved the file at that moment. */
const TRIES = 5;

export interface FileTrackerOptions {
  /** The project folder, absolute. */
  project: string;
  /** The file's path, relative to the project. */
  file: string;
  now(): number;
  /** A new id. */
  newOp(): string;
  /** Milliseconds to wait for the lock. Default: 4000. */
  waitMs?: number;
}

interface Read {
  text: string;
  issues: TrackerIssue[];
  value: unknown;
  mode: number;
  /** Differs once the file has been replaced or changed. */
  stamp: string;
}

/** The decision on an issue: `change` null for nothing. */
interface Decided<T> {
  change: IssueChange | null;
  result: T;
}

export class FileTracker implements Tracker {
  readonly #file: string;
  /** As a person writes it. */
  readonly #shown: string;
  readonly #options: FileTrackerOptions;

  constructor(options: FileTrackerOptions) {
    this.#options = options;
    this.#shown = options.file;
    this.#file = path.resolve(options.project, options.file);
  }

  async list(): Promise<TrackerIssue[]> {
    return (await this.#read()).issues;
  }

  claim(issueId: string, runId: string): Promise<boolean> {
    return this.#change(issueId, (issue) => {
      if (issue === null || isClosed(issue)) return { change: null, result: false };
      if (issue.claimed_by !== null && issue.claimed_by !== runId) return { change: null, result: false };
      return { change: { claimed_by: runId, state: 'in_progress' }, result: true };
    });
  }

  release(issueId: string, runId: string): Promise<void> {
    return this.#change(issueId, (issue) => {
      if (issue === null || issue.claimed_by !== runId) return { change: null, result: undefined };
      return { change: { claimed_by: null, ...(isClosed(issue) ? {} : { state: 'open' }) }, result: undefined };
    });
  }

  setState(issueId: string, state: IssueState): Promise<void> {
    return this.#change(issueId, (issue) => {
      this.#refuseGone(issueId, issue);
      return { change: { state }, result: undefined };
    });
  }

  comment(issueId: string, text: string): Promise<void> {
    return this.#change(issueId, (issue, raw) => {
      this.#refuseGone(issueId, issue);
      const last = (valueAt(raw, ['comments']) as unknown[] | null | undefined)?.at(-1);
      if (valueAt(last, ['text']) === text) return { change: null, result: undefined };
      return { change: { comment: { ts: isoTime(this.#options.now()), text } }, result: undefined };
    });
  }

  #refuseGone(issueId: string, issue: TrackerIssue | null): void {
    if (issue === null) throw this.#error(`${this.#shown} has no issue ${oneLine(issueId, 80)}`);
  }

  /** Reads, decides and writes under the lock. `decide` gets null when there is no such issue. */
  async #change<T>(issueId: string, decide: (issue: TrackerIssue | null, raw: unknown) => Decided<T>): Promise<T> {
    // An invalid file is reported without waiting for the lock.
    await this.#read();
    const { waitMs = WAIT_MS } = this.#options;
    return this.#told(`locking ${this.#shown}`, () =>
      exclusivelySoon(`${this.#file}.lock`, waitMs, async () => {
        this.#clearTemporary();
        for (let tries = 0; tries < TRIES; tries++) {
          const read = await this.#read();
          const index = read.issues.findIndex(({ id }) => id === issueId);
          const issue = read.issues[index] ?? null;
          const { change, result } = decide(issue, valueAt(read.value, ['issues', index]));
          const needed = change === null || issue === null ? null : difference(issue, change);
          if (needed === null) return result;
          if (await this.#write(read, index, needed)) return result;
        }
        throw this.#error(`${this.#shown} was changed by others ${TRIES} times in a row`);
      }),
    );
  }

  /** False when a program that takes no lock, such as an editor, has changed the file meanwhile. */
  async #write(read: Read, index: number, change: IssueChange): Promise<boolean> {
    const text = await this.#edited(read, index, change);
    const temporary = path.join(path.dirname(this.#file), `${this.#temporaryPrefix()}${this.#options.newOp()}.tmp`);
    try {
      const renamed = await this.#told(`writing ${this.#shown}`, async () => {
        if ((read.mode & 0o222) === 0) throw Object.assign(new Error('it is write-protected'), { code: 'EACCES' });
        await writeSynced(temporary, text, read.mode);
        // Nothing may come between this check and the rename.
        if (this.#stamp() !== read.stamp) return false;
        fs.renameSync(temporary, this.#file);
        syncDir(path.dirname(this.#file));
        return true;
      });
      if (!renamed) return false;
    } finally {
      fs.rmSync(temporary, { force: true });
    }
    const after = await this.#read();
    if (after.text !== text && !isChangedTo(after.value, read.value, index, change)) {
      throw this.#error(`${this.#shown} does not have what was written to it; another program has changed it since`);
    }
    return true;
  }

  async #edited(read: Read, index: number, change: IssueChange): Promise<string> {
    const { changeIssue } = await import('./edit.ts');
    const text = await changeIssue(read.text, index, change);
    const after = text === null ? null : parseTrackerFile(text, this.#shown);
    if (text === null || after?.ok !== true || !isChangedTo(after.value, read.value, index, change)) {
      const id = oneLine(read.issues[index]?.id ?? '', 80);
      throw this.#error(
        `${this.#shown}: issue ${id} is written in a way that cannot be changed in place`,
        'Write the issue out, without anchors, aliases or tags.',
      );
    }
    if (Buffer.byteLength(text) > MAX_BYTES)
      throw this.#error(`${this.#shown} would become larger than ${MAX_BYTES} bytes`);
    return text;
  }

  #read(): Promise<Read> {
    return this.#told(`reading ${this.#shown}`, () => {
      this.#refuseLinks();
      const stamp = this.#stamp();
      const { mode } = fs.lstatSync(this.#file);
      const text = readCapped(this.#file, MAX_BYTES);
      this.#refuseOtherEncodings(text);
      const parsed = parseTrackerFile(text, this.#shown);
      if (!parsed.ok) throw malformed(this.#shown, parsed.problems);
      return { text, issues: parsed.issues, value: parsed.value, mode: mode & 0o7777, stamp };
    });
  }

  /** A repository may have symlinks to anywhere; none below the project is followed. */
  #refuseLinks(): void {
    const inside = path.relative(this.#options.project, this.#file).split(path.sep);
    // A configured path out of the project is intended.
    if (inside[0] === '..') return;
    inside.reduce((folder, name) => {
      const place = path.join(folder, name);
      if (fs.lstatSync(place).isSymbolicLink()) throw this.#error(`${this.#shown}: ${place} is a symlink`, NO_LINKS);
      return place;
    }, this.#options.project);
  }

  /** Invalid UTF-8 would be written back as something else. */
  #refuseOtherEncodings(text: string): void {
    if (!text.includes('\ufffd') || fs.readFileSync(this.#file).equals(Buffer.from(text))) return;
    throw this.#error(`${this.#shown} is not UTF-8`, 'Save it as UTF-8.');
  }

  #stamp(): string {
    const stat = fs.lstatSync(this.#file, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? '' : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
  }

  #temporaryPrefix(): string {
    return `.${path.basename(this.#file)}.`;
  }

  /** The writer of such a copy is dead, or has lost the lock and must not rename the copy any more. */
  #clearTemporary(): void {
    const folder = path.dirname(this.#file);
    const left = fs
      .readdirSync(folder)
      .filter((name) => name.startsWith(this.#temporaryPrefix()) && name.endsWith('.tmp'));
    for (const name of left) fs.rmSync(path.join(folder, name), { force: true });
  }

  async #told<T>(doing: string, work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#asTrackerError(error, doing);
    }
  }

  #asTrackerError(error: unknown, doing: string): unknown {
    if (error instanceof ForgeError) {
      return error.code === 'IO_ERROR'
        ? new ForgeError('TRACKER_ERROR', error.message, { hint: error.hint, cause: error })
        : error;
    }
    const code = errorCode(error);
    if (!(error instanceof Error) || !/^E[A-Z0-9]+$/.test(code)) return error;
    // An unwritable file is reported by its own error.
    const words = code === 'EACCES' ? null : whyUnread(error, MAX_BYTES);
    return new ForgeError('TRACKER_ERROR', `${doing}: ${words ?? error.message}`, {
      ...(code === 'ENOENT' ? { hint: 'Write the file, or fix tracker.path in .forge/settings.yaml.' } : {}),
      details: { errno: code },
      cause: error,
    });
  }

  #error(message: string, hint?: string): ForgeError {
    return new ForgeError('TRACKER_ERROR', message, hint === undefined ? {} : { hint });
  }
}

const NO_LINKS = 'Symlinks are never followed. Put the real file or folder there.';

function malformed(shown: string, problems: readonly Problem[]): ForgeError {
  const [first] = problems;
  const where = first === undefined ? shown : `${shown}:${first.place.line ?? 1}`;
  const more = problems.length > 1 ? ` (the first of ${problems.length} problems)` : '';
  return new ForgeError('TRACKER_ERROR', `${where}: ${first?.message ?? 'it cannot be read'}${more}`, {
    hint: first?.suggestion ?? 'Fix the file at that place.',
    problems,
  });
}

/** What of `change` is not there yet; null when all is. */
function difference(issue: TrackerIssue, { state, claimed_by, comment }: IssueChange): IssueChange | null {
  const needed: IssueChange = {
    ...(state === undefined || state === issue.state ? {} : { state }),
    ...(claimed_by === undefined || claimed_by === issue.claimed_by ? {} : { claimed_by }),
    ...(comment === undefined ? {} : { comment }),
  };
  return Object.keys(needed).length === 0 ? null : needed;
}

/** Writes a file that must not exist, durably. */
async function writeSynced(file: string, text: string, mode: number): Promise<void> {
  const fd = fs.openSync(file, 'wx', 0o600);
  try {
    fs.writeFileSync(fd, text);
    fs.fchmodSync(fd, mode);
    await synced(fd);
  } finally {
    fs.closeSync(fd);
  }
}
