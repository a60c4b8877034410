/**
 * The plan of a run: read again when it is edited, or a task has made children; an edit that does not parse leaves the last good one in force.
 */

import type { TaskSummary } from '../../domain/task/records.ts';
import { ForgeError, type Place } from '../../lib/errors.ts';
import {
  filesOf,
  type LoadedPlan,
  loadPlanned,
  parsePlanText,
  planStamp,
  withChildrenOf,
} from '../../project/plan-file.ts';
import type { Env } from '../env.ts';

/** Records as they are known. */
type Known = Iterable<{ record: TaskSummary | null }>;

export class PlanSource {
  #current: LoadedPlan;
  /** As it is in the file; null where that was not read here. */
  #planned: LoadedPlan | null = null;
  #text: string;
  #stamp: string;
  /** The files that it is made of, and those that the last edit has named and that are not there. */
  #files: readonly string[];
  /** Ids of the fan-outs whose children it has; null where those are not known. */
  #fanOuts: string | null = null;
  readonly #env: Env;

  constructor(env: Env, loaded: LoadedPlan) {
    this.#env = env;
    this.#current = loaded;
    this.#text = textOf(loaded);
    this.#files = filesOf(loaded);
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
    this.#planned = edited ?? this.#planned ?? (await this.#again());
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
      const loaded = await loadPlanned(this.#env);
      if (loaded === null) {
        this.#env.warn(`${this.#current.file} is gone; going on with the plan as it was before`);
        return null;
      }
      this.#files = filesOf(loaded);
      this.#stamp = this.#stampOf();
      const text = textOf(loaded);
      if (text === this.#text) return null;
      this.#text = text;
      return loaded;
    } catch (error) {
      if (!(error instanceof ForgeError)) throw error;
      const [first] = error.problems;
      this.#files = [...new Set([...this.#files, ...error.problems.map(({ place }) => place.file)])];
      this.#stamp = this.#stampOf();
      const where = first === undefined ? '' : ` (${placeText(first.place, this.#current.file)}: ${first.message})`;
      this.#env.warn(`${error.message}${where}; going on with the plan as it was before`);
      return null;
    }
  }

  /** As it was read, without children. */
  async #again(): Promise<LoadedPlan> {
    const { file, text, included } = this.#current;
    const read = (name: string) => included.find((other) => other.file === name)?.text ?? null;
    return parsePlanText({ file, text }, this.#env.cache, read);
  }

  #stampOf(): string {
    return this.#files.map((file) => planStamp(this.#env.paths, file)).join(' ');
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

function textOf({ text, included }: LoadedPlan): string {
  return [text, ...included.map((other) => `${other.file}\n${other.text}`)].join('\n');
}

function placeText({ file, line = 0 }: Place, planFile: string): string {
  return file === planFile ? `line ${line || '?'}` : `${file}:${line || '?'}`;
}
