/** Tasks, their documents and runs, as files of the state tree. */

import fs from 'node:fs';
import type { Question } from '../../domain/question/records.ts';
import { isAttemptOf } from '../../domain/task/attempts.ts';
import { type AttemptManifest, type RunManifest, RunManifestSchema } from '../../domain/task/records.ts';
import { ForgeError, orNull } from '../../lib/errors.ts';
import { type Cache, NO_CACHE } from '../../lib/fs/cache.ts';
import { blocking, type Driver, runSync } from '../../lib/fs/drivers.ts';
import { refuseSymlink, syncDir } from '../../lib/fs/folders.ts';
import { asIoError, whileDoing } from '../../lib/fs/io-errors.ts';
import type { Step } from '../../lib/fs/operations.ts';
import { isTaskId, isUuid } from '../../lib/ids.ts';
import type {
  ChangeCursor,
  Changes,
  CommitRequest,
  DocumentKind,
  Documents,
  EndedRun,
  NewDocument,
  QuestionPlace,
  Snapshot,
  StandingDocument,
  TaskCommit,
  TaskStore,
} from '../port.ts';
import { treeChecks } from './checks.ts';
import { FileDocuments } from './documents.ts';
import { GcFileStore } from './gc-store.ts';
import { asText, readValid } from './json-files.ts';
import type { Layout } from './layout.ts';
import { addToIndex, findQuestion } from './question-index.ts';
import { SnapshotCache, TICK_MS } from './snapshot-cache.ts';
import { commitTask, createOnce, type FolderRead, readTask, settleTask } from './task-files.ts';
import type { StateTree } from './tree.ts';

/** Reading never waits for the disk to confirm anything, so it needs no driver. Throws IO_ERROR. */
function readNow(dir: string, taskId: string, thorough: boolean): FolderRead {
  return whileDoing(`reading task ${taskId}`, () => runSync(readTask(dir, taskId, thorough)));
}

/** When each folder was last changed. */
class StampCursor {
  readonly stamps: ReadonlyMap<string, string>;

  constructor(stamps: ReadonlyMap<string, string>) {
    this.stamps = stamps;
  }
}

export class FileStore implements TaskStore {
  readonly layout: Layout;
  readonly place: string;
  readonly gc: GcFileStore;
  readonly #tree: StateTree;
  readonly #driver: Driver;
  readonly #documents: FileDocuments;
  readonly #cache: Cache;
  #unsettled = 0;

  /**
   * `driver`: how file system calls are made; blocking ones suit a process that does one thing. `cache`: what earlier looks
   * at the whole tree have kept.
   */
  constructor(tree: StateTree, driver: Driver = blocking, cache: Cache = NO_CACHE) {
    this.#tree = tree;
    this.layout = tree.layout;
    this.place = tree.layout.tasks;
    this.gc = new GcFileStore(tree.layout);
    this.#driver = driver;
    this.#documents = new FileDocuments(tree, driver);
    this.#cache = cache;
  }

