/** What `doctor` looks at on disk. Nothing here writes. */

import fs from 'node:fs';
import type { HealthCheck, TaskStore } from '../port.ts';
import type { Layout } from './layout.ts';

function ok(message: string): Omit<HealthCheck, 'name'> {
  return { status: 'ok', message, fix: null };
}

export function treeChecks(layout: Layout): ReturnType<TaskStore['healthChecks']> {
  const looks: [name: string, look: (layout: Layout) => Omit<HealthCheck, 'name'>][] = [
    ['writable', writable],
    ['symlinks', links],
    ['permissions', permissions],
    ['file system', fileSystem],
  ];
  return looks.map(([name, look]) => ({ name, look: () => ({ name, ...look(layout) }) }));
}

/** Whether this user may write to the folder that state goes to, or to the nearest one above it that exists. */
export function writableTree(layout: Layout): { ok: boolean; path: string } {
  const path =
    [layout.tasks, layout.orchestrator, layout.forge, layout.project].find((dir) => fs.existsSync(dir)) ??
    layout.project;
  try {
    fs.accessSync(path, fs.constants.W_OK | fs.constants.X_OK);
    return { ok: true, path };
  } catch {
    return { ok: false, path };
  }
}

/** Symlinks among forge's own folders, which every command refuses to follow. */
export function symlinksIn(layout: Layout): string[] {
  const isLink = (path: string) => fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  const tasks = fs.existsSync(layout.tasks)
    ? fs
        .readdirSync(layout.tasks, { withFileTypes: true })
        .flatMap((entry) => (entry.isSymbolicLink() ? [`${layout.tasks}/${entry.name}`] : []))
    : [];
  return [...[layout.orchestrator, layout.tasks, layout.runs].filter(isLink), ...tasks];
}

/** Folders of the tree that others than their owner may write to. */
export function openToOthers(layout: Layout): string[] {
  return [layout.orchestrator, layout.tasks, layout.runs].filter((dir) => {
    const stat = fs.statSync(dir, { throwIfNoEntry: false });
    return stat !== undefined && (stat.mode & 0o022) !== 0;
  });
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

/** The name of the file system when it is one that forge can't promise anything on; null when it is an ordinary local one. */
export function doubtfulFileSystem(layout: Layout): string | null {
  try {
    return REMOTE[fs.statfsSync(layout.project).type] ?? null;
  } catch {
    return null;
  }
}

function writable(layout: Layout): Omit<HealthCheck, 'name'> {
  const { ok: may, path } = writableTree(layout);
  if (may) return ok('the state tree can be written');
  return {
    status: 'fail',
    message: `${path} cannot be written`,
    fix: `Give yourself write permission on ${path}.`,
  };
}

function links(layout: Layout): Omit<HealthCheck, 'name'> {
  const found = symlinksIn(layout);
  if (found.length === 0) return ok('no symlinks among the folders of the state tree');
  const message = `${found.join(', ')}: symlinks are never followed`;
  return { status: 'fail', message, fix: 'Put the real folder in place of the symlink.' };
}

function permissions(layout: Layout): Omit<HealthCheck, 'name'> {
  const open = openToOthers(layout);
  if (open.length === 0) return ok('only you can write to the state tree');
  return {
    status: 'warn',
    message: `others may write to ${open.join(', ')}`,
    fix: `chmod go-w ${open.join(' ')}`,
  };
}

function fileSystem(layout: Layout): Omit<HealthCheck, 'name'> {
  const doubtful = doubtfulFileSystem(layout);
  if (doubtful === null) return ok('the project is on a local file system');
  const message = `the project is on ${doubtful}, where hard links and fsync may not hold what they promise`;
  return { status: 'warn', message, fix: 'Keep the project on a local disk.' };
}
