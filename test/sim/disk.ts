/**
 * A simulated file system: what processes see, and what a power cut may leave of it.
 *
 * It is as unkind as POSIX allows. Data counts once the file was synced, a name once its folder was synced. Of the names
 * that were not, each may be found in any state that it had since. A listing takes time: what was there throughout is
 * in it; what came, went or was replaced meanwhile may be in it or not.
 */

import type { FsCall } from '../../src/lib/fs/operations.ts';
import type { Random } from './random.ts';

/** The calls of the protocol, and those that only a lock file needs. */
export type SimCall = FsCall | { call: 'touch' | 'rmdir'; path: string };

/** Something that a process does, call by call. */
export type Doing<T = unknown> = Generator<SimCall, T, unknown>;

/** All that a process does. It yields what it does next and is sent the result; a failure is thrown into it. */
export type Life<T = void> = Generator<Doing, T, unknown>;

/** A failed call. No `Error`: its stack trace would cost more than the rest of the call. */
export class Fault {
  readonly code: string;

  constructor(code: string) {
    this.code = code;
  }
}

const FAULTS = new Map<string, Fault>();

export function fault(code: string): Fault {
  let known = FAULTS.get(code);
  if (known === undefined) {
    known = new Fault(code);
    FAULTS.set(code, known);
  }
  return known;
}

export class File {
  text: string;
  /** What a power cut leaves for certain; null when nothing was ever synced. */
  synced: string | null;
  mtimeMs: number;
  /** A symlink: reading it is refused. */
  readonly symlink: boolean;
  /** Opened by a process that adds to it. */
  isAddedTo = false;
  /** What a person has put into the file; the oracle follows it. */
  edit: PersonEdit | null = null;

  constructor(text: string, synced: string | null, mtimeMs: number, symlink = false) {
    this.text = text;
    this.synced = synced;
    this.mtimeMs = mtimeMs;
    this.symlink = symlink;
  }
}

/** Content that a person wrote and that must not be lost. */
export interface PersonEdit {
  /** Found again in the record that takes the edit over. */
  mark: string;
  view: string;
  file: File;
  text: string;
  /** When it was complete, in turns; a process that looked at the file before could not know of it. */
  writtenAt: number;
  /** A process that looked at the file before the edit was written over it: nothing can prevent that. */
  overtaken: boolean;
  /**
   * Its name was written to by a process that had looked there before the edit, while no other name of it was durable: until
   * one is, a power cut may lose it, and nothing can prevent that.
   */
  exposed: boolean;
  /** The version that took it over; 0 while none has. */
  version: number;
}

export function newEdit(mark: string, view: string, file: File, writtenAt: number, text = file.text): PersonEdit {
  return { mark, view, file, text, writtenAt, overtaken: false, exposed: false, version: 0 };
}

type Entry = File | Folder;

interface Change {
  name: string;
  entry: Entry | null;
  /** Of a renamed file's old name: it goes only if the new name, the change before, has come. */
  moved: boolean;
}

/** A listing under way: the names that came, went or were replaced since it began. */
export interface Scan {
  folder: Folder;
  moved: Map<string, 'came' | 'went' | 'replaced'>;
}

export class Folder {
  readonly entries = new Map<string, Entry>();
  /** The entries that a power cut leaves for certain. */
  settled = new Map<string, Entry>();
  /** What was done to names since they were settled, in order. */
  journal: Change[] = [];
  readonly scans: Scan[] = [];
  mtimeMs = 0;
}

/** Called with every name that is set or removed, after the fact. */
export type Watcher = (folder: Folder, name: string, now: Entry | null, before: Entry | null) => void;

/** Called with a file that was added to, after the fact. */
export type WriteWatcher = (file: File) => void;

export const ROOT = '/t';

export class Disk {
  readonly root = new Folder();
  /** The clock that files get their times from, milliseconds. */
  nowMs = 0;
  watch: Watcher = () => {};
  wrote: WriteWatcher = () => {};
  readonly #handles: (File | null)[] = [];
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  folder(path: string): Folder {
    if (path === ROOT) return this.root;
    const entry = this.root.entries.get(path.slice(ROOT.length + 1));
    if (entry instanceof Folder) return entry;
    throw fault('ENOENT');
  }

  /** The file at `path`, or null. */
  file(path: string): File | null {
    const cut = path.lastIndexOf('/');
    const folder = this.root.entries.get(path.slice(ROOT.length + 1, cut));
    const entry = folder instanceof Folder ? folder.entries.get(path.slice(cut + 1)) : undefined;
    return entry instanceof File ? entry : null;
  }

