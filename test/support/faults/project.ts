/** Projects in folders of their own, and looks at them from outside. */

import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

let made = 0;

/** A fresh path for a project; nothing is there yet. No two of them begin with one another. */
export function freshPlace(): string {
  made += 1;
  return `${fs.realpathSync(tmpdir())}/p${String(made).padStart(6, '0')}`;
}

/** Files to write, by path below the project. */
export type Files = Record<string, string>;

export function makeProject(files: Files, dir: string = freshPlace()): string {
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(`${dir}/${name}`), { recursive: true });
    fs.writeFileSync(`${dir}/${name}`, text);
  }
  fs.mkdirSync(dir, { recursive: true });
  return dir;
}

export function copyProject(from: string, to: string = freshPlace()): string {
  copyFolder(from, to);
  return to;
}

/** With times and links as they are. The fault tests do it thousands of times, and `fs.cpSync` takes four times as long. */
function copyFolder(from: string, to: string): void {
  fs.mkdirSync(to, { recursive: true, mode: fs.statSync(from).mode });
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory()) copyFolder(source, target);
    else if (entry.isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(source), target);
    else {
      fs.copyFileSync(source, target);
      const { atime, mtime } = fs.statSync(source);
      fs.utimesSync(target, atime, mtime);
    }
  }
}

/** Removes a project before its test file is done. */
export function dropProject(dir: string): void {
  fs.rmSync(dir, { recursive: true, force: true });
}

export interface TaskLine {
  id: string;
  /** The rest of the task, as YAML of one line. */
  more?: string;
}

/** A plan of one phase. */
export function planOf(tasks: readonly TaskLine[]): string {
  const lines = tasks.map(
    ({ id, more }) => `      - { id: ${id}, title: ${id}${more === undefined ? '' : `, ${more}`} }`,
  );
  return ['project: faults', 'phases:', '  - id: phase-1', '    name: one', '    tasks:', ...lines, ''].join('\n');
}

/**
 * Everything below `dir`, by path: kind, mode and content. `except` leaves out the paths that it matches, with what is
 * below them.
 */
export function listing(dir: string, except?: RegExp): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (relative: string): void => {
    const full = relative === '' ? dir : `${dir}/${relative}`;
    if (except?.test(relative)) return;
    const stat = fs.lstatSync(full);
    const mode = (stat.mode & 0o777).toString(8);
    if (stat.isSymbolicLink()) found[relative] = `link to ${fs.readlinkSync(full)}`;
    else if (stat.isDirectory()) {
      found[relative] = `folder ${mode}`;
      for (const name of fs.readdirSync(full).sort()) visit(relative === '' ? name : `${relative}/${name}`);
    } else found[relative] = `file ${mode} ${fs.readFileSync(full, 'latin1')}`;
  };
  visit('');
  return found;
}

/** What a command that changes nothing may still write. */
export const LOGS = /^\.forge\/logs$/;
