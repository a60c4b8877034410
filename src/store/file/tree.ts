/** The folders of the state tree: where they are, how they are made, and that none of them is a symlink. */

import fs from 'node:fs';
import { GITIGNORE } from '../../domain/project-paths.ts';
import { makeFolder, refuseSymlink, syncDir } from '../../lib/fs/folders.ts';
import { asIoError, errorCode, whileDoing } from '../../lib/fs/io-errors.ts';
import type { Layout } from './layout.ts';

export class StateTree {
  readonly layout: Layout;

  constructor(layout: Layout) {
    this.layout = layout;
  }

  taskFolder(taskId: string): string {
    const dir = this.layout.task(taskId);
    this.guard([this.layout.tasks, dir]);
    return dir;
  }

  attemptFolder(taskId: string, attemptId: string): string {
    const dir = this.layout.attempt(taskId, attemptId);
    this.guard([this.taskFolder(taskId), dir.slice(0, dir.lastIndexOf('/')), dir]);
    return dir;
  }

  runFolder(runId: string): string {
    const dir = this.layout.run(runId);
    this.guard([this.layout.runs, dir]);
    return dir;
  }

  /** No component below `.forge` may be a symlink: what planted one would choose where forge writes. */
  guard(components: readonly string[]): void {
    whileDoing(`opening ${components.at(-1)}`, () => [this.layout.orchestrator, ...components].forEach(refuseSymlink));
  }

  /** Names of the real folders in `dir`: a symlink is never followed. */
  foldersIn(dir: string): string[] {
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

  /** Makes the folders of the tree; the first changing command of a project does it. Throws IO_ERROR. */
  ensure(): void {
    const { forge, orchestrator, tasks, runs } = this.layout;
    // A tree that was copied from elsewhere may come without its .gitignore.
    if ([tasks, runs, `${forge}/.gitignore`].every((path) => fs.existsSync(path))) return;
    this.make([forge]);
    try {
      const file = `${forge}/.gitignore`;
      // A process that was killed between making the file and writing it has left it empty.
      if (fs.lstatSync(file, { throwIfNoEntry: false })?.size === 0) fs.rmSync(file, { force: true });
      fs.writeFileSync(file, GITIGNORE, { flag: 'wx', mode: 0o600 });
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw asIoError(error, `writing ${forge}/.gitignore`);
    }
    this.make([orchestrator, tasks, runs]);
  }

  /** Makes an attempt's folders and returns its path. They are durable when its first document is. Throws IO_ERROR. */
  ensureAttempt(taskId: string, attemptId: string): string {
    const dir = this.layout.attempt(taskId, attemptId);
    this.ensure();
    const task = this.taskFolder(taskId);
    for (const folder of [task, `${task}/attempts`, dir]) makeFolder(folder);
    return dir;
  }

  /** Makes each folder that is missing, and its name durable in its parent. */
  make(dirs: readonly string[]): void {
    for (const dir of dirs) {
      if (makeFolder(dir)) syncDir(dir.slice(0, dir.lastIndexOf('/')));
    }
  }
}