  /** Puts an entry where it is durable from the start. */
  place(folder: Folder, name: string, entry: Entry): void {
    folder.entries.set(name, entry);
    folder.settled.set(name, entry);
  }

  fileOf(handle: number): File {
    const file = this.#handles[handle];
    if (file === undefined || file === null) throw fault('EBADF');
    return file;
  }

  #set(folder: Folder, name: string, entry: Entry | null, moved = false): void {
    const before = folder.entries.get(name) ?? null;
    if (entry === null) folder.entries.delete(name);
    else folder.entries.set(name, entry);
    folder.journal.push({ name, entry, moved });
    for (const scan of folder.scans) {
      scan.moved.set(name, before === null ? 'came' : entry === null ? 'went' : 'replaced');
    }
    this.watch(folder, name, entry, before);
  }

  perform(call: SimCall): unknown {
    switch (call.call) {
      case 'list':
        return [...this.folder(call.path).entries.keys()];
      case 'read':
        return this.#read(call.path, call.max);
      case 'create': {
        const { folder, name } = this.#split(call.path);
        if (folder.entries.has(name)) throw fault('EEXIST');
        const file = new File('', null, this.nowMs);
        this.#set(folder, name, file);
        return this.#handles.push(file) - 1;
      }
      case 'append': {
        const file = this.#existing(call.path);
        if (file.symlink) throw fault('ELOOP');
        file.isAddedTo = true;
        return this.#handles.push(file) - 1;
      }
      case 'write': {
        const file = this.fileOf(call.handle);
        file.text += call.text;
        file.mtimeMs = this.nowMs;
        if (file.isAddedTo) this.wrote(file);
        return;
      }
      case 'setTime':
        this.fileOf(call.handle).mtimeMs = call.ms;
        return;
      case 'syncFile': {
        const file = this.fileOf(call.handle);
        file.synced = file.text;
        return;
      }
      case 'close':
        this.fileOf(call.handle);
        this.#handles[call.handle] = null;
        return;
      default:
        return this.#performOnNames(call);
    }
  }

  #performOnNames(
    call: Exclude<
      SimCall,
      { call: 'list' | 'read' | 'create' | 'append' | 'write' | 'setTime' | 'syncFile' | 'close' }
    >,
  ) {
    switch (call.call) {
      case 'syncDir':
        return settle(this.folder(call.path));
      case 'modified': {
        const { folder, name } = this.#split(call.path);
        return folder.entries.get(name)?.mtimeMs ?? null;
      }
      case 'mkdir': {
        const { folder, name } = this.#split(call.path);
        if (folder.entries.has(name)) throw fault('EEXIST');
        const made = new Folder();
        made.mtimeMs = this.nowMs;
        return this.#set(folder, name, made);
      }
      case 'link': {
        const file = this.#existing(call.from);
        const { folder, name } = this.#split(call.to);
        if (folder.entries.has(name)) throw fault('EEXIST');
        return this.#set(folder, name, file);
      }
      case 'rename': {
        const file = this.#existing(call.from);
        const from = this.#split(call.from);
        const to = this.#split(call.to);
        if (to.folder.entries.get(to.name) === file) return;
        this.#set(to.folder, to.name, file);
        return this.#set(from.folder, from.name, null, true);
      }
      case 'unlink':
      case 'rmdir': {
        const { folder, name } = this.#split(call.path);
        const entry = folder.entries.get(name);
        if (entry === undefined) throw fault('ENOENT');
        if (entry instanceof Folder !== (call.call === 'rmdir')) throw fault('EPERM');
        if (entry instanceof Folder && entry.entries.size > 0) throw fault('ENOTEMPTY');
        return this.#set(folder, name, null);
      }
      case 'touch': {
        const { folder, name } = this.#split(call.path);
        const entry = folder.entries.get(name);
        if (entry === undefined) throw fault('ENOENT');
        entry.mtimeMs = this.nowMs;
      }
    }
  }

  #split(path: string): { folder: Folder; name: string } {
    const cut = path.lastIndexOf('/');
    return { folder: this.folder(path.slice(0, cut)), name: path.slice(cut + 1) };
  }

  #existing(path: string): File {
    const file = this.file(path);
    if (file === null) throw fault('ENOENT');
    return file;
  }

  #read(path: string, max: number): string {
    const { folder, name } = this.#split(path);
    const entry = folder.entries.get(name);
    if (entry === undefined) throw fault('ENOENT');
    if (entry instanceof Folder) throw fault('EISDIR');
    if (entry.symlink) throw fault('ELOOP');
    if (entry.text.length > max) throw fault('EFBIG');
    return entry.text;
  }

  /** Opens a file to write it anew in place, as many editors do. */
  truncate(path: string): number {
    const file = this.#existing(path);
    if (file.symlink) throw fault('ELOOP');
    file.text = '';
    file.mtimeMs = this.nowMs;
    return this.#handles.push(file) - 1;
  }

  /** Puts a symlink where nothing is. */
  plantSymlink(path: string): void {
    const { folder, name } = this.#split(path);
    if (!folder.entries.has(name)) this.#set(folder, name, new File('', '', this.nowMs, true));
  }

  beginScan(path: string): Scan {
    const folder = this.folder(path);
    const scan: Scan = { folder, moved: new Map() };
    folder.scans.push(scan);
    return scan;
  }

  /** Ends a listing. What moved meanwhile is in it or not: by chance, or by how far the listing had come at that time. */
  endScan(scan: Scan): string[] {
    const { folder, moved } = scan;
    folder.scans.splice(folder.scans.indexOf(scan), 1);
    if (moved.size === 0) return [...folder.entries.keys()];
    const random = this.#random;
    const byChance = random.chance(0.3);
    const turn = random.below(moved.size + 1);
    const seesLate = random.chance(0.5);
    const seesGone = random.chance(0.5);
    const names = [...folder.entries.keys()].filter((name) => !moved.has(name));
    let index = 0;
    for (const [name, how] of moved) {
      const inTime = index++ < turn !== seesLate;
      const seen = byChance ? random.chance(0.5) : how === 'went' ? seesGone : inTime;
      if (seen) names.push(name);
    }
    return names;
  }

  /** Everything that was not synced is at stake; every process is gone. */
  powerCut(): void {
    this.#handles.length = 0;
    this.#cut(this.root);
    for (const entry of this.root.entries.values()) if (entry instanceof Folder) this.#cut(entry);
  }

  #cut(folder: Folder): void {
    const kept = new Map(folder.settled);
    for (const { name, entry } of this.#changesKept(folder.journal)) {
      if (entry === null) kept.delete(name);
      else kept.set(name, entry);
    }
    folder.entries.clear();
    for (const [name, entry] of kept) folder.entries.set(name, entry);
    folder.scans.length = 0;
    folder.settled = kept;
    folder.journal = [];
    for (const entry of kept.values()) if (entry instanceof File) this.#cutData(entry);
  }

  /**
   * None, all, the first few, or of each name the first few. Half a rename never loses the file; but the next change of the
   * old name is no half of it, and may have come to the disk where the new name has not.
   */
  #changesKept(journal: readonly Change[]): readonly Change[] {
    const random = this.#random;
    const rule = random.below(5);
    if (rule === 0 || journal.length === 0) return [];
    if (rule === 1) return journal;
    if (rule === 2) return journal.slice(0, random.below(journal.length + 1));
    // At worst what was removed is gone, and what came in its place has not come.
    if (rule === 3) return journal.filter(({ entry, moved }) => entry === null && !moved);
    return this.#firstOfEach(journal);
  }

  #firstOfEach(journal: readonly Change[]): readonly Change[] {
    const random = this.#random;
    const last = new Map<string, number>();
    for (const { name } of journal) if (!last.has(name)) last.set(name, random.below(journal.length + 1));
    const changedLater = new Set<string>();
    for (let index = journal.length - 1; index > 0; index--) {
      const { name, moved } = journal[index] as Change;
      if (index >= (last.get(name) ?? 0)) continue;
      const { name: newName } = journal[index - 1] as Change;
      if (moved && !changedLater.has(name)) last.set(newName, Math.max(last.get(newName) ?? 0, index));
      changedLater.add(name);
    }
    return journal.filter(({ name }, index) => index < (last.get(name) ?? 0));
  }

  #cutData(file: File): void {
    if (file.synced === file.text) return;
    const random = this.#random;
    // What was synced before more was added to it stays.
    const kept = file.isAddedTo && file.synced !== null && file.text.startsWith(file.synced) ? file.synced : '';
    const text = file.text.slice(kept.length);
    const rule = random.below(5);
    if (rule === 0) file.text = file.synced ?? '';
    else if (rule === 1) file.text = kept + text.slice(0, random.below(text.length + 1));
    else if (rule === 2) file.text = kept;
    else if (rule === 3) file.text = kept + '\0'.repeat(text.length);
    file.synced = file.text;
  }
}

function settle(folder: Folder): void {
  if (folder.journal.length < folder.entries.size) {
    for (const { name, entry } of folder.journal) {
      if (entry === null) folder.settled.delete(name);
      else folder.settled.set(name, entry);
    }
  } else folder.settled = new Map(folder.entries);
  folder.journal = [];
}
