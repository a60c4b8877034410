/** The files that `init` writes, and what `uninit` may remove. */

import fs from 'node:fs';
import path from 'node:path';
import { GITIGNORE, type ProjectPaths } from '../domain/project-paths.ts';
import { entriesIn } from '../lib/fs/folders.ts';
import { ifThere, NO_PATH, whileDoing } from '../lib/fs/io-errors.ts';
import { isLeft } from '../lib/fs/litter.ts';
import { readBytes } from '../lib/fs/read.ts';
import { oneLine } from '../lib/text.ts';
import { AGENTS_FILE, CLAUDE_FILE } from './agents-file.ts';
import { shippedText } from './build.ts';
import { CLAUDE_SETTINGS } from './claude-settings.ts';
import { PLAN_PLACES } from './find-project.ts';
import { planPlaceOf } from './plan-file.ts';

export interface InitFile {
  /** Relative to the project folder. */
  file: string;
  text(): string;
}

/** All files that `init` writes, except the state tree. */
export function initFiles(paths: ProjectPaths): InitFile[] {
  return [
    ...['phases.schema.json', 'settings.schema.json'].map((name) => ({
      file: `.forge/schema/${name}`,
      text: () => shippedText(`spec/schema/${name}`),
    })),
    { file: '.forge/settings.yaml', text: () => shippedText('templates/settings.yaml') },
    { file: planPlaceOf(paths), text: () => firstPlan(path.basename(paths.project)) },
  ];
}

/** Where Claude Code finds what an agent has to know of forge when it is about that. */
const SKILL = '.claude/skills/forge/SKILL.md';

/** The files that `init --agents` writes besides, but for those of a person that it adds to. */
export function agentFiles(): InitFile[] {
  const marks = /^<!-- forge:.*\n/gm;
  const section = () => shippedText('templates/AGENTS.md').replaceAll(marks, '');
  return [{ file: SKILL, text: () => shippedText('templates/SKILL.md').replace(/^AGENTS\.md\n/m, section) }];
}

/**
 * Files that an `init` was writing when it was killed, relative to the project folder. `isGone`: whether there is no process with
 * this pid. Throws IO_ERROR.
 */
export function initLitter(paths: ProjectPaths, nowMs: number, isGone: (pid: number) => boolean): string[] {
  const added = ['.forge/.gitignore', AGENTS_FILE, CLAUDE_FILE, CLAUDE_SETTINGS];
  const files = [...[...initFiles(paths), ...agentFiles()].map(({ file }) => file), ...added];
  return files.flatMap((file) => {
    const dir = path.dirname(file);
    const names = ifThere(`reading ${dir}`, () => fs.readdirSync(path.join(paths.project, dir)), NO_PATH) ?? [];
    const pidIn = (name: string) =>
      name.startsWith(`${path.basename(file)}.`) && name.endsWith('.tmp') ? name.split('.').at(-2) : undefined;
    return names.flatMap((name) => {
      const pid = Number(pidIn(name));
      const isLitter = pid > 0 && isLeft(path.join(paths.project, dir, name), nowMs, isGone(pid));
      return isLitter ? [path.join(dir, name)] : [];
    });
  });
}

/** The plan of a new project. Its tasks need only /bin/sh and write only below `.forge/scratch`. */
export function firstPlan(projectName: string): string {
  const name = JSON.stringify(oneLine(projectName, 100) || 'my-project');
  return shippedText('templates/phases.yaml').replace('my-project', () => name);
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

/**
 * What `uninit` removes: only files with exactly the bytes that `init` writes, and folders that are empty then. `gone`: files that are
 * removed besides. Throws IO_ERROR.
 */
export function planRemoval(paths: ProjectPaths, gone: readonly string[]): Removal {
  const files: InitFile[] = [];
  const folders: string[] = [];
  const kept: Removal['kept'] = [];
  /** Something is there and stays afterwards. */
  const leaves = (name: string) => {
    if (folders.includes(name) || gone.includes(name) || files.some(({ file }) => file === name)) return false;
    return fs.lstatSync(path.join(paths.project, name), { throwIfNoEntry: false }) !== undefined;
  };
  const takeFile = (file: InitFile) => {
    if (isAsWritten(paths, file)) files.push(file);
    else if (leaves(file.file)) kept.push({ path: file.file, reason: 'it is not, or no longer, as init writes it' });
  };
  const takeFolder = (folder: string) => {
    if (!isFolder(paths, folder)) return;
    const entries = entriesIn(path.join(paths.project, folder));
    if (entries.every(({ name }) => !leaves(`${folder}/${name}`))) folders.push(folder);
  };
  return whileDoing(`looking at ${paths.project}`, () => {
    initFiles(paths).forEach(takeFile);
    for (const name of ['schema', 'orchestrator/tasks', 'orchestrator/runs', 'orchestrator'])
      takeFolder(`.forge/${name}`);
    const ignored = GITIGNORE.split('\n').filter((line) => line.endsWith('/'));
    const left = ignored.map((line) => `.forge/${line.slice(0, -1)}`).filter(leaves);
    kept.push(...left.flatMap((folder) => (HISTORY[folder] ? [{ path: folder, reason: HISTORY[folder] }] : [])));
    // It keeps these out of git.
    if (left.length === 0) takeFile({ file: '.forge/.gitignore', text: () => GITIGNORE });
    takeFolder('.forge');
    agentFiles().forEach(takeFile);
    if (files.some(({ file }) => file === SKILL))
      for (const name of ['/forge', '']) takeFolder(`.claude/skills${name}`);
    if (folders.includes('.claude/skills') || gone.includes(CLAUDE_SETTINGS)) takeFolder('.claude');
    // A folder that was empty before may belong to the user.
    if (files.some(({ file }) => file === PLAN_PLACES[0])) takeFolder('plans');
    return { files, folders, kept };
  });
}

/** Removes it, except what has changed since it was planned, which is returned. Throws IO_ERROR. */
export function removePlanned(paths: ProjectPaths, { files, folders }: Removal): string[] {
  const left: string[] = [];
  const doing = `removing what init wrote in ${paths.project}`;
  const at = (file: string) => path.join(paths.project, file);
  return whileDoing(doing, () => {
    for (const file of files) {
      if (isAsWritten(paths, file)) ifThere(doing, () => fs.unlinkSync(at(file.file)));
      else left.push(file.file);
    }
    for (const folder of folders) {
      const isGone = ifThere(doing, () => fs.rmdirSync(at(folder)), ['ENOTEMPTY', 'EEXIST', ...NO_PATH]) !== null;
      if (!isGone) left.push(folder);
    }
    return left;
  });
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
  return ifThere(`reading ${place}`, () => readBytes(place, wanted.length).equals(wanted)) === true;
}
