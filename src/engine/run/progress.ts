/** What a run says of work that goes on: output of workers, who still works, and what an idle run waits for. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import { type OutputMode, stillRunningMs, WORTH_SAYING_MS } from '../../domain/run/output.ts';
import { classifyTasks, type SchedulingContext } from '../../domain/schedule/readiness.ts';
import { madeIn } from '../../lib/once.ts';
import { OutputLines } from '../../lib/output-lines.ts';
import { STREAMS, type StreamName } from '../../store/port.ts';
import { LogReader } from '../attempt/output.ts';
import type { RunningAttempt } from '../attempt/running-attempt.ts';
import type { Env } from '../env.ts';
import { ownWaits } from './event-mapping.ts';
import { lastLineOf } from './last-line.ts';

/** Of each stream of an attempt, the end that `grouped` gives: lines, and UTF-16 units. */
const GROUPED = { lines: 2000, text: 256 * 1024 };

type Active = ReadonlyMap<string, RunningAttempt | null>;

/** Output of one attempt that is given as it comes. */
interface Streamed {
  reader: LogReader;
  lines: Record<StreamName, OutputLines>;
}

export class Progress {
  readonly #env: Env;
  readonly #output: OutputMode;
  readonly #emit: (event: RunEvent) => void;
  readonly #streamed = new Map<RunningAttempt, Streamed>();
  readonly #lastLines = new Map<RunningAttempt, () => string>();
  /** Commands that prepare the worktrees of tasks. */
  readonly #setups = new Map<string, { command: string; sinceMs: number }>();
  #lastSaid: number;
  /** How often it has said who works. */
  #times = 0;
  #said = '';
  /** Null while something is at work. */
  #idleSince: number | null = null;

  constructor(env: Env, output: OutputMode, emit: (event: RunEvent) => void) {
    this.#env = env;
    this.#output = output;
    this.#emit = emit;
    this.#lastSaid = env.ctx.monotonicMs();
  }

  /** To be called again and again: emits what workers have written since, and at intervals who works. `integrations`: reviews and merges. */
  look(
    active: Active,
    integrations: readonly { task_id: string; duration_ms: number }[],
    scheduling: () => SchedulingContext,
  ): void {
    for (const [id, attempt] of active) if (attempt !== null) this.#stream(id, attempt);
    this.#stillRunning(active, integrations, scheduling);
  }

  /** Emits what its worker has written that was not given yet. */
  ended(task_id: string, attempt: RunningAttempt): void {
    this.#lastLines.delete(attempt);
    // What the run waits for after it may be the same, and until another time.
    this.#said = '';
    this.#idleSince = null;
    if (this.#output === 'grouped') this.#group(task_id, attempt);
    if (this.#output !== 'prefixed') return;
    this.#stream(task_id, attempt);
    for (const stream of STREAMS) this.#give(task_id, attempt, stream, this.#streamOf(attempt).lines[stream].end());
    this.#streamed.delete(attempt);
  }

  #stream(task_id: string, attempt: RunningAttempt): void {
    if (this.#output !== 'prefixed') return;
    const { reader, lines } = this.#streamOf(attempt);
    for (const { stream, text } of reader.chunks()) this.#give(task_id, attempt, stream, lines[stream].add(text));
  }

  #streamOf(attempt: RunningAttempt): Streamed {
    return madeIn(this.#streamed, attempt, () => streamedFrom(attempt));
  }

  #give(task_id: string, attempt: RunningAttempt, stream: StreamName, text: string, cut = false): void {
    if (text === '') return;
    this.#emit({ type: 'task_output', task_id, attempt_id: attempt.attemptId, stream, text, cut });
  }

  /** The end of each stream in one piece. */
  #group(task_id: string, attempt: RunningAttempt): void {
    const { reader, lines } = streamedFrom(attempt);
    const skips = (stream: StreamName) =>
      attempt.reading((artifacts, ref) => artifacts.tailOffset(ref, `${stream}.log`, GROUPED.lines)) > 0;
    reader.skipTo(GROUPED.lines);
    const text = { stdout: '', stderr: '' };
    const long = { stdout: skips('stdout'), stderr: skips('stderr') };
    const add = (stream: StreamName, more: string) => {
      text[stream] += more;
      long[stream] ||= text[stream].length > GROUPED.text;
      text[stream] = text[stream].slice(-GROUPED.text);
    };
    for (const { stream, text: piece } of reader.chunks()) add(stream, lines[stream].add(piece));
    for (const stream of STREAMS) {
      add(stream, lines[stream].end());
      this.#give(task_id, attempt, stream, text[stream], long[stream]);
    }
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

  #stillRunning(
    active: Active,
    integrations: readonly { task_id: string; duration_ms: number }[],
    scheduling: () => SchedulingContext,
  ): void {
    const now = this.#env.ctx.monotonicMs();
    if (now - this.#lastSaid < stillRunningMs(this.#output, this.#times)) return;
    const attempts = [...active].flatMap(([task_id, attempt]) =>
      attempt ? { task_id, duration_ms: attempt.ageMs, attempt } : [],
    );
    const setups = [...this.#setups].map(([task_id, { sinceMs }]) => ({ task_id, duration_ms: now - sinceMs }));
    if (![...setups, ...attempts, ...integrations].some(({ duration_ms }) => duration_ms >= WORTH_SAYING_MS)) return;
    const lines = attempts.map(({ attempt, ...task }) => ({ ...task, line: this.#lineOf(attempt) }));
    const tasks = [...setups.map(withoutLine), ...lines, ...integrations.map(withoutLine)];
    this.#lastSaid = now;
    this.#times += 1;
    const busy = new Set(tasks.map(({ task_id }) => task_id));
    const waiting = classifyTasks(scheduling()).waiting.filter(({ task }) => !busy.has(task.id)).length;
    this.#emit({ type: 'still_running', tasks, waiting });
  }

  /** Null where the output is shown anyway, or is not wanted. */
  #lineOf(attempt: RunningAttempt): string | null {
    if (this.#output === 'prefixed' || this.#output === 'none') return null;
    return madeIn(this.#lastLines, attempt, () => attempt.reading(lastLineOf))() || null;
  }

  /** Emits what a run waits for that has been idle for a while, once until that changes. */
  waiting(tasks: readonly PlanTask[], scheduling: SchedulingContext): void {
    const now = this.#env.ctx.monotonicMs();
    this.#idleSince ??= now;
    if (now - this.#idleSince < WORTH_SAYING_MS) return;
    const direct = ownWaits(tasks, scheduling);
    const said = JSON.stringify(direct.map((item) => item.task_id));
    if (said === this.#said || direct.length === 0) return;
    this.#said = said;
    this.#emit({ type: 'waiting', for: direct });
  }
}

function streamedFrom(attempt: RunningAttempt): Streamed {
  return {
    reader: attempt.reading((artifacts, ref, agent) => new LogReader(artifacts, ref, STREAMS, agent)),
    lines: { stdout: new OutputLines(), stderr: new OutputLines() },
  };
}

const withoutLine = <T extends object>(task: T) => ({ ...task, line: null });
