/**
 * What V8 has compiled of a program, kept in the user's cache folder for the next process: compiling takes longer than most verbs do.
 *
 * V8 refuses what another version of it has made. It checks no more of the source than its length, and nothing of the code, which can end the
 * process when it is damaged. So what is kept counts only for the build and the Node that it was made with, where no other user can
 * have put it, and while its sum is the one that it was written with; and it is on the disk before it has its name.
 */

import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Variables } from '../variables.ts';
import { isOwn, isSafeFolder, makeBelow, replace, userFolder } from './cache-folder.ts';
import { readBytes } from './read.ts';

export interface CodeCache {
  /** Of each file of the program that was loaded before. */
  readonly kept: ReadonlyMap<string, Buffer>;
  /** Adds to what is kept. Keeps nothing when that fails; never throws. */
  save(made: ReadonlyMap<string, Buffer>): void;
}

/** Limit of a file, bytes; most take half a megabyte. */
const MAX_BYTES = 64 * 1024 * 1024;

/** Folders of other builds, and of other versions of Node, that stay when a new one is made. */
const OTHERS = 8;

const PREFIX = 'code-';

/** `of`: the build and the Node, as part of a file name. `name`: what the program is called for: each has a file, with the functions that it calls. */
export function codeCache(env: Variables, of: string, name: string): CodeCache {
  const above = userFolder(env);
  if (above === null) return { kept: new Map(), save: () => {} };
  const folder = join(above, `${PREFIX}${of}`);
  const kept = read(folder, name);
  return {
    kept,
    save(made) {
      try {
        if (makeBelow(above, folder)) forgetOthers(above);
        if (isSafeFolder(folder)) replace(folder, name, contentOf(new Map([...kept, ...made])), true);
      } catch {
        // Then the next process compiles it again.
      }
    },
  };
}

/** The first line is the sum of all that follows; a line of JSON then says how long each part behind it is. */
function read(folder: string, name: string): Map<string, Buffer> {
  try {
    if (!isSafeFolder(folder)) return new Map();
    const bytes = readBytes(`${folder}/${name}`, MAX_BYTES, { accepts: isOwn });
    const start = bytes.indexOf('\n') + 1;
    const kept = new Map<string, Buffer>();
    if (bytes.toString('latin1', 0, start) !== `${sumOf(bytes.subarray(start))}\n`) return kept;
    let at = bytes.indexOf('\n', start) + 1;
    for (const [part, length] of JSON.parse(bytes.toString('latin1', start, at))) {
      kept.set(part, bytes.subarray(at, at + length));
      at += length;
    }
    return kept;
  } catch {
    return new Map();
  }
}

function contentOf(parts: ReadonlyMap<string, Buffer>): Buffer {
  const lengths = [...parts].map(([name, bytes]) => [name, bytes.length]);
  const content = Buffer.concat([Buffer.from(`${JSON.stringify(lengths)}\n`), ...parts.values()]);
  return Buffer.concat([Buffer.from(`${sumOf(content)}\n`), content]);
}

/** Words of four bytes that a sum is made of: half a megabyte is checked at every start, and a disk loses blocks of some kilobytes, not bytes. */
const SUMMED = 256;

/** Source: FNV-1a, over words. */
function sumOf(bytes: Buffer): number {
  const step = 4 * Math.ceil(bytes.length / 4 / SUMMED);
  let sum = bytes.length;
  for (let at = 0; at + 4 <= bytes.length; at += step) sum = Math.imul(sum ^ bytes.readInt32LE(at), 0x01000193);
  return sum;
}

/** Removes the oldest folders of their kind. */
function forgetOthers(above: string): void {
  const folders = readdirSync(above).filter((name) => name.startsWith(PREFIX));
  const ages = folders.map((name) => [statSync(`${above}/${name}`).mtimeMs, name] as const);
  const oldest = ages.sort(([a], [b]) => b - a).slice(OTHERS + 1);
  for (const [, name] of oldest) rmSync(`${above}/${name}`, { recursive: true, force: true });
}
