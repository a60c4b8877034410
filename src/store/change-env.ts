/** What a change of a task is made with. */

import type { Subscriber } from './events.ts';
import type { TaskStore } from './port.ts';

export interface ChangeEnv {
  store: TaskStore;
  now(): number;
  /** A fresh name for a commit. */
  newOp(): string;
  /** Gets what a person should know although nothing failed. */
  warn(message: string): void;
  /** Gives what a commit has changed to every subscriber. Never rejects. */
  publish: Subscriber;
}
