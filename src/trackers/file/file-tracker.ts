/**
 * A tracker that is a YAML file in the project. Changes are made under a lock, to a synced copy that replaces the file; so readers
 * see the file before or after, and a killed process leaves the one before.
 */

import fs from 'node:fs';
import path from 'node:path';
import { type IssueState, isClosed, type TrackerIssue } from '../../domain/tracker-issues.ts';
import { ForgeError, type Problem } from '../../lib/errors.ts';
import { errorCode, whyUnread } from '../../lib/fs/io-errors.ts';
import { exclusively } from '../../lib/fs/locks.ts';
import { replaceIfSame } from '../../lib/fs/new-file.ts';
import { readBytes, readCapped } from '../../lib/fs/read.ts';
import { valueAt } from '../../lib/schema-issues.ts';
import { oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import type { Tracker } from '../port.ts';
import { editsOf, type IssueChange, parseTrackerFile } from './document.ts';

/** Limit of the file, bytes. Everything on disk is untrusted. */
const MAX_BYTES = 4 * 1024 * 1024;

/** How long the lock of a killed holder lasts, and, longer than that, how long to wait for the lock, milliseconds. */
const LOCK = { staleMs: 3000, waitMs: 4000 };

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
  /** Differs once the file has been replaced or changed. */
  stamp: string;
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
      const isFree = issue !== null && !isClosed(issue) && (issue.claimed_by ?? runId) === runId;
      return isFree ? { claimed_by: runId, state: 'in_progress' } : null;
    });
  }

  async release(issueId: string, runId: string): Promise<void> {
    await this.#change(issueId, (issue) => {
      if (issue?.claimed_by !== runId) return null;
      return { claimed_by: null, ...(isClosed(issue) ? {} : { state: 'open' }) };
    });
  }

  async setState(issueId: string, state: IssueState): Promise<void> {
    await this.#change(issueId, (issue) => {
      this.#refuseGone(issueId, issue);
      return { state };
    });
  }

  async comment(issueId: string, text: string): Promise<void> {
    await this.#change(issueId, (issue, raw) => {
      this.#refuseGone(issueId, issue);
      const last = (valueAt(raw, ['comments']) as unknown[] | null | undefined)?.at(-1);
      return valueAt(last, ['text']) === text ? null : { comment: { ts: isoTime(this.#options.now()), text } };
    });
  }

  #refuseGone(issueId: string, issue: TrackerIssue | null): void {
    if (issue === null) throw refusal(`${this.#shown} has no issue ${oneLine(issueId, 80)}`);
  }

  /**
   * Reads, decides and writes under the lock. `decide` gets null when there is no such issue. False when it decides on no change.
   */
  async #change(
    issueId: string,
    decide: (issue: TrackerIssue | null, raw: unknown) => IssueChange | null,
  ): Promise<boolean> {
    // An invalid file is reported without waiting for the lock.
    await this.#read();
    const work = async () => {
      for (let tries = 0; tries < TRIES; tries++) {
        const read = await this.#read();
        const index = read.issues.findIndex(({ id }) => id === issueId);
        const issue = read.issues[index] ?? null;
        const change = decide(issue, valueAt(read.value, ['issues', index]));
        if (change === null || issue === null) return false;
        const needed = difference(issue, change);
        if (needed === null || (await this.#write(read, index, needed))) return true;
      }
      throw refusal(`${this.#shown} was changed by others ${TRIES} times in a row`);
    };
    const terms = { ...LOCK, waitMs: this.#options.waitMs ?? LOCK.waitMs };
    return told(`locking ${this.#shown}`, () => exclusively(`${this.#file}.lock`, work, { terms }));
  }

  /** False when a program that takes no lock, such as an editor, has changed the file meanwhile. */
  async #write(read: Read, index: number, change: IssueChange): Promise<boolean> {
    const text = await this.#edited(read, index, change);
    const isSame = () => this.#stamp() === read.stamp;
    const write = () => replaceIfSame(this.#file, text, this.#options.newOp(), isSame);
    if (!(await told(`writing ${this.#shown}`, write))) return false;
    if ((await this.#read()).text !== text)
      throw refusal(`${this.#shown} does not have what was written to it; another program has changed it since`);
    return true;
  }

  async #edited(read: Read, index: number, change: IssueChange): Promise<string> {
    const { editYaml } = await import('../../lib/yaml-edit.ts');
    const text = await editYaml(read.text, editsOf(read.text, index, change));
    if (text === null) {
      const id = oneLine(read.issues[index]?.id ?? '', 80);
      throw refusal(
        `${this.#shown}: issue ${id} is written in a way that cannot be changed in place`,
        'Write the issue out, without anchors, aliases or tags.',
      );
    }
    if (Buffer.byteLength(text) > MAX_BYTES)
      throw refusal(`${this.#shown} would become larger than ${MAX_BYTES} bytes`);
    return text;
  }

  #read(): Promise<Read> {
    return told(`reading ${this.#shown}`, () => {
      this.#refuseLinks();
      const stamp = this.#stamp();
      const text = readCapped(this.#file, MAX_BYTES);
      this.#refuseOtherEncodings(text);
      const parsed = parseTrackerFile(text, this.#shown);
      if (!parsed.ok) throw malformed(this.#shown, parsed.problems);
      return { text, issues: parsed.issues, value: parsed.value, stamp };
    });
  }

  /** A repository may have symlinks to anywhere; none below the project is followed. */
  #refuseLinks(): void {
    const inside = path.relative(this.#options.project, this.#file).split(path.sep);
    // A configured path out of the project is intended.
    if (inside[0] === '..') return;
    inside.reduce((folder, name) => {
      const place = path.join(folder, name);
      if (fs.lstatSync(place).isSymbolicLink()) throw refusal(`${this.#shown}: ${place} is a symlink`, NO_LINKS);
      return place;
    }, this.#options.project);
  }

  /** Invalid UTF-8 would be written back as something else. */
  #refuseOtherEncodings(text: string): void {
    if (!text.includes('\ufffd') || readBytes(this.#file, MAX_BYTES).equals(Buffer.from(text))) return;
    throw refusal(`${this.#shown} is not UTF-8`, 'Save it as UTF-8.');
  }

  #stamp(): string {
    const stat = fs.lstatSync(this.#file, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? '' : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
  }
}

/** Runs `work`. Throws system errors and IO_ERROR as TRACKER_ERROR, with the operation `doing`; any other unchanged. */
async function told<T>(doing: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ForgeError) {
      if (error.code !== 'IO_ERROR') throw error;
      throw new ForgeError('TRACKER_ERROR', error.message, { hint: error.hint, cause: error });
    }
    const errno = errorCode(error);
    if (!(error instanceof Error) || !/^E[A-Z0-9]+$/.test(errno)) throw error;
    // An unwritable file is reported by its own error.
    const words = errno === 'EACCES' ? null : whyUnread(error, MAX_BYTES);
    throw new ForgeError('TRACKER_ERROR', `${doing}: ${words ?? error.message}`, {
      hint: errno === 'ENOENT' ? 'Write the file, or fix tracker.path in .forge/settings.yaml.' : undefined,
      details: { errno },
      cause: error,
    });
  }
}

function refusal(message: string, hint?: string): ForgeError {
  return new ForgeError('TRACKER_ERROR', message, { hint });
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
