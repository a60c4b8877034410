/** Starts many workers: from lanes where they are as good as a spawn, and pay. */

import { closeSync, openSync } from 'node:fs';
import { type GatedWorker, spawnGated, type WorkerOptions } from './gated-worker.ts';
import { Lane, type LaneJob } from './lane.ts';
import { tableFault } from './processes.ts';

/** A lane and its trial cost as much as this many starts save. */
const SPAWNED_FIRST = 8;

export class Lanes {
  readonly #env: WorkerOptions['env'];
  readonly #all = new Set<Lane>();
  readonly #idle: Lane[] = [];
  #spawnsFirst: number;
  #isMaking = false;

  /** `env`: what most workers have in theirs. `spawnsFirst`: how many are spawned before a lane is made, default 8. */
  constructor(env: WorkerOptions['env'], { spawnsFirst = SPAWNED_FIRST } = {}) {
    this.#env = env;
    // Elsewhere a worker can't say when it started.
    this.#spawnsFirst = process.platform === 'linux' && tableFault() === null ? spawnsFirst : Number.POSITIVE_INFINITY;
  }

  /** Starts a worker as `spawnGated` does. Never rejects. */
  async start(options: WorkerOptions): Promise<GatedWorker> {
    return (isLaneJob(options) && (await this.#startInLane(options))) || spawnGated(options);
  }

  /** Ends the lanes; a worker that runs in one goes on. */
  end(): void {
    for (const lane of this.#all) lane.end();
  }

  async #startInLane(job: LaneJob): Promise<GatedWorker | null> {
    if (this.#spawnsFirst-- > 0) return null;
    const lane = this.#idle.pop();
    if (lane === undefined) {
      void this.#make();
      return null;
    }
    const worker = await lane.start(job);
    void (worker?.exited ?? Promise.resolve()).then(() => this.#free(lane));
    return worker;
  }

  #free(lane: Lane): void {
    if (lane.isGone) this.#all.delete(lane);
    else this.#idle.push(lane);
  }

  /** Meanwhile workers are spawned. Where it fails they always are. */
  async #make(): Promise<void> {
    if (this.#isMaking) return;
    this.#isMaking = true;
    try {
      const lane = new Lane(this.#env);
      this.#all.add(lane);
      if (!(await isSound(lane))) return lane.end();
      this.#free(lane);
      this.#isMaking = false;
    } catch {
      // There is no room for another process or file.
    }
  }
}

function isLaneJob(options: WorkerOptions): options is LaneJob {
  const { stdin, stdout, stderr } = options.stdio;
  const isToFiles = stdin === 'empty' && typeof stdout === 'number' && typeof stderr === 'number';
  return isToFiles && 'shell' in options && options.inTerminal !== true;
}

/** Whether this bash does what a lane needs: keeps the environment, and tells an exit code from a signal. */
async function isSound(lane: Lane): Promise<boolean> {
  const out = openSync('/dev/null', 'a');
  const endOf = async (shell: string) => {
    const env = { SHLVL: '5', OLDPWD: '/' };
    const stdio = { stdin: 'empty' as const, stdout: out, stderr: out };
    const worker = await lane.start({ shell, cwd: '/', env, stdio });
    worker?.open();
    const end = await worker?.exited;
    return worker?.identity?.pid === worker?.identity?.pgid && end !== undefined ? (end.code ?? end.signal) : null;
  };
  try {
    const isKept = '[ "$SHLVL $OLDPWD $PWD" = "5 / /" ]';
    return (await endOf(`${isKept} && exit 143`)) === 143 && (await endOf('kill -TERM $$')) === 'SIGTERM';
  } finally {
    closeSync(out);
  }
}
