/** The layout of the first version: questions and answers right below `.forge`. gc moves them out of the way, whole. */

import fs from 'node:fs';
import { entriesIn, makeFolder, syncDir } from '../../lib/fs/folders.ts';
import { asIoError, errorCode } from '../../lib/fs/io-errors.ts';
import type { Layout } from './layout.ts';

/** Paths as seen from the project. */
export interface LegacyMove {
  from: string;
  to: string;
}

const FOLDERS = ['questions', 'answers'] as const;

/** What is to be moved, and where to. `stamp` names this time. What is no `.json` file stays. Throws IO_ERROR. */
export function legacyMoves(layout: Layout, stamp: string): LegacyMove[] {
  return FOLDERS.flatMap((folder) =>
    filesIn(`${layout.forge}/${folder}`).map((name) => ({
      from: `.forge/${folder}/${name}`,
      to: `.forge/orchestrator/legacy/${stamp}/${folder}/${name}`,
    })),
  );
}

function filesIn(dir: string): string[] {
  return entriesIn(dir)
    .filter((entry) => entry.isFile() && entry.name.endsWith('.json') && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
}

/**
 * Moves them, each by giving it its new name: so it has one name at every moment, whoever is killed, and of several that move
 * it one does. What is gone by now was moved by somebody else. Throws IO_ERROR; a repeat moves the rest.
 */
export function moveLegacy(layout: Layout, moves: readonly LegacyMove[]): LegacyMove[] {
  return moves.filter(({ from, to }) => {
    const source = `${layout.project}/${from}`;
    const target = `${layout.project}/${to}`;
    const folder = target.slice(0, target.lastIndexOf('/'));
    try {
      for (const dir of parents(layout, folder)) makeFolder(dir);
      // Nothing is overwritten; another time has another folder.
      if (fs.lstatSync(target, { throwIfNoEntry: false }) !== undefined) return false;
      fs.renameSync(source, target);
      for (const dir of [folder, source.slice(0, source.lastIndexOf('/'))]) syncDir(dir);
      return true;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false;
      throw asIoError(error, `moving ${from}`);
    }
  });
}

/** From `legacy` down to `folder`. */
function parents({ orchestrator }: Layout, folder: string): string[] {
  const names = folder.slice(orchestrator.length + 1).split('/');
  return names.map((_, at) => `${orchestrator}/${names.slice(0, at + 1).join('/')}`);
}
