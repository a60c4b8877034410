/** What a run says of work that goes on: output of workers, who still works, and what an idle run waits for. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import { classifyTasks, type SchedulingContext } from '../../domain/schedule/readiness.ts';
import { outputText } from '../../lib/text.ts';
import type { LogReader } from '../attempt/output.ts';
import type { RunningAttempt } from '../attempt/running-attempt.ts';
import type { Env } from '../env.ts';
import { ownWaits } from './event-mapping.ts';

/** Interval of `still_running` events, milliseconds. */
const STILL_RUNNING_MS = 30_000;

export class Progress {
  readonly #env: Env;
  readonly #withOutput: boolean;
  readonly #emit: (event: RunEvent) => void;
  readonly #readers = new Map<RunningAttempt, LogReader>();
  /** Commands that prepare the worktrees of tasks. */
  readonly #setups = new Map<string, { command: string; sinceMs: number }>();
  #lastSaid: number;
  #said = '';

  constructor(env: Env, withOutput: boolean, emit: (event: RunEvent) => void) {
    this.#env = env;
    this.#withOutput = withOutput;
    this.#emit = emit;
    this.#lastSaid = env.ctx.monotonicMs();
  }

  /** Emits what the worker wrote since the last call. */
  output(task_id: string, attempt: RunningAttempt): void {
    if (!this.#withOutput) return;
    const { attemptId: attempt_id } = attempt;
    const reader = this.#readers.get(attempt) ?? attempt.logReader();
    this.#readers.set(attempt, reader);
    for (const { stream, text } of reader.chunks())
      this.#emit({ type: 'task_output', task_id, attempt_id, stream, text: outputText(text) });
  }

  /** Emits that a command prepares the worktree of a task. */
  setUp(task_id: string, command: string): void {
    const sinceMs = this.#setups.get(task_id)?.sinceMs ?? this.#env.ctx.monotonicMs();
    this.#setups.set(task_id, { command, sinceMs });
    this.#emit({ type: 'task_setup', task_id, command });
  }

  /** Its worktree is prepared, or the task is given back. */
  settled(task_id: string): void {
    this.#setups.delete(task_id);
  }

  /** The commands that prepare worktrees now, by task. */
  get setups(): ReadonlyMap<string, string> {
    return new Map([...this.#setups].map(([id, { command }]) => [id, command]));
  }

  ended(attempt: RunningAttempt): void {
    this.#readers.delete(attempt);
  }

  /** Emits at intervals who works. `integrations`: reviews and merges. */
  stillRunning(
    active: ReadonlyMap<string, RunningAttempt | null>,
    integrations: readonly { task_id: string; duration_ms: number }[],
    scheduling: () => SchedulingContext,
  ): void {
    const now = this.#env.ctx.monotonicMs();
    if (now - this.#lastSaid < STILL_RUNNING_MS) return;
    const attempts = [...active].flatMap(([task_id, attempt]) =>
      attempt ? { task_id, duration_ms: attempt.ageMs } : [],
    );
    const setups = [...this.#setups].map(([task_id, { sinceMs }]) => ({ task_id, duration_ms: now - sinceMs }));
    const tasks = [...setups, ...attempts, ...integrations];
    if (tasks.length === 0) return;
    this.#lastSaid = now;
    const busy = new Set(tasks.map(({ task_id }) => task_id));
    const waiting = classifyTasks(scheduling()).waiting.filter(({ task }) => !busy.has(task.id)).length;
    this.#emit({ type: 'still_running', tasks, waiting });
  }

  /** Emits what an idle run waits for, once until that changes. */
  waiting(tasks: readonly PlanTask[], scheduling: SchedulingContext): void {
    const direct = ownWaits(tasks, scheduling);
    const said = JSON.stringify(direct.map((item) => item.task_id));
    if (said === this.#said || direct.length === 0) return;
    this.#said = said;
    this.#emit({ type: 'waiting', for: direct });
  }
}
