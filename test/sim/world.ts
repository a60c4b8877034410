/** One simulated machine: its disk, its processes, and the faults that befall them, all drawn from one seed. */

import { isDeepStrictEqual } from 'node:util';
import type { Sleeper } from '../../src/domain/steps/parking.ts';
import type { Retention } from '../../src/store/file/protocol.ts';
import { decodeVersion, TMP_PREFIX, versionNumber } from '../../src/store/file/record-file.ts';
import {
  Disk,
  type Doing,
  type Fault,
  File,
  type Folder,
  fault,
  type Life,
  type PersonEdit,
  ROOT,
  type Scan,
  type SimCall,
} from './disk.ts';
import { JournalOracle } from './journal-oracle.ts';
import { CORE, type Layer, type Memory, WHOLE } from './layers.ts';
import { type OnceOracle, type Oracle, type Trying, Violation } from './oracle.ts';
import { Random } from './random.ts';
import type { Request } from './requests.ts';

/** The folder of the one task. */
export const DIR = `${ROOT}/a`;
/** A folder for files that are created once. */
export const ANSWERS = `${ROOT}/q`;
/** Where the parts of a journal are; the same folder, which only one of them is ever in. */
export const CHUNKS = ANSWERS;

/** Simulated time that a call takes, milliseconds. */
const CALL_MS = 5;

/** A sleep that lasts until all the others have ended or sleep as well. */
const LONG_CALLS = 5_000;

/** What may go wrong in a schedule; probabilities are per call. */
export interface Weather {
  /** How often the scheduler goes on with another process. */
  switches: number;
  pauses: number;
  /** Longest pause, in calls of others. */
  pauseCalls: number;
  /** Share of the processes that sleep once, until all others have ended or sleep as well. */
  sleepers: number;
  /** Share of the listings that others may interrupt. */
  slowListings: number;
  crashes: number;
  faults: number;
  powerCuts: number;
  rot: number;
}

export interface Process {
  readonly name: string;
  /** Makes its next incarnation. */
  readonly start: (self: Process) => Life;
  life: Life | null;
  doing: Doing | null;
  pending: SimCall | null;
  scan: Scan | null;
  wakeAt: number;
  /** A call that it is likely to be paused at; null for none. */
  pausesAt: SimCall['call'] | null;
  calls: number;
  /** The call, counted from its start, before which it sleeps while all others go on; 0 for none. */
  sleepsAt: number;
  /** Requests still to be made. */
  left: number;
  request: Request | null;
  requests: number;
  ops: number;
  claim: string | null;
  /** Its wait that is not over. */
  sleeper: Sleeper | null;
  trying: Trying | null;
  /** When another process last wrote into a file of versions, and when it last began to read the task, in turns. */
  disturbedAt: number;
  readAt: number;
  /** When it last read each view, in turns. */
  looked: Record<string, number>;
  /** An injected failure that the protocol has not answered for yet. */
  failed: boolean;
  restarts: number;
  memory: Memory;
  /** A person: no fault befalls what they do, and what they undo is meant. */
  person: boolean;
}

export function newProcess(name: string, start: Process['start'], left: number): Process {
  return {
    name,
    person: false,
    start,
    life: null,
    doing: null,
    pending: null,
    scan: null,
    wakeAt: 0,
    pausesAt: null,
    calls: 0,
    sleepsAt: 0,
    left,
    request: null,
    requests: 0,
    ops: 0,
    claim: null,
    sleeper: null,
    trying: null,
    disturbedAt: -1,
    readAt: 0,
    looked: {},
    failed: false,
    restarts: 0,
    memory: { known: null, shown: undefined },
  };
}

/** What is simulated. */
export interface Setting {
  /** The product's protocol, or a lock file in its place. */
  subject: 'protocol' | 'lock-file';
  /** Its core alone, all of it, or mostly the first and sometimes the second; see `layers.ts`. */
  depth: 'mixed' | 'core' | 'whole';
  /** What happens in every schedule and otherwise in some: so that a mutant in that corner is met soon. */
  focus?: Focus | undefined;
}

