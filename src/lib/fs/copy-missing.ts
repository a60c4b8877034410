/** Copies single files of a project to where a task works. Nothing that is there is ever replaced, and no symlink followed. */

import fs from 'node:fs';
import path from 'node:path';
import { asIoError, errorCode } from './io-errors.ts';

/** Folders of which nothing is copied: forge's own, and git's. */
const KEPT_OUT = ['.forge', '.git'];

export interface CopyRequest {
  /** Absolute path of the folder that is copied from. */
  from: string;
  /** Absolute path of the folder that nothing is written outside of. */
  within: string;
  /** Where in `within` the copies go: '' or a path that ends with a slash. */
  prefix: string;
  /** Files, as seen from `from`. One that isn't a regular file, or that leads out of `from`, is passed over. */
  names: readonly string[];
  /** A path on the same file system, for a copy that is not whole yet. Whoever copies must be alone with it. */
  scratch: string;
}

/** Copies what is not there yet, with its mode. Returns the names that were copied. Throws IO_ERROR. */
export function copyMissing({ from, within, prefix, names, scratch }: CopyRequest): string[] {
  const copied: string[] = [];
  for (const name of names) {
    const source = `${from}/${name}`;
    try {
      if (!mayBeCopied(name) || !isRegular(source)) continue;
      const to = openPlace(within, `${prefix}${name}`);
      if (to !== null && placed(source, to, scratch)) copied.push(name);
    } catch (error) {
      throw asIoError(error, `copying ${source} to ${within}`);
    }
  }
  return copied;
}

function mayBeCopied(name: string): boolean {
  const parts = name.split('/');
  return parts.every((part) => part !== '' && part !== '.' && part !== '..' && !KEPT_OUT.includes(part));
}

function isRegular(file: string): boolean {
  return fs.lstatSync(file, { throwIfNoEntry: false })?.isFile() === true;
}

/** Absolute path of `name` below `within`, its folders made; null when something is there, or on the way to it. */
function openPlace(within: string, name: string): string | null {
  const target = path.join(within, name);
  if (!makeFolders(within, path.dirname(name))) return null;
  return fs.lstatSync(target, { throwIfNoEntry: false }) === undefined ? target : null;
}

/** Makes the folders of `name` below `within`. False, and nothing behind it made, where one is no real folder. Throws IO_ERROR. */
export function makeFolders(within: string, name: string): boolean {
  let at = within;
  try {
    for (const part of name.split('/').filter((each) => each !== '' && each !== '.')) {
      at = `${at}/${part}`;
      const there = fs.lstatSync(at, { throwIfNoEntry: false });
      if (there === undefined) fs.mkdirSync(at);
      else if (!there.isDirectory()) return false;
    }
  } catch (error) {
    throw asIoError(error, `making ${at}`);
  }
  return true;
}

/** The copy appears whole or not at all: half a file of secrets would be taken for all of it ever after. */
function placed(source: string, to: string, scratch: string): boolean {
  fs.rmSync(scratch, { force: true });
  try {
    fs.copyFileSync(source, scratch, fs.constants.COPYFILE_EXCL | fs.constants.COPYFILE_FICLONE);
    fs.linkSync(scratch, to);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    fs.rmSync(scratch, { force: true });
  }
}
