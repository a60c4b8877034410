/** Watches a simulated task and knows, at every moment, what the protocol has promised. Throws at the first broken promise. */

import type { TaskRecord } from '../../src/domain/task/records.ts';
import { versionName } from '../../src/store/file/record-file.ts';
import type { Disk, File, PersonEdit } from './disk.ts';
import type { Seen } from './layers.ts';
import { type Request, tallyOf } from './requests.ts';

export type Rule =
  | 'lost update'
  | 'two owners'
  | 'generation went back'
  | 'version rewritten'
  | 'acknowledged, then lost'
  | 'happened twice'
  | 'acknowledged, but not there'
  | 'reported as failed, but there'
  | 'conflict without a cause'
  | 'failed without a cause'
  | 'stale read'
  | 'blocked'
  | 'edit lost'
  | 'views differ'
  | 'created twice'
  | 'wrong answer'
  | 'stale generation'
  | 'journal lost'
  | 'goes on too early';

export class Violation extends Error {
  readonly rule: Rule;

  constructor(rule: Rule, message: string) {
    super(`${rule}: ${message}`);
    this.rule = rule;
  }
}

/** A commit under way. */
export interface Trying {
  op: string;
  expected: number;
  base: string | null;
  /** The lease that it was decided on. */
  held: TaskRecord['lease'];
  /** What people have written into the record that it was decided on. */
  notes: unknown[];
  record: TaskRecord;
  request: Request;
  nowMs: number;
  /** Another process removed its reservation, or wrote into a file of versions since it read the task. */
  swept: boolean;
  /** The link was made and reported as failed; or its line was written, which it knows once it has read the file. */
  lied: boolean;
  /** After that lie the look at the version failed too, or came too late: what happened is unknown. */
  blind: boolean;
}

/** The commit of what was `decided` on `read`. */
export function newTrying(
  op: string,
  expected: number,
  read: TaskRecord,
  decided: { record: TaskRecord; base: string | null },
  request: Request,
  nowMs: number,
): Trying {
  const notes = [read.state['note'], read.lease?.['note']];
  const { record, base } = decided;
  const faults = { swept: false, lied: false, blind: false };
  return { op, expected, base, held: read.lease, notes, record, request, nowMs, ...faults };
}

/** A version that stands. */
interface Landed {
  op: string;
  by: string;
  record: TaskRecord;
  request: Request;
  file: File;
  /** The number of the first version in the file. */
  first: number;
  /** The file until then. */
  text: string;
  /** Reported as done and durable. */
  durable: boolean;
  /** Its file was damaged afterwards. */
  rotten: boolean;
}

export interface Stats {
  calls: number;
  commits: number;
  conflicts: number;
  steals: number;
  settled: number;
  compacted: number;
  reads: number;
  crashes: number;
  powerCuts: number;
  faults: number;
  lies: number;
  pauses: number;
  edits: number;
  editsCommitted: number;
  editsAside: number;
  /** Edits written between a publisher's look at the view and its rename. */
  editsOvertaken: number;
  refusedByEdit: number;
  rotten: number;
  /** Tasks that were parked on a question, and that went on from one. */
  asked: number;
  answered: number;
  /** Commits to a journal, by what they did. */
  stepsDone: number;
  chunks: number;
  parked: number;
  goneOn: number;
  signalsTaken: number;
  /** Versions that are a line of a file. */
  added: number;
  ticks: number;
  fannedOut: number;
  joined: number;
}

export function noStats(): Stats {
  return {
    calls: 0,
    commits: 0,
    conflicts: 0,
    steals: 0,
    settled: 0,
    compacted: 0,
    reads: 0,
    crashes: 0,
    powerCuts: 0,
    faults: 0,
    lies: 0,
    pauses: 0,
    edits: 0,
    editsCommitted: 0,
    editsAside: 0,
    editsOvertaken: 0,
    refusedByEdit: 0,
    rotten: 0,
    asked: 0,
    answered: 0,
    stepsDone: 0,
    chunks: 0,
    parked: 0,
    goneOn: 0,
    signalsTaken: 0,
    added: 0,
    ticks: 0,
    fannedOut: 0,
    joined: 0,
  };
}