export const FOCI = ['stillness', 'failures', 'edits', 'adoption', 'questions', 'steps', 'fan-outs'] as const;
export type Focus = (typeof FOCI)[number];

/** Where journals are written. */
export const JOURNAL_FOCI: readonly (Focus | null)[] = ['steps', 'fan-outs'];

export class World {
  readonly random: Random;
  readonly disk: Disk;
  readonly oracle: Oracle;
  /** The files that are created once, by their names. */
  readonly answers = new Map<string, OnceOracle>();
  /** Null where no journal is written. */
  readonly journal: JournalOracle | null;
  weather: Weather;
  readonly retention: Retention;
  processes: Process[] = [];
  /** One line a call; only recorded for a replay. */
  readonly trace: string[] | null;
  readonly layer: Layer;
  readonly focus: Focus | null;
  /** Whose call it is. */
  current: Process | null = null;
  turn = 0;
  /** A person may have left an invalid view. */
  personWasHere = false;
  /** A folder could not be synced: a power cut may then undo what was reported with that warning. */
  syncFailed = false;
  /** A process was killed or failed within an operation. */
  disturbed = false;
  /** It ended with processes killed in their sleep. */
  stopped = false;
  /** A version was damaged; it happens once at most. */
  rotten = false;

  constructor(
    seed: number,
    { subject, depth, focus }: Setting,
    weather: (random: Random, focus: Focus | null) => Weather,
    oracle: Oracle,
    trace: string[] | null,
  ) {
    this.random = new Random(seed);
    this.disk = new Disk(this.random);
    this.disk.nowMs = 1_700_000_000_000;
    this.oracle = oracle;
    this.focus = focus ?? null;
    this.weather = weather(this.random, this.focus);
    const kept = this.random.between(1, 3);
    this.retention = { kept, compactAt: kept + this.random.between(0, 5) };
    this.trace = trace;
    this.journal = JOURNAL_FOCI.includes(this.focus) ? new JournalOracle(this.disk) : null;
    const mostly = this.random.chance(0.88) ? CORE : WHOLE;
    this.layer = depth === 'mixed' ? mostly : depth === 'whole' ? WHOLE : CORE;
    this.disk.watch = (folder, name, now, before) => {
      if (subject === 'protocol') this.#watch(folder, name, now, before);
      else if (name === 'state.json' && now instanceof File) this.#versionChanged(oracle.latest + 1, now, null);
    };
    this.disk.wrote = (file) => this.#added(file);
  }

  get nowMs(): number {
    return this.disk.nowMs;
  }

  /** Writes a line of the trace: who, what, and the call that it is about. */
  say(who: string, what: string, call: SimCall | null = null, result: unknown = null): void {
    if (this.trace === null) return;
    const names = Array.isArray(result) ? ` = ${result.join(' ')}` : '';
    const line = call === null ? what : `${what}${show(call)}${names}`;
    this.trace.push(`${String(this.turn).padStart(5)}  ${who.padEnd(8)} ${line}`);
  }

  // --- scheduling ----------------------------------------------------------------------------------------------------

  /** Runs until every process has ended, or `turns` calls were made. */
  run(turns: number): void {
    for (const process of this.processes) this.launch(process);
    let chosen = 0;
    while (this.turn < turns) {
      if (this.random.chance(this.weather.powerCuts)) {
        this.powerCut();
        for (const process of this.processes) if (this.random.chance(0.8)) this.launch(process);
      }
      if (this.random.chance(this.weather.switches)) chosen = this.random.below(this.processes.length);
      const process = this.#awake(chosen);
      if (process === null) return;
      if (process.wakeAt > this.turn) {
        // All others have ended or sleep longer. Sometimes a sleeper never wakes.
        if (this.random.chance(0.3)) return this.#stop();
        process.wakeAt = this.turn;
      }
      this.step(process);
    }
  }

