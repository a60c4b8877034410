/**
 * Stops the process group of a worker that another process may have started long ago.
 *
 * A process group is only a number, and numbers are reused. What makes it safe to signal one:
 * - the kernel does not give a number to a new process while a group uses it, so a group with members has never been empty since
 *   its leader created it, and all its members descend from that leader;
 * - therefore one witness proves the whole group: the leader under its recorded start time (a zombie suffices), a member that was
 *   there when the group was last proven, or a member that carries the worker's claim in its environment.
 * Without a witness no process is signalled. On macOS environments cannot be read, so a group whose leader is gone at the first
 * look has no witness there.
 */

import { rebootedSince, sameMachine, type WorkerIdentity } from '../domain/task/identity.ts';
import { ForgeError } from '../lib/errors.ts';
import { thisMachine } from './machine.ts';
import { groupMembers, lookUp, type ProcessEntry, type ProcessLook, startedWith, tableFault } from './processes.ts';

/** How long to wait for a killed group to end, milliseconds. Only a process stuck inside the kernel takes longer. */
const KILL_WAIT_MS = 5_000;

/** Delays between two looks, milliseconds; the last one repeats. Processes that are not our children send no event. */
const PAUSES_MS = [5, 10, 20, 50];

export interface StopOptions {
  /** How long the group may take to end after SIGTERM, milliseconds. 0: SIGKILL follows at once. */
  graceMs: number;
  /** Ends the grace early (an AbortSignal will do). Noticed within 50 ms. */
  signal?: { readonly aborted: boolean };
}

/**
 * `gone`: there was no process to stop. `stopped`: there was, and no live member is left. `unverified`: the group is not provably
 * this worker's, or the worker belongs to another machine; no process was signalled.
 */
export type StopResult = 'gone' | 'stopped' | 'unverified';

/**
 * Stops a worker's group: SIGTERM, the grace, SIGKILL, until no live member is left. A process that has left the group (setsid)
 * cannot be reached. The group of this very process counts as unverified.
 * Throws IO_ERROR when members are still there 5 s after SIGKILL, and when the process table cannot be read.
 */
export async function stopGroup(worker: WorkerIdentity, options: StopOptions): Promise<StopResult> {
  const witnesses = new Set<string>();
  const members = await firstLook(worker, witnesses);
  if (typeof members === 'string') return members;
  if (members.length === 0) return 'gone';
  const graceEnd = performance.now() + options.graceMs;
  send(-worker.pgid, 'SIGTERM');
  let left = await emptied(worker, witnesses, () => performance.now() >= graceEnd || options.signal?.aborted === true);
  if (left !== 'timeout') return left;
  const killEnd = performance.now() + KILL_WAIT_MS;
  send(-worker.pgid, 'SIGKILL');
  left = await emptied(worker, witnesses, () => performance.now() >= killEnd);
  if (left !== 'timeout') return left;
  throw stuck(worker);
}

/** The live members of a proven group. */
type Look = ProcessEntry[] | 'gone' | 'unverified';

/** Looks at the group once. `witnesses` holds the members of the last proven look, and afterwards those of this one. */
function lookAt(worker: WorkerIdentity, witnesses: Set<string>): Look {
  const machine = thisMachine();
  if (!sameMachine(worker, machine)) return rebootedSince(worker, machine) ? 'gone' : 'unverified';
  if (tableFault() !== null) return 'unverified';
  if (worker.pid !== worker.pgid || !Number.isSafeInteger(worker.pgid) || worker.pgid < 2) return 'unverified';
  const leader = lookUp(worker.pid);
  const members = groupMembers(worker.pgid);
  if (leader === 'missing' && members.length === 0) return 'gone';
  if (!proven(worker, leader, members, witnesses)) return 'unverified';
  // A worker that takes its own task over must not stop itself half way through.
  if (members.some((member) => member.pid === process.pid)) return 'unverified';
  witnesses.clear();
  for (const member of members) witnesses.add(witness(member));
  return members;
}

/** During exec a process shows no environment, so one look without proof is not enough. */
async function firstLook(worker: WorkerIdentity, witnesses: Set<string>): Promise<Look> {
  for (const ms of PAUSES_MS) {
    const look = lookAt(worker, witnesses);
    if (look !== 'unverified') return look;
    await pause(ms);
  }
  return lookAt(worker, witnesses);
}

function proven(worker: WorkerIdentity, leader: ProcessLook, members: ProcessEntry[], witnesses: Set<string>): boolean {
  if (leader === 'hidden') return false;
  if (leader !== 'missing') return leader.startedAt === worker.started_at && leader.pgid === worker.pgid;
  return members.some(
    (member) => witnesses.has(witness(member)) || startedWith(member.pid, 'FORGE_CLAIM_ID', worker.claim_id),
  );
}

function witness(member: ProcessEntry): string {
  return `${member.pid} ${member.startedAt}`;
}

async function emptied(
  worker: WorkerIdentity,
  witnesses: Set<string>,
  over: () => boolean,
): Promise<'stopped' | 'unverified' | 'timeout'> {
  for (let turn = 0; ; turn++) {
    const look = lookAt(worker, witnesses);
    if (look === 'unverified') return look;
    if (look === 'gone' || look.length === 0) return 'stopped';
    if (over()) return 'timeout';
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

function stuck(worker: WorkerIdentity): ForgeError {
  const pids = groupMembers(worker.pgid).map((member) => member.pid);
  return new ForgeError(
    'IO_ERROR',
    `process group ${worker.pgid} of attempt ${worker.attempt_id} is still there ${KILL_WAIT_MS / 1000} s after SIGKILL (pid ${pids.join(', ')})`,
    {
      hint: `A disk or network file system that does not answer can hold a process, and another user's cannot be killed. See \`ps -fp ${pids.join(',')}\`; repeat the command once they are gone.`,
      details: { pgid: worker.pgid, pids },
    },
  );
}
