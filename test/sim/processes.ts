/** What the simulated processes do: the loop of every changing command, over the real protocol. */

import { ledgerOf, openQuestion } from '../../src/domain/question/questions.ts';
import { freshRecord, type TaskRecord } from '../../src/domain/task/records.ts';
import * as io from '../../src/lib/fs/operations.ts';
import { type Step, unless } from '../../src/lib/fs/operations.ts';
import { isoTime } from '../../src/lib/time.ts';
import { readText } from '../../src/store/file/protocol.ts';
import { type VersionFile, versionName } from '../../src/store/file/record-file.ts';
import { createOnce, type FolderCommit } from '../../src/store/file/task-files.ts';
import { childFile, SETS, sealedChildren } from './children.ts';
import { type Doing, Fault, type Life } from './disk.ts';
import type { Seen } from './layers.ts';
import { newTrying, OnceOracle, type Trying, Violation } from './oracle.ts';
import { decide, type Request, type RequestKind, TASK, tallyOf } from './requests.ts';
import { nextStepRequest } from './steps.ts';
import { committed, decideOnJournal, goOn, lookAtJournal } from './steps-life.ts';
import { ANSWERS, CHUNKS, DIR, type Process, type World } from './world.ts';

type Committed = Extract<FolderCommit, { kind: 'committed' }>;

/** How often a request is tried again before the process gives it up. */
const TRIES = 10;

export type Outcome = 'done' | 'refused' | 'again';

/** One try of a request. `protocol` and the lock file of the positive control both have this shape. */
export type Attempt = (world: World, self: Process, request: Request) => Life<Outcome>;

/** A process that makes its requests one after the other, each until it is done or refused. */
export function* requesting(world: World, self: Process, attempt: Attempt): Life {
  // One that was killed has forgotten what it knew.
  self.memory = { known: null, shown: undefined };
  while (self.request !== null || self.left > 0) {
    // A process that was killed starts with the request that it had not answered.
    self.request ??= nextRequest(world, self);
    const { request } = self;
    let outcome: Outcome = 'again';
    for (let tries = 0; outcome === 'again' && tries < TRIES; tries++) outcome = yield* attempt(world, self, request);
    self.trying = null;
    if (request.kind === 'claim') self.claim = outcome === 'done' ? request.claimId : null;
    else if (outcome === 'refused' || request.kind === 'release' || request.kind === 'ask') self.claim = null;
    self.request = null;
  }
}

const FREE: readonly RequestKind[] = ['claim', 'claim', 'claim', 'count', 'count', 'look', 'answer'];
const FREE_OF_VIEWS: readonly RequestKind[] = ['count', 'count', 'count', 'claim', 'look'];
const HOLDING: readonly RequestKind[] = ['heartbeat', 'heartbeat', 'release', 'count', 'look'];

/** Where questions are what matters. */
const FREE_TO_ANSWER: readonly RequestKind[] = ['claim', 'claim', 'settle', 'settle', 'settle', 'count'];
const HOLDING_TO_ASK: readonly RequestKind[] = ['ask', 'ask', 'ask', 'heartbeat', 'release'];

function nextRequest({ random, layer, focus, journal, processes }: World, self: Process): Request {
  self.left--;
  self.requests++;
  const numbered = { number: self.requests, claimId: self.claim ?? `claim-${self.name}-${self.requests}`, asks: null };
  if (journal !== null) {
    const { sleeper } = self;
    if (sleeper !== null)
      return { ...numbered, kind: 'steps', asks: { kind: 'park', name: '', id: '', value: '', ms: null, sleeper } };
    const free = focus === 'fan-outs' ? FREE_OF_CHILDREN : FREE_OF_STEPS;
    const holding = focus === 'fan-outs' ? HOLDING_CHILDREN : HOLDING_STEPS;
    const shared = self.claim === null && random.chance(0.3) ? claimOfOther(processes) : null;
    if (shared !== null) {
      const asks = nextStepRequest(random, focus, true, `${self.name}-${self.requests}`);
      return { ...numbered, claimId: shared, kind: 'steps', asks };
    }
    const kind = random.pick(self.claim === null ? free : holding);
    if (kind !== 'steps') return { ...numbered, kind };
    return {
      ...numbered,
      kind,
      asks: nextStepRequest(random, focus, self.claim !== null, `${self.name}-${self.requests}`),
    };
  }
  const questions = focus === 'questions';
  const holding = questions ? HOLDING_TO_ASK : HOLDING;
  const free = questions ? FREE_TO_ANSWER : layer.views ? FREE : FREE_OF_VIEWS;
  const kind = random.pick(self.claim !== null ? holding : free);
  return { ...numbered, kind };
}

