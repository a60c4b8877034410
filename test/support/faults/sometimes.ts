/** Rare events that a loop has to come across: where it never meets one, it has shown nothing about it. */

import { expect } from 'vitest';
import { LONG, ROUNDS } from './knobs.ts';

/** From so many rounds on every event is met, also one of which a round may have none. */
const ENOUGH_ROUNDS = 30;

export class Sometimes<Name extends string> {
  readonly #counts: Map<Name, number>;
  readonly #certain: readonly Name[];

  /** `certain`: those that every run of the loop meets, also the short one. All are met in thirty rounds. */
  constructor(names: readonly Name[], certain: readonly Name[] = []) {
    this.#counts = new Map(names.map((name) => [name, 0]));
    this.#certain = certain;
  }

  saw(name: Name, when = true): void {
    if (when) this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** Fails with the events that were not met. The long run prints how often each was. */
  expectMet(): void {
    const counts = [...this.#counts];
    if (LONG) console.log(counts.map(([name, count]) => `${count} times ${name}`).join('\n'));
    const due = counts.filter(([name]) => ROUNDS >= ENOUGH_ROUNDS || this.#certain.includes(name));
    expect(due.filter(([, count]) => count === 0).map(([name]) => name)).toEqual([]);
  }
}
