/** Where measurements are made: scratch projects on the disk of this checkout, never on a file system in memory. */

import fs from 'node:fs';
import path from 'node:path';

const repo = path.resolve(import.meta.dirname, '..', '..');
const root = path.join(repo, '.scratch', `bench-${process.pid}`);

process.on('exit', () => fs.rmSync(root, { recursive: true, force: true }));

/** Makes an empty folder that is gone when this process ends. */
export function scratchFolder(name) {
  fs.mkdirSync(root, { recursive: true });
  return fs.mkdtempSync(path.join(root, `${name}-`));
}

/** Makes a project with this plan. Returns its folder. */
export function scratchProject(name, plan) {
  const project = scratchFolder(name);
  fs.mkdirSync(path.join(project, 'plans'));
  fs.writeFileSync(path.join(project, 'plans', 'phases.yaml'), plan);
  return project;
}

export function tasksFolder(project) {
  return path.join(project, '.forge', 'orchestrator', 'tasks');
}

let cache;

/** The environment without what would lead a command into another project, and with a cache that goes away. */
export function cleanEnv(extra = {}) {
  const kept = Object.entries(process.env).filter(([name]) => !/^(FORGE_|NODE_OPTIONS$|WIREIT_|npm_)/.test(name));
  cache ??= scratchFolder('cache');
  return { ...Object.fromEntries(kept), XDG_CACHE_HOME: cache, ...extra };
}
