/**
 * Watches the main checkout while workers of this process are at work in worktrees. They have no business there; but an absolute path
 * leads to it, and then the change is missing from their branch and in the way of the merge.
 */

import { type CheckoutState, changedSince, checkoutChanges } from '../../domain/verify/checkout-changes.ts';
import { orNull } from '../../lib/errors.ts';
import { madeIn } from '../../lib/once.ts';
import { PLAN_PLACES } from '../../project/find-project.ts';
import { loadPlanned } from '../../project/plan-file.ts';
import type { Env } from '../env.ts';

class CheckoutWatch {
  readonly #env: Env;
  /** Each with what was changed in the main checkout since its worker began. */
  readonly #atWork = new Map<string, Set<string>>();
  #known: CheckoutState | null = null;
  /** The files there that were named to people, and are still not committed: one that is written to all the time is named once. */
  #told: ReadonlySet<string> = new Set();
  /** One look at a time: each tells what is new since the one before. */
  #turn: Promise<void> = Promise.resolve();

  constructor(env: Env) {
    this.#env = env;
  }

  /** Before the worker of a task starts. Never throws. */
  begin(taskId: string): Promise<void> {
    return this.#next(async () => {
      await this.#look();
      this.#atWork.set(taskId, new Set());
    });
  }

  /** Once that worker is gone: the files that are known to have changed there meanwhile. `look` at it for that. Never throws. */
  async end(taskId: string, { look }: { look: boolean }): Promise<string[]> {
    const changed = this.#atWork.get(taskId);
    if (changed === undefined) return [];
    await this.#next(async () => {
      if (look) await this.#look();
      this.#atWork.delete(taskId);
    });
    return [...changed].sort();
  }

  #next(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work);
    return this.#turn;
  }

  async #look(): Promise<void> {
    const { lookAtMainCheckout, plainCommits } = await import('../../git/main-checkout.ts');
    const before = this.#known;
    const now = await orNull(async () => lookAtMainCheckout(this.#env, await notWatched(this.#env)));
    this.#known = now;
    if (before === null || now === null || this.#atWork.size === 0) return;
    const names = changedSince(before, now);
    for (const name of names) for (const changed of this.#atWork.values()) changed.add(name);
    // A checkout that was switched says nothing about who has committed to its branch.
    const isSame = before.branch === now.branch;
    const strange = (isSame && (await orNull(() => plainCommits(this.#env, before.head, now.head)))) || [];
    const text = checkoutChanges(before, now, {
      tasks: [...this.#atWork.keys()].sort(),
      strange,
      told: this.#told,
    });
    this.#told = new Set([...this.#told, ...names].filter((name) => now.files.has(name)));
    if (text !== null) this.#env.warn(text);
  }
}

/** What forge and people write there while a run is going on: state, the tracker's file, the plan. */
async function notWatched(env: Env): Promise<string[]> {
  const { settings } = env;
  const included = (await orNull(() => loadPlanned(env)))?.included.map(({ file }) => file) ?? [];
  const tracker = settings.tracker.type === 'file' ? [settings.tracker.path] : [];
  const places = ['.forge/', ...tracker, ...included, ...(settings.plan === null ? PLAN_PLACES : [settings.plan])];
  // Git refuses what is outside of the repository.
  return places.filter((place) => !/^\/|(^|\/)\.\.(\/|$)/.test(place));
}

const watches = new WeakMap<Env, CheckoutWatch>();

/** One for all workers of a run; null where workers have no worktrees, or none to watch. */
export function checkoutWatch(env: Env): CheckoutWatch | null {
  if (env.settings.workspace !== 'worktree') return null;
  return madeIn(watches, env, () => new CheckoutWatch(env));
}
