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

/** What a view shows, whenever it is asked: it reads no more than a few log files; what takes a longer read is there the next time. Throws IO_ERROR. */
export function liveDetails({ store, artifacts }: Pick<Env, 'store' | 'artifacts'>): (standing: Standing) => LiveModel {
  /** By attempt, and by question. What is not shown any more is forgotten. */
  let lines = new Map<string, () => string>();
  let manifests = new Map<string, Later<AttemptManifest>>();
  let questions = new Map<string, Later<Question>>();

  const manifestOf = ({ task_id, attempt_id }: LiveRun) =>
    later(store.readDocument('manifest', task_id, attempt_id ?? ''));
  const questionOf = ({ task_id, attempt_id, question_id }: LiveQuestion) =>
    later(store.readDocument('question', task_id, attempt_id, question_id));

  return (standing) => {
    const model = liveModel(standing);
    const before = { lines, manifests, questions };
    [lines, manifests, questions] = [new Map(), new Map(), new Map()];
    for (const run of model.running.slice(0, LOOKED_UP)) {
      if (run.attempt_id === null) continue;
      const manifest = kept(manifests, before.manifests, run.attempt_id, () => manifestOf(run)).value;
      run.phase = manifest?.phase ?? null;
      const agent = adapterOf(manifest?.agent);
      const key = `${run.attempt_id} ${manifest?.agent ?? ''}`;
      const attempt = { taskId: run.task_id, attemptId: run.attempt_id };
      run.line = kept(lines, before.lines, key, () => lastLineOf(artifacts, attempt, agent))();
    }
    for (const asked of model.asked.slice(0, LOOKED_UP)) {
      asked.question = kept(questions, before.questions, asked.question_id, () => questionOf(asked)).value;
    }
    return model;
  };
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
