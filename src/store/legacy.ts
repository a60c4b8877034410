/** The layout of the first version: questions and answers right below `.forge`. gc moves them out of the way, whole. */

import fs from 'node:fs';
import { errorCode } from './calls.ts';
import { makeFolder, refuseSymlink, syncDir } from './folders.ts';
import { asIoError } from './io-errors.ts';
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
  try {
    refuseSymlink(dir);
    const entries = fs.readdirSync(dir, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && entry.name.endsWith('.json') && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return [];
    throw asIoError(error, `reading ${dir}`);
  }
}

/** Moves them. What is gone by now was moved by somebody else. Throws IO_ERROR; a repeat moves the rest. */
export function moveLegacy(layout: Layout, moves: readonly LegacyMove[]): LegacyMove[] {
  return moves.flatMap((move) => {
    try {
      return moveOne(layout, move) ?? [];
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw asIoError(error, `moving ${move.from}`);
    }
  });
}

/** Two names for a moment, never none; and nothing that is there is overwritten. Null when another gc has moved it. */
function moveOne(layout: Layout, { from, to }: LegacyMove): LegacyMove | null {
  const source = `${layout.project}/${from}`;
  // Whoever was killed between the two names has left both.
  const already = otherName(layout, source, from);
  const target = already ?? to;
  const folder = `${layout.project}/${target.slice(0, target.lastIndexOf('/'))}`;
  if (already === null) {
    for (const dir of parents(layout, folder)) makeFolder(dir);
    fs.linkSync(source, `${layout.project}/${target}`);
  }
  syncDir(folder);
  try {
    fs.unlinkSync(source);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    // Another gc has moved it elsewhere, at the same moment: one name is enough.
    if (already === null) fs.unlinkSync(`${layout.project}/${target}`);
    return null;
  }
  return { from, to: target };
}

/** Where a move that did not come to its end has put this very file; null when none has. */
function otherName({ project, orchestrator }: Layout, source: string, from: string): string | null {
  const file = fs.lstatSync(source, { bigint: true });
  if (file.nlink === 1n) return null;
  const place = from.slice('.forge/'.length);
  const legacy = `${orchestrator}/legacy`;
  const stamps = fs.existsSync(legacy) ? fs.readdirSync(legacy).sort() : [];
  const found = stamps.find((stamp) => {
    const other = fs.lstatSync(`${legacy}/${stamp}/${place}`, { bigint: true, throwIfNoEntry: false });
    return other?.ino === file.ino && other.dev === file.dev;
  });
  return found === undefined ? null : `${legacy.slice(project.length + 1)}/${found}/${place}`;
}

/** From `legacy` down to `folder`. */
function parents({ orchestrator }: Layout, folder: string): string[] {
  const names = folder.slice(orchestrator.length + 1).split('/');
  return names.map((_, at) => `${orchestrator}/${names.slice(0, at + 1).join('/')}`);
}
