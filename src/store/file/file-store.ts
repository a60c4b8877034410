/** Tasks, their documents and runs, as files of the state tree. */

import fs from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Question } from '../../domain/question/questions.ts';
import { isAttemptOf } from '../../domain/task/attempts.ts';
import {
  type AttemptManifest,
  RECORD_MAX_BYTES,
  type RunManifest,
  RunManifestSchema,
  type TaskRecord,
} from '../../domain/task/records.ts';
import { errorMessage, ForgeError } from '../../lib/errors.ts';
import { type Cache, NO_CACHE } from '../../lib/fs/cache.ts';
import { blocking, type Driver } from '../../lib/fs/drivers.ts';
import { entriesIn, isRealEntry, makeFolder, realEntriesIn, refuseSymlink, syncDir } from '../../lib/fs/folders.ts';
import { asIoError, whileDoing } from '../../lib/fs/io-errors.ts';
import { exclusively, type LockOwner } from '../../lib/fs/locks.ts';
import { createFile } from '../../lib/fs/new-file.ts';
import type { Step } from '../../lib/fs/operations.ts';
import { fileNameOf, isUuid, requireUuid, taskOfFileName } from '../../lib/ids.ts';
import type {
  ChangeCursor,
  Changes,
  CommitRequest,
  DocumentKind,
  Documents,
  EndedRun,
  NewDocument,
  QuestionPlace,
  ReadOptions,
  Snapshot,
  StandingDocument,
  TaskCommit,
  TaskStore,
} from '../port.ts';
import { treeChecks } from './checks.ts';
import { createdFor, type DocumentFile } from './documents.ts';
import { FolderTimes } from './folder-times.ts';
import type { FoldersAhead } from './folders-ahead.ts';
import {
  asText,
  FORMS,
  idOf,
  LARGE,
  LARGE_MAX_BYTES,
  MANY,
  manifestIn,
  readable,
  readValid,
  SHARED,
  withManifest,
} from './forms.ts';
import { GcFileStore } from './gc-files.ts';
import { KnownVersions } from './known-versions.ts';
import { newestOf } from './protocol.ts';
import { addToIndex, findQuestion } from './question-index.ts';
import { SnapshotCache } from './snapshot-cache.ts';
import {
  commitTask,
  createOnce,
  type FolderCommit,
  type FolderRead,
  lookAtTask,
  readNow,
  readTask,
  settleTask,
} from './task-files.ts';
import { type Layout, replaceIn, type StateTree } from './tree.ts';

type Standing = Extract<TaskCommit, { kind: 'standing' }>;

export class FileStore implements TaskStore {
  readonly layout: Layout;
  readonly place: string;
  readonly gc: GcFileStore;
  readonly upcoming: FoldersAhead;
  readonly #tree: StateTree;
  readonly #driver: Driver;
  readonly #cache: Cache;
  readonly #known = new KnownVersions();
  /** Of each task, the `state_version` that this process has shown, and the number of the attempt whose manifest it has. */
  readonly #shown = new Map<string, { views: number; attempt: number }>();
  readonly #times: FolderTimes;

  /**
   * `driver`: how file system calls are made; blocking ones suit a process that does one thing. `cache`: what earlier looks
   * at the whole tree have kept.
   */
  constructor(tree: StateTree, driver: Driver = blocking, cache: Cache = NO_CACHE) {
    this.#tree = tree;
    this.layout = tree.layout;
    this.place = tree.layout.tasks;
    this.upcoming = tree.ahead;
    this.gc = new GcFileStore(tree.layout, driver);
    this.#times = new FolderTimes(tree.layout);
    this.#driver = driver;
    this.#cache = cache;
  }

