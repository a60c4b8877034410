/** New files that never replace existing ones, and never come to lie behind a symlink. */

import fs from 'node:fs';
import path from 'node:path';
import { ifThere, whileDoing } from './io-errors.ts';

/** Writes a new file, with the folders above it; false when it exists, which leaves it unchanged. Throws IO_ERROR. */
export function writeNew(file: string, text: string): boolean {
  return whileDoing(`writing ${file}`, () => {
    if (exists(file)) return false;
    fs.mkdirSync(path.dirname(file), { recursive: true });
    return placed(file, `${file}.${process.pid}.tmp`, (tmp) => fs.writeFileSync(tmp, text, { flag: 'wx' }));
  });
}

/** Folders that are never copied from: forge's and git's own. Nor may a name lead elsewhere. */
const KEPT_OUT = ['.forge', '.git', '', '.', '..'];

export interface CopyRequest {
  /** Absolute path of the source folder. */
  from: string;
  /** Absolute path of the folder that no copy may leave. */
  within: string;
  /** The target folder in `within`: '' or a path that ends with a slash. */
  prefix: string;
  /** Files, relative to `from`. One that is not a regular file, or that leads out of `from`, is skipped. */
  names: readonly string[];
  /** A path on the same file system for an incomplete copy. The caller must have exclusive use of it. */
  scratch: string;
}

/** Copies the files of a project that a workspace lacks, with their modes. Throws IO_ERROR. */
export function copyMissing({ from, within, prefix, names, scratch }: CopyRequest): void {
  const flags = fs.constants.COPYFILE_EXCL | fs.constants.COPYFILE_FICLONE;
  for (const name of names) {
    const source = `${from}/${name}`;
    whileDoing(`copying ${source} to ${within}`, () => {
      if (name.split('/').some((part) => KEPT_OUT.includes(part))) return;
      if (fs.lstatSync(source, { throwIfNoEntry: false })?.isFile() !== true) return;
      const target = `${within}/${prefix}${name}`;
      if (!makeFolders(within, path.dirname(`${prefix}${name}`)) || exists(target)) return;
      placed(target, scratch, (tmp) => fs.copyFileSync(source, tmp, flags));
    });
  }
}

/** Makes the folders of `name` below `within`. False, with nothing made behind it, where one is not a real folder. Throws IO_ERROR. */
export function makeFolders(within: string, name: string): boolean {
  return whileDoing(`making ${path.join(within, name)}`, () => {
    let at = within;
    for (const part of name.split('/').filter((each) => each !== '' && each !== '.')) {
      at = `${at}/${part}`;
      const there = fs.lstatSync(at, { throwIfNoEntry: false });
      if (there === undefined) fs.mkdirSync(at);
      else if (!there.isDirectory()) return false;
    }
    return true;
  });
}

function exists(file: string): boolean {
  return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

/**
 * Makes a file under the name `tmp` and links it to `file`, so that it is never seen incomplete and concurrent writers do not mix.
 * False when there is one by now.
 */
function placed(file: string, tmp: string, make: (tmp: string) => void): boolean {
  fs.rmSync(tmp, { force: true });
  try {
    make(tmp);
    return ifThere(`linking ${file}`, () => fs.linkSync(tmp, file), ['EEXIST']) !== null;
  } finally {
    fs.rmSync(tmp, { force: true });
  }
}
