/** The plan of a run: read again when it is edited; an edit that does not parse leaves the last good one in force. */

import { ForgeError } from '../../lib/errors.ts';
import { type LoadedPlan, parsePlanText, planStamp, readPlanText } from '../../project/plan-file.ts';
import type { Env } from '../env.ts';

export class PlanSource {
  #current: LoadedPlan;
  #text: string;
  #stamp: string;
  readonly #env: Env;

  constructor(env: Env, loaded: LoadedPlan) {
    this.#env = env;
    this.#current = loaded;
    this.#text = loaded.text;
    this.#stamp = this.#stampOf();
  }

  get current(): LoadedPlan {
    return this.#current;
  }

  /** Looks for an edit; true when there is a new plan. */
  async refresh(): Promise<boolean> {
    const stamp = this.#stampOf();
    if (stamp === this.#stamp) return false;
    this.#stamp = stamp;
    try {
      const source = readPlanText(this.#env);
      if (source === null || source.text === this.#text) return false;
      this.#text = source.text;
      this.#current = await parsePlanText(source, this.#env.cache);
      return true;
    } catch (error) {
      if (!(error instanceof ForgeError)) throw error;
      const [first] = error.problems;
      const where = first === undefined ? '' : ` (line ${first.place.line ?? '?'}: ${first.message})`;
      this.#env.warn(`${error.message}${where}; going on with the plan as it was before`);
      return false;
    }
  }

  #stampOf(): string {
    return planStamp(this.#env.paths, this.#current.file);
  }
}
