/** What workers have written to their logs. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import { type ClassifiedError, classifyError } from '../../domain/retry/classify.ts';
import type { OutputTail } from '../../domain/run/events.ts';
import { outputText } from '../../lib/text.ts';
import type { WorkerExit } from '../../process/gated-worker.ts';
import { type AttemptArtifacts, type AttemptRef, STREAMS, type StreamName } from '../../store/port.ts';
import { type Env, secretsOf } from '../env.ts';

/** The end of each stream that error rules match and a failure shows, bytes. */
const TAIL_BYTES = 16 * 1024;

/** Takes secrets out of both logs of a worker that has ended. Throws IO_ERROR. */
export async function maskLogs(env: Env, attempt: AttemptRef, task: PlanTask | null): Promise<void> {
  for (const stream of STREAMS) await env.artifacts.maskLog(attempt, `${stream}.log`, secretsOf(env, task));
}

/** The end of both logs as `outputText`; empty where there are none. */
export function tailOf(artifacts: AttemptArtifacts, attempt: AttemptRef): OutputTail {
  const tail = (stream: StreamName) => outputText(artifacts.readLog(attempt, `${stream}.log`, -TAIL_BYTES).text);
  return { stdout: tail('stdout'), stderr: tail('stderr') };
}

/** What the end of a command that did not succeed means, by the settings' rules. */
export function failureOf(
  { settings }: Pick<Env, 'settings'>,
  { code: exitCode, signal, spawnError, tooLong }: WorkerExit,
  timedOut: boolean,
  tail: OutputTail,
): ClassifiedError {
  const outputTail = [tail.stderr, tail.stdout];
  return classifyError({
    exitCode,
    signal,
    spawnError,
    tooLong: tooLong === true,
    timedOut,
    outputTail,
    rules: settings.errors,
  });
}

/** Reads an attempt's logs, each time on from where it stopped before. */
export class LogReader {
  readonly #artifacts: AttemptArtifacts;
  readonly #attempt: AttemptRef;
  readonly #streams: readonly StreamName[];
  readonly #offsets = new Map<StreamName, number>();

  constructor(artifacts: AttemptArtifacts, attempt: AttemptRef, streams: readonly StreamName[] = STREAMS) {
    this.#artifacts = artifacts;
    this.#attempt = attempt;
    this.#streams = streams;
  }

  /** What has been written since, as it was written, one stream after the other; whole characters, at most 64 KiB at once. */
  *chunks(): Generator<{ stream: StreamName; text: string }> {
    for (const stream of this.#streams) {
      for (;;) {
        const { text, next } = this.#artifacts.readLog(this.#attempt, `${stream}.log`, this.#offsets.get(stream) ?? 0);
        this.#offsets.set(stream, next);
        if (text === '') break;
        yield { stream, text };
      }
    }
  }
}
