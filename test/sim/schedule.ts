/** One schedule from its seed to its verdict. */

import { decodeVersion, isSealedView, VIEW_NAMES, viewsOf } from '../../src/store/file/record-file.ts';
import { SETS } from './children.ts';
import { lockFile } from './control.ts';
import type { Life } from './disk.ts';
import { Oracle, type Stats, Violation } from './oracle.ts';
import { editing } from './person.ts';
import { type Attempt, protocol, requesting } from './processes.ts';
import type { Random } from './random.ts';
import type { Request } from './requests.ts';
import { prepare } from './start.ts';
import type { StepRequest } from './steps.ts';
import { DIR, type Focus, JOURNAL_FOCI, newProcess, type Process, type Setting, type Weather, World } from './world.ts';

export interface Failure {
  seed: number;
  focus: Focus | null;
  rule: string;
  message: string;
  trace: string[];
}

/** More calls than any schedule needs; a process that spins runs into it. */
const MAX_CALLS = 4000;

const CALM: Weather = {
  switches: 0,
  pauses: 0,
  pauseCalls: 2,
  sleepers: 0,
  slowListings: 0,
  crashes: 0,
  faults: 0,
  powerCuts: 0,
  rot: 0,
};

/** Where a process has to make several requests before what matters happens. */
const LONG_TASKS: readonly (Focus | null)[] = ['questions', ...JOURNAL_FOCI];

/** Calls that a process may be likely to be paused at. */
const PAUSES_AT = [
  null,
  null,
  null,
  'create',
  'list',
  'list',
  'write',
  'link',
  'syncDir',
  'unlink',
  'rename',
  'read',
] as const;

/** Races and pauses in every schedule; one kind of fault in most, all of them in some. */
function weather(random: Random, focus: Focus | null): Weather {
  if (random.chance(focus === 'stillness' ? 1 : 0.2)) return stillness(random);
  const kind = focus === 'failures' ? random.pick([3, 6, 6]) : random.below(8);
  const all = kind === 7;
  return {
    switches: random.pick([0.1, 0.3, 0.6, 1]),
    pauses: random.pick([0, 0.01, 0.03]),
    pauseCalls: random.pick([20, 60, 200]),
    sleepers: 0.3,
    slowListings: random.pick([0.1, 0.5, 1]),
    crashes: kind === 1 || kind === 2 || all ? random.pick([0.005, 0.02]) : 0,
    faults: kind === 3 || kind === 6 || all ? random.pick([0.01, 0.03]) : 0,
    powerCuts: kind === 4 || kind === 5 || kind === 6 || all ? random.pick([0.003, 0.01]) : 0,
    rot: all || random.chance(0.1) ? 0.01 : 0,
  };
}

/** One after the other: each process runs until it falls asleep, and goes on when all others have ended. */
function stillness(random: Random): Weather {
  const slowListings = random.pick([0.2, 1]);
  const faults = random.pick([0, 0, 0, 0.03]);
  return { ...CALM, switches: 0.02, sleepers: 0.7, slowListings, faults, rot: random.pick([0, 0, 0.01]) };
}

/** Runs the schedule that `seed` names. Returns null when every promise was kept. */
export function runSchedule(seed: number, setting: Setting, stats: Stats): Failure | null {
  try {
    play(seed, setting, stats, false);
    return null;
  } catch (error) {
    return explain(seed, setting, stats, error);
  }
}

/** Plays a failed schedule once more, now writing down every call. */
function explain(seed: number, setting: Setting, stats: Stats, first: unknown): Failure {
  const trace: string[] = [];
  const { focus = null } = setting;
  let found = first;
  try {
    play(seed, setting, { ...stats }, true, trace);
  } catch (error) {
    found = error;
  }
  if (found instanceof Violation) return { seed, focus, rule: found.rule, message: found.message, trace };
  return {
    seed,
    focus,
    rule: 'error',
    message: found instanceof Error ? String(found.stack) : JSON.stringify(found),
    trace,
  };
}

