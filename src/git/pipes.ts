/** Finds the pipe that a git waits for: one in the place of a file is opened, and never ends. */

import { promises as fs } from 'node:fs';
import path from 'node:path';

/** Most folders that are listed. A repository has some three hundred; a checkout may have any number. */
const MOST_FOLDERS = 20_000;

/** What git reads in a checkout beside what it has in its index. */
const READ_IN_CHECKOUT = /^\.(git|gitattributes|gitignore|gitmodules|mailmap)$/;

/** How long a git may take before a pipe is first looked for, then twice as long, milliseconds. */
const FIRST_LOOK_MS = 1500;

/** Passes the pipe that a git in `dir` waits for to `found`, at most once, until the returned function is called. */
export function watchForPipe(dir: string, found: (pipe: string) => void): () => void {
  let stopped = false;
  let timer: NodeJS.Timeout;
  const wait = (ms: number) => {
    timer = setTimeout(look, ms, ms).unref();
  };
  const look = async (afterMs: number) => {
    const pipe = await pipeAround(dir);
    if (stopped) return;
    if (pipe === null) wait(afterMs * 2);
    else found(pipe);
  };
  wait(FIRST_LOOK_MS);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** The first pipe among the files that git reads in the repository and checkout around `dir`; null when none is found. Never rejects. */
async function pipeAround(dir: string): Promise<string | null> {
  for (let at = dir; ; at = path.dirname(at)) {
    const entry = `${at}/.git`;
    const stat = await fs.stat(entry).catch(() => null);
    if (stat?.isFIFO()) return entry;
    if (stat !== null) {
      const gitDir = stat.isDirectory() ? entry : await textOf(entry).then((text) => path.resolve(at, text.slice(8)));
      const pointer = `${gitDir}/commondir`;
      if (await isPipe(pointer)) return pointer;
      const common = path.resolve(gitDir, await textOf(pointer));
      return (await pipeBelow(common, null)) ?? (await pipeBelow(at, READ_IN_CHECKOUT));
    }
    if (at === path.dirname(at)) return null;
  }
}

async function textOf(file: string): Promise<string> {
  const stat = await fs.stat(file).catch(() => null);
  return stat?.isFile() && stat.size < 10_000 ? (await fs.readFile(file, 'utf8').catch(() => '')).trim() : '';
}

/** `names`: of the files that count; null: all. */
async function pipeBelow(top: string, names: RegExp | null): Promise<string | null> {
  const folders = [top];
  for (let at = 0; at < Math.min(folders.length, MOST_FOLDERS); at++) {
    const folder = folders[at] as string;
    for (const entry of await fs.readdir(folder, { withFileTypes: true }).catch(() => [])) {
      const place = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (names === null || entry.name !== '.git') folders.push(place);
      } else if (
        (names?.test(entry.name) ?? true) &&
        (entry.isFIFO() || (entry.isSymbolicLink() && (await isPipe(place))))
      )
        return place;
    }
  }
  return null;
}

export async function isPipe(place: string): Promise<boolean> {
  return (await fs.stat(place).catch(() => null))?.isFIFO() ?? false;
}
