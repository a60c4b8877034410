/** Where the project of a linked git worktree is: all worktrees of a repository share one state tree, that of its main checkout. */

import fs from 'node:fs';
import path from 'node:path';
import { ifThere, NO_PATH } from '../lib/fs/io-errors.ts';
import { readCapped } from '../lib/fs/read.ts';
import { checkoutAround, isFile, isFolder } from './look.ts';

/** Most of a file in which git keeps a path, a branch or its settings, bytes. */
const MAX_BYTES = 1024 * 1024;

/**
 * The folder that corresponds to `cwd` in the main checkout when `cwd` is in a linked worktree, else `cwd`. In a linked worktree `.git`
 * is a file that names `<common>/worktrees/<name>`, where `<common>` is what all worktrees share. Source: gitrepository-layout(5).
 */
export function inMainCheckout(cwd: string): string {
  const at = checkoutAround(cwd);
  if (at === null || !isFile(`${at}/.git`)) return cwd;
  const target = /^gitdir: (.+)$/m.exec(textOf(`${at}/.git`))?.[1] ?? '';
  const common = /^(.*)\/worktrees\/[^/]+$/.exec(path.resolve(at, target.trim()))?.[1];
  if (common === undefined) return cwd;
  const below = path.relative(at, cwd);
  const main = mainCheckout(common, below);
  return main === null || !isFolder(main) ? cwd : path.join(main, below);
}

/** The checkout that counts as the main one of the repository `common`; null when there is none. `below`: a folder in checkouts. */
function mainCheckout(common: string, below: string): string | null {
  if (path.basename(common) === '.git') return path.dirname(common);
  // The repository of a submodule is in that of the project around it, and names its checkout.
  const named = /^\s*worktree\s*=\s*"?([^"\n]+?)"?\s*$/m.exec(textOf(`${common}/config`))?.[1];
  if (named !== undefined) return path.resolve(common, named);
  // A bare one has linked worktrees only: that of its branch counts; without it, one that has a state tree already.
  const branch = textOf(`${common}/HEAD`).trim();
  const folder = `${common}/worktrees`;
  const linked = (ifThere(`listing ${folder}`, () => fs.readdirSync(folder), NO_PATH) ?? []).sort().map((name) => ({
    head: textOf(`${folder}/${name}/HEAD`).trim(),
    place: path.dirname(path.resolve(`${folder}/${name}`, textOf(`${folder}/${name}/gitdir`).trim())),
  }));
  const main =
    linked.find(({ head, place }) => head === branch && isFolder(place)) ??
    linked.find(({ place }) => isFolder(path.join(place, below, '.forge/orchestrator')));
  return main?.place ?? null;
}

/** '' when there is no such file. Throws IO_ERROR when it can't be read. */
function textOf(file: string): string {
  return ifThere(`reading ${file}`, () => readCapped(file, MAX_BYTES, { follow: true }), NO_PATH) ?? '';
}
