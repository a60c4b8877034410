/** How a simulated process reads a journal, decides on it, and commits what it decided with the parts that are made. */

import { readingJournal } from '../../src/domain/steps/changes.ts';
import type { Chunk, ChunkName, Entry, Reading } from '../../src/domain/steps/journal.ts';
import type { TaskRecord } from '../../src/domain/task/records.ts';
import { ForgeError } from '../../src/lib/errors.ts';
import * as io from '../../src/lib/fs/operations.ts';
import { type Step, unless } from '../../src/lib/fs/operations.ts';
import { createdFor } from '../../src/store/file/documents.ts';
import { readText } from '../../src/store/file/protocol.ts';
import type { FolderCommit, TaskCommitRequest } from '../../src/store/file/task-files.ts';
import { type Life, ROOT } from './disk.ts';
import type { Memory } from './layers.ts';
import { type Stats, Violation } from './oracle.ts';
import { type Asker, committing, type Decided, type Documents, type Request } from './requests.ts';
import { decideSteps, type StepRequest, sleeperOf, stepNameOf } from './steps.ts';
import { CHUNKS, DIR, type Process, type World } from './world.ts';

/** Makes a call of the process; null where it has failed. */
type Try = <T>(step: Step<T>) => Life<{ value: T } | null>;

function* readChunk({ chunk_id }: ChunkName): Step<readonly Entry[]> {
  const { text } = yield* readText(`${CHUNKS}/${chunk_id}.json`, Number.POSITIVE_INFINITY);
  if (text === null) throw new Violation('journal lost', `its part ${chunk_id} is not there`);
  return (JSON.parse(text) as Chunk).entries;
}

/** What a reading comes to; null where a call has failed. */
function* answered<T>(reading: Reading<T>, tried: Try): Life<{ value: T } | null> {
  let next = reading.next();
  while (next.done !== true) {
    const entries = yield* tried(readChunk(next.value));
    if (entries === null) return null;
    next = reading.next(entries.value);
  }
  return { value: next.value };
}

/** By which an attempt learns that its task is not its own any more. */
const LOST = ['LEASE_STOLEN', 'STALE_ATTEMPT', 'PARKED'];

/** Decides a request to the journal; null where a call has failed. */
export function* decideOnJournal(
  record: TaskRecord,
  request: Request,
  asks: StepRequest,
  asker: Asker,
  tried: Try,
): Life<Decided | null> {
  try {
    const decision = yield* answered(decideSteps(record, asks, request.claimId, asker), tried);
    return decision && committing(record, decision.value, request, asker);
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    // What another process of the attempt has recorded is made durable before it is gone on with.
    if (error.code === 'STEP_REPEATED') return { kind: 'repeat' };
    if (error.code === 'UNKNOWN_FANOUT') return { kind: 'passed' };
    if (LOST.includes(error.code)) return { kind: 'refused' };
    throw error;
  }
}

/** Commits with the parts that the record refers to, as the store does. */
export function* committed(
  world: World,
  change: TaskCommitRequest,
  documents: Documents,
  memory: Memory,
): Step<FolderCommit> {
  const { op } = change;
  const step = world.layer.commit(change, world.retention, memory);
  if (documents.length === 0) return yield* step;
  yield* unless('EEXIST', io.mkdir(CHUNKS));
  const files = documents.map(({ value }) => {
    const id = 'fan_out_id' in value ? String(value.fan_out_id) : (value as Chunk).chunk_id;
    const path = `${CHUNKS}/${id}.json`;
    const text = JSON.stringify(value);
    // It is there already when a link that was made was reported as failed.
    const standing = () => (world.disk.file(path)?.text === text ? null : id);
    return { path, text, doing: 'writing', above: [ROOT], standing };
  });
  world.oracle.stats.chunks += documents.filter(({ kind }) => kind === 'steps').length;
  const result = yield* createdFor(files, op, { dir: DIR, request: change, step });
  if (result === null || result.kind === 'standing') throw new Violation('created twice', `a part of ${op} is there`);
  return result as FolderCommit;
}

/** Reads the journal of a record that was read; false where a call has failed. */
export function* lookAtJournal(world: World, record: TaskRecord, op: string, tried: Try): Life<boolean> {
  const read = yield* answered(readingJournal(record), tried);
  if (read !== null && read.value !== null) world.journal?.told(op, record, read.value);
  return read !== null;
}

const WAITING: readonly StepRequest['kind'][] = ['wait', 'wait-for', 'repeat', 'join'];

/** What is next for a process whose request to the journal was committed. */
export function goOn(self: Process, stats: Stats, asks: StepRequest, result: unknown): void {
  if (asks.kind === 'park') {
    self.claim = null;
    stats.parked++;
  }
  if (asks.kind === 'step') stats.stepsDone++;
  if (asks.kind === 'fan-out') stats.fannedOut++;
  if (!WAITING.includes(asks.kind)) return;
  const entries = result as readonly Entry[];
  const step = entries.find((entry) => entry.step?.name === stepNameOf(asks))?.step;
  stats.ticks += entries.filter(({ tick }) => tick?.status === 'completed').length;
  if (asks.kind === 'join' && step?.status === 'completed') stats.joined++;
  self.sleeper = sleeperOf(step);
  if (asks.kind === 'wait-for' && step?.status === 'completed' && step.result !== 'timeout') stats.signalsTaken++;
}
