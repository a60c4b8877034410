/** The outcome of a run, task by task, for those who read it afterwards: gathered from its events. Pure. */

import { madeIn } from '../../lib/once.ts';
import type { ClassifiedError } from '../retry/classify.ts';
import type { TaskState } from '../task/records.ts';
import type { RunEvent, RunFinished } from './events.ts';

/** A task as the plan has it. */
export interface ReportedTask {
  id: string;
  title: string;
  phase_id: string;
  /** Why nothing is to be done for it, a clause: its plan says so, or it is skipped. Empty for any other. */
  over: string;
}

export interface TaskResult {
  task_id: string;
  title: string;
  /** Null: it is in no plan that is known. */
  phase_id: string | null;
  /** `skipped`: this run has not brought it to an end. */
  outcome: 'passed' | 'failed' | 'skipped';
  /** Attempts of this run. */
  attempts: number;
  /** Of these together, milliseconds. */
  duration_ms: number;
  /** What it failed with; null for one that has not, or where it is not known. */
  error: ClassifiedError | null;
  /** The end of its output, of one that failed in this run: stderr, then stdout. */
  excerpt: string;
  /** Its failure counts as success for what depends on it, and for the run. */
  goes_on: boolean;
  /** Why it was skipped, or that it had failed before; a clause. Empty for any other. */
  why: string;
}

export interface RunReport {
  /** Of the plan. */
  project: string;
  /** ISO 8601. */
  started_at: string;
  duration_ms: number;
  /** Null: it broke off. */
  finished: RunFinished | null;
  /** In plan order, children behind. */
  tasks: TaskResult[];
}

/** Lines of output that are kept of a failure, the last ones. */
const EXCERPT_LINES = 40;

type Ran = Pick<TaskResult, 'attempts' | 'duration_ms' | 'error' | 'excerpt' | 'why'> & {
  title: string;
  state: TaskState | null;
};

const NOT_RUN: Ran = { title: '', state: null, attempts: 0, duration_ms: 0, error: null, excerpt: '', why: '' };

/** Gathers the events of a run. */
export class RunReporter {
  readonly #ran = new Map<string, Ran>();
  readonly #blocked = new Map<string, string>();
  #finished: RunFinished | null = null;

  add(event: RunEvent): void {
    switch (event.type) {
      case 'task_started':
        this.#of(event.task_id).title = event.title;
        return;
      case 'task_retry':
        this.#ended(event.task_id, event, null).attempts++;
        return;
      case 'task_interrupted':
        this.#ended(event.task_id, event, event.state).why = `it was stopped: ${event.why}`;
        return;
      case 'task_parked':
        this.#ended(event.task_id, event, event.state).why = event.waits ?? 'it waits for an answer';
        return;
      case 'task_finished': {
        const ran = this.#ended(event.task_id, event, event.state);
        if (event.attempt_id !== null) ran.attempts++;
        ran.error = event.error;
        ran.why = '';
        ran.excerpt = event.state === 'failed' ? excerptOf(event.tail) : '';
        return;
      }
      case 'task_blocked':
        this.#blocked.set(event.task_id, event.reasons.map(({ message }) => message).join('; '));
        return;
      case 'run_finished':
        this.#finished = event;
    }
  }

  #of(taskId: string): Ran {
    return madeIn(this.#ran, taskId, () => ({ ...NOT_RUN, title: taskId }));
  }

  #ended(taskId: string, { duration_ms }: { duration_ms: number }, state: TaskState | null): Ran {
    const ran = this.#of(taskId);
    ran.duration_ms += duration_ms;
    ran.state = state;
    return ran;
  }

  /** `tasks`: those that the run was to do, in their order. `stateOf`: how one stands at its end; null: nothing has happened to it. */
  report(
    run: Pick<RunReport, 'project' | 'started_at' | 'duration_ms'>,
    tasks: readonly ReportedTask[],
    stateOf: (taskId: string) => TaskState | null,
  ): RunReport {
    const failed = new Map(this.#finished?.failed.map((one) => [one.task_id, one]));
    const planned = new Set(tasks.map(({ id }) => id));
    const more = [...this.#ran].filter(([id]) => !planned.has(id));
    const all = [...tasks, ...more.map(([id, { title }]) => ({ id, title, phase_id: null, over: '' }))];
    return {
      ...run,
      finished: this.#finished,
      tasks: all.map(({ id, title, phase_id, over }) => {
        const { attempts, duration_ms, excerpt, state, ...ran } = this.#ran.get(id) ?? NOT_RUN;
        const { error: before = null, goes_on = false } = failed.get(id) ?? {};
        const done = { task_id: id, title, phase_id, attempts, duration_ms, excerpt, goes_on };
        const error = ran.error ?? before;
        if (state === 'failed' || failed.has(id))
          return { ...done, outcome: 'failed', error, why: state === 'failed' ? '' : 'it had failed before this run' };
        // What its last attempt handed in is verified; a review or a merge may still be to come.
        if (state === 'shipped') return { ...done, outcome: 'passed', error: null, why: '' };
        const why = over || this.#blocked.get(id) || ran.why || standing(stateOf(id));
        return { ...done, outcome: 'skipped', error: null, why: why || 'the run ended before its turn' };
      }),
    };
  }
}

function standing(state: TaskState | null): string {
  if (state === 'shipped') return 'it was shipped before this run';
  return state === null || state === 'unclaimed' ? '' : `it is ${state}`;
}

function excerptOf({ stdout, stderr }: { stdout: string; stderr: string }): string {
  const lines = [stderr, stdout].flatMap((text) => (text.trim() === '' ? [] : text.trimEnd().split('\n')));
  return lines.slice(-EXCERPT_LINES).join('\n');
}
