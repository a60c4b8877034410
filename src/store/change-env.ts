/** What a change of a task is made with. */

import type { Move } from '../domain/task/states.ts';
import type { Journal } from './journal.ts';
import type { EventLog, TaskStore } from './port.ts';

export interface ChangeEnv {
  store: TaskStore;
  eventLog: EventLog;
  journal: Journal;
  now(): number;
  /** A fresh name for a commit. */
  newOp(): string;
  /** Told what a person should know although nothing failed. */
  warn(message: string): void;
  /** Told of every commit that moved a task, after everything local is done. Never rejects. Left out: nobody cares. */
  moved?(change: Moved): Promise<void>;
}

export interface Moved {
  task_id: string;
  /** In order, at least one. */
  moves: readonly Move[];
}
