/**
 * `index/questions.json`: finds a question by its id without reading every task. It is derived: an entry counts only when the
 * question is where it points, and for a question that it lacks the tree is read and the index rebuilt.
 */

import fs from 'node:fs';
import { errorCode } from '../../lib/fs/io-errors.ts';
import { advised } from '../../lib/fs/locks.ts';
import { readCapped } from '../../lib/fs/read.ts';
import { parseJson } from '../../lib/json.ts';
import type { QuestionPlace, TaskStore } from '../port.ts';
import type { Layout } from './layout.ts';

/** What the index is made from. */
type Source = Pick<TaskStore, 'list' | 'listQuestions' | 'readDocument'> & { layout: Layout };

/** Bytes; about 60,000 questions. A larger index is rebuilt at every search. */
const INDEX_MAX_BYTES = 16 * 1024 * 1024;

type Places = Record<string, QuestionPlace>;

/** Finds a question by its id; null when there is none. */
export async function findQuestion(store: Source, questionId: string, op: string): Promise<QuestionPlace | null> {
  const known = readIndex(store)[questionId];
  if (known !== undefined && (await isThere(store, known, questionId))) return known;
  // Two that look for the same question would do the same work; it does no harm.
  let places: Places = {};
  await advised(store.layout.orchestrator, async () => {
    places = await gather(store);
    writeIndex(store, places, op);
  });
  return places[questionId] ?? null;
}

/** Adds a question. Nothing is lost when it fails, or when two do it at once. */
export function addToIndex(store: Pick<Source, 'layout'>, questionId: string, place: QuestionPlace, op: string): void {
  writeIndex(store, { ...readIndex(store), [questionId]: place }, op);
}

async function isThere(store: Source, place: QuestionPlace, questionId: string): Promise<boolean> {
  const { task_id, attempt_id } = place;
  return (await store.readDocument('question', task_id, attempt_id, questionId).catch(() => null)) !== null;
}

async function gather(store: Source): Promise<Places> {
  const places: Places = {};
  for (const task_id of await store.list()) {
    for (const { attemptId, question } of await store.listQuestions(task_id)) {
      places[question.question_id] = { task_id, attempt_id: attemptId };
    }
  }
  return places;
}

function readIndex(store: Pick<Source, 'layout'>): Places {
  try {
    const value = parseJson(readCapped(store.layout.questionIndex, INDEX_MAX_BYTES)) as
      | { version?: unknown; questions?: unknown }
      | undefined;
    if (value?.version !== 1 || typeof value.questions !== 'object' || value.questions === null) return {};
    return value.questions as Places;
  } catch {
    return {};
  }
}

function writeIndex(store: Pick<Source, 'layout'>, questions: Places, op: string): void {
  const file = store.layout.questionIndex;
  const tmp = `${file}.${op}.tmp`;
  try {
    fs.mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true, mode: 0o700 });
    fs.writeFileSync(tmp, `${JSON.stringify({ version: 1, questions })}\n`, { flag: 'wx', mode: 0o600 });
    fs.renameSync(tmp, file);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') fs.rmSync(tmp, { force: true });
  }
}
