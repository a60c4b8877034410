/** The state tree. This class is the only code that touches `.forge/orchestrator`. */

import fs from 'node:fs';
import type { ProjectPaths } from '../../domain/project-paths.ts';
import { type Answer, AnswerSchema, type Question, QuestionSchema } from '../../domain/question/records.ts';
import { type Reviewed, ReviewedSchema, type Shipped, ShippedSchema } from '../../domain/review/reviews.ts';
import {
  type AttemptManifest,
  AttemptManifestSchema,
  type RunManifest,
  RunManifestSchema,
  type TaskRecord,
  type Verdict,
  VerdictSchema,
} from '../../domain/task/records.ts';
import { type Verified, VerifiedSchema } from '../../domain/verify/verification.ts';
import { ForgeError, unlessInvalid } from '../../lib/errors.ts';
import { type Cache, NO_CACHE } from '../../lib/fs/cache.ts';
import { blocking, type Driver, runSync } from '../../lib/fs/drivers.ts';
import { asIoError, errorCode, whileDoing } from '../../lib/fs/io-errors.ts';
import { appendLines, readLines } from '../../lib/fs/json-lines.ts';
import type { Step } from '../../lib/fs/operations.ts';
import { readCapped } from '../../lib/fs/read.ts';
import { isTaskId, isUuid } from '../../lib/ids.ts';
import {
  type AttemptFile,
  type EndedRun,
  type FolderRead,
  type LogStream,
  type QuestionPlace,
  questionFile,
  type Snapshot,
  type TaskCommit,
  type TaskStore,
} from '../port.ts';
import { asText, makeFolder, readValid, refuseSymlink, syncDir } from './folders.ts';
import { type Layout, layoutOf } from './layout.ts';
import { addToIndex, findQuestion } from './question-index.ts';
import { SeenTree, TICK_MS } from './snapshot-cache.ts';
import { commitTask, createFirst, createOnce, readTask, settleTask } from './task-files.ts';

/** What the first changing command puts into `.forge/.gitignore`. */
export const GITIGNORE = `# What forge keeps here is local to this machine; settings.yaml and plans are yours to commit.
orchestrator/
logs/
worktrees/
schema/
scratch/
`;

/** Largest log that is read as a whole, bytes. */
const LOG_MAX_BYTES = 16 * 1024 * 1024;

/** Reading never waits for the disk to confirm anything, so it needs no driver. Throws IO_ERROR. */
function readNow(dir: string, taskId: string, thorough: boolean): FolderRead {
  return whileDoing(`reading task ${taskId}`, () => runSync(readTask(dir, taskId, thorough)));
}

export class FileStore implements TaskStore {
  readonly layout: Layout;
  readonly #driver: Driver;
  readonly #cache: Cache;
  #begun: SeenTree | null = null;
  #unsettled = 0;

  /**
   * `driver`: how file system calls are made; blocking ones suit a process that does one thing. `cache`: what earlier looks
   * at the whole tree have kept.
   */
  constructor({ project }: Pick<ProjectPaths, 'project'>, driver: Driver = blocking, cache: Cache = NO_CACHE) {
    this.layout = layoutOf(project);
    this.#driver = driver;
    this.#cache = cache;
  }

