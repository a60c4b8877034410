/**
 * `index/questions.json`: finds a question by its id without reading every task. It is derived: an entry counts only when the
 * question is where it points, and for a question that it lacks the tree is read and the index rebuilt.
 */

import path from 'node:path';
import { makeFolder, refuseSymlink } from '../../lib/fs/folders.ts';
import { readCapped } from '../../lib/fs/read.ts';
import { parseJson } from '../../lib/json.ts';
import type { QuestionPlace, TaskStore } from '../port.ts';
import { type Layout, replaceIn } from './tree.ts';

/** What the index is made from. */
type Source = Pick<TaskStore, 'list' | 'listQuestions' | 'readDocument'> & { layout: Layout };

/** Bytes; about 60,000 questions. A larger index is rebuilt at every search. */
const INDEX_MAX_BYTES = 16 * 1024 * 1024;

type Places = Record<string, QuestionPlace>;

/** Finds a question by its id; null when there is none. */
export async function findQuestion(store: Source, questionId: string, op: string): Promise<QuestionPlace | null> {
  const known = readIndex(store.layout)[questionId];
  if (known !== undefined) {
    const { task_id, attempt_id } = known;
    const question = await store.readDocument('question', task_id, attempt_id, questionId).catch(() => null);
    if (question !== null) return known;
  }
  const places: Places = {};
  for (const task_id of await store.list()) {
    for (const { attemptId, question } of await store.listQuestions(task_id)) {
      places[question.question_id] = { task_id, attempt_id: attemptId };
    }
  }
  writeIndex(store.layout, places, op);
  return places[questionId] ?? null;
}

/** Adds a question. Nothing is lost when it fails, or when two do it at once. */
export function addToIndex(layout: Layout, questionId: string, place: QuestionPlace, op: string): void {
  writeIndex(layout, { ...readIndex(layout), [questionId]: place }, op);
}

function readIndex({ questionIndex }: Layout): Places {
  try {
    refuseSymlink(path.dirname(questionIndex));
    const index = parseJson(readCapped(questionIndex, INDEX_MAX_BYTES)) as { version?: unknown; questions?: Places };
    return (index.version === 1 && index.questions) || {};
  } catch {
    return {};
  }
}

function writeIndex({ questionIndex }: Layout, questions: Places, op: string): void {
  try {
    makeFolder(path.dirname(questionIndex));
    replaceIn(questionIndex, `${JSON.stringify({ version: 1, questions })}\n`, op);
  } catch {
    // See the top of this file.
  }
}
