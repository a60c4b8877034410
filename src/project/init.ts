/** The files that `init` writes, and what `uninit` may remove. */

import fs from 'node:fs';
import path from 'node:path';
import { GITIGNORE, type ProjectPaths } from '../domain/project-paths.ts';
import { entriesIn } from '../lib/fs/folders.ts';
import { errorCode, whileDoing } from '../lib/fs/io-errors.ts';
import { PLAN_PLACES } from './find-project.ts';
import { planPlaceOf } from './plan-file.ts';
import { firstPlan, firstSettings } from './templates.ts';

// The same relative path from src/project and from the bundle in dist/cli.
const SCHEMAS = new URL('../../spec/schema/', import.meta.url);

export interface InitFile {
  /** Relative to the project folder. */
  file: string;
  text(): string;
}

/** All files that `init` writes, except the state tree. */
export function initFiles(paths: ProjectPaths): InitFile[] {
  const shipped = (name: string) => fs.readFileSync(new URL(name, SCHEMAS), 'utf8');
  return [
    { file: '.forge/schema/phases.schema.json', text: () => shipped('phases.schema.json') },
    { file: '.forge/schema/settings.schema.json', text: () => shipped('settings.schema.json') },
    { file: '.forge/settings.yaml', text: () => firstSettings('schema/settings.schema.json') },
    {
      file: planPlaceOf(paths),
      text: () => firstPlan(path.basename(paths.project), '../.forge/schema/phases.schema.json'),
    },
  ];
}

/** Which of those files are unchanged. Paths are relative to the project folder. */
export interface Removal {
  files: InitFile[];
  /** Empty once the files are removed, each before the folder it is in. */
  folders: string[];
  kept: { path: string; reason: string }[];
}

/** State that `uninit` keeps, and how to remove it. */
const HISTORY: Readonly<Record<string, string>> = {
  '.forge/orchestrator': 'it has the state of tasks and runs; to remove it: `rm -r .forge/orchestrator`',
  '.forge/logs': 'it has the log; to remove it: `rm -r .forge/logs`',
  '.forge/worktrees': 'it has worktrees of tasks; `git worktree remove` takes each away',
  '.forge/scratch': 'tasks have written it; to remove it: `rm -r .forge/scratch`',
};

/** What `uninit` removes: only files with exactly the bytes that `init` writes, and folders that are empty then. Throws IO_ERROR. */
export function planRemoval(paths: ProjectPaths): Removal {
  return whileDoing(`looking at ${paths.project}`, () => {
    const removal = new Planned(paths);
    for (const file of initFiles(paths)) removal.file(file);
    for (const folder of ['schema', 'orchestrator/tasks', 'orchestrator/runs', 'orchestrator']) {
      removal.folder(`.forge/${folder}`);
    }
    // It keeps these out of git.
    const ignored = GITIGNORE.split('\n').flatMap((line) =>
      line.endsWith('/') ? [`.forge/${line.slice(0, -1)}`] : [],
    );
    const left = ignored.filter((folder) => removal.leaves(folder));
    for (const folder of left) removal.keep(folder, HISTORY[folder]);
    if (left.length === 0) removal.file({ file: '.forge/.gitignore', text: () => GITIGNORE });
    removal.folder('.forge');
    // A folder that was empty before may belong to the user.
    if (removal.files.some(({ file }) => file === PLAN_PLACES[0])) removal.folder('plans');
    return removal;
  });
}

class Planned implements Removal {
  readonly files: InitFile[] = [];
  readonly folders: string[] = [];
  readonly kept: { path: string; reason: string }[] = [];
  readonly #paths: ProjectPaths;

  constructor(paths: ProjectPaths) {
    this.#paths = paths;
  }

  file(file: InitFile): void {
    if (isAsWritten(this.#paths, file)) this.files.push(file);
    else if (this.leaves(file.file)) this.keep(file.file, 'it is not, or no longer, as init writes it');
  }

  folder(folder: string): void {
    if (!isFolder(this.#paths, folder)) return;
    const entries = entriesIn(path.join(this.#paths.project, folder));
    if (entries.every(({ name }) => !this.leaves(`${folder}/${name}`))) this.folders.push(folder);
  }

  /** Something is there and stays afterwards. */
  leaves(name: string): boolean {
    if (this.folders.includes(name) || this.files.some(({ file }) => file === name)) return false;
    return fs.lstatSync(path.join(this.#paths.project, name), { throwIfNoEntry: false }) !== undefined;
  }

  keep(name: string, reason: string | undefined): void {
    if (reason !== undefined) this.kept.push({ path: name, reason });
  }
}

/** Removes it, except what has changed since it was planned, which is returned. Throws IO_ERROR. */
export function removePlanned(paths: ProjectPaths, { files, folders }: Removal): string[] {
  const left: string[] = [];
  const at = (file: string) => path.join(paths.project, file);
  whileDoing(`removing what init wrote in ${paths.project}`, () => {
    for (const file of files) {
      if (isAsWritten(paths, file)) fs.unlinkSync(at(file.file));
      else left.push(file.file);
    }
    for (const folder of folders) {
      try {
        fs.rmdirSync(at(folder));
      } catch (error) {
        if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR'].includes(errorCode(error))) throw error;
        left.push(folder);
      }
    }
  });
  return left;
}

/** Not through a symlink, which may lead out of the project. `folder` is relative to the project folder. */
function isFolder({ project }: ProjectPaths, folder: string): boolean {
  const names = folder.split('/');
  return names.every((_, i) => {
    const part = path.join(project, ...names.slice(0, i + 1));
    return fs.lstatSync(part, { throwIfNoEntry: false })?.isDirectory() === true;
  });
}

function isAsWritten(paths: ProjectPaths, { file, text }: InitFile): boolean {
  if (file.includes('/') && !isFolder(paths, path.dirname(file))) return false;
  const place = path.join(paths.project, file);
  const stat = fs.lstatSync(place, { throwIfNoEntry: false });
  const wanted = Buffer.from(text());
  if (stat?.isFile() !== true || stat.size !== wanted.length) return false;
  return fs.readFileSync(place).equals(wanted);
}
