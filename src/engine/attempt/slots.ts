/** Which slot of its run a task has: its commands are told, so that two at a time need not meet on a port or a database. */

import { firstPort, lowestFree } from '../../domain/run/slots.ts';
import type { Env } from '../env.ts';

export class Slots {
  readonly #most: number;
  /** Slots with their tasks. */
  readonly #taken = new Map<number, string>();

  /** `most`: how many there are. */
  constructor(env: Env, most: number) {
    this.#most = most;
    ofEnv.set(env, this);
  }

  get anyFree(): boolean {
    return this.#taken.size < this.#most;
  }

  /** Gives a task the lowest free slot; the returned function frees it. */
  take(taskId: string): () => void {
    const slot = lowestFree(new Set(this.#taken.keys()));
    this.#taken.set(slot, taskId);
    return () => void this.#taken.delete(slot);
  }

  /** Null for a task that has none. */
  of(taskId: string): number | null {
    return [...this.#taken].find(([, task]) => task === taskId)?.[0] ?? null;
  }
}

/** A run has one environment. */
const ofEnv = new WeakMap<Env, Slots>();

/** FORGE_SLOT and FORGE_PORT_BASE for the commands of a task. What a worker itself starts, such as `complete`, stays in its slot. */
export function slotVariables(env: Env, taskId: string): Record<string, string | undefined> {
  const slots = ofEnv.get(env);
  const { FORGE_SLOT: outer, FORGE_PORT_BASE: outerBase } = env.ctx.env;
  if (slots === undefined) return { FORGE_SLOT: outer, FORGE_PORT_BASE: outerBase };
  const slot = slots.of(taskId);
  if (slot === null) return {};
  return { FORGE_SLOT: String(slot), FORGE_PORT_BASE: firstPort(slot, env.settings.agents.port_base)?.toString() };
}