  async #run<T>(doing: string, step: () => Step<T>): Promise<T> {
    try {
      return await this.#driver(step());
    } catch (error) {
      throw asIoError(error, doing);
    }
  }

  async list(): Promise<string[]> {
    return this.#folders(this.layout.tasks).filter(isTaskId).sort();
  }

  /** Real folders only: a symlink is never followed, whatever it points at. */
  #folders(dir: string): string[] {
    try {
      refuseSymlink(this.layout.orchestrator);
      refuseSymlink(dir);
      return fs
        .readdirSync(dir, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw asIoError(error, `reading ${dir}`);
    }
  }

  async read(taskId: string, { thorough = false } = {}): Promise<FolderRead> {
    return readNow(this.#taskFolder(taskId), taskId, thorough);
  }

  /** A commit changes the time of the folder. Two within the same tick would not, so a time of just now matches nothing. */
  async stamp(taskId: string): Promise<string> {
    const stat = fs.lstatSync(this.layout.task(taskId), { throwIfNoEntry: false });
    if (stat === undefined) return 'none';
    const settled = Date.now() - stat.mtimeMs > TICK_MS;
    return settled ? `${stat.ino}:${stat.mtimeMs}` : `${stat.ino}:${stat.mtimeMs}:${this.#unsettled++}`;
  }

  async commit(taskId: string, change: { expected: number; op: string; record: TaskRecord }): Promise<TaskCommit> {
    if (change.expected === 0) this.ensureTree();
    const dir = this.#taskFolder(taskId);
    return this.#run(`changing task ${taskId}`, () => commitTask(dir, change));
  }

  async settle(taskId: string, op: string): Promise<void> {
    const dir = this.#taskFolder(taskId);
    await this.#run(`settling task ${taskId}`, () => settleTask(dir, op));
  }

  #taskFolder(taskId: string): string {
    const dir = this.layout.task(taskId);
    this.#guard([this.layout.tasks, dir]);
    return dir;
  }

  #attemptFolder(taskId: string, attemptId: string): string {
    const dir = this.layout.attempt(taskId, attemptId);
    this.#guard([this.#taskFolder(taskId), dir.slice(0, dir.lastIndexOf('/')), dir]);
    return dir;
  }

  #runFolder(runId: string): string {
    const dir = this.layout.run(runId);
    this.#guard([this.layout.runs, dir]);
    return dir;
  }

  /** No component below `.forge` may be a symlink: whoever planted one would choose where forge writes. */
  #guard(components: readonly string[]): void {
    whileDoing(`opening ${components.at(-1)}`, () => [this.layout.orchestrator, ...components].forEach(refuseSymlink));
  }

  async createOnce(taskId: string, attemptId: string, file: AttemptFile, value: object, op: string): Promise<boolean> {
    const dir = this.ensureAttempt(taskId, attemptId);
    const path = `${dir}/${file}`;
    const folder = path.slice(0, path.lastIndexOf('/'));
    if (folder !== dir) this.#mkdirs([folder]);
    const created = await this.#run(`writing ${file} of attempt ${attemptId}`, () =>
      file === 'manifest.json' ? createFirst(path, asText(value)) : createOnce(path, asText(value), op),
    );
    const question = /^questions\/(.*)\.json$/.exec(file)?.[1];
    if (question !== undefined) addToIndex(this, question, { task_id: taskId, attempt_id: attemptId }, op);
    return created;
  }

  ensureAttempt(taskId: string, attemptId: string): string {
    const dir = this.layout.attempt(taskId, attemptId);
    this.ensureTree();
    const task = this.#taskFolder(taskId);
    for (const folder of [task, `${task}/attempts`, dir]) makeFolder(folder);
    return dir;
  }

  async readManifest(taskId: string, attemptId: string): Promise<AttemptManifest | null> {
    return readValid(`${this.#attemptFolder(taskId, attemptId)}/manifest.json`, AttemptManifestSchema);
  }

  async readVerdict(taskId: string, attemptId: string): Promise<Verdict | null> {
    return readValid(`${this.#attemptFolder(taskId, attemptId)}/verdict.json`, VerdictSchema);
  }

  async readVerified(taskId: string, attemptId: string): Promise<Verified | null> {
    return readValid(`${this.#attemptFolder(taskId, attemptId)}/verdict.verified.json`, VerifiedSchema);
  }

  async readReviewed(taskId: string, attemptId: string): Promise<Reviewed | null> {
    return readValid(`${this.#attemptFolder(taskId, attemptId)}/review.json`, ReviewedSchema);
  }

  async readShipped(taskId: string, attemptId: string): Promise<Shipped | null> {
    return readValid(`${this.#attemptFolder(taskId, attemptId)}/ship.json`, ShippedSchema);
  }

  async readQuestion(taskId: string, attemptId: string, questionId: string): Promise<Question | null> {
    return readValid(this.#questionPath(taskId, attemptId, questionFile('questions', questionId)), QuestionSchema);
  }

  async readAnswer(taskId: string, attemptId: string, questionId: string): Promise<Answer | null> {
    return readValid(this.#questionPath(taskId, attemptId, questionFile('answers', questionId)), AnswerSchema);
  }

  findQuestion(questionId: string, op: string): Promise<QuestionPlace | null> {
    return findQuestion(this, questionId, op);
  }

  async listQuestions(taskId: string): Promise<{ attemptId: string; question: Question }[]> {
    const found: { attemptId: string; question: Question }[] = [];
    for (const attemptId of this.#folders(`${this.layout.task(taskId)}/attempts`)
      .filter(isUuid)
      .sort()) {
      const names = fs.readdirSync(this.#attemptFolder(taskId, attemptId));
      if (!names.includes('questions')) continue;
      const folder = this.#questionPath(taskId, attemptId, 'questions');
      for (const name of fs.readdirSync(folder).sort()) {
        const id = name.replace(/\.json$/, '');
        if (!isUuid(id)) continue;
        const question = await unlessInvalid(() => this.readQuestion(taskId, attemptId, id));
        if (question !== null) found.push({ attemptId, question });
      }
    }
    return found;
  }

  async showQuestion(taskId: string, attemptId: string, question: Question, op: string): Promise<void> {
    const path = this.#questionPath(taskId, attemptId, questionFile('questions', question.question_id));
    const tmp = `${path.slice(0, path.lastIndexOf('/'))}/.tmp-${op}`;
    try {
      fs.writeFileSync(tmp, asText(question), { flag: 'wx', mode: 0o600 });
      fs.renameSync(tmp, path);
    } catch (error) {
      fs.rmSync(tmp, { force: true });
      throw asIoError(error, `writing ${path}`);
    }
  }

  #questionPath(taskId: string, attemptId: string, file: string): string {
    const attempt = this.#attemptFolder(taskId, attemptId);
    const path = `${attempt}/${file}`;
    this.#guard([`${attempt}/${file.replace(/\/.*/, '')}`, path]);
    return path;
  }

  async listAttempts(taskId: string): Promise<AttemptManifest[]> {
    const ids = this.#folders(`${this.layout.task(taskId)}/attempts`)
      .filter(isUuid)
      .sort();
    const manifests: AttemptManifest[] = [];
    for (const id of ids) {
      const manifest = await unlessInvalid(() => this.readManifest(taskId, id));
      if (manifest !== null) manifests.push(manifest);
    }
    return manifests;
  }

  async readLog(stream: LogStream): Promise<Record<string, unknown>[]> {
    const path = this.#logPath(stream);
    try {
      return readLines(readCapped(path, LOG_MAX_BYTES));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw asIoError(error, `reading ${path}`);
    }
  }

  async append(stream: LogStream, entry: object): Promise<void> {
    const path = this.#logPath(stream);
    whileDoing(`appending to ${path}`, () => appendLines(path, [entry]));
  }

  #logPath(stream: LogStream): string {
    switch (stream.log) {
      case 'claim-history':
        return `${this.#taskFolder(stream.taskId)}/claim-history.jsonl`;
      case 'events':
        return `${this.#attemptFolder(stream.taskId, stream.attemptId)}/events.jsonl`;
      case 'notifications':
        return `${this.#runFolder(stream.runId)}/notifications.jsonl`;
    }
  }

  async createRun(manifest: RunManifest, op: string): Promise<void> {
    this.ensureTree();
    const dir = this.#runFolder(manifest.run_id);
    this.#mkdirs([dir]);
    const created = await this.#run(`opening run ${manifest.run_id}`, () =>
      createOnce(`${dir}/manifest.json`, asText(manifest), op),
    );
    if (!created) throw new ForgeError('DUPLICATE_ID', `there is a run ${manifest.run_id} already`);
  }

  async discardRun(runId: string): Promise<void> {
    fs.rmSync(this.#runFolder(runId), { recursive: true, force: true });
  }

  async readRun(runId: string): Promise<RunManifest | null> {
    return readValid(`${this.#runFolder(runId)}/manifest.json`, RunManifestSchema);
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
    try {
      fs.renameSync(`${dir}/manifest.${op}.json`, `${dir}/manifest.json`);
      syncDir(dir);
    } catch (error) {
      throw asIoError(error, `ending run ${runId}`);
    }
    return ended;
  }

  async listRuns(): Promise<RunManifest[]> {
    const runs: RunManifest[] = [];
    for (const id of this.#folders(this.layout.runs).filter(isUuid).sort()) {
      const manifest = await unlessInvalid(() => this.readRun(id));
      if (manifest !== null) runs.push(manifest);
    }
    return runs;
  }

  beginSnapshot(): void {
    this.#begun ??= new SeenTree(this.layout, this.#cache, Date.now());
  }

  async snapshot(): Promise<Snapshot> {
    this.beginSnapshot();
    const seen = this.#begun as SeenTree;
    this.#begun = null;
    const runs = await seen.runs(() => this.listRuns());
    refuseSymlink(this.layout.orchestrator);
    const ids = seen.taskIds() ?? (await this.list());
    const tasks = seen.read(ids, (id) => readNow(`${this.layout.tasks}/${id}`, id, false));
    return { tasks, runs, seen };
  }

  /** Makes the folders of the tree; the first changing command of a project does it. Throws IO_ERROR. */
  ensureTree(): void {
    const { forge, orchestrator, tasks, runs } = this.layout;
    // A tree that was copied from elsewhere may come without its .gitignore.
    if ([tasks, runs, `${forge}/.gitignore`].every((path) => fs.existsSync(path))) return;
    this.#mkdirs([forge]);
    try {
      const file = `${forge}/.gitignore`;
      // Whoever was killed between making the file and writing it has left it empty.
      if (fs.lstatSync(file, { throwIfNoEntry: false })?.size === 0) fs.rmSync(file, { force: true });
      fs.writeFileSync(file, GITIGNORE, { flag: 'wx', mode: 0o600 });
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw asIoError(error, `writing ${forge}/.gitignore`);
    }
    this.#mkdirs([orchestrator, tasks, runs]);
  }

  /** Makes each folder that is missing, and its name durable in its parent. */
  #mkdirs(dirs: readonly string[]): void {
    for (const dir of dirs) {
      if (makeFolder(dir)) syncDir(dir.slice(0, dir.lastIndexOf('/')));
    }
  }
}