  #stop(): void {
    this.disturbed = true;
    this.stopped = true;
    for (const process of this.processes) {
      if (process.life !== null) this.say(process.name, '  is killed in its sleep');
      this.kill(process);
    }
  }

  /** The chosen process; where it has ended or sleeps, the next one that doesn't, or the first one to wake. */
  #awake(chosen: number): Process | null {
    const count = this.processes.length;
    let first: Process | null = null;
    for (let offset = 0; offset < count; offset++) {
      const process = this.processes[(chosen + offset) % count] as Process;
      if (process.life === null) continue;
      if (process.wakeAt <= this.turn) return process;
      if (first === null || process.wakeAt < first.wakeAt) first = process;
    }
    return first;
  }

  launch(process: Process): void {
    if (process.life !== null) return;
    process.calls = 0;
    process.trying = null;
    process.sleeper = null;
    process.looked = {};
    process.failed = false;
    process.life = process.start(process);
    this.#resume(process, undefined);
  }

  /** Lets a process make its next call, unless something befalls it. */
  step(process: Process): void {
    const call = process.pending;
    if (call === null) throw new Error(`${process.name} waits for nothing`);
    this.turn++;
    this.oracle.stats.calls++;
    this.disk.nowMs += CALL_MS;
    const { weather, random } = this;
    const likely = call.call === process.pausesAt ? 0.4 : weather.pauses;
    if (++process.calls === process.sleepsAt || random.chance(likely)) {
      const long = process.calls === process.sleepsAt ? LONG_CALLS : random.between(2, weather.pauseCalls);
      this.oracle.stats.pauses++;
      process.wakeAt = this.turn + long;
      this.say(process.name, '  sleeps before ', call);
      return;
    }
    if (!process.person && random.chance(weather.crashes)) return this.#crash(process, call);
    if (random.chance(weather.rot)) this.rot();
    this.#make(process, call);
  }

  #make(process: Process, call: SimCall): void {
    this.current = process;
    let result: unknown;
    try {
      if (call.call === 'list') {
        if (process.scan === null && this.random.chance(this.weather.slowListings)) {
          this.#maybeFault(process, call);
          process.scan = this.disk.beginScan(call.path);
          return this.say(process.name, '  begins ', call);
        }
        if (process.scan !== null) {
          result = this.disk.endScan(process.scan);
          process.scan = null;
          this.say(process.name, '', call, result);
          return this.#resume(process, result);
        }
      }
      this.#maybeFault(process, call);
      result = this.disk.perform(call);
    } catch (error) {
      if (error instanceof Violation) throw error;
      return this.#refuse(process, call, error as Fault);
    }
    if (call.call === 'read') this.#noteLook(process, call.path, false);
    this.say(process.name, '', call, result);
    if (call.call === 'link' && this.random.chance(this.weather.faults * 4)) return this.#lie(process);
    this.#resume(process, result);
  }

  #refuse(process: Process, call: SimCall, error: Fault): void {
    if (error.code === undefined) throw error;
    if (call.call === 'read') this.#noteLook(process, call.path, true);
    this.say(process.name, `! ${error.code}  `, call);
    this.#resume(process, error, true);
  }

  #noteLook(process: Process, path: string, failed: boolean): void {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (name === 'state.json' || name === 'lease.json') process.looked[name] = this.turn;
    const { trying } = process;
    if (failed && trying?.lied && versionNumber(name) !== null) trying.blind = true;
  }

  /** Goes on until the process makes its next call or ends. `result` answers the last one. */
  #resume(process: Process, result: unknown, threw = false): void {
    this.current = process;
    let value = result;
    let failed = threw;
    while (process.life !== null) {
      if (process.doing !== null) {
        try {
          const call = failed ? process.doing.throw(value) : process.doing.next(value);
          if (call.done !== true) {
            process.pending = call.value;
            return;
          }
          value = call.value;
          failed = false;
        } catch (error) {
          value = error;
          failed = true;
        }
      }
      const next = failed ? process.life.throw(value) : process.life.next(value);
      if (next.done === true) this.#end(process);
      else process.doing = next.value;
      value = undefined;
      failed = false;
    }
  }

  #end(process: Process): void {
    process.life = null;
    process.doing = null;
    process.pending = null;
  }

  // --- faults --------------------------------------------------------------------------------------------------------

  #maybeFault(process: Process, call: SimCall): void {
    if (process.person || !this.random.chance(this.weather.faults)) return;
    process.failed = true;
    this.disturbed = true;
    this.oracle.stats.faults++;
    if (call.call === 'syncDir') this.syncFailed = true;
    const full = call.call === 'create' || call.call === 'write' || call.call === 'mkdir' || call.call === 'link';
    if (call.call === 'write' && this.random.chance(0.5)) {
      this.disk.perform({ ...call, text: call.text.slice(0, this.random.below(call.text.length)) });
    }
    if (call.call === 'close') this.disk.perform(call);
    throw fault(full && this.random.chance(0.5) ? 'ENOSPC' : 'EIO');
  }

  /** A link that was made is reported as failed: by a disk error, or by a file server that was asked twice. */
  #lie(process: Process): void {
    process.failed = true;
    this.disturbed = true;
    this.oracle.stats.lies++;
    if (process.trying !== null) process.trying.lied = true;
    const error = fault(this.random.chance(0.5) ? 'EEXIST' : 'EIO');
    this.say(process.name, `  is told ${error.code} although the link was made`);
    this.#resume(process, error, true);
  }

  #crash(process: Process, call: SimCall): void {
    this.oracle.stats.crashes++;
    this.disturbed = true;
    const after = this.random.chance(0.5);
    this.say(process.name, `  is killed ${after ? 'after' : 'before'} `, call);
    if (after && call.call !== 'list') {
      this.current = process;
      // A short file is written at once; of what is added to one, a part may be.
      const isPart = call.call === 'write' && this.disk.fileOf(call.handle).isAddedTo && this.random.chance(0.5);
      try {
        this.disk.perform(isPart ? { ...call, text: call.text.slice(0, this.random.below(call.text.length)) } : call);
      } catch (error) {
        if (error instanceof Violation) throw error;
      }
    }
    this.kill(process);
    if (process.restarts > 0 && this.random.chance(0.8)) {
      process.restarts--;
      this.launch(process);
      process.wakeAt = this.turn + this.random.below(20);
    }
  }

  kill(process: Process): void {
    if (process.scan !== null) this.disk.endScan(process.scan);
    process.scan = null;
    this.#end(process);
  }

  powerCut(): void {
    this.say('-', 'power cut');
    this.disturbed = true;
    for (const process of this.processes) this.kill(process);
    const { edits } = this.oracle;
    const safe = edits.map(
      (edit) => edit.version === 0 && !edit.overtaken && !this.syncFailed && this.#isDurable(edit),
    );
    this.disk.powerCut();
    this.oracle.powerCut(this.disk, DIR);
    this.#checkJournal();
    for (const [name, answer] of this.answers) answer.survived(this.disk.file(`${ANSWERS}/${name}`)?.text ?? null);
    for (const [index, edit] of edits.entries()) {
      if (edit.version > 0 || (edit.file.text === edit.text && this.nameOf(edit.file) !== null)) continue;
      if (safe[index] === true) throw new Violation('edit lost', `${edit.mark} was synced and is gone`);
      edit.overtaken = true;
    }
  }

  #isDurable({ file, view, exposed }: PersonEdit): boolean {
    if (file.synced !== file.text) return false;
    const folder = this.disk.root.settled.get('a');
    if (folder === undefined || folder instanceof File) return false;
    // Under the name of a draft, an editor's or ours, the edit is not yet where the person wanted it.
    const counts = (name: string) => !/^\.tmp-|~/.test(name) && !(exposed && name === view);
    return [...folder.settled].some(([name, entry]) => entry === file && counts(name));
  }

  /** A name of `file` in the task's folder that is never swept; null when there is none. */
  nameOf(file: File): string | null {
    if (!this.disk.root.entries.has('a')) return null;
    for (const [name, entry] of this.disk.folder(DIR).entries) {
      if (entry === file && !name.startsWith(TMP_PREFIX)) return name;
    }
    return null;
  }

  /** Damages the newest version on the disk, once, when there is an older one and no pending edit. */
  rot(): void {
    const n = this.oracle.newestWhole();
    if (
      this.rotten ||
      this.personWasHere ||
      this.retention.kept < 2 ||
      n < 2 ||
      n !== this.oracle.latest ||
      this.oracle.recordAt(n - 1) === null
    )
      return;
    const file = this.oracle.fileAt(n);
    const before = this.oracle.fileAt(n - 1);
    if (file === null || before === null || this.nameOf(file) === null || this.nameOf(before) === null) return;
    this.rotten = true;
    file.text = file.text.slice(0, -7);
    file.synced = file.text;
    this.say('-', `version ${n} rots on the disk`);
    this.oracle.rotted(file);
    this.#disturbAll(null);
  }

  /** Who adds to a file, or closes it, may find it other than it was, and then starts over. */
  #disturbAll(but: Process | null): void {
    for (const process of this.processes) if (process !== but) process.disturbedAt = this.turn;
  }

  // --- what the disk did -----------------------------------------------------------------------------------------------

  #watch(folder: Folder, name: string, now: unknown, before: unknown): void {
    const { current, oracle } = this;
    if (name.startsWith(TMP_PREFIX)) {
      if (now === null) this.#reservationGone(name);
    } else if (now === null && folder !== this.disk.root && this.journal !== null && !name.startsWith('v0')) {
      this.#checkJournal();
    } else if (name.startsWith('v0') && folder !== this.disk.root) {
      this.#versionChanged(versionNumber(name) ?? 0, now, before);
    }
    if (before instanceof File && before.edit !== null && current?.person === false && this.nameOf(before) === null) {
      oracle.dropped(before.edit, current.name, current.looked[before.edit.view] ?? -1);
    }
    const durable = folder.settled.get(name);
    if (durable instanceof File && durable !== before && durable.edit?.view === name && current?.person === false) {
      durable.edit.exposed ||= (current.looked[name] ?? -1) < durable.edit.writtenAt;
    }
  }

  #reservationGone(name: string): void {
    for (const { trying, name: owner } of this.processes) {
      if (trying !== null && name === `${TMP_PREFIX}${trying.op}` && this.current?.name !== owner) trying.swept = true;
    }
  }

  /** A line was added to a file of versions, a part of one, or the line that closes it. */
  #added(file: File): void {
    const { current, oracle } = this;
    const trying = current?.trying ?? null;
    const decoded = decodeVersion(file.text);
    this.#disturbAll(current);
    if (trying === null || decoded.kind !== 'valid' || decoded.version.op !== trying.op) return;
    if (oracle.hasLanded(trying.op)) return;
    const { n, record, open } = decoded.version;
    if (!isDeepStrictEqual(record.memo.journal, trying.record.memo.journal))
      throw new Violation('journal lost', `version ${n} (${trying.op}) is read otherwise than it was decided`);
    trying.lied = true;
    oracle.landed(n, file, current?.name ?? '-', trying, open?.first);
    oracle.stats.added++;
    this.journal?.landed(trying);
  }

  #versionChanged(n: number, now: unknown, before: unknown): void {
    const { current, oracle } = this;
    const who = current?.name ?? '-';
    if (now === null) return oracle.versionRemoved(n, who);
    if (before !== null) throw new Violation('version rewritten', `${who} put another file in place of version ${n}`);
    if (current === null || current.trying === null)
      throw new Violation('lost update', `${who} made version ${n} unasked`);
    oracle.landed(n, now as File, who, current.trying);
    this.journal?.landed(current.trying);
  }

  /** Nothing that a record refers to is gone. */
  #checkJournal(): void {
    this.journal?.checkWhole(this.oracle.recordAt(this.oracle.newestWhole()));
  }
}

const SHORT = /\/t\/(?:a\/)?/g;

/** A call as a person reads it. */
export function show(call: SimCall): string {
  const parts = Object.entries(call).map(([key, value]) => {
    if (key === 'call') return String(value);
    if (key === 'text') return `${String(value).length} bytes`;
    if (key === 'max') return '';
    return key === 'handle' ? `#${value}` : String(value).replace(SHORT, '');
  });
  return parts.filter((part) => part !== '').join(' ');
}
