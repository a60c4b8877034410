/** What `doctor` looks at on disk. Nothing here writes. */

import fs from 'node:fs';
import type { HealthCheck, TaskStore } from '../port.ts';
import type { Layout } from './tree.ts';

export function treeChecks(layout: Layout): ReturnType<TaskStore['healthChecks']> {
  const looks: Record<string, () => Omit<HealthCheck, 'name'>> = {
    writable: () => writable(layout),
    symlinks: () => symlinks(layout),
    permissions: () => permissions(layout),
    'file system': () => fileSystem(layout),
  };
  return Object.entries(looks).map(([name, look]) => ({ name, look: () => ({ name, ...look() }) }));
}

function ok(message: string): Omit<HealthCheck, 'name'> {
  return { status: 'ok', message, fix: null };
}

/** Whether this user may write to the folder that state goes to, or to the nearest one above it that exists. */
function writable({ tasks, orchestrator, forge, project }: Layout): Omit<HealthCheck, 'name'> {
  const path = [tasks, orchestrator, forge].find((dir) => fs.existsSync(dir)) ?? project;
  try {
    fs.accessSync(path, fs.constants.W_OK | fs.constants.X_OK);
    return ok('the state tree can be written');
  } catch {
    const fix = `Give yourself write permission on ${path}.`;
    return { status: 'fail', message: `${path} cannot be written`, fix };
  }
}

/** Symlinks among forge's own folders, which every command refuses to follow. */
function symlinks({ forge, orchestrator, tasks, runs }: Layout): Omit<HealthCheck, 'name'> {
  const isLink = (path: string) => fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  const names = fs.existsSync(tasks) ? fs.readdirSync(tasks) : [];
  const found = [forge, orchestrator, tasks, runs, ...names.map((name) => `${tasks}/${name}`)].filter(isLink);
  if (found.length === 0) return ok('no symlinks among the folders of the state tree');
  const message = `${found.join(', ')}: symlinks are never followed`;
  return { status: 'fail', message, fix: 'Put the real folder in place of the symlink.' };
}

/** Folders of the tree that others than their owner may write to. */
function permissions({ orchestrator, tasks, runs }: Layout): Omit<HealthCheck, 'name'> {
  const isOpen = (dir: string) => ((fs.statSync(dir, { throwIfNoEntry: false })?.mode ?? 0) & 0o022) !== 0;
  const open = [orchestrator, tasks, runs].filter(isOpen);
  if (open.length === 0) return ok('only you can write to the state tree');
  const message = `others may write to ${open.join(', ')}`;
  return { status: 'warn', message, fix: `chmod go-w ${open.join(' ')}` };
}

/** File systems on which neither hard links nor fsync can be relied on. Source: statfs(2), magic numbers. */
const REMOTE: Record<number, string> = {
  26985: 'NFS',
  4283649346: 'CIFS',
  4266872130: 'SMB',
  1702057286: 'FUSE',
  16914839: '9p',
  19780: 'FAT',
};

function fileSystem({ project }: Layout): Omit<HealthCheck, 'name'> {
  let doubtful: string | undefined;
  try {
    doubtful = REMOTE[fs.statfsSync(project).type];
  } catch {
    // What can't be asked is not doubtful.
  }
  if (doubtful === undefined) return ok('the project is on a local file system');
  const message = `the project is on ${doubtful}, where hard links and fsync may not hold what they promise`;
  return { status: 'warn', message, fix: 'Keep the project on a local disk.' };
}