/** An attempt may have several processes, each with a step of its own. */
function claimOfOther(processes: readonly Process[]): string | null {
  return processes.find(({ claim }) => claim !== null)?.claim ?? null;
}

/** Where journals are what matters. */
const FREE_OF_STEPS: readonly RequestKind[] = ['claim', 'claim', 'claim', 'steps', 'look', 'count'];
/** Where children are: they end while their parent is worked on, and while it is parked. */
const FREE_OF_CHILDREN: readonly RequestKind[] = [
  'claim',
  'claim',
  'claim',
  'child',
  'child',
  'child',
  'steps',
  'look',
];
const HOLDING_CHILDREN: readonly RequestKind[] = [
  'steps',
  'steps',
  'steps',
  'steps',
  'steps',
  'child',
  'child',
  'heartbeat',
];
const HOLDING_STEPS: readonly RequestKind[] = [
  'steps',
  'steps',
  'steps',
  'steps',
  'steps',
  'heartbeat',
  'release',
  'look',
];

/** Runs a step and tells a failed call from a broken promise or a bug, which no process may survive. */
function* tried<T>(step: Doing<T>, self: Process): Life<{ value: T } | null> {
  try {
    return { value: (yield step) as T };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (!self.failed) throw new Violation('failed without a cause', `${self.name} was told ${error.code}`);
    return null;
  }
}

/** Read, decide, commit on what was read. */
export const protocol: Attempt = function* (world, self, request) {
  const { oracle } = world;
  self.failed = false;
  if (request.kind === 'look') return yield* look(world, self);
  if (request.kind === 'child') return yield* endChild(world, self);
  const answer = request.kind === 'answer' ? yield* agreed(world, self, 'answer.json') : null;
  if (request.kind === 'answer' && answer === null) return 'again';
  const settles = request.kind === 'settle' ? yield* decided(world, self) : null;
  if (settles === 'again' || settles === 'done') return settles;

  const over = world.focus === 'fan-outs' ? yield* tried(childrenOver(), self) : { value: NONE };
  if (over === null) return 'again';
  const read = yield* readChecked(world, self, true);
  if (read === null) return 'again';
  if (read.problem !== null) return refusedByEdit(world, read.problem);
  const record = read.record ?? freshRecord(TASK, isoTime(world.nowMs));
  const op = `${self.name}-${++self.ops}`;
  const asks = { name: self.name, op, nowMs: world.nowMs, answer, settles };
  const asker = { ...asks, onlyDue: world.journal !== null, over: over.value };
  const decision =
    request.asks === null
      ? decide(record, request, asker)
      : yield* decideOnJournal(record, request, request.asks, asker, (step) => tried(step, self));
  if (decision === null) return 'again';
  if (decision.kind === 'refused') return 'refused';
  self.sleeper = null;
  if (decision.kind === 'passed') return 'done';
  if (decision.kind === 'repeat') {
    self.memory.shown = undefined;
    if ((yield* tried(world.layer.settle(op, self.memory), self)) === null) return 'again';
    oracle.settled(self.name, request);
    return 'done';
  }
  const trying = newTrying(op, read.version, record, decision, request, world.nowMs);
  self.trying = trying;
  checkAnswers(world, decision.record);
  const change = { expected: read.version, op, record: decision.record, added: decision.added };
  const result = yield* tried(committed(world, change, decision.documents, self.memory), self);
  if (result?.value.kind === 'committed') remember(world, self, result.value);
  const outcome = judge(world, self, trying, result?.value ?? null);
  if (outcome === 'done' && request.kind === 'claim' && record.state.state === 'waiting') oracle.stats.goneOn++;
  if (outcome === 'done' && request.asks !== null) goOn(self, oracle.stats, request.asks, decision.result);
  return outcome;
};

function judge(world: World, self: Process, trying: Trying, result: FolderCommit | null): Outcome {
  const { oracle } = world;
  if (result === null || result.kind === 'conflict') {
    trying.swept ||= self.disturbedAt >= self.readAt;
    oracle.refused(trying, result === null ? 'error' : 'conflict');
    return 'again';
  }
  const late = result.warnings.filter((warning) => !warning.includes('moved to'));
  if (late.length > 0 && !self.failed) throw new Violation('failed without a cause', late.join('; '));
  if (trying.request.kind === 'ask') oracle.stats.asked++;
  if (trying.request.kind === 'settle') oracle.stats.answered++;
  oracle.acknowledged(trying, result.version, !result.warnings.some((warning) => warning.includes('power cut')));
  return 'done';
}

/** An invalid edit stops changes, and nothing else may. */
function refusedByEdit(world: World, problem: string): Outcome {
  world.oracle.stats.refusedByEdit++;
  if (!world.personWasHere) throw new Violation('blocked', problem);
  return 'refused';
}

