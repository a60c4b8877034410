/**
 * Sets of files by a key, in the user's cache: a clone brings none with it, and no other user writes there.
 * Each entry is a folder that is made elsewhere and renamed, with a digest of every file: what is damaged, or half there after a power cut, is as
 * good as not kept. All of it may be deleted at any time.
 */

import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod/mini';
import { once } from '../once.ts';
import { DAY_MS } from '../time.ts';
import type { Variables } from '../variables.ts';
import { cacheFolder } from './cache-folder.ts';
import { errorCode } from './io-errors.ts';
import { digestOf, kindOf, type MatchingFile } from './matching-files.ts';
import { readCapped } from './read.ts';

/** Largest list of files that is read, bytes. */
const LIST_MAX_BYTES = 64 * 1024 * 1024;

/** Files of one key that are kept at most, bytes. */
export const KEPT_MAX_BYTES = 1024 ** 3;

/** All that is kept at most, bytes; what was used least lately goes first. */
const TOTAL_MAX_BYTES = 5 * 1024 ** 3;

/** What was not used for this long goes, milliseconds. */
const UNUSED_MAX_MS = 30 * DAY_MS;

/** Between two looks for what is to go, milliseconds. */
const SWEEP_MS = DAY_MS;

const ListSchema = once(() =>
  z.looseObject({
    version: z.literal(1),
    /** Of all files. */
    bytes: z.number(),
    files: z.array(
      z.looseObject({
        path: z.string().check(z.refine(isInside)),
        kind: z.enum(['file', 'executable', 'link']),
        digest: z.string(),
        bytes: z.number(),
      }),
    ),
  }),
);
type List = z.infer<ReturnType<typeof ListSchema>>;

/** A path of a file below the project, as globs match it. */
function isInside(file: string): boolean {
  const parts = file.split('/');
  return (
    parts.every((part) => part !== '' && part !== '.' && part !== '..') && !['.git', '.forge'].includes(parts[0] ?? '')
  );
}

const LIST = 'files.json';

export class KeptFiles {
  readonly #folder: string;
  readonly #now: () => number;

  /** Null where the user has no cache of its own. */
  static of(env: Variables, now: () => number): KeptFiles | null {
    const folder = cacheFolder(env, 'kept');
    return folder === null ? null : new KeptFiles(folder, now);
  }

  private constructor(folder: string, now: () => number) {
    this.#folder = folder;
    this.#now = now;
  }

  #at(key: string, ...names: string[]): string {
    return path.join(this.#folder, key, ...names);
  }

