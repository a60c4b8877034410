/** The folders of the state tree: where everything is, how they are made, and that none of them is a symlink. */

import fs from 'node:fs';
import path from 'node:path';
import { GITIGNORE, pathsOf } from '../../domain/project-paths.ts';
import { isRealEntry, makeFolder, refuseSymlink, syncDir } from '../../lib/fs/folders.ts';
import { asIoError, errorCode, whileDoing } from '../../lib/fs/io-errors.ts';
import { createFile, replaceFile } from '../../lib/fs/new-file.ts';
import { fileNameOf, requireAttemptId, requireUuid } from '../../lib/ids.ts';
import { FoldersAhead } from './folders-ahead.ts';

export type Layout = ReturnType<typeof layoutOf>;

/** Where everything in a state tree is. Ids are checked before they become part of a path. */
export function layoutOf(project: string) {
  const paths = pathsOf(project);
  const orchestrator = `${paths.forge}/orchestrator`;
  const tasks = `${orchestrator}/tasks`;
  const runs = `${orchestrator}/runs`;
  const task = (taskId: string) => `${tasks}/${fileNameOf(taskId)}`;
  return {
    ...paths,
    orchestrator,
    tasks,
    runs,
    /** The location of each question by its id. Derived; see `question-index.ts`. */
    questionIndex: `${orchestrator}/index/questions.json`,
    /** An empty folder for each task that may have fanned out, named as the task's. */
    fanOuts: `${orchestrator}/fan-outs`,
    /** Folders that are being removed. */
    trash: `${orchestrator}/trash`,
    task,
    attempt: (taskId: string, attemptId: string) => `${task(taskId)}/attempts/${requireAttemptId(attemptId)}`,
    run: (runId: string) => `${runs}/${requireUuid(runId, 'run')}`,
  };
}

export class StateTree {
  readonly layout: Layout;
  readonly ahead: FoldersAhead;
  /** Where the project's folder really is; null before the first look. */
  #project: string | null = null;

  constructor(layout: Layout) {
    this.layout = layout;
    this.ahead = new FoldersAhead(layout.task);
  }

  taskFolder(taskId: string): string {
    const dir = this.layout.task(taskId);
    this.guard([this.layout.tasks, dir]);
    return dir;
  }

  /** `taskFolder` for a caller that has looked at the folders above it. */
  folderOf(taskId: string): string {
    const dir = this.layout.task(taskId);
    refuseSymlink(dir);
    return dir;
  }

  /** What is wrong with what is in the place of a task's folder; null where that is a folder, or nothing. Throws IO_ERROR where the tree is elsewhere. */
  problemAt(taskId: string): string | null {
    const dir = this.layout.task(taskId);
    const stat = fs.lstatSync(dir, { throwIfNoEntry: false });
    if (stat === undefined || stat.isDirectory()) return null;
    this.guard([this.layout.tasks]);
    return `${dir} is ${stat.isSymbolicLink() ? 'a symlink, which is never followed' : 'not a folder'}`;
  }

  attemptFolder(taskId: string, attemptId: string): string {
    const dir = this.layout.attempt(taskId, attemptId);
    this.#look(dir);
    return dir;
  }

  runFolder(runId: string): string {
    const dir = this.layout.run(runId);
    this.guard([this.layout.runs, dir]);
    return dir;
  }

  /** No component from `.forge` on may be a symlink: what planted one would choose where forge writes. Whether the last one is there. */
  guard(components: readonly string[]): boolean {
    const { forge, orchestrator } = this.layout;
    const place = components.at(-1) ?? orchestrator;
    // What is missing would cost an exception.
    if (fs.existsSync(place) && this.#isReal(place)) return true;
    const look = () => [forge, orchestrator, ...components].map(isRealEntry).at(-1) === true;
    return whileDoing(`opening ${place}`, look);
  }

  /** By one call in place of one for each component. False also where that says nothing: it is not there, or leads elsewhere. */
  #isReal(place: string): boolean {
    const project = path.dirname(this.layout.forge);
    try {
      this.#project ??= fs.realpathSync.native(project);
      return fs.realpathSync.native(place) === this.#project + place.slice(project.length);
    } catch {
      return false;
    }
  }

  /** Guards the folder of an attempt. Whether it is there. */
  #look(dir: string): boolean {
    const attempts = path.dirname(dir);
    return this.guard([this.layout.tasks, path.dirname(attempts), attempts, dir]);
  }

  /** Names of the real folders in `dir`, which is never a symlink; with `others` also of what else is there. Default: false. */
  foldersIn(dir: string, others = false): string[] {
    try {
      [this.layout.forge, this.layout.orchestrator, dir].forEach(refuseSymlink);
      return fs
        .readdirSync(dir, { withFileTypes: true })
        .filter((entry) => others || entry.isDirectory())
        .map((entry) => entry.name);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw asIoError(error, `reading ${dir}`);
    }
  }

  /** Makes the folders of the tree; the first changing command of a project does it. Throws IO_ERROR. */
  ensure(): void {
    const { forge, orchestrator, tasks, runs } = this.layout;
    // A tree that was copied from elsewhere may come without its .gitignore.
    if ([tasks, runs, `${forge}/.gitignore`].every((each) => fs.existsSync(each))) return;
    this.make([forge]);
    try {
      const file = `${forge}/.gitignore`;
      // A process that was killed between making the file and writing it has left it empty.
      if (fs.lstatSync(file, { throwIfNoEntry: false })?.size === 0) fs.rmSync(file, { force: true });
      createFile(file, GITIGNORE);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw asIoError(error, `writing ${forge}/.gitignore`);
    }
    this.make([orchestrator, tasks, runs]);
  }

  /** Makes an attempt's folders and returns its path. They are durable when its first document is. `isKnown`: the task has its own. Throws IO_ERROR. */
  ensureAttempt(taskId: string, attemptId: string, { isKnown = false } = {}): string {
    const dir = this.layout.attempt(taskId, attemptId);
    if (this.#look(dir)) return dir;
    this.ensure();
    const task = this.layout.task(taskId);
    if (!isKnown && makeFolder(task)) this.ahead.take(task);
    for (const folder of [`${task}/attempts`, dir]) makeFolder(folder);
    return dir;
  }

  make(dirs: readonly string[]): void {
    for (const dir of dirs) {
      if (makeFolder(dir)) whileDoing(`making ${dir}`, () => syncDir(path.dirname(dir)));
    }
  }
}

/** `replaceFile`, by a name that gc clears away when this process is killed. Throws IO_ERROR. */
export function replaceIn(file: string, text: string, op: string): void {
  whileDoing(`writing ${file}`, () => replaceFile(file, text, `${path.dirname(file)}/.tmp-${op}`));
}