function play(seed: number, setting: Setting, stats: Stats, traced: boolean, trace: string[] = []): void {
  const world = new World(seed, setting, weather, new Oracle(stats), traced ? trace : null);
  const { random } = world;
  const { subject } = setting;
  const attempt = subject === 'protocol' ? protocol : lockFile;
  if (subject === 'protocol') prepare(world);
  else {
    world.disk.perform({ call: 'mkdir', path: DIR });
    // Pauses and kills are enough to break a lock file.
    world.weather = { ...world.weather, powerCuts: 0, faults: 0 };
  }
  // One of them is busy: what others sleep through takes several commits.
  const count = random.pick([2, 2, 2, 2, 2, 3, 3, 4]);
  for (let index = 0; index < count; index++) {
    const few = index === 0 ? [1, 1, 2, 3] : world.layer.views ? [1, 1, 2] : [1];
    // A question, its answer and the next question take a claim each.
    add(world, `p${index + 1}`, attempt, random.pick(LONG_TASKS.includes(world.focus) ? [3, 5, 8] : few));
  }
  if (subject === 'protocol' && world.layer.views && isEdited(world)) {
    const person = newProcess('person', (self) => editing(world, self), random.between(1, 2));
    person.person = true;
    world.processes.push(person);
    world.personWasHere = true;
  }
  world.run(MAX_CALLS);
  if (world.turn >= MAX_CALLS) throw new Violation('blocked', `not done after ${MAX_CALLS} calls`);
  if (subject === 'protocol') conclude(world);
}

/** What a person edits is no journal. */
function isEdited({ random, focus, journal }: World): boolean {
  return journal === null && random.chance(focus === 'edits' ? 1 : 0.4);
}

function add(world: World, name: string, attempt: Attempt, requests: number): Process {
  const process = newProcess(name, (self) => requesting(world, self, attempt), requests);
  process.restarts = 2;
  const { random, weather, layer } = world;
  if (weather.pauses > 0) process.pausesAt = random.pick(PAUSES_AT);
  if (random.chance(weather.sleepers)) process.sleepsAt = random.between(1, layer.views ? 32 : 16);
  world.processes.push(process);
  return process;
}

/** All processes have stopped. The next one must find everything in order. */
function conclude(world: World): void {
  const { random, oracle } = world;
  if (!world.disturbed && !world.personWasHere) checkViews(world);
  if (random.chance(world.stopped ? 0.6 : 0.3)) world.powerCut();
  // What comes after is the same most of the time and costs as much as the schedule itself.
  if (!world.personWasHere && random.chance(world.disturbed && world.layer.views ? 0.4 : 0.8)) return;
  world.weather = CALM;
  const obeyable = world.personWasHere ? editsToObey(world) : [];
  if (world.journal !== null) return concludeSteps(world);
  let outcome = visit(world, 'later');
  if (outcome === 'refused' && world.personWasHere) {
    removeInvalidViews(world);
    outcome = visit(world, 'fixed');
  }
  if (outcome !== 'done') throw new Violation('blocked', `a fresh process could not commit: ${outcome}`);
  checkViews(world);
  for (const edit of obeyable) {
    if (edit.version === 0 && !edit.overtaken) throw new Violation('edit lost', `${edit.mark} was to be committed`);
  }
  for (const edit of oracle.edits) {
    if (edit.version > 0 || edit.overtaken) continue;
    if (world.nameOf(edit.file) === null || edit.file.text !== edit.text) throw new Violation('edit lost', edit.mark);
    oracle.stats.editsAside++;
  }
}

