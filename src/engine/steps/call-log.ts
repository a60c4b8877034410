/** What the log of an attempt says of calls of its steps. */

import type { StepKind } from '../../domain/steps/journal.ts';
import type { OwnerIdentity, WorkerIdentity } from '../../domain/task/identity.ts';
import { orNull } from '../../lib/errors.ts';
import { NAME_PATTERN } from '../../lib/ids.ts';
import { OWN_PID } from '../../process/gated-worker.ts';
import { argumentsOf, isStarting, isWithin, type ProcessEntry } from '../../process/processes.ts';
import type { AttemptRef } from '../../store/port.ts';
import type { Env } from '../env.ts';

type Vars = Readonly<Record<string, string | undefined>>;

/** How long what a worker has left may take until it is the program that it was started as, milliseconds, and how often that is looked at. */
const EXEC_MS = 2_000;
const LOOK_MS = 5;

export const CALL_TYPE = 'forge.step';

/** That of a call of `complete` which hands work in: it is no step, and has no name. */
export const HANDING_IN = 'complete';

/** A call, as the lines of the attempt's log that are about it leave it. */
export interface Call {
  call: string;
  /** The program that it is made in, which tells once, without a name, what all of its calls have in common. Absent: it is a process of its own. */
  of?: string;
  name: string;
  /** Absent of a program, and of a step that was done before. */
  kind?: StepKind | typeof HANDING_IN;
  /** The step whose command it is made in, and which of its commands that is; null: none. */
  within: string | null;
  /** `rests`: it only waits. `done`: its step is done. `over`: it is not. */
  is: 'begun' | 'rests' | 'done' | 'over';
  /** Its process; null: not known. */
  by: OwnerIdentity | null;
  /** The thread of that process, where it is not the main one. */
  thread?: OwnerIdentity | null;
  /** The command that it runs. */
  command?: WorkerIdentity;
}

/** `having`: only what lines say that have one of these texts. Throws IO_ERROR. */
export async function readCalls(env: Env, attempt: AttemptRef, having = [CALL_TYPE]): Promise<Call[]> {
  const calls = new Map<string, Call>();
  for (const { type, data } of await env.eventLog.read({ log: 'events', ...attempt }, having)) {
    const told = data as Partial<Call> | null;
    if (type !== CALL_TYPE || typeof told?.call !== 'string') continue;
    calls.set(told.call, { by: null, ...calls.get(told.call), ...told } as Call);
  }
  return [...calls.values()].flatMap((call) => {
    const program = calls.get(call.of ?? '');
    if (program === undefined) return call.kind === undefined && call.name === '' ? [] : call;
    const { by, within, thread } = program;
    return { ...call, by, within, ...(thread && { thread }), is: call.is === 'begun' ? program.is : call.is };
  });
}

/** The command of a step that a process is in, as calls within it name that; null: of none. */
export function withinOf({
  FORGE_STEP: outer,
  FORGE_STEP_TRY: number,
  FORGE_TICK_AT: tick,
  [OWN_PID]: command,
}: Vars): Call['within'] {
  // Ticks have steps of their own; a try and a look that are made again reach those of before.
  return outer === undefined ? null : `${outer} ${tick === undefined ? command : number}`;
}

/** Names of the steps that what is made there is within. */
export function stepsAround(calls: readonly Call[], within: Call['within']): Set<string> {
  const around = new Set<string>();
  for (let step = within; step !== null; ) {
    const [name = ''] = step.split(' ');
    step = around.has(name) ? null : (calls.findLast((other) => other.name === name)?.within ?? null);
    around.add(name);
  }
  return around;
}

const isOver = ({ is }: Call) => is === 'done' || is === 'over';

export function isLive({ ctx }: Pick<Env, 'ctx'>, call: Call): boolean {
  const { by, thread } = call;
  return !isOver(call) && [by, ...(thread ? [thread] : [])].every((one) => one && ctx.liveness(one) === 'alive');
}

/** Whether it is at work beside this process, or in another thread. A program that has started this process may have done so in the very step. */
export function isBeside({ ctx }: Pick<Env, 'ctx'>, call: Call): boolean {
  if (!isLive({ ctx }, call)) return false;
  return call.of === undefined || call.by === null || call.by.pid === ctx.pid || !isWithin(ctx.pid, call.by.pid);
}

/**
 * Names of steps whose calls are still at work, asked when the worker of the attempt has ended and before what it has left is stopped, or hands
 * its work in from `within`. What a step has left of its own is not among them, nor is a call that was killed: its script was told. None
 * where the log cannot be read.
 */
export async function stepsAtWork(env: Env, attempt: AttemptRef, within: Call['within'] = null): Promise<string[]> {
  return atWorkAmong(env, await callsOrNone(env, attempt), within);
}

/** The same for a worker that has ended, with steps that have ended with its process, unless they were called again: of threads none is asked. */
export async function stepsLeft(env: Env, attempt: AttemptRef): Promise<string[]> {
  const calls = await callsOrNone(env, attempt);
  const last = new Map(calls.map((call) => [call.name, call]));
  const isCutOff = (call: Call) => call.kind === 'step' && call.thread && !isOver(call) && !isLive(env, call);
  return [...atWorkAmong(env, calls, null), ...[...last.values()].filter(isCutOff).map(({ name }) => name)];
}

const callsOrNone = async (env: Env, attempt: AttemptRef) => (await orNull(() => readCalls(env, attempt))) ?? [];

function atWorkAmong(env: Env, calls: readonly Call[], within: Call['within']): string[] {
  const around = stepsAround(calls, within);
  const isBesideIt = (call: Call) => call.within === null || call.within === within;
  return calls
    .filter((call) => call.kind === 'step' && isBesideIt(call) && !around.has(call.name) && isLive(env, call))
    .map(({ name }) => name);
}

/**
 * Adds to `names` the steps that what a worker has left is about to call: none of these processes has said yet that its call begins. Nothing
 * where that cannot be read.
 */
export function addsBegun(env: Env, attempt: AttemptRef, names: string[], within: Call['within'] = null) {
  return async (left: readonly ProcessEntry[]): Promise<void> => {
    const end = env.ctx.monotonicMs() + EXEC_MS;
    while (left.some(({ pid }) => isStarting(pid)) && env.ctx.monotonicMs() < end)
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const called = left.map(({ pid }) => ({ pid, name: calledStep(argumentsOf(pid)) }));
    if (called.every(({ name }) => name === null)) return;
    const known = new Set((await orNull(() => readCalls(env, attempt)))?.map(({ by }) => by?.pid));
    for (const { pid, name } of called) if (name !== null && !known.has(pid)) names.push(name);
    // Some have said so meanwhile.
    names.push(...(await stepsAtWork(env, attempt, within)));
  };
}

/** The word of a command line behind which the verb stands, and an option whose value is the next word. */
const BEFORE_VERB = /^orchestrate$|(?:^|\/)forge-orchestrate(?:\.cjs)?$/;
const TAKES_NEXT = /^--(?!(?:json|no-color)$)[^=]+$/;

/** The step that a command line calls; null for any other. */
function calledStep(argv: readonly string[]): string | null {
  const start = argv.findIndex((word) => BEFORE_VERB.test(word));
  const words = start < 0 ? [] : argv.slice(start + 1, argv.indexOf('--', start));
  const [verb, name] = words.filter((word, at) => !word.startsWith('-') && !TAKES_NEXT.test(words[at - 1] ?? ''));
  return verb === 'step' && name !== undefined && NAME_PATTERN.test(name) ? name : null;
}
