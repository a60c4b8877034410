/**
 * Stops the processes of a worker that another process may have started long ago.
 *
 * Most are in its process group. What has left that for a group or a session of its own, as coding agents start their commands, is
 * known by its environment, which only Linux shows; so are the workers of a run that it has started.
 *
 * A process group is only a number, and numbers are reused. What makes it safe to signal one:
 * - the kernel does not give a number to a new process while a group uses it, so a group with members has never been empty since
 *   its leader created it, and all its members descend from that leader;
 * - therefore one witness proves the whole group: the leader under its recorded start time (a zombie suffices), a member that was
 *   there when the group was last proven, or a member that carries the worker's claim in its environment.
 * Without a witness no process of a group is signalled. On macOS environments cannot be read, so a group whose leader is gone at the first
 * look has no witness there.
 */

import { rebootedSince, sameMachine, type WorkerIdentity } from '../domain/task/identity.ts';
import { commandMark } from '../domain/task/workspaces.ts';
import { ForgeError } from '../lib/errors.ts';
import { OWN_PID } from './gated-worker.ts';
import { thisMachine } from './machine.ts';
import {
  allStartedWith,
  groupMembers,
  lookUp,
  type ProcessEntry,
  type ProcessLook,
  startedWith,
  tableFault,
  type Variables,
} from './processes.ts';

/** How long to wait for a killed group to end, milliseconds. Only a process stuck inside the kernel takes longer. */
const KILL_WAIT_MS = 5_000;

/** How long processes may take to end before `onWait` is called with them, milliseconds. */
const TELL_MS = 1_000;

/** Delays between two looks, milliseconds; the last one repeats. Processes that are not our children send no event. */
const PAUSES_MS = [5, 10, 20, 50];

/** How many looks may be made again because processes came and went meanwhile. */
const UNSURE_LOOKS = 20;

/** How long a process may be in the middle of exec, milliseconds. On a busy machine it may have to wait for a core just then. */
const EXEC_MS = 2_000;

export interface StopOptions {
  /** How long the group may take to end after SIGTERM, milliseconds. 0: SIGKILL follows at once. */
  graceMs: number;
  /** Ends the grace early (an AbortSignal will do). Noticed within 50 ms. */
  signal?: { readonly aborted: boolean };
  /** Called once with the processes that are to be stopped, before any is signalled. */
  onFound?: ((found: readonly ProcessEntry[]) => Promise<void>) | null | undefined;
  /** Called once with processes that take their time. */
  onWait?(left: readonly ProcessEntry[]): void;
}

/**
 * `gone`: there was no process to stop. `stopped`: there was, and none is left. `unverified`: the group is not provably this
 * worker's, or the worker belongs to another machine; no process was signalled.
 */
export type StopResult = 'gone' | 'stopped' | 'unverified';

/**
 * Stops a worker: its group, and on Linux whatever carries its claim and its number in the environment, in groups and sessions of
 * its own. SIGTERM, the grace, SIGKILL, until no live process is left. SIGCONT follows every SIGTERM, so a stopped process can end.
 * A worker that this very process belongs to counts as unverified. `onWait` is called with processes that have not ended a second after
 * SIGTERM. Throws IO_ERROR when some are still there 5 s after SIGKILL, and when the process table cannot be read.
 */
export async function stopWorker(worker: WorkerIdentity, options: StopOptions): Promise<StopResult> {
  const witnesses = new Set<string>();
  const found = await firstLook(worker, witnesses);
  if (typeof found === 'string') return found;
  await options.onFound?.(found);
  const begun = performance.now();
  const signalled = new Set<string>();
  const terminate = (entries: ProcessEntry[]) => {
    const isInGroup = ({ pgid }: ProcessEntry) => hasGroup(worker) && pgid === worker.pgid;
    // A new member of the group has the signal of its parent to thank for its end, or gets SIGKILL.
    if (signalled.size === 0 && hasGroup(worker)) signal(-worker.pgid);
    for (const entry of entries) {
      if (!isInGroup(entry) && !signalled.has(witness(entry))) signal(entry.pid);
      signalled.add(witness(entry));
    }
  };
  terminate(found);
  let told = false;
  let left = await emptied(worker, witnesses, (entries) => {
    terminate(entries);
    const ms = performance.now() - begun;
    if (ms >= TELL_MS && !told) {
      told = true;
      options.onWait?.(entries);
    }
    return ms >= options.graceMs || options.signal?.aborted === true;
  });
  if (left !== 'timeout') return left;
  const killEnd = performance.now() + KILL_WAIT_MS;
  left = await emptied(worker, witnesses, (entries) => {
    if (hasGroup(worker)) send(-worker.pgid, 'SIGKILL');
    for (const { pid } of entries) send(pid, 'SIGKILL');
    return performance.now() >= killEnd;
  });
  if (left !== 'timeout') return left;
  const still = lookAt(worker, witnesses, new Set());
  throw stuck(worker, typeof still === 'string' ? [] : still);
}

/** A process that is stopped gets no signal but SIGKILL before it continues. */
function signal(pid: number): void {
  send(pid, 'SIGTERM');
  send(pid, 'SIGCONT');
}

/** The live processes of a worker that is proven; at least one. */
type Look = ProcessEntry[] | 'gone' | 'unverified';

