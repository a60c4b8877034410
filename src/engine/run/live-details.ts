/** Looks up for a live view what its records do not hold: what workers wrote last, the kind of work, the text of a question. */

import type { Question } from '../../domain/question/questions.ts';
import {
  type LiveModel,
  type LiveQuestion,
  type LiveRun,
  liveModel,
  type Standing,
} from '../../domain/run/live-model.ts';
import type { PhaseOfWork } from '../../domain/task/records.ts';
import { lastLine } from '../../lib/text.ts';
import { type AttemptArtifacts, type AttemptRef, STREAMS, type StreamName } from '../../store/port.ts';
import type { Env } from '../env.ts';

/** How many of each list are looked up; a view shows no more. */
const LOOKED_UP = 12;
/** The end of a log that is read for its last line, bytes. */
const TAIL_BYTES = 4096;

export class LiveDetails {
  readonly #env: Pick<Env, 'store' | 'artifacts'>;
  /** By attempt, and by question. What is not shown any more is forgotten. */
  #lines = new Map<string, LastLine>();
  #phases = new Map<string, Later<PhaseOfWork>>();
  #questions = new Map<string, Later<Question>>();

  constructor(env: Pick<Env, 'store' | 'artifacts'>) {
    this.#env = env;
  }

  /** Reads no more than a few log files; what takes a longer read is there the next time. Throws IO_ERROR. */
  model(standing: Standing): LiveModel {
    const model = liveModel(standing);
    const [lines, phases, questions] = [this.#lines, this.#phases, this.#questions];
    [this.#lines, this.#phases, this.#questions] = [new Map(), new Map(), new Map()];
    for (const run of model.running.slice(0, LOOKED_UP)) {
      if (run.attempt_id === null) continue;
      run.line = kept(
        this.#lines,
        lines,
        run.attempt_id,
        () => new LastLine(this.#env.artifacts, attemptOf(run)),
      ).look();
      run.line = this.#env.artifacts.doing(attemptOf(run)) || run.line;
      run.phase = kept(this.#phases, phases, run.attempt_id, () => this.#phaseOf(run)).value;
    }
    for (const asked of model.asked.slice(0, LOOKED_UP)) {
      asked.question = kept(this.#questions, questions, asked.question_id, () => this.#questionOf(asked)).value;
    }
    return model;
  }

  #phaseOf({ task_id, attempt_id }: LiveRun): Later<PhaseOfWork> {
    const manifest = this.#env.store.readDocument('manifest', task_id, attempt_id ?? '');
    return new Later(manifest.then((found) => found?.phase ?? null));
  }

  #questionOf({ task_id, attempt_id, question_id }: LiveQuestion): Later<Question> {
    return new Later(this.#env.store.readDocument('question', task_id, attempt_id, question_id));
  }
}

function attemptOf({ task_id, attempt_id }: LiveRun): AttemptRef {
  return { taskId: task_id, attemptId: attempt_id ?? '' };
}

function kept<T>(now: Map<string, T>, before: ReadonlyMap<string, T>, key: string, make: () => T): T {
  const value = before.get(key) ?? make();
  now.set(key, value);
  return value;
}

/** A value that is null until it is there, and where it can't be had. */
class Later<T> {
  value: T | null = null;

  constructor(promise: Promise<T | null>) {
    promise.then(
      (value) => {
        this.value = value;
      },
      () => {},
    );
  }
}

/** The line that a worker wrote last, on whichever stream. */
class LastLine {
  readonly #artifacts: AttemptArtifacts;
  readonly #attempt: AttemptRef;
  readonly #ends = new Map<StreamName, number>();
  #line = '';

  constructor(artifacts: AttemptArtifacts, attempt: AttemptRef) {
    this.#artifacts = artifacts;
    this.#attempt = attempt;
  }

  look(): string {
    for (const stream of STREAMS) {
      const { text, next } = this.#artifacts.readLog(this.#attempt, `${stream}.log`, -TAIL_BYTES);
      if (next === (this.#ends.get(stream) ?? 0)) continue;
      this.#ends.set(stream, next);
      this.#line = lastLine(text) || this.#line;
    }
    return this.#line;
  }
}
