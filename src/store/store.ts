/**
 * The state tree. This class is the only code that touches `.forge/orchestrator`; `StateStore` is what everything else
 * knows of it, and what another backend would implement.
 */

import fs from 'node:fs';
import { ForgeError } from '../core/errors.ts';
import { isTaskId, isUuid } from '../core/ids.ts';
import {
  type AttemptManifest,
  AttemptManifestSchema,
  parseRecord,
  RECORD_MAX_BYTES,
  type RunManifest,
  RunManifestSchema,
  type TaskRecord,
  type Verdict,
  VerdictSchema,
} from '../core/records.ts';
import { errorCode, type Step } from './calls.ts';
import { blocking, type Driver, readCapped } from './drivers.ts';
import { asIoError } from './io-errors.ts';
import { parseJson } from './json.ts';
import type { Layout } from './layout.ts';
import { appendLine, readLines } from './lines.ts';
import {
  commitTask,
  createFirst,
  createOnce,
  readTask,
  settleTask,
  type TaskCommit,
  type TaskRead,
} from './task-files.ts';

export type { TaskCommit, TaskRead } from './task-files.ts';

/** A file of an attempt that is written once, before the commit that refers to it. */
export type AttemptFile = 'manifest.json' | 'verdict.json';

/** An append-only log. */
export type LogStream =
  | { log: 'claim-history'; taskId: string }
  | { log: 'events'; taskId: string; attemptId: string }
  | { log: 'notifications'; runId: string };

/** Everything in the tree at one look. */
export interface Snapshot {
  tasks: TaskRead[];
  runs: RunManifest[];
}

export interface StateStore {
  /** Ids of the tasks that have a record or a folder, in code point order. */
  list(): Promise<string[]>;
  /** A task as it stands. `thorough` is for deciding a change; without it edits may be noticed a moment later. */
  read(taskId: string, options?: { thorough?: boolean }): Promise<TaskRead>;
  /** A token that differs from an earlier one whenever the task may have changed since; cheaper than reading. */
  stamp(taskId: string): Promise<string>;
  /** Commits on `expected` (`TaskRead.version`); `op` names this try. Throws IO_ERROR only when nothing has changed. */
  commit(taskId: string, change: { expected: number; op: string; record: TaskRecord }): Promise<TaskCommit>;
  /** Makes sure that what `read` returned is durable, before it is reported as done. */
  settle(taskId: string, op: string): Promise<void>;
  /** Creates a file of an attempt; false when it exists, then it is left as it is. */
  createOnce(taskId: string, attemptId: string, file: AttemptFile, value: object, op: string): Promise<boolean>;
  /** Null when there is none. Throws SCHEMA_INVALID. */
  readManifest(taskId: string, attemptId: string): Promise<AttemptManifest | null>;
  readVerdict(taskId: string, attemptId: string): Promise<Verdict | null>;
  /** Manifests of the task's attempts, oldest first; those that can't be read are left out. */
  listAttempts(taskId: string): Promise<AttemptManifest[]>;
  append(stream: LogStream, entry: object): Promise<void>;
  /** The whole lines of a log, oldest first. */
  readLog(stream: LogStream): Promise<Record<string, unknown>[]>;
  createRun(manifest: RunManifest, op: string): Promise<void>;
  /** Takes back a run that nothing was done under. */
  discardRun(runId: string): Promise<void>;
  /** Null when there is no such run. Throws SCHEMA_INVALID. */
  readRun(runId: string): Promise<RunManifest | null>;
  /** Sets `ended_at`, once; a repeat keeps the first. Returns the manifest; null when there is no such run. */
  endRun(runId: string, endedAt: string, op: string): Promise<RunManifest | null>;
  listRuns(): Promise<RunManifest[]>;
  snapshot(): Promise<Snapshot>;
}

const GITIGNORE = `# What forge keeps here is local to this machine; settings.yaml and plans are yours to commit.
orchestrator/
logs/
worktrees/
schema/
scratch/
`;

/** Largest log that is read as a whole, bytes. */
const LOG_MAX_BYTES = 16 * 1024 * 1024;

/** More than any file system's granularity of modification times, milliseconds. */
const TICK_MS = 2000;

export class FileStore implements StateStore {
  readonly layout: Layout;
  readonly #driver: Driver;
  #unsettled = 0;

  /** `driver`: how file system calls are made; blocking ones suit a process that does one thing. */
  constructor(layout: Layout, driver: Driver = blocking) {
    this.layout = layout;
    this.#driver = driver;
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

  async read(taskId: string, { thorough = false } = {}): Promise<TaskRead> {
    const dir = this.#taskFolder(taskId);
    return this.#run(`reading task ${taskId}`, () => readTask(dir, taskId, thorough));
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
    try {
      for (const component of [this.layout.orchestrator, ...components]) refuseSymlink(component);
    } catch (error) {
      throw asIoError(error, `opening ${components.at(-1)}`);
    }
  }

  async createOnce(taskId: string, attemptId: string, file: AttemptFile, value: object, op: string): Promise<boolean> {
    const dir = this.ensureAttempt(taskId, attemptId);
    const path = `${dir}/${file}`;
    return this.#run(`writing ${file} of attempt ${attemptId}`, () =>
      file === 'manifest.json' ? createFirst(path, asText(value)) : createOnce(path, asText(value), op),
    );
  }

  /** Makes an attempt's folders and returns its path. They are durable when its first file is. */
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
    try {
      appendLine(path, entry);
    } catch (error) {
      throw asIoError(error, `appending to ${path}`);
    }
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

  async endRun(runId: string, endedAt: string, op: string): Promise<RunManifest | null> {
    const manifest = await this.readRun(runId);
    if (manifest === null || manifest.ended_at) return manifest;
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

  async snapshot(): Promise<Snapshot> {
    const tasks: TaskRead[] = [];
    for (const id of await this.list()) {
      tasks.push(await this.#run(`reading task ${id}`, () => readTask(`${this.layout.tasks}/${id}`, id, false)));
    }
    return { tasks, runs: await this.listRuns() };
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

/** False when it is there already. */
function makeFolder(dir: string): boolean {
  try {
    fs.mkdirSync(dir, { mode: 0o700 });
    return true;
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw asIoError(error, `making ${dir}`);
    refuseSymlink(dir);
    return false;
  }
}

/** One damaged file must not hide its neighbours from a listing; `doctor` names it. */
async function unlessInvalid<T>(read: () => Promise<T | null>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ForgeError) return null;
    throw error;
  }
}

function asText(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function syncDir(dir: string): void {
  const fd = fs.openSync(dir, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function refuseSymlink(path: string): void {
  if (fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return;
  throw asIoError(Object.assign(new Error(`ELOOP: ${path} is a symlink`), { code: 'ELOOP' }), `opening ${path}`);
}

function readValid<T>(file: string, schema: Parameters<typeof parseRecord<T>>[0]): T | null {
  let text: string;
  try {
    text = readCapped(file, RECORD_MAX_BYTES);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw asIoError(error, `reading ${file}`);
  }
  const parsed = parseRecord(schema, parseJson(text) ?? null);
  if (parsed.ok) return parsed.value;
  throw new ForgeError('SCHEMA_INVALID', `${file}: ${parsed.why}`);
}