/** Looks at the worker once. `known`: as `allStartedWith` has it. `unsure`, `starting`: none is seen, and some may be, as `Carriers` has it. `witnesses` holds the members of the last proven look, and afterwards those of this one. */
function lookAt(worker: WorkerIdentity, witnesses: Set<string>, known: Set<number>): Look | 'unsure' | 'starting' {
  const machine = thisMachine();
  if (!sameMachine(worker, machine)) return rebootedSince(worker, machine) ? 'gone' : 'unverified';
  if (tableFault() !== null) return 'unverified';
  if (!Number.isSafeInteger(worker.pid) || worker.pid < 2) return 'unverified';
  const leader = lookUp(worker.pid);
  if (leader === 'hidden') return 'unverified';
  const members = hasGroup(worker) ? groupMembers(worker.pgid) : aloneIn(worker, leader);
  const isGone = leader === 'missing' && members.length === 0;
  if (hasGroup(worker) && !isGone && !proven(worker, leader, members, witnesses)) return 'unverified';
  const mark = commandMark(worker.claim_id, worker.pid);
  const { found, marked, unsure, starting } = allStartedWith(carriedBy(worker), {
    known,
    since: worker.started_at,
    after: worker.pid,
    mark,
  });
  const all = [...members, ...found.filter(({ pid }) => !members.some((member) => member.pid === pid))];
  // A worker that takes its own task over must not stop itself half way through.
  if (all.some(({ pid }) => pid === process.pid)) return 'unverified';
  // A run that it has started stops its own workers. What is left of them is stopped once that run is gone.
  if (all.length === 0 && !marked.some(({ pid }) => pid === process.pid)) all.push(...marked);
  witnesses.clear();
  for (const entry of all) witnesses.add(witness(entry));
  if (all.length > 0) return all;
  if (starting) return 'starting';
  return unsure ? 'unsure' : 'gone';
}

/** Whether the group is the worker's own, so that one signal reaches all of it. */
function hasGroup({ pid, pgid }: WorkerIdentity): boolean {
  return pid === pgid;
}

/** The first process of a worker that shares its group with others. */
function aloneIn(worker: WorkerIdentity, first: ProcessLook): ProcessEntry[] {
  return typeof first !== 'string' && first.live && first.startedAt === worker.started_at ? [first] : [];
}

/** What every process of a worker has in its environment, unless it has put it off. */
function carriedBy({ claim_id, pid }: WorkerIdentity): Variables {
  return { FORGE_CLAIM_ID: claim_id, [OWN_PID]: String(pid) };
}

/** During exec a process shows no environment, so one look without proof is not enough. */
async function firstLook(worker: WorkerIdentity, witnesses: Set<string>): Promise<Look> {
  for (const ms of PAUSES_MS) {
    const look = await calmLook(worker, witnesses);
    if (look !== 'unverified') return look;
    await pause(ms);
  }
  return calmLook(worker, witnesses);
}

/** Nor is one that finds nothing while processes come and go. What shows no environment for longer is not the worker's. */
async function calmLook(worker: WorkerIdentity, witnesses: Set<string>): Promise<Look> {
  const known = new Set<number>();
  const end = performance.now() + EXEC_MS;
  for (let unsure = 0; unsure < UNSURE_LOOKS && performance.now() < end; ) {
    const look = lookAt(worker, witnesses, known);
    if (look === 'unsure') unsure++;
    else if (look !== 'starting') return look;
    await pause(1);
  }
  return 'gone';
}

function proven(
  worker: WorkerIdentity,
  leader: ProcessEntry | 'missing',
  members: ProcessEntry[],
  witnesses: Set<string>,
): boolean {
  if (leader !== 'missing') return leader.startedAt === worker.started_at && leader.pgid === worker.pgid;
  return members.some(
    (member) => witnesses.has(witness(member)) || startedWith(member.pid, { FORGE_CLAIM_ID: worker.claim_id }),
  );
}

function witness(member: ProcessEntry): string {
  return `${member.pid} ${member.startedAt}`;
}

/** `over`: told who is left at each look; true when there has been enough waiting. */
async function emptied(
  worker: WorkerIdentity,
  witnesses: Set<string>,
  over: (left: ProcessEntry[]) => boolean,
): Promise<'stopped' | 'unverified' | 'timeout'> {
  for (let turn = 0; ; turn++) {
    const look = await calmLook(worker, witnesses);
    if (look === 'unverified') return look;
    if (look === 'gone') return 'stopped';
    if (over(look)) return 'timeout';
    await pause(PAUSES_MS[Math.min(turn, PAUSES_MS.length - 1)] ?? 50);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Signals a process, or a group by its negative number. It may have just ended, or belong to another user. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The next look at it shows that.
  }
}

function stuck(worker: WorkerIdentity, left: readonly ProcessEntry[]): ForgeError {
  const pids = left.map(({ pid }) => pid);
  return new ForgeError(
    'IO_ERROR',
    `attempt ${worker.attempt_id} still has processes ${KILL_WAIT_MS / 1000} s after SIGKILL (pid ${pids.join(', ')})`,
    {
      hint: `A disk or network file system that does not answer can hold a process, and another user's cannot be killed. See \`ps -fp ${pids.join(',')}\`; repeat the command once they are gone.`,
      details: { pgid: worker.pgid, pids },
    },
  );
}
