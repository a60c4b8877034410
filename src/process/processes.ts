/** The process table: which processes live, since when, and in which group. Nothing here changes anything. */

import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { type Liveness, type OwnerIdentity, rebootedSince, sameMachine } from '../domain/task/identity.ts';
import { ForgeError } from '../lib/errors.ts';
import { once } from '../lib/once.ts';
import { oneLine } from '../lib/text.ts';
import { startedAfter } from './later-pids.ts';
import { thisMachine } from './machine.ts';

/** What a process is called, for people; '' when that cannot be read. */
export function nameOf(pid: number): string {
  return oneLine(argumentsOf(pid).join(' '), 60).trim();
}

/** With its program's name; none where they cannot be read, as on macOS. */
export function argumentsOf(pid: number): string[] {
  if (process.platform === 'darwin') return [];
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
  } catch {
    return [];
  }
}

/** `PF_FORKNOEXEC` of linux/sched.h, among the flags of proc_pid_stat(5). */
const NO_EXEC = 0x40;

/**
 * Whether process `pid` is about to become another program: it is a copy of the one that started it and waits for nothing, or in the middle of
 * exec. False where that can't be read, as on macOS.
 */
export function isStarting(pid: number): boolean {
  if (process.platform === 'darwin') return false;
  try {
    const field = afterName(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    if (!'RD'.includes(field(3))) return false;
    return (Number(field(9)) & NO_EXEC) !== 0 || readFileSync(`/proc/${pid}/cmdline`).length === 0;
  } catch {
    return false;
  }
}

/** One line of the process table. */
export interface ProcessEntry {
  pid: number;
  ppid: number;
  pgid: number;
  /** False for a zombie: it has ended, and its parent has not waited for it. */
  live: boolean;
  /** See `started_at` in `domain/task/identity.ts`. */
  startedAt: string;
}

/** `hidden`: the process exists, but this user may not inspect it. */
export type ProcessLook = ProcessEntry | 'missing' | 'hidden';

/**
 * Whether /proc is not that of this process's pid namespace, or cannot be read. `unshare --pid` alone leaves the /proc of the
 * outer namespace, whose numbers mean other processes. Source: pid_namespaces(7), "/proc and PID namespaces".
 */
const tableIsForeign = once(() => {
  try {
    return { yes: process.platform !== 'darwin' && readlinkSync('/proc/self') !== String(process.pid) };
  } catch {
    return { yes: true };
  }
});

/** Why no process can be identified here, with what to do; null when it can be. */
export function tableFault(): ForgeError | null {
  if (!tableIsForeign().yes) return null;
  return new ForgeError('IO_ERROR', '/proc does not show the processes of this pid namespace', {
    hint: 'Mount it with `mount -t proc proc /proc`, or make the namespace with `unshare --pid --fork --mount-proc`, then repeat.',
  });
}

/** Looks one process up. An invalid pid is `missing`. */
export function lookUp(pid: number): ProcessLook {
  if (!Number.isSafeInteger(pid) || pid < 1) return 'missing';
  if (!exists(pid)) return 'missing';
  if (tableIsForeign().yes) return 'hidden';
  return readEntry(pid) ?? (exists(pid) ? (readEntry(pid) ?? 'hidden') : 'missing');
}

/** When process `pid` started, see `started_at` in `domain/task/identity.ts`; null for none or a zombie. */
export function processStart(pid: number): string | null {
  const found = lookUp(pid);
  return typeof found === 'string' || !found.live ? null : found.startedAt;
}

/** The identity under which process `pid` may own a lease; null for none or a zombie, and where `tableFault` finds a fault. */
export function identifyOwner(pid: number): OwnerIdentity | null {
  const started_at = processStart(pid);
  return started_at === null ? null : { ...thisMachine(), pid, started_at };
}

/**
 * Whether the owner's process still lives. `dead` only when that is certain: no such process, a zombie, another process with the
 * same pid, or an earlier boot of this machine. `unknown` on another machine, for a process hidden from this user, for a start time in a form that
 * this system does not use, and where the process table is not that of this pid namespace.
 */
export function ownerLiveness(owner: OwnerIdentity): Liveness {
  if (rebootedSince(owner, thisMachine())) return 'dead';
  if (!sameMachine(owner, thisMachine()) || !Number.isSafeInteger(owner.pid) || owner.pid < 1) return 'unknown';
  if (tableIsForeign().yes) return 'unknown';
  const found = lookUp(owner.pid);
  if (found === 'hidden') return 'unknown';
  if (found === 'missing' || !found.live) return 'dead';
  if (found.startedAt === owner.started_at) return 'alive';
  return formOf(found.startedAt) === formOf(owner.started_at) ? 'dead' : 'unknown';
}

function formOf(startedAt: string): string {
  return startedAt.slice(0, startedAt.indexOf(':') + 1);
}

/** The members of a process group that have not ended. Throws IO_ERROR when the process table cannot be read. */
export function groupMembers(pgid: number): ProcessEntry[] {
  // 0 and 1 have another meaning for kill(2): the caller's own group, and all processes.
  if (!Number.isSafeInteger(pgid) || pgid < 2) return [];
  // A listing takes time: a member that is born during it shows in the next one.
  for (let look = 0; look < 2 && exists(-pgid); look++) {
    const members = allEntries().filter((entry) => entry.pgid === pgid && entry.live);
    if (members.length > 0) return members;
  }
  return [];
}

/** The members of the process group of `pid` but for that process and those that it descends from. None where that can't be read. */
export function companyOf(pid: number): ProcessEntry[] {
  const own = lookUp(pid);
  if (typeof own === 'string') return [];
  const members = new Map(groupMembers(own.pgid).map((entry) => [entry.pid, entry]));
  for (let at = members.get(pid); at !== undefined; at = members.get(at.ppid)) members.delete(at.pid);
  return [...members.values()];
}

/** Whether process `pid` is `around`, or descends from it. False where that can't be read. */
export function isWithin(pid: number, around: number): boolean {
  let at = lookUp(pid);
  while (typeof at !== 'string' && at.pid !== around) at = lookUp(at.ppid);
  return typeof at !== 'string';
}

/** Variables by name. */
export type Variables = Readonly<Record<string, string>>;

/**
 * Whether process `pid` was started with all of these in its environment. False when that cannot be read: always on macOS, and for a
 * process of another user or one that has overwritten its environment.
 */
export function startedWith(pid: number, variables: Variables): boolean {
  if (process.platform === 'darwin' || tableIsForeign().yes) return false;
  const environment = environmentOf(pid);
  return typeof environment !== 'string' && holds(environment, variables);
}

/** What a look for processes by their environment has found, and what it may have missed. */
export interface Carriers {
  found: ProcessEntry[];
  /** Others that have `mark` in their environment. */
  marked: ProcessEntry[];
  /** Processes ended during the look, and may have started others. Another look, with the same `known`, takes less time and so misses less. */
  unsure: boolean;
  /** Processes are in the middle of exec, and show no environment until that is done. */
  starting: boolean;
}

/** Which processes `allStartedWith` asks, and after what. */
interface CarrierLook {
  /** Those that were seen not to be carriers, just now; the look adds to it. Default: none. */
  known?: Set<number>;
  /** Only those that were started no earlier (a `started_at`). Default: all. */
  since?: string;
  /** Only those that were started later than this process, which `since` is of. Default: all. */
  after?: number | null;
  /** Default: none. */
  mark?: string | null;
}

/** The live processes for which `startedWith` holds. Throws IO_ERROR when the process table cannot be read. */
export function allStartedWith(variables: Variables, look: CarrierLook = {}): Carriers {
  const nothing: Carriers = { found: [], marked: [], unsure: false, starting: false };
  if (process.platform === 'darwin') return nothing;
  const fault = tableFault();
  if (fault !== null) throw fault;
  const { after = null, since = 'ticks:0' } = look;
  const later = after === null ? null : startedAfter(after, since);
  // Threads have numbers too, so who is found there is looked for among processes alone.
  const few = later && carriersAmong(later, variables, { ...look, since: 'ticks:0' });
  const isNone = few !== null && !few.unsure && !few.starting && few.found.length + few.marked.length === 0;
  return isNone ? few : carriersAmong(numbersInProc(), variables, look);
}

function carriersAmong(
  pids: readonly number[],
  variables: Variables,
  { known = new Set(), since = 'ticks:0', mark = null }: CarrierLook,
): Carriers {
  const found: ProcessEntry[] = [];
  const marked: ProcessEntry[] = [];
  let unsure = false;
  let starting = false;
  for (const pid of pids) {
    if (known.has(pid)) continue;
    if (isOlder(pid, since)) {
      known.add(pid);
      continue;
    }
    const environment = environmentOf(pid);
    if (environment === 'hidden') {
      known.add(pid);
      continue;
    }
    if (environment !== 'gone' && environment.length > 0) {
      const isCarrier = holds(environment, variables);
      const isMarked = mark !== null && environment.includes(mark);
      const entry = isCarrier || isMarked ? readEntry(pid) : null;
      if (!isCarrier && !isMarked) known.add(pid);
      if (entry?.live && entry.pgid !== 0) (isCarrier ? found : marked).push(entry);
      continue;
    }
    const entry = readEntry(pid);
    // Threads of the kernel have no environment and no group; newer kernels say of their environment what they say of a process that is gone.
    if (entry?.pgid === 0 || hasNoEnvironment(pid)) {
      known.add(pid);
    } else if (entry === null) unsure = true;
    else if (entry.live) starting = true;
  }
  return { found, marked, unsure, starting };
}

/**
 * When processes were started that earlier looks have found, by pid, with what tells each from a later one of its number: its folder is
 * made anew. A `run` looks at all processes of the machine for every worker that ends, and most of them are older than any worker.
 */
const STARTS = new Map<number, { folder: string; ticks: number }>();

/** Whether a process was started before `since`. What is gone, or can't be told, was not. */
function isOlder(pid: number, since: string): boolean {
  const oldest = ticksOf(since);
  if (oldest === 0) return false;
  const stat = lstatSync(`/proc/${pid}`, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  const folder = `${stat.ino} ${stat.ctimeMs}`;
  const seen = STARTS.get(pid);
  if (seen?.folder === folder) return seen.ticks < oldest;
  const entry = readEntry(pid);
  if (entry === null) return false;
  const ticks = ticksOf(entry.startedAt);
  // Between the two looks the number may have gone to another process, which is younger.
  if (ticks >= oldest) return false;
  STARTS.set(pid, { folder, ticks });
  return true;
}

function ticksOf(startedAt: string): number {
  return Number(/^ticks:(\d+)$/.exec(startedAt)?.[1] ?? 0);
}

let buffer = Buffer.alloc(64 * 1024);

/** Valid until the next call. Many processes are asked in a row, so this is faster than `readFileSync`. */
function environmentOf(pid: number): Buffer | 'gone' | 'hidden' {
  let fd: number | undefined;
  try {
    fd = openSync(`/proc/${pid}/environ`, 'r');
    for (let filled = 0; ; ) {
      const count = readSync(fd, buffer, filled, buffer.length - filled, null);
      filled += count;
      if (filled < buffer.length) return buffer.subarray(0, filled);
      buffer = Buffer.concat([buffer], 2 * buffer.length);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ESRCH' ? 'gone' : 'hidden';
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/**
 * Whether a process was started without any variable. In the middle of exec it has no place for them yet, or an empty one; where its code
 * lies is known only after that. Source: proc_pid_stat(5), and create_elf_tables in fs/binfmt_elf.c of Linux.
 */
function hasNoEnvironment(pid: number): boolean {
  try {
    const field = afterName(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    const [code, start, end] = [field(26), field(50), field(51)];
    return start === end && Number(start) > 0 && Number(code) > 0;
  } catch {
    return false;
  }
}

/** Compares bytes: every process of the machine is asked, and few have what is looked for. */
function holds(environment: Buffer, variables: Variables): boolean {
  return Object.entries(variables).every(([name, value]) => {
    const text = `${name}=${value}\0`;
    return environment.subarray(0, text.length).equals(Buffer.from(text)) || environment.includes(`\0${text}`);
  });
}

/**
 * Whether this process may draw on its terminal: it is in the foreground of its shell. True where that is unknown: without a
 * terminal, across pid namespaces, and on macOS.
 */
export function inForeground(): boolean {
  if (process.platform === 'darwin') return true;
  try {
    const fields = afterName(readFileSync('/proc/self/stat', 'latin1'));
    const [group, inFront] = [Number(fields(5)), Number(fields(8))];
    return !(inFront > 0) || group === inFront;
  } catch {
    return true;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function readEntry(pid: number): ProcessEntry | null {
  if (process.platform === 'darwin') return (ps(['-p', String(pid)]) ?? [])[0] ?? null;
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return null;
  }
}

function allEntries(): ProcessEntry[] {
  const fault = tableFault();
  if (fault !== null) throw fault;
  if (process.platform !== 'darwin') return numbersInProc().flatMap((pid) => readEntry(pid) ?? []);
  const entries = ps(['-ax']);
  if (entries === null) throw unreadable('Check that /bin/ps can be started, then repeat the command.');
  return entries;
}

function numbersInProc(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    throw unreadable('Check that /proc is mounted and readable, then repeat the command.');
  }
}

function unreadable(hint: string): ForgeError {
  return new ForgeError('IO_ERROR', 'the table of running processes cannot be read', { hint });
}

/** Fields of a `/proc/<pid>/stat` from the third on. The command name before them may contain spaces and parentheses. */
export function afterName(text: string): (number: number) => string {
  const rest = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (number) => rest[number - 3] ?? '';
}

/** Reads one `/proc/<pid>/stat`; null when it is invalid. Source: proc_pid_stat(5), whose field numbers are used here. */
export function parseStat(text: string): ProcessEntry | null {
  const field = afterName(text);
  const started = field(22);
  if (!/^\d+$/.test(started)) return null;
  // The first thread of a program may end before the others; the program then looks like a zombie with several threads.
  const ended = /[ZXx]/.test(field(3)) && Number(field(20)) <= 1;
  const [ppid, pgid] = [Number(field(4)), Number(field(5))];
  return { pid: Number.parseInt(text, 10), ppid, pgid, live: !ended, startedAt: `ticks:${started}` };
}

function ps(selection: string[]): ProcessEntry[] | null {
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  const { stdout, error } = spawnSync('/bin/ps', [...selection, '-o', 'pid=,ppid=,pgid=,stat=,lstart='], {
    encoding: 'latin1',
    // The start time is printed by locale and time zone; it must read the same from every shell.
    env: { LC_ALL: 'C', TZ: 'UTC' },
    maxBuffer: 64 * 1024 * 1024,
    timeout: 10_000,
  });
  return error === undefined && stdout !== null ? parsePs(stdout) : null;
}

/** Reads what `ps -o pid=,ppid=,pgid=,stat=,lstart=` printed. */
export function parsePs(text: string): ProcessEntry[] {
  return text.split('\n').flatMap((line) => {
    const [, pid, ppid, pgid, state = '', started = ''] =
      /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S.*?)\s*$/.exec(line) ?? [];
    if (pid === undefined) return [];
    const startedAt = `lstart:${started.replace(/\s+/g, ' ')}`;
    return [{ pid: Number(pid), ppid: Number(ppid), pgid: Number(pgid), live: !state.startsWith('Z'), startedAt }];
  });
}