export class Oracle {
  /** Number of the newest version, whole or not; 0 when there is none. */
  latest = 0;
  readonly edits: PersonEdit[] = [];
  readonly stats: Stats;
  readonly #chain = new Map<number, Landed>();
  readonly #ops = new Map<string, number>();
  /** The commits that made them. Who read them before that may still tell of them. */
  readonly #rottenLines = new Set<string>();
  readonly #owners = new Map<number, string>();
  readonly #generationOf = new Map<string, number>();
  /** Names of the commits that version 1 may build on: null for a task without any file. */
  #roots: (string | null)[] = [null];
  #anyRoot = false;
  #generation = 0;

  constructor(stats: Stats) {
    this.stats = stats;
  }

  /** A task that only hand-written files tell about: `root` is what their tally calls itself. */
  startFrom(root: string | null, generation: number, lease: TaskRecord['lease']): void {
    this.#roots = [root];
    this.#generation = generation;
    if (lease !== null) this.#owners.set(lease.generation, lease.claim_id);
  }

  /** The files of a hand-written tree are gone: the next change may start from nothing. */
  handFilesGone(): void {
    this.#anyRoot = true;
    if (this.latest > 0) return;
    this.#generation = 0;
    this.#owners.clear();
    this.#generationOf.clear();
  }

  /** A version that was there, durable, before the schedule began. */
  assume(n: number, op: string, record: TaskRecord, file: File, request: Request): void {
    const { text } = file;
    this.#chain.set(n, { op, by: 'start', record, request, file, first: n, text, durable: true, rotten: false });
    this.#ops.set(op, n);
    this.latest = n;
    this.#generation = record.memo.generation;
    if (record.lease !== null) this.#owners.set(record.lease.generation, record.lease.claim_id);
  }

  /** The commit that made the newest version; null: there is none. */
  get lastOp(): string | null {
    return this.#chain.get(this.latest)?.op ?? null;
  }

  recordAt(n: number): TaskRecord | null {
    return this.#chain.get(n)?.record ?? null;
  }

  /** The file that version `n` is in; null where it was removed from the chain. */
  fileAt(n: number): File | null {
    return this.#chain.get(n)?.file ?? null;
  }

  hasLanded(op: string): boolean {
    return this.#ops.has(op);
  }

