/** A person who edits, cuts short or deletes the views of a task while processes work on it. */

import { type Doing, Fault, type Life, newEdit, type PersonEdit } from './disk.ts';
import { DIR, type Process, type World } from './world.ts';

const VIEWS = ['state.json', 'lease.json'] as const;
const EDITS = [
  'note',
  'note',
  'note',
  'generation',
  'claim',
  'older',
  'short',
  'nonsense',
  'delete',
  'symlink',
] as const;
type EditKind = (typeof EDITS)[number];

export function* editing(world: World, self: Process): Life {
  world.personWasHere = true;
  while (self.left > 0) {
    self.left--;
    try {
      yield editOnce(world, self, world.random.pick(EDITS), world.random.pick(VIEWS));
    } catch (error) {
      // A file that is not there (any more) or can't be read is not edited.
      if (!(error instanceof Fault)) throw error;
    }
  }
}

function* editOnce(world: World, self: Process, kind: EditKind, view: string): Doing<void> {
  const path = `${DIR}/${view}`;
  if (kind === 'delete') return yield* remove(world, path);
  const mark = `edit-${++self.ops}`;
  if (kind === 'symlink') return yield* replaceBySymlink(world, path);
  const before = kind === 'claim' ? '' : String(yield { call: 'read', path, max: 1 << 20 });
  const text = edited(world, kind, before, mark);
  if (text === null) return;
  if (kind === 'generation') world.oracle.handFilesGone();
  // Editors write a file in place or put a new one in its place; some sync it.
  if (world.random.chance(0.5) && world.disk.file(path) !== null) yield* writeInPlace(world, path, view, text, mark);
  else yield* writeAnew(world, path, view, text, mark);
}

/** What the person makes of the text; null when it is not for editing. */
function edited(world: World, kind: EditKind, before: string, mark: string): string | null {
  let value: Record<string, unknown>;
  if (kind === 'claim') return writtenClaim(world, mark);
  try {
    value = JSON.parse(before);
  } catch {
    return null;
  }
  value['note'] = mark;
  if (kind === 'generation' && 'generation' in value) value['generation'] = 0;
  // Before there is a version, the number is the person's own and means nothing else.
  const versioned = world.oracle.latest > 0 && typeof value['state_version'] === 'number';
  if (kind === 'older' && versioned) value['state_version'] = Number(value['state_version']) - 1;
  if (kind === 'nonsense') value['version'] = 'one';
  const text = JSON.stringify(value, null, 1);
  return kind === 'short' ? text.slice(0, world.random.below(text.length)) : text;
}

/** A lease that a person hands out by writing the file. */
function writtenClaim(world: World, mark: string): string | null {
  const record = world.oracle.recordAt(world.oracle.newestWhole());
  const state = world.disk.file(`${DIR}/state.json`)?.text.match(/"state_version": (\d+)/)?.[1];
  if (record === null || state === undefined) return null;
  const time = record.state.updated_at;
  return JSON.stringify({
    version: 1,
    claim_id: `claim-by-hand-${mark}`,
    task_id: record.state.task_id,
    attempt_id: null,
    owner_run_id: 'by-hand',
    generation: record.memo.generation,
    acquired_at: time,
    expires_at: time,
    state_version: Number(state),
    note: mark,
  });
}

function editOf(world: World, handle: number, view: string, mark: string, text: string): PersonEdit {
  const file = world.disk.fileOf(handle);
  // A person who edits again means the new text and not the old one.
  if (file.edit !== null) file.edit.overtaken = true;
  const edit = newEdit(mark, view, file, Number.POSITIVE_INFINITY, text);
  file.edit = edit;
  return edit;
}

function* writeInPlace(world: World, path: string, view: string, text: string, mark: string): Doing<void> {
  const handle = world.disk.truncate(path) as never;
  const edit = editOf(world, handle, view, mark, text);
  yield* finish(world, handle, edit, text);
}

function* writeAnew(world: World, path: string, view: string, text: string, mark: string): Doing<void> {
  const draft = `${path}~${mark}`;
  const handle = (yield { call: 'create', path: draft }) as never;
  const edit = editOf(world, handle, view, mark, text);
  yield* finish(world, handle, edit, text);
  const old = world.disk.file(path);
  if (old !== null && old.edit !== null) old.edit.overtaken = true;
  edit.writtenAt = Number.POSITIVE_INFINITY;
  yield { call: 'rename', from: draft, to: path };
  edit.writtenAt = world.turn;
}

function* finish(world: World, handle: never, edit: PersonEdit, text: string): Doing<void> {
  yield { call: 'write', handle, text };
  edit.writtenAt = world.turn;
  world.oracle.edited(edit);
  if (world.random.chance(0.5)) yield { call: 'syncFile', handle };
  yield { call: 'close', handle };
}

function* remove(world: World, path: string): Doing<void> {
  const file = world.disk.file(path);
  yield { call: 'unlink', path };
  if (file !== null && file.edit !== null) file.edit.overtaken = true;
  world.oracle.handFilesGone();
}

function* replaceBySymlink(world: World, path: string): Doing<void> {
  yield* remove(world, path);
  world.disk.plantSymlink(path);
}
