/** Keeps the lease that work is done under: renews it, and notices when it is lost. */

import { type Holding, holdingOf, renewalOf } from '../../domain/task/lease-loss.ts';
import { heartbeatTask } from '../../domain/task/operations.ts';
import type { Lease } from '../../domain/task/records.ts';
import type { Checker } from '../../domain/verify/verification.ts';
import { errorMessage, kindOf } from '../../lib/errors.ts';
import { changeTask } from '../../store/change.ts';
import type { ChangeCursor } from '../../store/port.ts';
import { type Env, instantOf } from '../env.ts';

/** Interval of checks for a cancel or a stolen lease, milliseconds. */
const LOOK_MS = 500;

export class LeaseKeeper {
  readonly #env: Env;
  readonly #holder: Checker & { taskId: string };
  readonly #renewal: { ttlMs: number; intervalMs: number };
  readonly #onChange: (holding: Holding) => void;
  readonly #timer: NodeJS.Timeout;
  #holding: Holding = { kind: 'held' };
  #cursor: ChangeCursor | null = null;
  #renewedMs: number;
  #triedMs: number;
  #failing = false;
  #busy = false;
  #stopped = false;

  /**
   * `lease` as it was taken, just now or renewed since; null where nothing is to be renewed. `onChange` is called when the
   * lease is not held any more. A lease that cannot be renewed is lost when it expires: no other process may have taken it
   * yet.
   */
  constructor(
    env: Env,
    holder: Checker & { taskId: string },
    lease: Lease | null,
    onChange: (holding: Holding) => void = () => {},
  ) {
    this.#env = env;
    this.#holder = holder;
    this.#onChange = onChange;
    this.#renewal = renewalOf(lease, env.settings.agents);
    this.#renewedMs = env.ctx.monotonicMs();
    this.#triedMs = this.#renewedMs;
    this.#timer = setInterval(() => void this.#tick(), Math.min(LOOK_MS, this.#renewal.intervalMs / 2));
  }

  /** The last renewal failed. No more work is claimed on such a disk. */
  get failing(): boolean {
    return this.#failing;
  }

  /** Nothing is told after it, whatever a look that has begun finds: the holder itself is about to give it up. */
  stop(): void {
    clearInterval(this.#timer);
    this.#stopped = true;
  }

  async #tick(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      // What cannot be read now is read at the next look; what cannot be renewed expires.
      await this.#look().catch(() => {});
      if (this.#holding.kind === 'held') await this.#renew();
    } finally {
      this.#busy = false;
    }
  }

  async #look(): Promise<void> {
    const { store } = this.#env;
    const { taskId } = this.#holder;
    const { cursor, changed } = await store.changesSince(this.#cursor, [taskId]);
    // At the first look it may be gone already.
    if (this.#cursor !== null && changed.length === 0) return;
    const { record, problem } = await store.read(taskId);
    this.#cursor = cursor;
    if (problem === null) this.#hold(holdingOf(record, this.#holder));
  }

  #hold(holding: Holding): void {
    if (this.#stopped || holding.kind === this.#holding.kind) return;
    this.#holding = holding;
    if (holding.kind === 'lost') this.stop();
    this.#onChange(holding);
  }

  async #renew(): Promise<void> {
    const { taskId, attemptId, claimId } = this.#holder;
    const { ttlMs, intervalMs } = this.#renewal;
    const nowMs = this.#env.ctx.monotonicMs();
    if (nowMs - this.#triedMs >= intervalMs) {
      this.#triedMs = nowMs;
      const request = { attemptId, claimId, ttlMs, instant: instantOf(this.#env) };
      try {
        await changeTask(this.#env, taskId, (record) => heartbeatTask(record, request));
        this.#renewedMs = nowMs;
        this.#failing = false;
      } catch (error) {
        // The next look says who has it now; work that is over needs no lease.
        if (kindOf(error) === 'lost' || this.#stopped) return;
        this.#failing = true;
        this.#env.warn(`heartbeat of task ${taskId} failed: ${errorMessage(error)}`);
      }
    }
    if (this.#failing && this.#env.ctx.monotonicMs() - this.#renewedMs >= ttlMs)
      this.#hold({ kind: 'lost', why: 'its lease ran out and could not be renewed' });
  }
}