  /** The version that counts: the newest one that is whole. */
  newestWhole(): number {
    let n = this.latest;
    while (n > 0 && this.#chain.get(n)?.rotten !== false) n--;
    return n;
  }

  // --- commits -------------------------------------------------------------------------------------------------------

  /** Version `n` has appeared, in a file that begins with version `first`. */
  landed(n: number, file: File, by: string, trying: Trying, first = n): void {
    if (this.#ops.has(trying.op)) throw new Violation('happened twice', `${trying.op} made version ${n} as well`);
    const before = this.newestWhole();
    this.#checkOwner(n, trying);
    if (n !== this.latest + 1) {
      throw new Violation('lost update', `version ${n} appears although the newest is ${this.latest}`);
    }
    this.#checkBase(n, trying, before);
    const { op, record, request } = trying;
    this.#chain.set(n, { op, by, record, request, file, first, text: file.text, durable: false, rotten: false });
    this.#ops.set(op, n);
    this.latest = n;
    this.#generation = record.memo.generation;
    this.stats.commits++;
    for (const edit of this.edits) if (edit.version === 0 && trying.notes.includes(edit.mark)) this.#takenOver(edit, n);
  }

  #takenOver(edit: PersonEdit, n: number): void {
    edit.version = n;
    this.stats.editsCommitted++;
  }

  #checkBase(n: number, trying: Trying, before: number): void {
    if (before === 0) {
      if (this.#anyRoot || this.#roots.includes(trying.base)) return;
      throw new Violation('lost update', `version ${n} builds on ${trying.base}, not on ${this.#roots.join(' or ')}`);
    }
    // A version that rotted after it was read may be built on; a later reader builds on the one before it.
    for (let base = this.latest; base >= before; base--) if (this.#chain.get(base)?.op === trying.base) return;
    throw new Violation(
      'lost update',
      `version ${n} (${trying.op}) builds on ${trying.base}, but the newest is ${this.#chain.get(before)?.op}`,
    );
  }

  #checkOwner(n: number, { record, request, held, nowMs }: Trying): void {
    const { lease, memo } = record;
    if (memo.generation < this.#generation || (lease !== null && lease.generation > memo.generation)) {
      throw new Violation('generation went back', `version ${n} has ${memo.generation} after ${this.#generation}`);
    }
    if (lease === null) return;
    const owner = this.#owners.get(lease.generation);
    if (owner !== undefined && owner !== lease.claim_id) {
      throw new Violation('two owners', `${owner} and ${lease.claim_id} both have generation ${lease.generation}`);
    }
    this.#owners.set(lease.generation, lease.claim_id);
    if (lease.generation < (this.#generationOf.get(lease.claim_id) ?? 0)) {
      throw new Violation('generation went back', `${lease.claim_id} has generation ${lease.generation} now`);
    }
    this.#generationOf.set(lease.claim_id, lease.generation);
    if (request.kind !== 'claim' || held === null || held.claim_id === lease.claim_id) return;
    if (Date.parse(held.expires_at) > nowMs) {
      throw new Violation('two owners', `${lease.claim_id} took the lease that ${held.claim_id} holds`);
    }
    this.stats.steals++;
  }

  /** A commit was reported as done. */
  acknowledged(trying: Trying, n: number, durable: boolean): void {
    // It had read the line before that rotted.
    if (this.#rottenLines.has(trying.op)) return;
    const landed = this.#chain.get(n);
    if (landed?.op !== trying.op) {
      throw new Violation('acknowledged, but not there', `${trying.op} is not version ${n}`);
    }
    landed.durable ||= durable;
  }

  /** A repeated request was reported as done and durable. */
  settled(by: string, request: Request): void {
    this.stats.settled++;
    for (const landed of this.#chain.values()) {
      if (landed.by === by && landed.request.number === request.number) landed.durable = true;
    }
  }

  /** A commit was reported as not done, by a conflict or an error. */
  refused(trying: Trying, kind: 'conflict' | 'error'): void {
    if (kind === 'conflict') this.stats.conflicts++;
    const n = this.#ops.get(trying.op);
    if (n !== undefined) {
      if (trying.lied && (trying.blind || this.#chain.get(n)?.rotten === true)) return;
      throw new Violation('reported as failed, but there', `${trying.op} is version ${n}`);
    }
    if (kind === 'conflict' && this.latest <= trying.expected && !trying.swept) {
      throw new Violation(
        'conflict without a cause',
        `${trying.op}: no other commit was first at ${trying.expected + 1}`,
      );
    }
  }

  versionRemoved(n: number, by: string): void {
    this.stats.compacted++;
    const newest = this.newestWhole();
    for (const [number, { first }] of this.#chain)
      if (first === n && number >= newest)
        throw new Violation('acknowledged, then lost', `${by} removed version ${number}, the newest`);
  }

  rotted(file: File): void {
    for (const [n, landed] of this.#chain) {
      if (landed.file !== file || file.text.startsWith(landed.text)) continue;
      if (landed.first === n) landed.rotten = true;
      else {
        this.#forget(n, landed);
        this.#rottenLines.add(landed.op);
      }
    }
    this.latest = Math.max(...this.#chain.keys());
    this.stats.rotten++;
    // What only the damaged version knew is gone with it, the generation that it gave out included.
    const whole = this.newestWhole();
    this.#generation = this.recordAt(whole)?.memo.generation ?? 0;
    this.#forgetOwners(whole);
  }

  // --- reads ---------------------------------------------------------------------------------------------------------

  /** `since`: `lastOp` when the read began. */
  checkRead(read: Seen, since: string | null): void {
    this.stats.reads++;
    // A line that has rotted meanwhile leaves its number to another version.
    const was = (since === null ? undefined : this.#ops.get(since)) ?? 0;
    if (read.version < was) {
      throw new Violation('stale read', `version ${read.version} was read after ${was} had been there`);
    }
    const edited = read.warnings.some((warning) => warning.includes('edited by hand'));
    if (read.version === 0 || read.record === null || edited) return;
    const self = tallyOf(read.record)?.self;
    if (self !== undefined && this.#rottenLines.has(self)) return;
    for (let n = read.version; n > 0; n--) {
      const landed = this.#chain.get(n);
      if (landed?.op === self) return;
      if (landed !== undefined && !landed.rotten) break;
    }
    throw new Violation('stale read', `version ${read.version} was read with the content of ${self}`);
  }

  // --- faults --------------------------------------------------------------------------------------------------------

  /** What is on the disk after a power cut is all there is. */
  powerCut(disk: Disk, dir: string): void {
    this.stats.powerCuts++;
    const isThere = ({ first, file }: Landed) => disk.file(`${dir}/${versionName(first)}`) === file;
    const isWhole = (landed: Landed) => isThere(landed) && landed.file.text.startsWith(landed.text);
    // A line that is not whole leaves nothing, a file its number.
    const survives = (n: number, landed: Landed) => isThere(landed) && (landed.first === n || isWhole(landed));
    let whole = 0;
    this.latest = 0;
    for (const [n, landed] of this.#chain) {
      if (!survives(n, landed)) continue;
      this.latest = Math.max(this.latest, n);
      if (isWhole(landed)) whole = Math.max(whole, n);
    }
    for (const [n, landed] of this.#chain) {
      if (n <= whole) continue;
      if (landed.durable && !landed.rotten) {
        throw new Violation('acknowledged, then lost', `version ${n} (${landed.op}) did not survive the power cut`);
      }
      if (survives(n, landed)) landed.rotten = true;
      else this.#forget(n, landed);
    }
    this.#generation = this.recordAt(whole)?.memo.generation ?? 0;
    if (whole === 0) this.#anyRoot = true;
    this.#forgetOwners(whole);
  }

  #forget(n: number, landed: Landed): void {
    this.#chain.delete(n);
    this.#ops.delete(landed.op);
    for (const edit of this.edits) if (edit.version === n) edit.version = 0;
  }

  /** Generations that only lost versions had given out are free again: they were never reported. */
  #forgetOwners(whole: number): void {
    this.#generationOf.clear();
    const held = new Set<string>();
    // A claim that is made again after its version was lost may get another generation, which may be lost as well.
    const named = (generation: number, claim: string) => `${generation} ${claim}`;
    for (const [
      n,
      {
        record: { lease },
      },
    ] of this.#chain)
      if (n <= whole && lease !== null) held.add(named(lease.generation, lease.claim_id));
    for (const [generation, claim] of this.#owners) {
      if (generation > this.#generation && !held.has(named(generation, claim))) this.#owners.delete(generation);
    }
  }

  // --- edits ---------------------------------------------------------------------------------------------------------

  /** Whether a person's edit of a view waits for the next change. `inPlace` says where a file is now. */
  waiting(inPlace: (view: string) => File | null): PersonEdit[] {
    return this.edits.filter((edit) => edit.version === 0 && !edit.overtaken && inPlace(edit.view) === edit.file);
  }

  edited(edit: PersonEdit): void {
    this.edits.push(edit);
    this.stats.edits++;
  }

  /** The last name of a file with a person's content is gone. `lookedAt`: when its remover last read the view. */
  dropped(edit: PersonEdit, by: string, lookedAt: number): void {
    if (edit.version > 0 || edit.overtaken) return;
    if (lookedAt >= edit.writtenAt) {
      throw new Violation('edit lost', `${by} removed ${edit.mark} from ${edit.view} after it had seen it`);
    }
    edit.overtaken = true;
    this.stats.editsOvertaken++;
  }
}

/** Watches a file that many may try to create and that must then stay what it is. */
export class OnceOracle {
  /** What processes were told that it says. */
  get text(): string | null {
    return this.#text;
  }

  #text: string | null = null;
  #created = false;

  /** A process was told what the file says; `mine` when it was told that it had created it. */
  told(text: string | null, durable: boolean, mine: string | null): void {
    if (text === null || !durable) throw new Violation('acknowledged, but not there', 'the answer is not on the disk');
    if (this.#text !== null && this.#text !== text) throw new Violation('created twice', `${text} after ${this.#text}`);
    if (mine !== null && (this.#created || mine !== text)) throw new Violation('created twice', `${mine}, and ${text}`);
    this.#text = text;
    this.#created ||= mine !== null;
  }

  /** What the file says after a power cut; it may be gone only if no process was told about it. */
  survived(text: string | null): void {
    if (this.#text !== null && text !== this.#text) {
      throw new Violation('acknowledged, then lost', `the answer was ${this.#text} and is ${text}`);
    }
  }
}
