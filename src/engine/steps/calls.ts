/** The calls of an attempt, each a process of its own: which names they have reached, which are at work, and which only wait. */

import { newId } from '../../domain/context.ts';
import { stepRepeated } from '../../domain/steps/journal.ts';
import type { OwnerIdentity, WorkerIdentity } from '../../domain/task/identity.ts';
import { isoTime } from '../../lib/time.ts';
import { hasCompany, identifyOwner } from '../../process/processes.ts';
import type { AttemptRef } from '../../store/port.ts';
import { stopOrphan } from '../attempt/takeover.ts';
import type { Env } from '../env.ts';

const TYPE = 'forge.step';

/** How long another call may take from its start until it has said that it begins, milliseconds. */
const BEGINS_MS = 1000;

/** A call, as the lines of the attempt's log that are about it leave it. */
interface Call {
  call: string;
  name: string;
  /** The step and the try that it is made in; null: none. */
  within: string | null;
  /** `rests`: it only waits. `done`: its step is done. `over`: it is not. */
  is: 'begun' | 'rests' | 'done' | 'over';
  /** Its process; null: not known. */
  by: OwnerIdentity | null;
  /** The command that it runs. */
  command?: WorkerIdentity;
}

export type Calls = ReturnType<typeof callsOf>;

/** The calls of an attempt, as one of them sees them. `env`: that of the process that makes it. */
export function callsOf(env: Env, attempt: AttemptRef) {
  const log = { log: 'events' as const, ...attempt };
  const { FORGE_STEP: outer, FORGE_STEP_TRY: number } = env.ctx.env;
  const within = outer === undefined ? null : `${outer} ${number}`;
  const call = newId(env.ctx);
  let own: Call['is'] | null = null;
  let restsSince: number | null = null;
  const tell = async (is: Call['is'], more: Partial<Call> = {}) => {
    own = is;
    await env.eventLog.append(log, { ts: isoTime(env.now()), type: TYPE, data: { call, is, ...more } });
  };
  /** `name`: only what lines say that have it, which is all of a call that is done. */
  const read = async (name?: string) => {
    const calls = new Map<string, Call>();
    for (const { type, data } of await env.eventLog.read(log, name && `"name":"${name}"`)) {
      const told = data as Partial<Call> | null;
      if (type !== TYPE || typeof told?.call !== 'string') continue;
      calls.set(told.call, { by: null, ...calls.get(told.call), ...told } as Call);
    }
    return [...calls.values()];
  };
  const isDone = (other: Call, name: string) => other.is === 'done' && other.name === name && other.within === within;
  const isLive = ({ is, by }: Call) =>
    is !== 'done' && is !== 'over' && by !== null && env.ctx.liveness(by) === 'alive';
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
    async begin(name: string): Promise<void> {
      await tell('begun', { name, within, by: identifyOwner(env.ctx.pid) });
      const known = await read(name);
      const isFirst = known.every((other) => other.call === call);
      for (const other of isFirst ? [] : await read()) {
        if (other.call === call) break;
        if (other.name !== name) continue;
        if (isDone(other, name) || isLive(other)) {
          await tell('over');
          throw stepRepeated(name, isLive(other) ? 'is at work in another call of this attempt' : undefined);
        }
        if (other.is === 'begun' && other.command) await stopOrphan(env, attempt.taskId, other.command);
      }
    },
    /** Before its command starts. */
    runs: (command: WorkerIdentity) => tell('begun', { command }),
    /** Once it is over, and its step is done or not. */
    end: (name: string, wasDone: boolean) => (wasDone ? tell('done', { name, within }) : tell('over')),
    /** Says that it only waits, until `goOn`. Whether nothing else of the attempt is at work, besides the steps that it is made in. */
    async isAlone(): Promise<boolean> {
      if (own === 'begun') await tell('rests');
      restsSince ??= env.ctx.monotonicMs();
      // What else the script has started may be a call that has not begun yet.
      if (env.ctx.monotonicMs() - restsSince < BEGINS_MS && hasCompany(env.ctx.pid)) return false;
      const calls = await read();
      const around = new Set<string>();
      for (let step = within; step !== null; ) {
        const [name = ''] = step.split(' ');
        step = around.has(name) ? null : (calls.findLast((other) => other.name === name)?.within ?? null);
        around.add(name);
      }
      return !calls.some(
        (other) => other.call !== call && other.is !== 'rests' && !around.has(other.name) && isLive(other),
      );
    },
    async goOn(): Promise<void> {
      restsSince = null;
      if (own === 'rests') await tell('begun');
    },
  };
}
