/** What `doctor` looks at on disk. Nothing here writes. */

import fs from 'node:fs';
import type { Layout } from './layout.ts';

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
