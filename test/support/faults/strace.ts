/**
 * Faults at single system calls, by strace: a clean run shows which calls a command makes, and then the command is run
 * again with a fault at one of them.
 *
 * Only the command's first thread is traced, which makes all calls of the commit protocol but some of the waits for the
 * disk. A call is named by its kind and its count among the calls of that kind. What a fault has really hit is read from
 * the trace of that very run, so a fault that missed can't pass for one that did no harm.
 */

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { answerIn, commandLine } from './forge.ts';
import { LONG } from './knobs.ts';
import { copyProject, dropProject, freshPlace } from './project.ts';

export interface TracedCall {
  /** `link`, `fsync`, ... */
  name: string;
  /** Which call of this kind it is, from 1. */
  count: number;
  /** The kind and the paths, without what differs from run to run. */
  shape: string;
  /** Which call of this shape it is, from 1. */
  nth: number;
  /** Whether it changes what is on disk, or makes it durable. */
  changes: boolean;
}

export interface Ran {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** Why faults can't be injected here; null when they can. */
export function noStrace(): string | null {
  if (process.platform !== 'linux') return 'strace is a tool of Linux';
  const look = spawnSync('strace', ['-e', 'trace=%file,%desc', '-e', 'inject=link:error=EIO:when=1', 'true']);
  if (look.error !== undefined) return 'strace is not installed';
  return look.status === 0 ? null : `strace cannot trace here: ${String(look.stderr).trim().slice(0, 200)}`;
}

const CHANGING =
  /^(write|writev|pwrite64|pwritev2?|fsync|fdatasync|(sym)?link(at)?|rename(at2?)?|unlink(at)?|rmdir|mkdir(at)?|utimensat|futimesat|f?truncate|f?chmod(at2?)?)$/;

function changes(name: string, args: string): boolean {
  return CHANGING.test(name) || (/^open(at2?)?$/.test(name) && args.includes('O_CREAT'));
}

/** What the call is about, in terms that stay the same when the command is run again on a copy of the project. */
function shapeOf(name: string, args: string, root: string): string {
  const stable = args
    .replaceAll(root, 'ROOT')
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID')
    .replace(/\d{4}-\d\d-\d\dT[^">]*/g, 'TIME')
    .replace(/\.\d+\.tmp/g, '.PID.tmp');
  // The path of a file that was opened is told twice, in the call and in its result; a call that was cut off has no result.
  const places = new Set(stable.match(/ROOT[^">]*/g));
  return [name, ...places].join(' ');
}

/**
 * How often a command that starts others opens, reads and writes depends on how long they take and on what else the machine
 * does, so those calls can't be aimed at. The tree before each of them is the one after the changing call before.
 */
export function isSteady({ name, shape, changes }: TracedCall): boolean {
  return changes && (!/^(open|write)/.test(name) || shape.includes('/v0'));
}

/** The calls that commit a version of a task, by a file or by a line of one, and the one right after the last of them, when all is committed. */
export function aroundCommits(calls: readonly TracedCall[]): TracedCall[] {
  const isCommit = ({ name, shape }: TracedCall) => /^(link|write)/.test(name) && shape.includes('/v0');
  const last = calls.findLastIndex(isCommit);
  if (last < 0) throw new Error('the command has committed nothing');
  return calls.filter((call, at) => isCommit(call) || at === last + 1);
}

/** The calls about `root` in a trace, in order. A call that was cut off by a signal counts: it was made. */
export function callsAbout(root: string, trace: string): TracedCall[] {
  const counts = new Map<string, number>();
  const calls: TracedCall[] = [];
  for (const line of trace.split('\n')) {
    const match = /^(\w+)\((.*)/.exec(line);
    if (match === null) continue;
    const [, name = '', args = ''] = match;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    // The command line itself names the project too.
    if (name === 'execve' || !args.includes(root)) continue;
    const shape = shapeOf(name, args, root);
    const nth = calls.filter((call) => call.shape === shape).length + 1;
    calls.push({ name, count, shape, nth, changes: changes(name, args) });
  }
  return calls;
}

/** How a command is started. Its calls about its cache depend on what others have put there; a test of its own is about those. */
export const UNCACHED = { ...process.env, XDG_CACHE_HOME: '/dev/null' };

function traced(command: readonly string[], log: string, options: readonly string[]): Promise<Ran> {
  return run(['strace', '-y', '-o', log, ...options, '--', ...command]);
}

/** The working directory is none of the project's, since strace names it beside every relative path. */
export function run([program = '', ...args]: readonly string[]): Promise<Ran> {
  const child = spawn(program, args, { cwd: '/', env: UNCACHED, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Runs `command` without a fault. `root`: the project that it is about; it must not be in the command's working directory. */
export async function cleanRun(command: readonly string[], root: string): Promise<{ ran: Ran; calls: TracedCall[] }> {
  const log = `${freshPlace()}.trace`;
  const ran = await traced(command, log, ['-e', 'trace=%file,%desc']);
  const calls = callsAbout(root, fs.readFileSync(log, 'utf8'));
  fs.rmSync(log);
  return { ran, calls };
}

/** `kill`: SIGKILL in the place of the call. Otherwise the call fails with this error without having been made. */
export type Fault = 'kill' | 'ENOENT' | DiskFault;

/** How a disk, a quota, a limit of the process or a permission makes a call fail. */
export const DISK_FAULTS = ['EIO', 'ENOSPC', 'EDQUOT', 'EMFILE', 'EROFS', 'EACCES'] as const;
export type DiskFault = (typeof DISK_FAULTS)[number];

/** Every call of `all` fails in every way in the long run; otherwise those of `some`, in one way each. */
export function failures(
  all: readonly TracedCall[],
  some: readonly TracedCall[],
): { call: TracedCall; fault: DiskFault }[] {
  if (LONG) return DISK_FAULTS.flatMap((fault) => all.map((call) => ({ call, fault })));
  return some.map((call, at) => ({ call, fault: DISK_FAULTS[at % DISK_FAULTS.length] ?? 'EIO' }));
}

/** How often a run is repeated whose fault has hit another call than the one that was meant. */
const TRIES = 10;

/**
 * Runs a command with a fault at `call`, on a fresh copy of the project, and returns how it ended and the copy. Node makes
 * a call more or less at times (threads wake one another by writing), so a fault may hit a neighbour; then it is tried
 * again on another copy, with the call counted anew. Throws when the fault never hit what was meant.
 */
export async function faultyRun(
  copy: () => string,
  command: (dir: string) => readonly string[],
  call: TracedCall,
  fault: Fault,
): Promise<{ ran: Ran; dir: string }> {
  const hits: string[] = [];
  let aim = call;
  for (let tries = 0; tries < TRIES; tries++) {
    const dir = copy();
    const { ran, hit } = await injected(command(dir), dir, aim, fault);
    if (hit?.shape === call.shape && hit.nth === call.nth) return { ran, dir };
    hits.push(hit?.shape ?? 'nothing');
    dropProject(dir);
    aim = (await countedAnew(call, copy, command)) ?? aim;
  }
  throw new Error(`${TRIES} faults at ${callText(call)} hit ${hits.join(', ')} instead`);
}

/** `call` with its count in a run of now; undefined where that does not make it. */
export async function countedAnew(
  call: TracedCall,
  copy: () => string,
  command: (dir: string) => readonly string[],
): Promise<TracedCall | undefined> {
  const dir = copy();
  const { calls } = await cleanRun(command(dir), dir);
  dropProject(dir);
  return calls.find(({ shape, nth }) => shape === call.shape && nth === call.nth);
}

/** `cleanRun` of forge on a copy of the project in `dir`. */
export async function cleanForge(dir: string, args: readonly string[]) {
  const copy = copyProject(dir);
  return { ...(await cleanRun(commandLine(copy, args), copy)), dir: copy };
}

/** `faultyRun` of forge on copies of the project in `dir`. */
export function faultyForge(dir: string, args: readonly string[], call: TracedCall, fault: Fault) {
  return faultyRun(
    () => copyProject(dir),
    (copy) => commandLine(copy, args),
    call,
    fault,
  );
}

/** A call, for messages. */
export function callText({ name, count, shape }: TracedCall): string {
  return `${name} ${count} (${shape})`;
}

/** `faultyForge` with the answer. Fails when there is none. `where`: for messages. */
export async function answered(dir: string, args: readonly string[], call: TracedCall, fault: Fault) {
  const made = await faultyForge(dir, args, call, fault);
  const where = `after ${fault} from ${callText(call)}`;
  const answer = answerIn(made.ran.stdout);
  if (answer === null) throw new Error(`${where} there was no answer:\n${made.ran.stderr}`);
  return { ...made, where, answer };
}

/** `hit`: the call that the fault fired at, if it fired at one about `root`. */
async function injected(command: readonly string[], root: string, call: TracedCall, fault: Fault) {
  const log = `${freshPlace()}.trace`;
  const what = fault === 'kill' ? 'signal=KILL' : `error=${fault}`;
  const inject = `inject=${call.name}:${what}:when=${call.count}`;
  const ran = await traced(command, log, ['-e', `trace=${call.name}`, '-e', inject]);
  const trace = fs.readFileSync(log, 'utf8');
  fs.rmSync(log);
  const fired = fault === 'kill' ? ran.signal === 'SIGKILL' : trace.includes('(INJECTED)');
  const hit = callsAbout(root, trace).find(({ count }) => count === call.count);
  return { ran, hit: fired ? hit : undefined };
}
