/** Where the project of a linked git worktree is: all worktrees of a repository share one state tree. */

import fs from 'node:fs';
import path from 'node:path';
import { ifThere, NO_PATH } from '../lib/fs/io-errors.ts';
import { readCapped } from '../lib/fs/read.ts';
import { checkoutAround, isFile, isFolder } from './look.ts';

/** Most of a file in which git keeps a path, a branch or its settings, bytes. */
const MAX_BYTES = 1024 * 1024;

/**
 * Where the project of `cwd` is searched, in this order: in a linked worktree first the folder that corresponds to it in the main checkout, then
 * that of a worktree which has a state tree, then `cwd`; elsewhere `cwd` alone. In a linked worktree `.git` is a file that names
 * `<common>/worktrees/<name>`, where `<common>` is what all worktrees share. Source: gitrepository-layout(5).
 */
export function* searchedFrom(cwd: string): Generator<string> {
  const at = checkoutAround(cwd);
  const common = at === null ? null : commonFolder(at);
  if (at !== null && common !== null) {
    const below = path.relative(at, cwd);
    const main = mainCheckout(common);
    if (main !== null && isFolder(main)) yield path.join(main, below);
    // Only a branch that the main checkout is not on may have the plan. Its tasks are worked on in worktrees that have the plan as well.
    const used = [at, ...linkedTo(common).map(({ place }) => place)].find((place) => hasTree(place, below));
    if (used !== undefined) yield path.join(used, below);
  }
  yield cwd;
}

function commonFolder(checkout: string): string | null {
  if (!isFile(`${checkout}/.git`)) return null;
  const target = /^gitdir: (.+)$/m.exec(textOf(`${checkout}/.git`))?.[1] ?? '';
  return /^(.*)\/worktrees\/[^/]+$/.exec(path.resolve(checkout, target.trim()))?.[1] ?? null;
}

/** The checkout that counts as the main one of the repository `common`; null when there is none. */
function mainCheckout(common: string): string | null {
  if (path.basename(common) === '.git') return path.dirname(common);
  // The repository of a submodule is in that of the project around it, and names its checkout.
  const named = /^\s*worktree\s*=\s*"?([^"\n]+?)"?\s*$/m.exec(textOf(`${common}/config`))?.[1];
  if (named !== undefined) return path.resolve(common, named);
  // A bare one has linked worktrees only: that of its branch counts.
  const branch = textOf(`${common}/HEAD`).trim();
  return linkedTo(common).find(({ head, place }) => head === branch && isFolder(place))?.place ?? null;
}

/** The linked worktrees of the repository `common`, by their names there. */
function linkedTo(common: string): { head: string; place: string }[] {
  const folder = `${common}/worktrees`;
  const names = ifThere(`listing ${folder}`, () => fs.readdirSync(folder), NO_PATH) ?? [];
  return names.sort().map((name) => ({
    head: textOf(`${folder}/${name}/HEAD`).trim(),
    place: path.dirname(path.resolve(`${folder}/${name}`, textOf(`${folder}/${name}/gitdir`).trim())),
  }));
}

/** Whether the folder `below` of a checkout, or one above it there, has a state tree. */
function hasTree(checkout: string, below: string): boolean {
  if (isFolder(path.join(checkout, below, '.forge/orchestrator'))) return true;
  return below !== '' && hasTree(checkout, path.dirname(below) === '.' ? '' : path.dirname(below));
}

/** '' when there is no such file. Throws IO_ERROR when it can't be read. */
function textOf(file: string): string {
  return ifThere(`reading ${file}`, () => readCapped(file, MAX_BYTES, { follow: true }), NO_PATH) ?? '';
}
