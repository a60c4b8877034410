/** Programs that can be called by name. They are searched as by a shell, and never executed. */

import fs from 'node:fs';
import path from 'node:path';
import { PRESETS, type TaskCommand } from '../domain/plan/task-command.ts';
import { inherited } from '../domain/task/workspaces.ts';
import { realPath } from '../lib/fs/folders.ts';
import { readCapped } from '../lib/fs/read.ts';
import type { Variables } from '../lib/variables.ts';

/** What execvp(3) and most shells search without a PATH. */
const USUAL_PATH = '/usr/bin:/bin';

/** The folder with an executable `forge`; the same relative path from src/process and from the bundle in dist/cli. */
const OWN_FOLDER = path.join(import.meta.dirname, '../../bin');

/** This forge, as one executable file. */
export const OWN_PROGRAM = `${OWN_FOLDER}/forge.cjs`;

/** Where PATH has `name`, relative to `cwd`; null when it does not. */
export function findProgram(name: string, env: Variables, cwd: string): string | null {
  const folders = (env['PATH'] ?? USUAL_PATH).split(':');
  const places = folders.map((folder) => `${folder.startsWith('/') ? '' : `${cwd}/`}${folder || '.'}/${name}`);
  return places.find(isExecutable) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The program of a preset when it is not on PATH; else null. */
export function missingProgram(from: TaskCommand['from'] | null, env: Variables, cwd: string): string | null {
  if (from === null || from === 'run' || from === 'worker_command' || from === 'acp') return null;
  const { program } = PRESETS[from];
  return findProgram(program, env, cwd) === null ? program : null;
}

/**
 * The inherited environment, in which FORGE_CLI calls this forge. PATH gets a `forge` if it has none; an existing one stays the first,
 * because the worker's own commands may rely on it. FORGE_CLI needs a `node`.
 */
export function workerEnvironment(env: Variables, cwd: string): Variables {
  const known = ENVIRONMENTS.get(env);
  if (known?.cwd === cwd) return known.made;
  const missing = missingFolders(env, cwd);
  const added = missing.length === 0 ? {} : { PATH: [env['PATH'] ?? USUAL_PATH, ...missing].join(':') };
  const made = { ...inherited(env), ...added, FORGE_CLI: OWN_PROGRAM };
  ENVIRONMENTS.set(env, { cwd, made });
  return made;
}

/** By what was inherited. A process makes it once for all of its workers: each look for a program is at every folder of PATH. */
const ENVIRONMENTS = new WeakMap<Variables, { cwd: string; made: Variables }>();

/** The folders of `forge` and `node` where PATH has none. */
function missingFolders(env: Variables, cwd: string): string[] {
  return [
    ...(findProgram('forge', env, cwd) === null ? [OWN_FOLDER] : []),
    ...(findProgram('node', env, cwd) === null ? [path.dirname(process.execPath)] : []),
  ];
}

/** Most of a package.json, or of a script that starts a program, bytes. */
const TEXT_MAX_BYTES = 256 * 1024;

function textOf(file: string): string | null {
  try {
    return readCapped(file, TEXT_MAX_BYTES, { follow: true });
  } catch {
    return null;
  }
}

/** The npm package that has installed a program, as far as its files tell; null for any other. */
export function packageOf(program: string): { name: string; version: string } | null {
  // A package.json further up, such as that of a home folder, says nothing of what lies below it.
  const folder = /^.*\/node_modules\/(?:@[^/]+\/)?[^/@]+(?=\/)/.exec(realPath(program))?.[0];
  try {
    const { name, version } = JSON.parse((folder && textOf(`${folder}/package.json`)) ?? 'null');
    return typeof name === 'string' ? { name, version: String(version ?? '') } : null;
  } catch {
    return null;
  }
}

/** Whether a program starts this forge: a symlink to it, or a script that names it. */
export function isThisForge(program: string): boolean {
  const place = realPath(program);
  const own = realPath(OWN_FOLDER);
  if (path.dirname(place) === own) return true;
  const text = textOf(place) ?? '';
  // Scripts of package managers name it as it lies beside them.
  return ['forge-orchestrate/bin/forge.cjs', `${own}/forge.cjs`].some((name) => text.includes(name));
}
