/**
 * The plan of a run: read again when it is edited, or a task has made children; an edit that does not parse leaves the last good one in force.
 */

import type { TaskSummary } from '../../domain/task/records.ts';
import { ForgeError } from '../../lib/errors.ts';
import { type LoadedPlan, parsePlanText, planStamp, readPlanText, withChildrenOf } from '../../project/plan-file.ts';
import type { Env } from '../env.ts';

/** Records as they are known. */
type Known = Iterable<{ record: TaskSummary | null }>;

export class PlanSource {
  #current: LoadedPlan;
  /** As it is in the file; null where that was not read here. */
  #planned: LoadedPlan | null = null;
  #text: string;
  #stamp: string;
  /** Ids of the fan-outs whose children it has; null where those are not known. */
  #fanOuts: string | null = null;
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

  /** Looks for an edit, and by the records for children that were made since; true when there is a new plan. */
  async refresh(known: Known = []): Promise<boolean> {
    const edited = await this.#edited();
    const fanOuts = fanOutsIn(known);
    if (edited === null && !this.#isNew(fanOuts)) return false;
    this.#planned = edited ?? this.#planned ?? (await parsePlanText(this.#current, this.#env.cache));
    this.#current = await withChildrenOf(this.#env.store, this.#planned);
    this.#fanOuts = fanOuts;
    return true;
  }

  /** Whether the records name children that it does not have. */
  lacks(known: Known): boolean {
    return this.#isNew(fanOutsIn(known));
  }

  #isNew(fanOuts: string): boolean {
    return fanOuts !== '' && fanOuts !== this.#fanOuts;
  }

  async #edited(): Promise<LoadedPlan | null> {
    const stamp = this.#stampOf();
    if (stamp === this.#stamp) return null;
    this.#stamp = stamp;
    try {
      const source = readPlanText(this.#env);
      if (source === null || source.text === this.#text) return null;
      this.#text = source.text;
      return await parsePlanText(source, this.#env.cache);
    } catch (error) {
      if (!(error instanceof ForgeError)) throw error;
      const [first] = error.problems;
      const where = first === undefined ? '' : ` (line ${first.place.line ?? '?'}: ${first.message})`;
      this.#env.warn(`${error.message}${where}; going on with the plan as it was before`);
      return null;
    }
  }

  #stampOf(): string {
    return planStamp(this.#env.paths, this.#current.file);
  }
}

/** Names all sets that the records have; empty where there are none. */
function fanOutsIn(known: Known): string {
  const ids: string[] = [];
  for (const { record } of known) {
    const sets = record?.memo.fan_outs;
    if (Array.isArray(sets))
      ids.push(...sets.map((set) => String((set as { fan_out_id?: unknown } | null)?.fan_out_id)));
  }
  return ids.sort().join(' ');
}
