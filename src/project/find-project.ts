/** Finds the project that a command is about. */

import fs from 'node:fs';
import path from 'node:path';
import { type ProjectPaths, pathsOf } from '../domain/project-paths.ts';
import { ForgeError, invalidArgs } from '../lib/errors.ts';
import { ifThere, NO_PATH, whileDoing } from '../lib/fs/io-errors.ts';
import { readCapped } from '../lib/fs/read.ts';
import type { Variables } from '../lib/variables.ts';
import { searchedFrom } from './linked-worktree.ts';
import { isFile, isFolder, isSame, lookAt } from './look.ts';

/** Where a plan is searched, in this order, below the project folder. */
export const PLAN_PLACES = ['plans/phases.yaml', 'phases.yaml', '.forge/plans/phases.yaml'] as const;

function isProject(dir: string): boolean {
  if (isFolder(`${dir}/.forge`)) return true;
  return PLAN_PLACES.some((place) => isFile(`${dir}/${place}`) && !isPlanOfAbove(dir, place));
}

/** The folder that contains a project's plan is not a project of its own. */
function isPlanOfAbove(dir: string, place: string): boolean {
  const above = path.dirname(dir);
  return PLAN_PLACES.some((other) => `${above}/${other}` === `${dir}/${place}`);
}

/**
 * Finds the project: `dir` (from --dir or FORGE_DIR: a project folder or its `.forge`) if given, else the nearest folder from
 * `cwd` upwards that has a `.forge` or a plan. Inside a git worktree the main checkout is searched first.
 * Null when there is none; `dir` is used as it is. Throws INVALID_ARGS when `dir` is not a folder.
 */
export function findProject(cwd: string, dir: string | undefined): ProjectPaths | null {
  if (dir !== undefined && dir !== '') {
    const given = path.resolve(cwd, dir);
    if (!isFolder(given)) throw invalidArgs(`${given} is not a folder`, 'Give --dir (or FORGE_DIR) a project folder.');
    return pathsOf(path.basename(given) === '.forge' ? path.dirname(given) : given);
  }
  for (const start of searchedFrom(cwd)) {
    const found = projectAbove(start);
    if (found !== null) return found;
  }
  return null;
}

function projectAbove(start: string): ProjectPaths | null {
  for (let at = start; ; at = path.dirname(at)) {
    if (path.basename(at) !== '.forge' && isProject(at)) return pathsOf(at);
    if (at === path.dirname(at)) return null;
  }
}

/** What of a project says what is run, and where. */
const DECISIVE = ['', 'plans', '.forge', '.forge/plans', ...PLAN_PLACES, '.forge/settings.yaml', '.forge/orchestrator'];

/**
 * Throws FOREIGN_PROJECT when a part of the project that decides belongs to another user than the one who asks (under sudo: than
 * either), unless FORGE_SAFE_DIRECTORY names the project. As git does; source: safe.directory in git-config(1). `parts`: as paths from
 * the project; default: those that every project has.
 */
export function refuseForeign({ project }: ProjectPaths, env: Variables, parts: readonly string[] = DECISIVE): void {
  const own = process.geteuid?.();
  const safe = env['FORGE_SAFE_DIRECTORY']?.split(':') ?? [];
  if (own === undefined || safe.includes('*') || safe.some((folder) => folder !== '' && isSame(folder, project)))
    return;
  const allowed = [own, ...(own === 0 && env['SUDO_UID'] ? [Number(env['SUDO_UID'])] : [])];
  for (const part of parts) {
    const place = path.resolve(project, part);
    // A link is as foreign as what it leads to.
    const link = whileDoing(`looking at ${place}`, () => fs.lstatSync(place, { throwIfNoEntry: false }));
    const found = [link, lookAt(place)];
    const owner = found.find((stat) => stat !== undefined && !allowed.includes(stat.uid))?.uid;
    if (owner === undefined) continue;
    throw new ForgeError('FOREIGN_PROJECT', `${place} belongs to another user (uid ${owner}; you are ${own})`, {
      hint: `If you trust who can write there: FORGE_SAFE_DIRECTORY=${project}`,
      details: { project, path: place, owner },
    });
  }
}

/** `findProject`, for commands that need a project. Throws PHASES_NOT_FOUND, FOREIGN_PROJECT. */
export function requireProject(cwd: string, dir: string | undefined, env: Variables): ProjectPaths {
  const found = findProject(cwd, dir);
  if (found === null || !isProject(found.project)) {
    const where = found === null ? `${cwd} or any folder above it` : found.project;
    throw new ForgeError(
      'PHASES_NOT_FOUND',
      `there is neither a plan (${PLAN_PLACES[0]}) nor a .forge folder in ${where}`,
    );
  }
  refuseForeign(found, env);
  return found;
}

/** The project to set up, or to take forge out of: the one that there is, else the current folder. Throws FOREIGN_PROJECT. */
export function projectToBe(cwd: string, dir: string | undefined, env: Variables): ProjectPaths {
  const found = findProject(cwd, dir ?? cwd) ?? pathsOf(cwd);
  refuseForeign(found, env);
  return found;
}

/** Largest plan or settings file, bytes: a hundred times a plan of 10,000 tasks. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Text of a plan or of settings; null when there is none. Throws IO_ERROR, also for anything but a regular file of that size. */
export function readOptional(file: string): string | null {
  return ifThere(`reading ${file}`, () => readCapped(file, MAX_BYTES, { follow: true }), NO_PATH);
}

/** `file` as a person in the project writes it. */
export function shown(paths: ProjectPaths, file: string): string {
  return path.relative(paths.project, file) || file;
}
