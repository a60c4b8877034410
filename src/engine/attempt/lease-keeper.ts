/** Keeps the lease of an attempt alive while its result is verified, reviewed or merged, and notices when it is lost. */

import { heartbeatTask } from '../../domain/task/operations.ts';
import { type Checker, checkedFor } from '../../domain/verify/verification.ts';
import { ForgeError } from '../../lib/errors.ts';
import { changeTask } from '../../store/change.ts';
import { type Env, instantOf, ttlOf } from '../env.ts';

/** How often the record is looked at for a cancel or a theft, milliseconds. */
const LOOK_MS = 500;

/** How many heartbeats a lease has room for. */
const BEATS_PER_LEASE = 3;

const LOST: readonly string[] = ['LEASE_STOLEN', 'STALE_ATTEMPT', 'LEASE_EXISTS'];

export class LeaseWatch {
  readonly #env: Env;
  readonly #holder: Checker & { taskId: string };
  readonly #onLost: () => void;
  readonly #timer: NodeJS.Timeout;
  #stamp = '';
  #renewedMs: number;
  #ttlMs = Number.POSITIVE_INFINITY;
  #busy = false;

  /** `onLost` is called at every look once the lease is lost. */
  constructor(env: Env, holder: Checker & { taskId: string }, onLost: () => void) {
    this.#env = env;
    this.#holder = holder;
    this.#onLost = onLost;
    this.#renewedMs = env.ctx.monotonicMs();
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      const { taskId } = this.#holder;
      const stamp = await this.#env.store.stamp(taskId);
      if (stamp !== this.#stamp) {
        const { record } = await this.#env.store.read(taskId);
        this.#stamp = stamp;
        if (record === null) return;
        // What nobody holds is renewed by nobody.
        if (checkedFor(record, this.#holder) !== null) this.#ttlMs = ttlOf(this.#env, record);
      }
      await this.#beat();
    } catch (error) {
      if (!(error instanceof ForgeError)) throw error;
      // One that can't be renewed runs out: what is done under it ends while nobody may have taken it yet.
      const ranOut = this.#env.ctx.monotonicMs() - this.#renewedMs >= this.#ttlMs;
      if (LOST.includes(error.code) || ranOut) this.#onLost();
    } finally {
      this.#busy = false;
    }
  }

  async #beat(): Promise<void> {
    const { taskId, attemptId, claimId } = this.#holder;
    const nowMs = this.#env.ctx.monotonicMs();
    if (nowMs - this.#renewedMs < this.#ttlMs / BEATS_PER_LEASE) return;
    const request = { attemptId, claimId, ttlMs: this.#ttlMs, instant: instantOf(this.#env) };
    await changeTask(this.#env, taskId, (current) => heartbeatTask(current, request));
    this.#renewedMs = nowMs;
  }
}
