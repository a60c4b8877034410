/** The calls of an attempt, each a process of its own: which names they have reached, which are at work, and which only wait. */

import { newId } from '../../domain/context.ts';
import { type StepKind, stepRepeated } from '../../domain/steps/journal.ts';
import type { WorkerIdentity } from '../../domain/task/identity.ts';
import { orNull } from '../../lib/errors.ts';
import { isoTime } from '../../lib/time.ts';
import { hasCompany, identifyOwner } from '../../process/processes.ts';
import type { AttemptRef } from '../../store/port.ts';
import { stopOrphan } from '../attempt/takeover.ts';
import type { Env } from '../env.ts';
import { turn } from '../timer.ts';
import { CALL_TYPE, type Call, isBeside, isLive, readCalls, stepsAround, withinOf } from './call-log.ts';

/** How long it may take from the end of a call, or of a step, until the next one has said that it begins, milliseconds. */
const BEGINS_MS = 1000;

export type Calls = ReturnType<typeof callsOf>;

/** The calls of an attempt, as one of them sees them. `env`: that of the process that makes it. */
export function callsOf(env: Env, attempt: AttemptRef) {
  const log = { log: 'events' as const, ...attempt };
  const within = withinOf(env.ctx.env);
  const call = newId(env.ctx);
  let stepsAtWork = 0;
  let own: Call['is'] | null = null;
  /** What was known of the calls when this one looked last while it rests, and since when. */
  let rest: { known: string; since: number; isFirst: boolean } | null = null;
  const tell = async (is: Call['is'], more: Partial<Call> = {}) => {
    own = is;
    await env.eventLog.append(log, { ts: isoTime(env.now()), type: CALL_TYPE, data: { call, is, ...more } });
  };
  /** `name`: only what lines say that have it, which is all of a call that is done. */
  const read = (name?: string) => readCalls(env, attempt, name && `"name":"${name}"`);
  const isDone = (other: Call, name: string) => other.is === 'done' && other.name === name && other.within === within;
  return {
    /**
     * A name means one step: that an attempt reaches it again once it was done is a mistake of its script. One that was killed may repeat the
     * call, and so may each try of a step around it. Throws STEP_REPEATED.
     */
    async refuseDone(name: string): Promise<void> {
      if ((await read(name)).some((other) => isDone(other, name))) throw stepRepeated(name);
    },
    /**
     * Before its step or wait is gone on with. Throws what `refuseDone` throws, and STEP_REPEATED where another call is at it now: of two the first.
     * A command of it is stopped that a call which was killed has left.
     */
    async begin(name: string, kind: StepKind): Promise<void> {
      await tell('begun', { name, kind, within, by: identifyOwner(env.ctx.pid) });
      const known = await read(name);
      const isFirst = known.every((other) => other.call === call);
      for (const other of isFirst ? [] : await read()) {
        if (other.call === call) break;
        if (other.name !== name) continue;
        if (isDone(other, name) || isLive(env, other)) {
          await tell('over');
          throw stepRepeated(name, isLive(env, other) ? 'is at work in another call of this attempt' : undefined);
        }
        if (other.is === 'begun' && other.command) await stopOrphan(env, attempt.taskId, other.command);
      }
    },
    /** Before its command starts. */
    runs: (command: WorkerIdentity) => tell('begun', { command }),
    /** Once it is over, and its step is done or not. */
    end: (name: string, wasDone: boolean) => (wasDone ? tell('done', { name, within }) : tell('over')),
    /**
     * Says that a program is at work on a step, of any number, until what this returns is called. Of steps right behind each other it says so
     * once: most take less than a line of the log. Never throws, since nothing of the program hangs on it.
     */
    async works(): Promise<() => void> {
      stepsAtWork += 1;
      if (own !== 'begun')
        await orNull(() => tell('begun', { name: '', kind: 'step', within, by: identifyOwner(env.ctx.pid) }));
      return () => {
        stepsAtWork -= 1;
        void turn().then(() => (stepsAtWork > 0 || own === 'over' ? null : orNull(() => tell('over'))));
      };
    },
    /**
     * Says that it only waits, until `goOn`. Whether nothing else of the attempt is at work, besides the steps that it is made in. `quietMs`: for how
     * long nothing has ended in this process while it waits.
     */
    async isAlone(quietMs: number): Promise<boolean> {
      if (own === 'begun') await tell('rests');
      const calls = await read();
      const known = calls.map(({ is }) => is).join();
      const now = env.ctx.monotonicMs();
      if (rest?.known !== known) rest = { known, since: now, isFirst: rest === null };
      // What the script has started, or starts next, may be a call that has not begun yet.
      const mayBegin = now - rest.since < BEGINS_MS && (!rest.isFirst || hasCompany(env.ctx.pid));
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