/** A parked task goes on when its signal or its time comes, or its children are over, and every signal that is left is taken. */
function concludeSteps(world: World): void {
  const record = () => world.oracle.recordAt(world.oracle.newestWhole());
  const asks = { id: 'last', value: 'last', ms: null, sleeper: null };
  let number = 0;
  const make = (kind: StepRequest['kind'] | 'claim' | 'child', name = ''): void => {
    const own =
      kind === 'claim' || kind === 'child'
        ? { kind, asks: null }
        : { kind: 'steps' as const, asks: { ...asks, kind, name } };
    const outcome = visit(world, `later${++number}`, { ...own, number, claimId: 'claim-later' });
    if (outcome !== 'done') throw new Violation('blocked', `a fresh process could not ${kind} ${name}: ${outcome}`);
  };
  const { state } = record() ?? {};
  // Without a time only a signal leads on, or the end of children.
  const waits = (state?.wake_at ?? null) === null ? (state?.waits_for ?? []) : [];
  const signal = waits.find(({ kind }) => kind === 'wait-for');
  if (signal) make('signal', signal.name);
  if (waits.some(({ kind }) => kind === 'join')) for (const _child of Object.values(SETS).flat()) make('child');
  // Every wait and every lease is over.
  world.disk.nowMs += 60_000;
  make('claim');
  for (const name of world.journal?.left(record()) ?? []) make('wait-for', name);
  make('step', 'last');
}

/** A fresh process makes one request, alone and undisturbed, and within bounds. */
function visit(world: World, name: string, request: Request = COUNT): string {
  const names = world.disk.root.entries.has('a') ? world.disk.folder(DIR).entries.size : 0;
  let outcome = 'nothing';
  const once = function* (self: Process): Life {
    outcome = yield* protocol(world, self, request);
    if (outcome === 'done' && world.random.chance(0.3)) outcome = yield* protocol(world, self, request);
    self.left = 0;
  };
  const visitor = newProcess(name, once, 1);
  world.processes = [visitor];
  world.run(world.turn + 150 + 4 * names);
  return visitor.life === null ? outcome : 'not done in time';
}

const COUNT: Request = { kind: 'count', number: 1, claimId: '', asks: null };

/** Edits that are valid and made on the newest version: the next change takes them over. */
function editsToObey(world: World) {
  const n = world.oracle.newestWhole();
  const decoded = decodeVersion(world.oracle.fileAt(n)?.text ?? '');
  if (decoded.kind !== 'valid' || world.oracle.latest !== n) return [];
  const stateVersion = decoded.version.record.state.state_version;
  return world.oracle.edits.filter((edit) => {
    if (edit.version > 0 || edit.overtaken || world.disk.file(`${DIR}/${edit.view}`) !== edit.file) return false;
    try {
      const value = JSON.parse(edit.file.text);
      return value.state_version === stateVersion && value.version === 1;
    } catch {
      return false;
    }
  });
}

/** A person removes invalid views. */
function removeInvalidViews(world: World): void {
  world.current = null;
  for (const name of VIEW_NAMES) {
    const file = world.disk.file(`${DIR}/${name}`);
    if (file === null) continue;
    if (file.edit !== null) file.edit.overtaken = true;
    world.disk.perform({ call: 'unlink', path: `${DIR}/${name}` });
  }
  world.oracle.handFilesGone();
}

function checkViews(world: World): void {
  if (!world.layer.views) return;
  const n = world.oracle.latest;
  if (n === 0) return;
  const text = world.oracle.fileAt(n)?.text ?? '';
  const decoded = decodeVersion(text);
  if (decoded.kind !== 'valid') {
    if (world.rotten) return;
    throw new Violation('acknowledged, then lost', `version ${n} is ${decoded.kind}`);
  }
  const wanted = viewsOf(decoded.version.record);
  for (const name of VIEW_NAMES) {
    const found = world.disk.file(`${DIR}/${name}`);
    if (sameView(found?.text ?? null, wanted[name]) && found?.symlink !== true) continue;
    throw new Violation('views differ', `${name} is not what version ${n} says: ${found?.text ?? 'missing'}`);
  }
}

/** A record that was read and one that was just made may have their fields in another order. */
function sameView(found: string | null, wanted: string | null): boolean {
  if (found === wanted) return true;
  return found !== null && wanted !== null && isSealedView(found) && canonical(found) === canonical(wanted);
}

function canonical(view: string): string {
  return JSON.stringify(JSON.parse(view, (key, value) => (key === 'checksum' ? undefined : sorted(value))));
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
