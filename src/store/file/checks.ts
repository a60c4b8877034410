/** What `doctor` looks at on disk. Nothing here changes the state tree. */

import fs from 'node:fs';
import { RECORD_MAX_BYTES } from '../../domain/task/records.ts';
import { ForgeError } from '../../lib/errors.ts';
import { asIoError, errorCode } from '../../lib/fs/io-errors.ts';
import { sizeText } from '../../lib/size.ts';
import type { HealthCheck, TaskStore } from '../port.ts';
import { TMP_PREFIX } from './record-file.ts';
import type { Layout } from './tree.ts';

/** `unnamed`: the flags that open a file without a name; null where there are none. */
export function treeChecks(layout: Layout, unnamed = UNNAMED): ReturnType<TaskStore['healthChecks']> {
  const looks: Record<string, () => Omit<HealthCheck, 'name'>> = {
    writable: () => writable(layout, unnamed),
    room: () => room(layout),
    symlinks: () => symlinks(layout),
    permissions: () => permissions(layout),
    'file system': () => fileSystem(layout),
  };
  return Object.entries(looks).map(([name, look]) => ({ name, look: () => ({ name, ...look() }) }));
}

function ok(message: string): Omit<HealthCheck, 'name'> {
  return { status: 'ok', message, fix: null };
}

/** As much as the largest record, which a commit has to find room for. */
const PROBE = new Uint8Array(RECORD_MAX_BYTES);

/** Makes a file that never has a name, so that a folder stays as it was. Source: open(2). */
const UNNAMED = process.platform === 'linux' ? fs.constants.O_DIRECTORY | 0o20000000 : null;

/** Whether state can be written to the folder that it goes to, or to the nearest one above it that exists: a file is made there. */
function writable({ tasks, orchestrator, forge, project }: Layout, unnamed: number | null): Omit<HealthCheck, 'name'> {
  const isFolder = (dir: string) => fs.lstatSync(dir, { throwIfNoEntry: false })?.isDirectory() === true;
  const folders = [forge, orchestrator, tasks];
  const missing = folders.findIndex((dir) => !isFolder(dir));
  const path = (missing < 0 ? tasks : folders[missing - 1]) ?? project;
  try {
    // What has a name is made outside of the state tree, which a look never changes.
    if (unnamed === null || !wroteUnnamed(path, unnamed)) writeNamed(isFolder(forge) ? forge : project);
    return ok('the state tree can be written');
  } catch (error) {
    const known = asIoError(error, `writing to ${path}`);
    if (!(known instanceof ForgeError)) throw error;
    return { status: 'fail', message: `${path} cannot be written (${errorCode(error)})`, fix: known.hint };
  }
}

/** With less free bytes, and less free files, a disk is about to be full. */
const LEAST_BYTES = 100e6;
const LEAST_FILES = 1000;

/** How much room the disk of the project has left. */
function room({ project }: Layout): Omit<HealthCheck, 'name'> {
  let disk: fs.StatsFs;
  try {
    disk = fs.statfsSync(project);
  } catch {
    return ok('the free space of the disk cannot be read');
  }
  const bytes = disk.bavail * disk.bsize;
  // Some file systems count no files.
  const files = disk.files === 0 ? Number.POSITIVE_INFINITY : disk.ffree;
  if (bytes >= LEAST_BYTES && files >= LEAST_FILES) return ok(`the disk has ${sizeText(bytes)} left`);
  const left = bytes < LEAST_BYTES ? sizeText(bytes) : `room for ${files} more files`;
  const message = `the disk of ${project} has only ${left} left; when it is full nothing more is recorded, and workers fail`;
  return {
    status: 'warn',
    message,
    fix: 'Free some space; `forge orchestrate gc --shipped` removes worktrees that are done, `gc --prune` old logs.',
  };
}

/** False where the file system has no such files. */
function wroteUnnamed(dir: string, flags: number): boolean {
  let fd: number;
  try {
    fd = fs.openSync(dir, flags | fs.constants.O_WRONLY, 0o600);
  } catch (error) {
    if (['EOPNOTSUPP', 'ENOTSUP', 'EISDIR', 'EINVAL'].includes(errorCode(error))) return false;
    throw error;
  }
  writeProbe(fd);
  return true;
}

function writeNamed(dir: string): void {
  const file = `${dir}/${TMP_PREFIX}doctor-${process.pid}`;
  const fd = fs.openSync(file, 'wx', 0o600);
  try {
    writeProbe(fd);
  } finally {
    fs.unlinkSync(file);
  }
}

function writeProbe(fd: number): void {
  try {
    fs.writeFileSync(fd, PROBE);
    // Some file systems only find out now that there is no room.
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Symlinks among forge's own folders, which every command refuses to follow. */
function symlinks({ forge, orchestrator, tasks, runs }: Layout): Omit<HealthCheck, 'name'> {
  const isLink = (path: string) => fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  const names = fs.existsSync(tasks) ? fs.readdirSync(tasks) : [];
  const found = [forge, orchestrator, tasks, runs, ...names.map((name) => `${tasks}/${name}`)].filter(isLink);
  if (found.length === 0) return ok('no symlinks among the folders of the state tree');
  const message = `${found.join(', ')}: symlinks are never followed`;
  return { status: 'fail', message, fix: 'Put the real folder in place of the symlink.' };
}

/** Folders of the tree that others than their owner may write to. */
function permissions({ orchestrator, tasks, runs }: Layout): Omit<HealthCheck, 'name'> {
  const isOpen = (dir: string) => ((fs.statSync(dir, { throwIfNoEntry: false })?.mode ?? 0) & 0o022) !== 0;
  const open = [orchestrator, tasks, runs].filter(isOpen);
  if (open.length === 0) return ok('only you can write to the state tree');
  const message = `others may write to ${open.join(', ')}`;
  return { status: 'warn', message, fix: `chmod go-w ${open.join(' ')}` };
}

/** File systems on which hard links, fsync and opens for appending can't be relied on. Source: statfs(2), magic numbers. */
const REMOTE: Record<number, string> = {
  26985: 'NFS',
  4283649346: 'CIFS',
  4266872130: 'SMB',
  1702057286: 'FUSE',
  16914839: '9p',
  19780: 'FAT',
};

function fileSystem({ project }: Layout): Omit<HealthCheck, 'name'> {
  let doubtful: string | undefined;
  try {
    doubtful = REMOTE[fs.statfsSync(project).type];
  } catch {
    // What can't be asked is not doubtful.
  }
  if (doubtful === undefined) return ok('the project is on a local file system');
  const message = `the project is on ${doubtful}, where hard links, fsync and what is added to a file may not be reliable`;
  return { status: 'warn', message, fix: 'Keep the project on a local disk.' };
}
