/** Where measurements are made: scratch projects on the disk of this checkout, or in the folder that FORGE_BENCH_DIR names. */

import fs from 'node:fs';
import path from 'node:path';

const repo = path.resolve(import.meta.dirname, '..', '..');
const above = path.resolve(process.env.FORGE_BENCH_DIR ?? path.join(repo, '.scratch'));
const root = path.join(above, `bench-${process.pid}`);

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

/** The file system that measurements are made on, as in `ext4 without a journal`. Linux alone. */
export function fileSystem() {
  fs.mkdirSync(above, { recursive: true });
  const place = `${fs.realpathSync(above)}/`;
  // Fields: id, parent, device, root, mount point, options; behind a dash type and source. Source: proc_pid_mountinfo(5).
  const mounts = fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' '));
  const on = mounts.filter(([, , , , at]) => place.startsWith(at === '/' ? at : `${at}/`)).at(-1);
  const [type, source] = on.slice(on.indexOf('-') + 1);
  if (type !== 'ext4') return type;
  const journals = fs.existsSync('/proc/fs/jbd2') ? fs.readdirSync('/proc/fs/jbd2') : [];
  const has = journals.some((name) => name.replace(/-\d+$/, '') === path.basename(fs.realpathSync(source)));
  return `ext4 ${has ? 'with' : 'without'} a journal`;
}

/**
 * The environment without what would lead a command into another project, or have Node do more at its start (certificates that
 * it parses make that take twice as long), and with a cache that goes away. The programs that are installed here are found from any folder.
 */
export function cleanEnv(extra = {}) {
  const left = /^(FORGE_|NODE_|SSL_CERT_|OPENSSL_|WIREIT_|TURBO_|NX_|npm_)/;
  const kept = Object.entries(process.env).filter(([name]) => !left.test(name));
  cache ??= scratchFolder('cache');
  const PATH = `${path.join(repo, 'node_modules', '.bin')}:${process.env.PATH}`;
  return { ...Object.fromEntries(kept), PATH, XDG_CACHE_HOME: cache, ...extra };
}