function* readChecked(world: World, self: Process, thorough: boolean): Life<Seen | null> {
  const since = world.oracle.lastOp;
  self.readAt = world.turn;
  const read = yield* tried(world.layer.read(thorough, self.memory), self);
  if (read === null) return null;
  world.oracle.checkRead(read.value, since);
  know(world, self, read.value.whole);
  return read.value;
}

function know({ disk }: World, self: Process, version: VersionFile | null): void {
  const file = version?.open ? null : version && disk.file(`${DIR}/${versionName(version.n)}`);
  self.memory.known = version && { version, writtenMs: file?.mtimeMs ?? null };
}

function remember(world: World, self: Process, { whole, record, warnings }: Committed): void {
  know(world, self, whole);
  if (warnings.length === 0) self.memory.shown = record.state.state_version;
}

const NONE: ReadonlySet<string> = new Set();

/** The files of the children that are over. */
function* childrenOver(): Step<ReadonlySet<string>> {
  const over = new Set<string>();
  for (const [set, names] of Object.entries(SETS))
    for (const name of names) if ((yield* readText(childFile(set, name))).text !== null) over.add(childFile(set, name));
  return over;
}

/** Children that were made are over. */
function* endChild(world: World, self: Process): Life<Outcome> {
  const read = yield* readChecked(world, self, false);
  if (read === null) return 'again';
  const left = (read.record === null ? [] : sealedChildren(read.record))
    .map(([set, name]) => childFile(set, name))
    .filter((file) => world.disk.file(file) === null);
  for (const file of world.random.chance(0.5) ? left : left.slice(0, 1)) {
    const folder = yield* tried(unless('EEXIST', io.mkdir(CHUNKS)), self);
    const ended = folder && (yield* tried(createOnce(file, 'over', `${self.name}-child-${++self.ops}`), self));
    if (ended === null) return 'again';
  }
  return 'done';
}

/** A reader, which must notice an edit that was there all the time. */
function* look(world: World, self: Process): Life<Outcome> {
  const { oracle } = world;
  const inPlace = (view: string) => world.disk.file(`${DIR}/${view}`);
  const before = oracle.waiting(inPlace);
  const read = yield* readChecked(world, self, world.random.chance(0.3));
  if (read === null) return 'done';
  if (read.problem !== null) return refusedByEdit(world, read.problem);
  const op = tallyOf(read.record)?.self;
  if (world.journal !== null && read.record !== null && op !== undefined)
    if (!(yield* lookAtJournal(world, read.record, op, (step) => tried(step, self)))) return 'done';
  const after = oracle.waiting(inPlace).filter((edit) => before.includes(edit));
  if (after.length > 0 && read.version > 0 && read.warnings.length === 0) {
    throw new Violation('stale read', `${after[0]?.mark} was there and was not noticed`);
  }
  return 'done';
}

/** Creates a file that is created once, or finds the one that was there first. Null when a call failed. */
function* agreed(world: World, self: Process, name: string): Life<string | null> {
  const mine = `answer of ${self.name} ${self.ops}`;
  const path = `${ANSWERS}/${name}`;
  const created = yield* tried(createOnce(path, mine, `${self.name}-answer-${++self.ops}`), self);
  if (created === null) return null;
  const file = world.disk.file(path);
  const durable = file !== null && file.synced === file.text && world.disk.folder(ANSWERS).settled.get(name) === file;
  const oracle = world.answers.get(name) ?? new OnceOracle();
  world.answers.set(name, oracle);
  oracle.told(file?.text ?? null, durable, created.value ? mine : null);
  return file?.text ?? null;
}

/** Answers the question that is open, if there is one, or finds who was first. The move that follows is a change of its own. */
function* decided(world: World, self: Process): Life<{ question: string; answer: string } | 'again' | 'done'> {
  const read = yield* readChecked(world, self, true);
  if (read === null) return 'again';
  const open = read.record === null ? null : openQuestion(read.record);
  if (open === null) return 'done';
  const answer = yield* agreed(world, self, `${open.question_id}.json`);
  return answer === null ? 'again' : { question: open.question_id, answer };
}

/** Whatever a record says of its questions is what their answer files say; and a parked task has no lease. */
function checkAnswers({ answers, personWasHere }: World, record: TaskRecord): void {
  for (const { question_id, option_id } of ledgerOf(record).settled) {
    const text = answers.get(`${question_id}.json`)?.text ?? null;
    if (text !== option_id)
      throw new Violation('wrong answer', `${question_id}: ${option_id}, but its file says ${text}`);
  }
  // A person may give a lease to whatever task.
  if (openQuestion(record) !== null && record.lease !== null && !personWasHere)
    throw new Violation('two owners', 'a parked task has a lease');
}
