/** The calls of an attempt, each a process of its own: which names they have reached, which are at work, and which only wait. */

import { newId } from '../../domain/context.ts';
import { type StepKind, stepRepeated } from '../../domain/steps/journal.ts';
import type { WorkerIdentity } from '../../domain/task/identity.ts';
import { ForgeError, orNull } from '../../lib/errors.ts';
import { isoTime } from '../../lib/time.ts';
import { companyOf, identifyOwner } from '../../process/processes.ts';
import { identifyThread } from '../../process/threads.ts';
import type { AttemptRef } from '../../store/port.ts';
import { stopOrphan } from '../attempt/takeover.ts';
import type { Env } from '../env.ts';
import { pause } from '../timer.ts';
import { CALL_TYPE, type Call, HANDING_IN, isBeside, isLive, readCalls, stepsAround, withinOf } from './call-log.ts';

/** How long it may take from the end of a call, or of a step, until the next one has said that it begins, milliseconds. */
const BEGINS_MS = 1000;

/** After how many of its calls a program says again who it is: of a long log the beginning is not read. */
const PROGRAM_EVERY = 1000;

/** How often it is looked whether work that is handed in counts by now, milliseconds. */
const LOOK_MS = 100;

export type Calls = ReturnType<typeof callsOf>;

/** The calls of an attempt, as one of them sees them. `env`: that of the process that makes it. */
export function callsOf(env: Env, attempt: AttemptRef) {
  const log = { log: 'events' as const, ...attempt };
  const within = withinOf(env.ctx.env);
  const call = newId(env.ctx);
  let made = 0;
  let own: Call['is'] | null = null;
  /** How long the log was with the last line of this process. */
  let known: number | null = null;
  /** Others have added lines since it was read. */
  let isNews = false;
  /** Work is handed in by another call. */
  let isHandedIn = false;
  /** What was known of the calls when this one looked last while it rests, and since when. */
  let rest: { seen: string; since: number; isFirst: boolean } | null = null;
  const add = async (data: Partial<Call>) => {
    const { from, to } = await env.eventLog.append(log, { ts: isoTime(env.now()), type: CALL_TYPE, data });
    isNews ||= from !== known;
    known = to;
  };
  const tell = (is: Call['is'], more: Partial<Call> = {}) => {
    own = is;
    return add({ call, is, ...more });
  };
  const read = () => readCalls(env, attempt);
  /** What is said of calls of this name, which is all of one that is done, and of work that is handed in. */
  const readFew = async (name: string) => {
    const few = await readCalls(env, attempt, [`"name":"${name}"`, `"kind":"${HANDING_IN}"`]);
    isHandedIn = few.some((other) => other.kind === HANDING_IN && isLive(env, other));
    return few.filter((other) => other.name === name);
  };
  const isDone = (other: Call, name: string) => other.is === 'done' && other.name === name && other.within === within;
  /** Throws STEP_REPEATED where a call before `own` is at the step now, and, unless `again`, where one has done it. */
  const refuseOthers = async (name: string, own: string, { again = false } = {}) => {
    const isFirst = (await readFew(name)).every((other) => other.call === own);
    for (const other of isFirst ? [] : await read()) {
      if (other.call === own) break;
      if (other.name !== name) continue;
      if (isLive(env, other)) throw stepRepeated(name, 'is at work in another call of this attempt');
      if (!again && isDone(other, name)) throw stepRepeated(name);
      if (other.is === 'begun' && other.command) await stopOrphan(env, attempt.taskId, other.command);
    }
  };
  return {
    /**
     * A name means one step: that an attempt reaches it again once it was done is a mistake of its script. One that was killed may repeat the
     * call, and so may each try of a step around it. Throws STEP_REPEATED.
     */
    async refuseDone(name: string): Promise<void> {
      if ((await readFew(name)).some((other) => isDone(other, name))) throw stepRepeated(name);
    },
    /**
     * Before its step or wait is gone on with. Throws what `refuseDone` throws, and STEP_REPEATED where another call is at it now: of two the first.
     * A command of it is stopped that a call which was killed has left.
     */
    async begin(name: string, kind: StepKind): Promise<void> {
      await tell('begun', { name, kind, within, by: identifyOwner(env.ctx.pid) });
      await refuseOthers(name, call).catch(async (error) => {
        await tell('over');
        throw error;
      });
    },
    /** Before its command starts. */
    runs: (command: WorkerIdentity) => tell('begun', { command }),
    /** Once it is over, and its step is done or not. */
    end: (name: string, wasDone: boolean) => (wasDone ? tell('done', { name, within }) : tell('over')),
    /**
     * `begin` for one of the calls of a program, until what this returns is called. A step that another call has done is done. What can't be
     * written keeps no step of a program from being done. Throws STEP_REPEATED.
     */
    async beginOne(name: string, kind: StepKind): Promise<() => Promise<unknown>> {
      const one = `${call}.${++made}`;
      const of = { call: one, of: call, name };
      if (own !== 'begun' || made % PROGRAM_EVERY === 0) {
        const thread = identifyThread();
        await orNull(() =>
          tell('begun', { name: '', within, by: identifyOwner(env.ctx.pid), ...(thread && { thread }) }),
        );
      }
      await orNull(() => add({ ...of, kind, is: 'begun' }));
      const end = () => orNull(() => add({ ...of, is: 'over' }));
      if (!isNews) return end;
      isNews = false;
      await refuseOthers(name, one, { again: true }).catch(async (error) => {
        await end();
        if (error instanceof ForgeError && error.code === 'STEP_REPEATED') throw error;
      });
      return end;
    },
    /** Waits until no work is being handed in: a step that began meanwhile would not count. Whether it has waited. Throws why `lost` was aborted. */
    async afterHandingIn(lost: AbortSignal): Promise<boolean> {
      if (!isHandedIn) return false;
      const isAtWork = async () =>
        (await readCalls(env, attempt, [`"kind":"${HANDING_IN}"`])).some((other) => isLive(env, other));
      while (await isAtWork()) await pause(LOOK_MS, lost);
      isHandedIn = false;
      return true;
    },
    /** Says that work is handed in, until what this returns is called: no step begins meanwhile. What can't be written keeps no work from that. */
    async handIn(): Promise<() => Promise<unknown>> {
      const of = { name: '', kind: HANDING_IN } as const;
      await orNull(() => tell('begun', { ...of, within, by: identifyOwner(env.ctx.pid) }));
      return () => orNull(() => tell('over', of));
    },
    /**
     * Says that it only waits, until `goOn`. Whether nothing else of the attempt is at work, besides the steps that it is made in. `quietMs`: for how
     * long nothing has ended in this process while it waits.
     */
    async isAlone(quietMs: number): Promise<boolean> {
      if (own === 'begun') await tell('rests');
      const calls = await read();
      const seen = calls.map(({ is }) => is).join();
      const now = env.ctx.monotonicMs();
      if (rest?.seen !== seen) rest = { seen, since: now, isFirst: rest === null };
      // What the script has started, or starts next, may be a call that has not begun yet.
      const mayBegin = now - rest.since < BEGINS_MS && (!rest.isFirst || companyOf(env.ctx.pid).length > 0);
      if (mayBegin || quietMs < BEGINS_MS) return false;
      const around = stepsAround(calls, within);
      return !calls.some(
        (other) => other.call !== call && other.is !== 'rests' && !around.has(other.name) && isBeside(env, other),
      );
    },
    async goOn(): Promise<void> {
      rest = null;
      if (own === 'rests') await tell('begun');
    },
  };
}