  async #run<T>(doing: string, step: Step<T>): Promise<T> {
    try {
      return await this.#driver(step);
    } catch (error) {
      throw asIoError(error, doing);
    }
  }

  healthChecks(): ReturnType<TaskStore['healthChecks']> {
    return treeChecks(this.layout);
  }

  ensureTree(): void {
    this.#tree.ensure();
  }

  planTurn<T>(owner: LockOwner, work: () => Promise<T>): Promise<T> {
    this.#tree.ensure();
    return exclusively(`${this.layout.orchestrator}/.plan.lock`, work, { owner });
  }

  // --- records -------------------------------------------------------------------------------------------------------

  async list(): Promise<string[]> {
    return this.#tree
      .foldersIn(this.layout.tasks, true)
      .flatMap((name) => taskOfFileName(name) ?? [])
      .sort();
  }

  async read(taskId: string, { thorough = false, cursor = null }: ReadOptions = {}): Promise<FolderRead> {
    const isRead = cursor && this.#times.reading(cursor, taskId);
    const read = this.#readNow(taskId, () =>
      readTask(this.#tree.taskFolder(taskId), taskId, thorough, this.#known.get(taskId)),
    );
    isRead?.(newestOf(read.names));
    this.#known.read(taskId, this.layout.task(taskId), read.whole);
    return read;
  }

  #readNow(taskId: string, read: () => Step<FolderRead>): FolderRead {
    return readNow(taskId, read, () => this.#tree.problemAt(taskId));
  }

  async changesSince(cursor: ChangeCursor | null, taskIds?: readonly string[]): Promise<Changes> {
    return this.#times.changesSince(cursor, taskIds ?? (await this.list()));
  }

  async commit(taskId: string, request: CommitRequest): Promise<TaskCommit> {
    const { documents = [], op } = request;
    if (request.expected === 0) this.ensureTree();
    const manifest = documents.find(({ kind }) => kind === 'manifest');
    // What the attempt will write there would be refused.
    if (manifest) this.#tree.attemptFolder(taskId, manifest.attemptId);
    else this.#tree.taskFolder(taskId);
    const others = documents.filter((document) => document !== manifest);
    const before = manifest && manifestIn(request.record);
    // The record forgets it with this commit, and its file may not be durable, or not be there.
    if (before && before.attempt_id !== manifest.attemptId)
      others.push({ kind: 'manifest', attemptId: before.attempt_id, value: before });
    const record = manifest ? withManifest(request.record, manifest.value) : request.record;
    const result = (await this.#createFor(taskId, others, op, { ...request, record })) as FolderCommit | Standing;
    if (result.kind !== 'committed') return result;
    const { record: committed, warnings } = result;
    this.#known.committed(taskId, this.layout.task(taskId), result.whole);
    if (manifest) this.#showManifest(taskId, manifest.value as AttemptManifest, true);
    else if (this.#shown.get(taskId)?.attempt !== committed.state.attempt_count)
      this.#showManifest(taskId, manifestIn(committed), false);
    const { state_version: views, attempt_count: attempt } = committed.state;
    if (warnings.length === 0) this.#shown.set(taskId, { views, attempt });
    for (const { kind, attemptId: attempt_id, value } of documents) {
      if (kind === 'question')
        addToIndex(this.layout, (value as Question).question_id, { task_id: taskId, attempt_id }, op);
    }
    return result;
  }

  /**
   * Writes the manifest that the record holds for people, unless it is there. `isNew`: it came with this commit; else a process that was killed
   * may have left it out, or gc may have removed the attempt as a whole.
   */
  #showManifest(taskId: string, manifest: AttemptManifest | null, isNew: boolean): void {
    if (manifest === null) return;
    try {
      const folder = this.#tree[isNew ? 'ensureAttempt' : 'attemptFolder'](taskId, manifest.attempt_id);
      const file = `${folder}/${FORMS.manifest.file}`;
      if (isNew || (isRealEntry(folder) && !isRealEntry(file))) createFile(file, asText(manifest));
    } catch {
      // Nothing depends on it.
    }
  }

  async settle(taskId: string, op: string): Promise<void> {
    const on = this.#known.get(taskId)?.version;
    // It shows what is on the disk, which may have been damaged since this process has read it.
    this.#shown.delete(taskId);
    await this.#run(`settling task ${taskId}`, settleTask(this.#tree.taskFolder(taskId), op, on));
  }

  async snapshot(): Promise<Snapshot> {
    const seen = new SnapshotCache(this.layout, this.#cache, Date.now());
    const runs = await seen.runs(() => this.listRuns());
    refuseSymlink(this.layout.orchestrator);
    const ids = seen.taskIds() ?? (await this.list());
    const look = (id: string) => lookAtTask(this.#tree.folderOf(id), id, false);
    const tasks = seen.read(ids, (id) => this.#readNow(id, () => look(id)));
    return { tasks, runs, seen };
  }

  // --- documents -----------------------------------------------------------------------------------------------------

  async createDocuments(
    taskId: string,
    documents: readonly NewDocument[],
    op: string,
  ): Promise<StandingDocument | null> {
    const result = await this.#createFor(taskId, documents, op, null);
    return result?.kind === 'standing' ? result.document : null;
  }

  /**
   * Creates all of `documents` for the commit of `request`; null: for none. Returns null then, and a document that is there already with
   * other content in place of a commit. Throws IO_ERROR, SCHEMA_INVALID.
   */
  async #createFor(
    taskId: string,
    documents: readonly NewDocument[],
    op: string,
    request: CommitRequest | null,
  ): Promise<FolderCommit | Standing | null> {
    let unwritten: string | null = null;
    const isKnown = request !== null && request.expected > 0;
    const fileOf = (document: NewDocument) => {
      const file = this.#fileOf(taskId, document, isKnown);
      if (document.kind !== 'verified') return file;
      // The record has what counts of it, and anything may stand there: what a worker or a killed verifier has left.
      const replace = () => {
        try {
          replaceIn(file.path, file.text, op);
        } catch (error) {
          unwritten = errorMessage(error);
        }
      };
      return { ...file, replace };
    };
    const dir = this.layout.task(taskId);
    const [shown, on] = [this.#shown.get(taskId)?.views, this.#known.get(taskId)?.version];
    const commit = request && { dir, request, step: commitTask(dir, { ...request, on, shown, ahead: this.upcoming }) };
    try {
      const result = await this.#run(`changing task ${taskId}`, createdFor(documents.map(fileOf), op, commit));
      if (result?.kind === 'committed' && unwritten !== null) result.warnings.push(unwritten);
      return result;
    } catch (error) {
      // Another process has removed the task meanwhile, as `forget` does.
      if (isKnown && !isRealEntry(dir)) return { kind: 'conflict' };
      throw error;
    }
  }

  /** Makes the folders of a document, which is still to be created; not that of a task that is known: it may have been removed. */
  #fileOf(taskId: string, { kind, attemptId, value }: NewDocument, isKnown: boolean): DocumentFile<StandingDocument> {
    const attempt = this.#tree.ensureAttempt(taskId, attemptId, { isKnown });
    const id = idOf(value);
    const file = this.#documentPath(kind, taskId, attemptId, id);
    const isOneOfMany = MANY.includes(kind);
    if (isOneOfMany) this.#tree.make([path.dirname(file)]);
    if (kind === 'fan-out') this.#markParent(taskId);
    return {
      path: file,
      text: LARGE.includes(kind) ? `${JSON.stringify(value)}\n` : asText(value),
      doing: `writing the ${kind} of attempt ${attemptId}`,
      replaces: kind === 'manifest',
      isShared: SHARED.includes(kind),
      above: isOneOfMany ? [path.dirname(attempt), attempt] : [path.dirname(attempt)],
      standing: () => {
        const there = this.#readDocument(kind, taskId, attemptId, id);
        // What was read has its keys in the order of the schema.
        if (isDeepStrictEqual(there, JSON.parse(JSON.stringify(value)))) return null;
        return { kind, attemptId, value: there } as StandingDocument;
      },
    };
  }

  #documentPath(kind: DocumentKind, taskId: string, attemptId: string, id = ''): string {
    const attempt = this.#tree.attemptFolder(taskId, attemptId);
    const { file } = FORMS[kind];
    if (!MANY.includes(kind)) return `${attempt}/${file}`;
    const document = `${attempt}/${file}/${requireUuid(id, kind)}.json`;
    this.#tree.guard([`${attempt}/${file}`, document]);
    return document;
  }

  async readDocument<K extends DocumentKind>(
    kind: K,
    taskId: string,
    attemptId: string,
    id?: string,
  ): Promise<Documents[K] | null> {
    const manifest = kind === 'manifest' ? manifestIn((await this.read(taskId)).record) : null;
    if (manifest?.attempt_id === attemptId) return manifest as Documents[K];
    return this.#readDocument(kind, taskId, attemptId, id);
  }

  #readDocument<K extends DocumentKind>(kind: K, taskId: string, attemptId: string, id?: string): Documents[K] | null {
    const max = LARGE.includes(kind) ? LARGE_MAX_BYTES : RECORD_MAX_BYTES;
    return readValid(this.#documentPath(kind, taskId, attemptId, id), FORMS[kind], max);
  }

  /** Ids of a task's attempts, oldest first. */
  #attempts(taskId: string, record: TaskRecord | null): string[] {
    const folders = realEntriesIn(`${this.#tree.taskFolder(taskId)}/attempts`);
    const isAttempt = isAttemptOf(record);
    return folders.flatMap((entry) => (entry.isDirectory() && isAttempt(entry.name) ? [entry.name] : [])).sort();
  }

  async listAttempts(taskId: string): Promise<AttemptManifest[]> {
    const { record } = await this.read(taskId);
    const last = manifestIn(record);
    const others = this.#attempts(taskId, record).filter((id) => id !== last?.attempt_id);
    const manifests = await readable(others, async (id) => this.#readDocument('manifest', taskId, id));
    return last === null ? manifests : [...manifests, last];
  }

  async parents(): Promise<string[]> {
    return entriesIn(this.layout.fanOuts)
      .flatMap(({ name }) => taskOfFileName(name) ?? [])
      .sort();
  }

  /** Before the commit: an extra mark costs a look, a missing one leaves a child without a worker. */
  #markParent(taskId: string): void {
    const { fanOuts } = this.layout;
    this.#tree.make([fanOuts]);
    makeFolder(`${fanOuts}/${fileNameOf(taskId)}`);
    // Also one that a process has made which was killed before this.
    whileDoing(`marking task ${taskId} as a parent`, () => syncDir(fanOuts));
  }

  findQuestion(questionId: string, op: string): Promise<QuestionPlace | null> {
    return findQuestion(this, questionId, op);
  }

  async listQuestions(taskId: string): Promise<{ attemptId: string; question: Question }[]> {
    const found: { attemptId: string; question: Question }[] = [];
    for (const attemptId of this.#attempts(taskId, (await this.read(taskId)).record)) {
      const entries = realEntriesIn(`${this.#tree.attemptFolder(taskId, attemptId)}/questions`);
      const names = entries.map(({ name }) => name.replace(/\.json$/, ''));
      const questions = await readable(names.filter(isUuid).sort(), (id) =>
        this.readDocument('question', taskId, attemptId, id),
      );
      found.push(...questions.map((question) => ({ attemptId, question })));
    }
    return found;
  }

  async showQuestion(taskId: string, attemptId: string, question: Question, op: string): Promise<void> {
    replaceIn(this.#documentPath('question', taskId, attemptId, question.question_id), asText(question), op);
  }

  // --- runs ----------------------------------------------------------------------------------------------------------

  async createRun(manifest: RunManifest, op: string): Promise<void> {
    this.ensureTree();
    const dir = this.#tree.runFolder(manifest.run_id);
    this.#tree.make([dir]);
    const create = createOnce(`${dir}/manifest.json`, asText(manifest), op);
    if (await this.#run(`opening run ${manifest.run_id}`, create)) return;
    throw new ForgeError('DUPLICATE_ID', `there is a run ${manifest.run_id} already`);
  }

  async discardRun(runId: string): Promise<void> {
    fs.rmSync(this.#tree.runFolder(runId), { recursive: true, force: true });
  }

  async readRun(runId: string): Promise<RunManifest | null> {
    return readValid(`${this.#tree.runFolder(runId)}/manifest.json`, { schema: RunManifestSchema });
  }

  async endRun(runId: string, endedAt: string, op: string): Promise<EndedRun | null> {
    const manifest = await this.readRun(runId);
    if (manifest === null) return null;
    if (manifest.ended_at) return { ...manifest, ended_at: manifest.ended_at };
    const ended = { ...manifest, ended_at: endedAt };
    const dir = this.layout.run(runId);
    await this.#run(`ending run ${runId}`, createOnce(`${dir}/manifest.${op}.json`, asText(ended), op));
    whileDoing(`ending run ${runId}`, () => {
      fs.renameSync(`${dir}/manifest.${op}.json`, `${dir}/manifest.json`);
      syncDir(dir);
    });
    return ended;
  }

  async listRuns(): Promise<RunManifest[]> {
    const ids = this.#tree.foldersIn(this.layout.runs).filter(isUuid).sort();
    return readable(ids, (id) => this.readRun(id));
  }
}
