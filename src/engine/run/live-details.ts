/** Looks up for a live view what its records do not hold: what workers wrote last, the kind of work, the text of a question. */

import { adapterOf } from '../../domain/agents/output.ts';
import type { Question } from '../../domain/question/questions.ts';
import {
  type LiveModel,
  type LiveQuestion,
  type LiveRun,
  liveModel,
  type Standing,
} from '../../domain/run/live-model.ts';
import type { AttemptManifest } from '../../domain/task/records.ts';
import type { Env } from '../env.ts';
import { lastLineOf } from './last-line.ts';

/** How many of each list are looked up; a view shows no more. */
const LOOKED_UP = 12;

export class LiveDetails {
  readonly #env: Pick<Env, 'store' | 'artifacts'>;
  /** By attempt, and by question. What is not shown any more is forgotten. */
  #lines = new Map<string, () => string>();
  #manifests = new Map<string, Later<AttemptManifest>>();
  #questions = new Map<string, Later<Question>>();

  constructor(env: Pick<Env, 'store' | 'artifacts'>) {
    this.#env = env;
  }

  /** Reads no more than a few log files; what takes a longer read is there the next time. Throws IO_ERROR. */
  model(standing: Standing): LiveModel {
    const model = liveModel(standing);
    const [lines, manifests, questions] = [this.#lines, this.#manifests, this.#questions];
    [this.#lines, this.#manifests, this.#questions] = [new Map(), new Map(), new Map()];
    for (const run of model.running.slice(0, LOOKED_UP)) {
      if (run.attempt_id === null) continue;
      const manifest = kept(this.#manifests, manifests, run.attempt_id, () => this.#manifestOf(run)).value;
      run.phase = manifest?.phase ?? null;
      const agent = adapterOf(manifest?.agent);
      const key = `${run.attempt_id} ${manifest?.agent ?? ''}`;
      const attempt = { taskId: run.task_id, attemptId: run.attempt_id };
      run.line = kept(this.#lines, lines, key, () => lastLineOf(this.#env.artifacts, attempt, agent))();
    }
    for (const asked of model.asked.slice(0, LOOKED_UP)) {
      asked.question = kept(this.#questions, questions, asked.question_id, () => this.#questionOf(asked)).value;
    }
    return model;
  }

  #manifestOf({ task_id, attempt_id }: LiveRun): Later<AttemptManifest> {
    return later(this.#env.store.readDocument('manifest', task_id, attempt_id ?? ''));
  }

  #questionOf({ task_id, attempt_id, question_id }: LiveQuestion): Later<Question> {
    return later(this.#env.store.readDocument('question', task_id, attempt_id, question_id));
  }
}

function kept<T>(now: Map<string, T>, before: ReadonlyMap<string, T>, key: string, make: () => T): T {
  const value = before.get(key) ?? make();
  now.set(key, value);
  return value;
}

/** A value that is null until it is there, and where it can't be had. */
interface Later<T> {
  value: T | null;
}

function later<T>(promise: Promise<T | null>): Later<T> {
  const known: Later<T> = { value: null };
  promise.then((value) => Object.assign(known, { value })).catch(() => {});
  return known;
}