  /** Null where nothing is kept of it, or not in whole. */
  #listed(key: string): List | null {
    try {
      const parsed = ListSchema().safeParse(JSON.parse(readCapped(this.#at(key, LIST), LIST_MAX_BYTES)));
      return parsed.success ? parsed.data : null;
    } catch {
      return null;
    }
  }

  /**
   * Whether all files of `key` are in `project`: by their kinds and sizes, and those that were touched after `sinceMs` by their content. Null
   * where nothing is kept that says which those are. Never throws.
   */
  isPresent(key: string, project: string, sinceMs: number): boolean | null {
    const files = this.#listed(key)?.files ?? null;
    if (files === null) return null;
    return files.every((file) => {
      try {
        return isThere(project, file, sinceMs);
      } catch {
        return false;
      }
    });
  }

  /** Whether `restore` would put the files of `key` there, but for files that are damaged. Never throws. */
  canRestore(key: string, project: string): boolean {
    try {
      return this.#listed(key)?.files.every((file) => staysInside(project, file.path)) ?? false;
    } catch {
      return false;
    }
  }

  /**
   * Puts the files of `key` into `project`, where they are not there as they are; all of them, or none. `aside`: a path on the same disk, for
   * files that are not whole yet. False: they are not kept, or can't be put there. Never throws.
   */
  restore(key: string, project: string, aside: string): Promise<boolean> {
    return this.#putBack(key, project, aside, fs.renameSync);
  }

  /**
   * As `restore`, and replaces nothing that is there: others may be making these files, or putting them back. Whether all are present then, as
   * `isPresent` has it.
   */
  async fill(key: string, project: string, aside: string): Promise<boolean> {
    await this.#putBack(key, project, aside, created);
    return this.isPresent(key, project, ALWAYS) === true;
  }

  async #putBack(
    key: string,
    project: string,
    aside: string,
    put: (copy: string, target: string) => void,
  ): Promise<boolean> {
    const list = this.#listed(key);
    if (list === null) return false;
    try {
      const missing = list.files.map((file, at) => ({ ...file, at })).filter((file) => !isThere(project, file, ALWAYS));
      if (!missing.every((file) => staysInside(project, file.path))) return false;
      fs.mkdirSync(aside, { recursive: true });
      for (const { at, kind, digest } of missing) {
        const copy = path.join(aside, String(at));
        await copied(this.#at(key, String(at)), copy, kind);
        if (digestOf(copy, kind) !== digest) return false;
      }
      for (const file of missing) {
        const target = path.join(project, file.path);
        fs.mkdirSync(path.dirname(target), { recursive: true });
        put(path.join(aside, String(file.at)), target);
      }
      this.#use(this.#at(key));
      return true;
    } catch {
      return false;
    } finally {
      fs.rmSync(aside, { recursive: true, force: true });
    }
  }

  /**
   * Keeps these files of `project` by `key`, in place of what was kept by it; false, and nothing, where what was copied is not what is meant.
   * `op`: names this try. Throws what the calls throw.
   */
  async keep(
    key: string,
    project: string,
    files: readonly MatchingFile[],
    op: string,
    isMeant: (copies: readonly KeptFile[]) => boolean = () => true,
  ): Promise<boolean> {
    const made = path.join(this.#folder, `.tmp-${op}`);
    try {
      fs.mkdirSync(made, { mode: 0o700 });
      const listed: List['files'] = [];
      for (const [at, file] of files.entries()) {
        const copy = path.join(made, String(at));
        await copied(path.join(project, file.path), copy, file.kind);
        listed.push({ ...file, digest: digestOf(copy, file.kind) });
      }
      if (!isMeant(listed)) return false;
      const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
      const list: List = { version: 1, bytes, files: listed };
      fs.writeFileSync(path.join(made, LIST), JSON.stringify(list), { mode: 0o600 });
      this.#use(made);
      fs.rmSync(this.#at(key), { recursive: true, force: true });
      fs.renameSync(made, this.#at(key));
    } finally {
      fs.rmSync(made, { recursive: true, force: true });
    }
    this.#sweep();
    return true;
  }

  #use(folder: string): void {
    const now = new Date(this.#now());
    fs.utimesSync(folder, now, now);
  }

  /** Removes what has not been used for long, what is too much, and what killed processes have left; once a day. Never throws. */
  #sweep(): void {
    try {
      const mark = path.join(this.#folder, '.swept');
      const last = fs.statSync(mark, { throwIfNoEntry: false })?.mtimeMs ?? 0;
      if (this.#now() - last < SWEEP_MS) return;
      fs.writeFileSync(mark, '');
      const names = fs.readdirSync(this.#folder).filter((name) => name !== '.swept');
      const entries = names.map((name) => ({ name, usedMs: fs.statSync(this.#at(name)).mtimeMs }));
      let total = 0;
      for (const { name, usedMs } of entries.sort((a, b) => b.usedMs - a.usedMs)) {
        total += this.#listed(name)?.bytes ?? 0;
        const isYoung = this.#now() - usedMs < (name.startsWith('.tmp-') ? SWEEP_MS : UNUSED_MAX_MS);
        if (!isYoung || total > TOTAL_MAX_BYTES) fs.rmSync(this.#at(name), { recursive: true, force: true });
      }
    } catch {
      // Another process may remove the same.
    }
  }
}

async function copied(from: string, to: string, kind: MatchingFile['kind']): Promise<void> {
  if (kind === 'link') return fs.symlinkSync(fs.readlinkSync(from), to);
  // Its mode comes with it: what only its owner may read is not opened to others.
  await fs.promises.copyFile(from, to, fs.constants.COPYFILE_FICLONE);
}

function created(copy: string, target: string): void {
  try {
    // On macOS a hard link of a symbolic link is one of what it points at.
    if (fs.lstatSync(copy).isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(copy), target);
    else fs.linkSync(copy, target);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

type KeptFile = List['files'][number];

/** Whenever a file was touched, its content counts. */
const ALWAYS = Number.NEGATIVE_INFINITY;

/** By the time of its last change, which no program sets: of what was not touched after `sinceMs` the content is not read. */
function isThere(project: string, { path: file, kind, bytes, digest }: KeptFile, sinceMs: number): boolean {
  const at = path.join(project, file);
  const stat = fs.lstatSync(at, { throwIfNoEntry: false });
  if (stat === undefined || stat.size !== bytes || kindOf(stat) !== kind) return false;
  return stat.ctimeMs <= sinceMs || digestOf(at, kind) === digest;
}

/** Whether no symbolic link leads out of the project on the way to the file. */
function staysInside(project: string, file: string): boolean {
  const root = fs.realpathSync(project);
  for (let at = path.dirname(path.join(project, file)); ; at = path.dirname(at)) {
    if (!fs.existsSync(at)) continue;
    const real = fs.realpathSync(at);
    return real === root || real.startsWith(`${root}${path.sep}`);
  }
}
