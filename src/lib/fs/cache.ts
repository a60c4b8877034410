/**
 * What forge has worked out and can work out again at any time, kept for the next process. It lies in the user's own cache
 * folder and never in the project: looking at a project leaves it as it is, one that can't be written to is looked at as
 * quickly, and nobody can hand on a project whose cache says something else than its files.
 *
 * Whoever keeps something says what it was made from, and compares that before using it again. It is JSON as far as it counts,
 * which it is no more where a power cut has left zeros or an end too soon: so who reads it is ready for that, and nothing waits
 * for the disk. All of it may be deleted at any time.
 */

import fs from 'node:fs';
import path from 'node:path';
import { crc32 } from '../checksum.ts';
import { parseJson } from '../json.ts';
import { readFrom } from './read.ts';

export type CacheName = 'settings' | 'plan' | 'tree';

export interface Cache {
  /** The text that was kept, as UTF-8 in memory that threads can share; null when this build of forge has kept none of the project. */
  read(name: CacheName): Buffer | null;
  /** About how much there is to read, bytes; 0 when there is nothing. */
  size(name: CacheName): number;
  /** Keeps the text of `parts`, in place of what there was. Where that can't be done nothing is kept; never throws. */
  write(name: CacheName, parts: Iterable<string>): void;
}

export const NO_CACHE: Cache = { read: () => null, size: () => 0, write: () => {} };

/** Most that is kept under a name, bytes: what is seen of a million tasks. */
const MAX_BYTES = 1024 * 1024 * 1024;

/** How much is written at once, letters. */
const BATCH = 1024 * 1024;

/** Projects that are looked at, at most, when the cache of a new one is made: those that are gone lose theirs. */
const LOOKED_AT = 200;

/** The first line of a file: what build wrote it, and the project it is about. */
const HEADER = /^\S+ (".*")\n/;

/**
 * The cache of `project`, in `$XDG_CACHE_HOME/forge` or `~/.cache/forge`. `build` names the build of forge: what another
 * build has kept may have another form; null: nothing is kept. Source: XDG Base Directory Specification, 0.8.
 */
export function cacheOf(
  project: string,
  env: Readonly<Record<string, string | undefined>>,
  build: string | null,
): Cache {
  const { XDG_CACHE_HOME: given = '', HOME: home = '' } = env;
  const base = path.isAbsolute(given) ? given : path.isAbsolute(home) ? path.join(home, '.cache') : null;
  if (build === null || base === null) return NO_CACHE;
  const above = path.join(base, 'forge');
  const folder = path.join(above, crc32(project));
  const header = `${build} ${JSON.stringify(project)}\n`;
  return {
    read(name) {
      try {
        if (!isOwn(folder)) return null;
        const file = readShared(`${folder}/${name}`);
        const start = Buffer.byteLength(header);
        return file.toString('utf8', 0, start) === header ? file.subarray(start) : null;
      } catch {
        return null;
      }
    },
    size(name) {
      try {
        return fs.statSync(`${folder}/${name}`).size;
      } catch {
        return 0;
      }
    },
    write(name, parts) {
      try {
        for (const dir of [base, above]) makeDir(dir);
        if (makeDir(folder)) forgetGone(above);
        if (isOwn(folder)) replace(folder, name, batches(header, parts));
      } catch {
        // Then the next process works it out again.
      }
    },
  };
}

/** The whole file. Throws what a call threw, and for what is no regular file or too large. */
function readShared(file: string): Buffer {
  const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile() || stat.size > MAX_BYTES) throw new Error(`${file} is no file of a cache`);
    const bytes = Buffer.from(new SharedArrayBuffer(stat.size));
    let length = 0;
    for (let got = -1; length < bytes.length && got !== 0; length += got) {
      got = fs.readSync(fd, bytes, length, bytes.length - length, length);
    }
    return bytes.subarray(0, length);
  } finally {
    fs.closeSync(fd);
  }
}

/** False when it is there already. What is above it must be there: nobody's home is made. */
function makeDir(dir: string): boolean {
  try {
    fs.mkdirSync(dir, { mode: 0o700 });
    return true;
  } catch {
    return false;
  }
}

/** What somebody else may have put there, as where the base is a folder for all, is not believed. */
function isOwn(folder: string): boolean {
  const stat = fs.lstatSync(folder);
  return stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0;
}

/** Parts of a text, joined to what is worth a call. */
function* batches(first: string, parts: Iterable<string>): Generator<Buffer> {
  let batch = first;
  for (const part of parts) {
    batch += part;
    if (batch.length < BATCH) continue;
    yield Buffer.from(batch);
    batch = '';
  }
  yield Buffer.from(batch);
}

function replace(folder: string, name: string, text: Iterable<Buffer>): void {
  const tmp = `${folder}/${name}.${process.pid}.tmp`;
  try {
    const fd = fs.openSync(tmp, 'w', 0o600);
    try {
      let length = 0;
      for (const batch of text) {
        length += batch.length;
        if (length > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes are not kept`);
        fs.writeFileSync(fd, batch);
      }
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(tmp, `${folder}/${name}`);
  } catch (error) {
    fs.rmSync(tmp, { force: true });
    throw error;
  }
  // What others have left that were killed. One that is being written is missed by its writer alone, who then keeps nothing.
  const left = fs.readdirSync(folder).filter((other) => other.startsWith(`${name}.`));
  for (const other of left) fs.rmSync(`${folder}/${other}`, { force: true });
}

/** Removes the caches of projects that are not there any more. */
function forgetGone(above: string): void {
  for (const name of fs.readdirSync(above).slice(0, LOOKED_AT)) {
    const folder = `${above}/${name}`;
    try {
      const projects = fs.readdirSync(folder).map((file) => projectOf(`${folder}/${file}`));
      const known = projects.filter((project) => project !== null);
      if (known.length > 0 && !known.some((project) => fs.existsSync(project))) fs.rmSync(folder, { recursive: true });
    } catch {
      // It is none of ours, or another process removes it too.
    }
  }
}

/** Null: it is no file of a cache. */
function projectOf(file: string): string | null {
  const named = parseJson(HEADER.exec(readFrom(file, 0).text)?.[1] ?? '');
  return typeof named === 'string' ? named : null;
}
