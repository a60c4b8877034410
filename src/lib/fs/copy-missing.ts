/** Copies single files of a project into a workspace. Never replaces a file, never follows a symlink. */

import fs from 'node:fs';
import path from 'node:path';
import { asIoError, errorCode } from './io-errors.ts';

/** Folders that are never copied from: forge's and git's own. */
const KEPT_OUT = ['.forge', '.git'];

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

/** Copies what is missing, with its mode. Returns the copied names. Throws IO_ERROR. */
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

/** Absolute path of `name` below `within`, its folders made; null when it exists, or something blocks the way. */
function openPlace(within: string, name: string): string | null {
  const target = path.join(within, name);
  if (!makeFolders(within, path.dirname(name))) return null;
  return fs.lstatSync(target, { throwIfNoEntry: false }) === undefined ? target : null;
}

/** Makes the folders of `name` below `within`. False, with nothing made behind it, where one is not a real folder. Throws IO_ERROR. */
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

/** The copy appears whole or not at all: a partial file would count as complete ever after. */
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
