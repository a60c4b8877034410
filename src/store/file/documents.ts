/** The documents of a commit, as steps of the protocol: created before it, and taken back where it has not happened. */

import { asIoError } from '../../lib/fs/io-errors.ts';
import * as io from '../../lib/fs/operations.ts';
import { quietly, type Step } from '../../lib/fs/operations.ts';
import { type CommitRequest, isUndone, removed } from './protocol.ts';
import { createOnce } from './task-files.ts';

/** A document to create. `D`: one that is there already. */
export interface DocumentFile<D> {
  path: string;
  text: string;
  /** For an error: what is done when it is created. */
  doing: string;
  /** What is there is only a view of it, which may be anything: it makes way. */
  replaces?: boolean;
  /** Others may have acted on it although its commit has lost: it stays. */
  isShared?: boolean;
  /** Its folder and that folder's own: their names may not be durable yet, as where the process that made them was killed. */
  above: readonly string[];
  /** What is there already, where that says something else; null where it says the same. */
  standing(): D | null;
  /** Writes it over whatever is there, in place of creating it. */
  replace?(): void;
}

/**
 * Creates all of `files`, then does `step`, which commits `request` in the task's folder `dir`; null: they are for no commit. Returns a
 * document that is there already with other content; then nothing is committed. What was created is removed unless the commit has happened, or
 * may have: a document that no record refers to did not happen, but one that a record refers to must be there. Throws what a call threw.
 */
export function* createdFor<T extends { kind: string }, D>(
  files: readonly DocumentFile<D>[],
  op: string,
  commit: { dir: string; request: Pick<CommitRequest, 'expected' | 'op'>; step: Step<T> } | null,
): Step<T | { kind: 'standing'; document: D } | null> {
  const created: DocumentFile<D>[] = [];
  let isBegun = false;
  let isOver = true;
  try {
    for (const file of files) {
      const document = yield* standingAfter(file, op, created);
      if (document !== null) return { kind: 'standing', document };
    }
    isBegun = commit !== null;
    isOver = false;
    const result = commit && (yield* commit.step);
    isOver = result !== null && result.kind !== 'committed';
    return result;
  } catch (error) {
    isOver = true;
    throw error;
  } finally {
    const gone = isOver ? created.filter(({ isShared }) => isShared !== true) : [];
    if (gone.length > 0 && (!isBegun || commit === null || (yield* isUndone(commit.dir, commit.request))))
      for (const { path } of gone) yield* quietly(io.unlink(path));
  }
}

/** Creates a document, and notes that in `created`. Returns one that is there with other content. */
function* standingAfter<D>(file: DocumentFile<D>, op: string, created: DocumentFile<D>[]): Step<D | null> {
  if (file.replace !== undefined) {
    file.replace();
    return null;
  }
  try {
    if (!(yield* createdOnce(file, op))) return file.standing();
    created.push(file);
    return null;
  } catch (error) {
    throw asIoError(error, file.doing);
  }
}

function* createdOnce({ path, text, above, replaces }: DocumentFile<unknown>, op: string): Step<boolean> {
  for (const folder of above) yield* io.syncDir(folder);
  if (replaces) yield* removed(path);
  return yield* createOnce(path, text, op);
}
