/** New files, which are never behind a symlink, and files that are put in the place of others as a whole. */

import fs from 'node:fs';
import path from 'node:path';
import { makePath, syncDir, synced } from './folders.ts';
import { ifThere, NO_PATH, whileDoing } from './io-errors.ts';

/** For the user alone. */
const PRIVATE = 0o600;

/** Creates a file with this text; `flush`: durably. Fails with EEXIST where there is anything, also a symlink. */
export function createFile(file: string, text: string | Buffer, { mode = PRIVATE, flush = false } = {}): void {
  fs.writeFileSync(file, text, { flag: 'wx', mode, flush });
}

/** Creates an empty file, and opens it to be appended to. Fails with EEXIST where there is anything, also a symlink. */
export function createLog(file: string): number {
  return fs.openSync(file, 'ax', PRIVATE);
}

/** Creates a file whose content is durable, and its name not yet; what the umask takes away stays. Fails as `createFile` does. */
async function createDurable(file: string, text: string | Buffer, mode: number): Promise<void> {
  const fd = fs.openSync(file, 'wx', PRIVATE);
  try {
    fs.writeFileSync(fd, text);
    fs.fchmodSync(fd, mode);
    await synced(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Puts a file in the place of the one of that name, or of none: whole at every moment, but not durable. `tmp`: a free name beside it. */
export function replaceFile(file: string, text: string, tmp: string, mode = PRIVATE): void {
  try {
    createFile(tmp, text, { mode });
    fs.renameSync(tmp, file);
  } catch (error) {
    fs.rmSync(tmp, { force: true });
    throw error;
  }
}

/**
 * Puts a durable file in the place of one that a person may edit meanwhile, and keeps its permissions. False, with nothing changed, where
 * `isSame` no longer holds just before. `op`: a new id. The caller holds a lock. Throws a system error, EACCES for a write-protected file.
 */
export async function replaceIfSame(file: string, text: string, op: string, isSame: () => boolean): Promise<boolean> {
  const [folder, prefix] = [path.dirname(file), `.${path.basename(file)}.forge-`];
  // Those of killed processes: no other one writes now.
  const left = fs.readdirSync(folder).filter((name) => name.startsWith(prefix) && name.endsWith('.tmp'));
  for (const name of left) fs.rmSync(`${folder}/${name}`, { force: true });
  const { mode } = fs.statSync(file);
  if ((mode & 0o222) === 0) throw Object.assign(new Error('it is write-protected'), { code: 'EACCES' });
  const temporary = `${folder}/${prefix}${op}.tmp`;
  try {
    await createDurable(temporary, text, mode & 0o7777);
    // Nothing may come between this check and the rename.
    if (!isSame()) return false;
    fs.renameSync(temporary, file);
    syncDir(folder);
    return true;
  } finally {
    fs.rmSync(temporary, { force: true });
  }
}

/** Whether `name` is that of a copy which `replaceIfSame` is about to put in place, or of one that a killed process has left. */
export function isReplacement(name: string): boolean {
  return /(?:^|\/)\.[^/]+\.forge-[\w-]+\.tmp$/.test(name);
}

/** Writes a new file, with the folders above it; false when it exists, which leaves it unchanged. Throws IO_ERROR. */
export function writeNew(file: string, text: string): boolean {
  return whileDoing(`writing ${file}`, () => {
    if (exists(file)) return false;
    makePath(path.dirname(file), 0o777);
    return placed(file, `${file}.${process.pid}.tmp`, (tmp) => createFile(tmp, text, { mode: 0o666 }));
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
  /** Files and symlinks, relative to `from`. One that leads out of `from` is left out, and anything else. */
  names: readonly string[];
  /** A path on the same file system for an incomplete copy. The caller must have exclusive use of it. */
  scratch: string;
}

/**
 * Copies the files of a project that a workspace lacks, with their modes, and the symlinks that stay in the project. Returns what was left
 * out. Throws IO_ERROR.
 */
export function copyMissing({ from, within, prefix, names, scratch }: CopyRequest): string[] {
  const flags = fs.constants.COPYFILE_EXCL | fs.constants.COPYFILE_FICLONE;
  const left: string[] = [];
  for (const name of names) {
    const source = `${from}/${name}`;
    whileDoing(`copying ${source} to ${within}`, () => {
      if (name.split('/').some((part) => KEPT_OUT.includes(part))) return;
      const stat = fs.lstatSync(source, { throwIfNoEntry: false });
      if (stat === undefined) return;
      const leadsTo = stat.isSymbolicLink() ? linkWithin(from, name) : null;
      if (!stat.isFile() && leadsTo === null) return void left.push(name);
      const target = `${within}/${prefix}${name}`;
      if (!makeFolders(within, path.dirname(`${prefix}${name}`)) || exists(target)) return;
      if (leadsTo === null) placed(target, scratch, (tmp) => fs.copyFileSync(source, tmp, flags));
      // A symlink is made whole; to link it by another name would follow it on macOS.
      else ifThere(`linking ${target}`, () => fs.symlinkSync(leadsTo, target), ['EEXIST']);
    });
  }
  return left;
}

/** Where the symlink `name` in `from` leads, as it says it; null where that is an absolute path, is out of `from` or is kept out. */
function linkWithin(from: string, name: string): string | null {
  const leadsTo = fs.readlinkSync(`${from}/${name}`);
  // In `a/../b` the first may be a link that leads out.
  if (path.isAbsolute(leadsTo) || path.normalize(leadsTo) !== leadsTo) return null;
  const isWithin = (place: string) => !place.split('/').some((part) => KEPT_OUT.includes(part));
  if (!isWithin(path.join(path.dirname(name), leadsTo.replace(/\/+$/, '')))) return null;
  // So may one on the way. What leads nowhere, or back to itself, does no harm.
  const nowhere = [...NO_PATH, 'ELOOP'];
  const real = ifThere(`following ${from}/${name}`, () => fs.realpathSync(`${from}/${name}`), nowhere);
  return real === null || isWithin(path.relative(fs.realpathSync(from), real)) ? leadsTo : null;
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