  async #run<T>(doing: string, step: () => Step<T>): Promise<T> {
    try {
      return await this.#driver(step());
    } catch (error) {
      throw asIoError(error, doing);
    }
  }

  healthChecks(): ReturnType<TaskStore['healthChecks']> {
    return treeChecks(this.layout);
  }

  async list(): Promise<string[]> {
    return this.#tree.foldersIn(this.layout.tasks).filter(isTaskId).sort();
  }

  async read(taskId: string, { thorough = false } = {}): Promise<FolderRead> {
    return readNow(this.#tree.taskFolder(taskId), taskId, thorough);
  }

  async changesSince(cursor: ChangeCursor | null, taskIds?: readonly string[]): Promise<Changes> {
    const before = cursor instanceof StampCursor ? cursor.stamps : new Map<string, string>();
    const stamps = new Map((taskIds ?? (await this.list())).map((taskId) => [taskId, this.#stamp(taskId)]));
    const gone = [...before.keys()].filter((taskId) => !stamps.has(taskId));
    const changed = [...stamps.keys()].filter((taskId) => stamps.get(taskId) !== before.get(taskId));
    return { cursor: new StampCursor(stamps), changed: [...changed, ...gone] };
  }

  /** A commit changes the time of the folder. Two within the same tick would not, so a time of just now matches nothing. */
  #stamp(taskId: string): string {
    const stat = fs.lstatSync(this.layout.task(taskId), { throwIfNoEntry: false });
    if (stat === undefined) return 'none';
    const settled = Date.now() - stat.mtimeMs > TICK_MS;
    return settled ? `${stat.ino}:${stat.mtimeMs}` : `${stat.ino}:${stat.mtimeMs}:${this.#unsettled++}`;
  }

  async commit(taskId: string, request: CommitRequest): Promise<TaskCommit> {
    const { documents = [], op } = request;
    if (request.expected === 0) this.ensureTree();
    const dir = this.#tree.taskFolder(taskId);
    const result = await this.#documents.createFor(taskId, documents, op, () =>
      this.#run(`changing task ${taskId}`, () => commitTask(dir, request)),
    );
    if (result.kind === 'committed') this.#index(taskId, documents, op);
    return result;
  }

  async createDocuments(
    taskId: string,
    documents: readonly NewDocument[],
    op: string,
  ): Promise<StandingDocument | null> {
    const done = async () => ({ kind: 'committed', document: null });
    return (await this.#documents.createFor(taskId, documents, op, done)).document;
  }

  #index(taskId: string, documents: readonly NewDocument[], op: string): void {
    for (const { kind, attemptId, value } of documents) {
      if (kind === 'question')
        addToIndex(this, (value as Question).question_id, { task_id: taskId, attempt_id: attemptId }, op);
    }
  }

  async settle(taskId: string, op: string): Promise<void> {
    const dir = this.#tree.taskFolder(taskId);
    await this.#run(`settling task ${taskId}`, () => settleTask(dir, op));
  }

  async readDocument<K extends DocumentKind>(
    kind: K,
    taskId: string,
    attemptId: string,
    questionId?: string,
  ): Promise<Documents[K] | null> {
    return this.#documents.read(kind, taskId, attemptId, questionId);
  }

  findQuestion(questionId: string, op: string): Promise<QuestionPlace | null> {
    return findQuestion(this, questionId, op);
  }

  async listQuestions(taskId: string): Promise<{ attemptId: string; question: Question }[]> {
    const found: { attemptId: string; question: Question }[] = [];
    for (const attemptId of await this.#attempts(taskId)) {
      const names = fs.readdirSync(this.#tree.attemptFolder(taskId, attemptId));
      if (!names.includes('questions')) continue;
      const folder = `${this.#tree.attemptFolder(taskId, attemptId)}/questions`;
      this.#tree.guard([folder]);
      for (const name of fs.readdirSync(folder).sort()) {
        const id = name.replace(/\.json$/, '');
        if (!isUuid(id)) continue;
        const question = await orNull(() => this.readDocument('question', taskId, attemptId, id));
        if (question !== null) found.push({ attemptId, question });
      }
    }
    return found;
  }

  async showQuestion(taskId: string, attemptId: string, question: Question, op: string): Promise<void> {
    const path = this.#documents.path('question', taskId, attemptId, question.question_id);
    const tmp = `${path.slice(0, path.lastIndexOf('/'))}/.tmp-${op}`;
    try {
      fs.writeFileSync(tmp, asText(question), { flag: 'wx', mode: 0o600 });
      fs.renameSync(tmp, path);
    } catch (error) {
      fs.rmSync(tmp, { force: true });
      throw asIoError(error, `writing ${path}`);
    }
  }

  /** Ids of a task's attempts, oldest first. The record is only asked about folders of other names than forge gives. */
  async #attempts(taskId: string): Promise<string[]> {
    const folders = this.#tree.foldersIn(`${this.layout.task(taskId)}/attempts`).sort();
    if (folders.every(isUuid)) return folders;
    return folders.filter(isAttemptOf((await this.read(taskId)).record));
  }

  async listAttempts(taskId: string): Promise<AttemptManifest[]> {
    const manifests: AttemptManifest[] = [];
    for (const id of await this.#attempts(taskId)) {
      const manifest = await orNull(() => this.readDocument('manifest', taskId, id));
      if (manifest !== null) manifests.push(manifest);
    }
    return manifests;
  }

  async createRun(manifest: RunManifest, op: string): Promise<void> {
    this.ensureTree();
    const dir = this.#tree.runFolder(manifest.run_id);
    this.#tree.make([dir]);
    const created = await this.#run(`opening run ${manifest.run_id}`, () =>
      createOnce(`${dir}/manifest.json`, asText(manifest), op),
    );
    if (!created) throw new ForgeError('DUPLICATE_ID', `there is a run ${manifest.run_id} already`);
  }

  async discardRun(runId: string): Promise<void> {
    fs.rmSync(this.#tree.runFolder(runId), { recursive: true, force: true });
  }

  async readRun(runId: string): Promise<RunManifest | null> {
    return readValid(`${this.#tree.runFolder(runId)}/manifest.json`, RunManifestSchema);
  }

  async endRun(runId: string, endedAt: string, op: string): Promise<EndedRun | null> {
    const manifest = await this.readRun(runId);
    if (manifest === null) return null;
    if (manifest.ended_at) return { ...manifest, ended_at: manifest.ended_at };
    const ended = { ...manifest, ended_at: endedAt };
    const dir = this.layout.run(runId);
    await this.#run(`ending run ${runId}`, function* () {
      yield* createOnce(`${dir}/manifest.${op}.json`, asText(ended), op);
    });
    whileDoing(`ending run ${runId}`, () => {
      fs.renameSync(`${dir}/manifest.${op}.json`, `${dir}/manifest.json`);
      syncDir(dir);
    });
    return ended;
  }

  async listRuns(): Promise<RunManifest[]> {
    const runs: RunManifest[] = [];
    for (const id of this.#tree.foldersIn(this.layout.runs).filter(isUuid).sort()) {
      const manifest = await orNull(() => this.readRun(id));
      if (manifest !== null) runs.push(manifest);
    }
    return runs;
  }

  async snapshot(): Promise<Snapshot> {
    const seen = new SnapshotCache(this.layout, this.#cache, Date.now());
    const runs = await seen.runs(() => this.listRuns());
    refuseSymlink(this.layout.orchestrator);
    const ids = seen.taskIds() ?? (await this.list());
    const tasks = seen.read(ids, (id) => readNow(`${this.layout.tasks}/${id}`, id, false));
    return { tasks, runs, seen };
  }

  ensureTree(): void {
    this.#tree.ensure();
  }
}
