/**
 * The positive control: a lock file alone, by the rules of proper-lockfile. `mkdir` takes the lock, its time keeps it, age
 * makes it stale, `rmdir` takes it over or releases it without a check. The state is one file that is replaced.
 *
 * The harness must find what is wrong with it; a harness that can't would prove nothing about the protocol.
 */

import { freshRecord, type TaskRecord } from '../../src/domain/task/records.ts';
import { errorCode } from '../../src/lib/fs/io-errors.ts';
import { isoTime } from '../../src/lib/time.ts';
import type { Doing } from './disk.ts';
import { newTrying } from './oracle.ts';
import type { Attempt, Outcome } from './processes.ts';
import { decide, type Request, TASK } from './requests.ts';
import { DIR, type Process, type World } from './world.ts';

const LOCK = `${DIR}/state.json.lock`;
const STATE = `${DIR}/state.json`;

/** Age at which a lock counts as stale, milliseconds of simulated time; its holder touches it far more often. */
const STALE_MS = 150;
const TRIES = 40;

function* acquired(world: World): Doing<boolean> {
  for (let tries = 0; tries < TRIES; tries++) {
    try {
      yield { call: 'mkdir', path: LOCK };
      return true;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
    const time = (yield { call: 'modified', path: LOCK }) as number | null;
    if (time !== null && time < world.nowMs - STALE_MS) yield* quiet({ call: 'rmdir', path: LOCK });
  }
  return false;
}

function* quiet(call: { call: 'rmdir' | 'touch'; path: string }): Doing<void> {
  try {
    yield call;
  } catch {
    // Released or taken over by another process: proper-lockfile goes on as well.
  }
}

function* readState(): Doing<TaskRecord | null> {
  try {
    return JSON.parse(String(yield { call: 'read', path: STATE, max: 1 << 20 })) as TaskRecord;
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return null;
  }
}

export const lockFile: Attempt = function* (world, self, request) {
  try {
    return (yield locked(world, self, request)) as Outcome;
  } catch (error) {
    if (errorCode(error) === '') throw error;
    return 'again';
  }
};

function* locked(world: World, self: Process, request: Request): Doing<Outcome> {
  if (!(yield* acquired(world))) return 'again';
  const record = (yield* readState()) ?? freshRecord(TASK, isoTime(world.nowMs));
  const op = `${self.name}-${++self.ops}`;
  const decided = decide(record, request, {
    name: self.name,
    op,
    nowMs: world.nowMs,
    answer: null,
    settles: null,
    onlyDue: false,
    over: new Set<string>(),
  });
  yield* quiet({ call: 'touch', path: LOCK });
  if (decided.kind === 'commit') {
    self.trying = newTrying(op, world.oracle.latest, record, decided, request, world.nowMs);
    yield* replaceState(decided.record, op);
  }
  yield* quiet({ call: 'rmdir', path: LOCK });
  return decided.kind === 'refused' ? 'refused' : 'done';
}

function* replaceState(record: TaskRecord, op: string): Doing<void> {
  const draft = `${STATE}~${op}`;
  const handle = (yield { call: 'create', path: draft }) as never;
  yield { call: 'write', handle, text: JSON.stringify(record) };
  yield { call: 'syncFile', handle };
  yield { call: 'close', handle };
  yield { call: 'rename', from: draft, to: STATE };
  yield { call: 'syncDir', path: DIR };
}
