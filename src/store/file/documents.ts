/** The documents of attempts, as files that are created once. */

import fs from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { AnswerSchema, QuestionSchema } from '../../domain/question/records.ts';
import { ReviewedSchema, ShippedSchema } from '../../domain/review/reviews.ts';
import type { NewDocument } from '../../domain/task/documents.ts';
import { AttemptManifestSchema, VerdictSchema } from '../../domain/task/records.ts';
import { VerifiedSchema } from '../../domain/verify/verification.ts';
import type { Driver } from '../../lib/fs/drivers.ts';
import { asIoError } from '../../lib/fs/io-errors.ts';
import { requireUuid } from '../../lib/ids.ts';
import type { DocumentKind, Documents, StandingDocument } from '../port.ts';
import { asText, readValid } from './json-files.ts';
import { createFirst, createOnce } from './task-files.ts';
import type { StateTree } from './tree.ts';

type Schema<T> = Parameters<typeof readValid<T>>[1];

const FORMS: { [K in DocumentKind]: { file: string; schema: Schema<Documents[K]> } } = {
  manifest: { file: 'manifest.json', schema: AttemptManifestSchema },
  question: { file: 'questions', schema: QuestionSchema },
  answer: { file: 'answers', schema: AnswerSchema },
  verdict: { file: 'verdict.json', schema: VerdictSchema },
  verified: { file: 'verdict.verified.json', schema: VerifiedSchema },
  review: { file: 'review.json', schema: ReviewedSchema },
  ship: { file: 'ship.json', schema: ShippedSchema },
};

/** What others may have acted on although the commit that it was created for has lost. It stays, and is the one that counts. */
const SHARED: readonly DocumentKind[] = ['answer', 'verdict', 'verified'];

const folderOf = (path: string) => path.slice(0, path.lastIndexOf('/'));

export class FileDocuments {
  readonly #tree: StateTree;
  readonly #driver: Driver;

  constructor(tree: StateTree, driver: Driver) {
    this.#tree = tree;
    this.#driver = driver;
  }

  /** Throws SCHEMA_INVALID, IO_ERROR. */
  read<K extends DocumentKind>(kind: K, taskId: string, attemptId: string, questionId?: string): Documents[K] | null {
    return readValid(this.path(kind, taskId, attemptId, questionId), FORMS[kind].schema);
  }

  path(kind: DocumentKind, taskId: string, attemptId: string, questionId?: string): string {
    const attempt = this.#tree.attemptFolder(taskId, attemptId);
    const { file } = FORMS[kind];
    if (kind !== 'question' && kind !== 'answer') return `${attempt}/${file}`;
    const path = `${attempt}/${file}/${requireUuid(questionId ?? '', 'question')}.json`;
    this.#tree.guard([`${attempt}/${file}`, path]);
    return path;
  }

  /**
   * Creates all of `documents` for what `then` commits; what was created is taken back unless that succeeds. Returns a
   * document that is there already with other content; then `then` is not called. Throws IO_ERROR, and what `then` throws.
   */
  async createFor<T>(
    taskId: string,
    documents: readonly NewDocument[],
    op: string,
    then: () => Promise<{ kind: string } & T>,
  ): Promise<({ kind: string } & T) | { kind: 'standing'; document: StandingDocument }> {
    const created: string[] = [];
    let done = false;
    try {
      for (const each of documents) {
        const path = await this.#create(taskId, each, op);
        if (path !== null) {
          if (!SHARED.includes(each.kind)) created.push(path);
          continue;
        }
        const { kind, attemptId, value } = each;
        const there = this.read(kind, taskId, attemptId, questionOf(value));
        const document = { kind, attemptId, value: there } as StandingDocument;
        // What was read has its keys in the order of the schema.
        if (!isDeepStrictEqual(there, JSON.parse(JSON.stringify(value)))) return { kind: 'standing', document };
      }
      const result = await then();
      done = result.kind === 'committed';
      return result;
    } finally {
      if (!done) for (const path of created) takeBack(path);
    }
  }

  /** Null: it is there already. Else its path. */
  async #create(taskId: string, { kind, attemptId, value }: NewDocument, op: string): Promise<string | null> {
    this.#tree.ensureAttempt(taskId, attemptId);
    const path = this.path(kind, taskId, attemptId, questionOf(value));
    const text = asText(value);
    if (kind === 'question' || kind === 'answer') this.#tree.make([folderOf(path)]);
    try {
      const create = kind === 'manifest' ? createFirst(path, text) : createOnce(path, text, op);
      return (await this.#driver(create)) ? path : null;
    } catch (error) {
      throw asIoError(error, `writing the ${kind} of attempt ${attemptId}`);
    }
  }
}

function questionOf(value: object): string | undefined {
  return (value as { question_id?: string }).question_id;
}

/** A document that stays did not happen all the same: no commit refers to it. */
function takeBack(path: string): void {
  try {
    fs.rmSync(path, { force: true });
    // Only of an attempt that nothing else has been written for.
    fs.rmdirSync(folderOf(path));
  } catch {
    // It is not empty.
  }
}
