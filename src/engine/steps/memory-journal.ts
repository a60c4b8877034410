/** A journal in memory, for a program's own tests: no worker does the children. */

import { type Child, type Sealed, whyNoFanOut } from '../../domain/fan-out/fan-outs.ts';
import { unknownFanOut } from '../../domain/fan-out/join.ts';
import { fanOutStep } from '../../domain/fan-out/seal.ts';
import { type Entry, GrowingView, type Journal, type ReadJournal } from '../../domain/steps/journal.ts';
import { type Park, Parked, parkFor } from '../../domain/steps/parking.ts';
import { stepPolicy } from '../../domain/steps/tries.ts';
import { invalidArgs } from '../../lib/errors.ts';
import { isoTime } from '../../lib/time.ts';
import type { WorkerJournal } from './worker-journal.ts';

export interface MemoryOptions {
  /** Milliseconds since the epoch. Default: the clock. */
  now?: () => number;
  /** From 0 up to 1. Default: Math.random. */
  random?: () => number;
  /** A longer wait parks, milliseconds. Default: 30 s. */
  parkAfterMs?: number;
}

/** A journal in memory. `signal` sends to it. */
export interface MemoryJournal extends WorkerJournal {
  /** Sets the end of a child, since no worker does it. Throws UNKNOWN_FANOUT, INVALID_ARGS for a child that there is not. */
  settle(fanOut: string, child: string, end: ChildEnd): void;
  /** What it waits for; null while it is not parked. */
  parked: Park | null;
  /** Begins the next attempt: the one before was parked, or has failed and was charged. */
  begin(): void;
  add(entriesFor: (read: ReadJournal) => readonly Entry[]): void;
}

/** How a child ends. */
export interface ChildEnd {
  /** Default: shipped. */
  state?: 'shipped' | 'failed' | 'cancelled';
  /** What it left. Default: null. */
  result?: unknown;
}

/** The only task of a journal in memory. */
const TASK = 'memory';

export function memoryJournal(options: MemoryOptions = {}): MemoryJournal {
  const { now = Date.now, random = Math.random, parkAfterMs = 30_000 } = options;
  const journal: Journal = { key: 'memory', epoch: 0, chunks: [], tail: [] };
  const kept = new GrowingView();
  let attempts = 1;
  const sets = new Map<string, readonly Child[]>();
  const ends = new Map<string, ChildEnd>();
  const membersOf = (names: readonly string[]) =>
    names.flatMap((fan_out) => {
      const children = sets.get(fan_out);
      if (children === undefined) throw unknownFanOut(TASK, fan_out, [...sets.keys()]);
      return children.map(({ name }) => ({ fan_out, name, end: ends.get(`${fan_out}/${name}`) }));
    });
  const view = (): ReadJournal => ({ journal, ...kept.view() });
  return {
    parked: null,
    attemptId: TASK,
    failedAtMs: null,
    begin() {
      this.attemptId = `${TASK}-${++attempts}`;
      if (this.parked === null) journal.epoch += 1;
      this.parked = null;
    },
    settings: { steps: { park_after_ms: parkAfterMs } },
    policyOf: async (own) => stepPolicy(own, null, { retry: null }),
    instant: () => ({ nowMs: now(), monoMs: now(), bootId: 'memory' }),
    random,
    read: async () => view(),
    async readAgain() {
      if (this.parked !== null) throw new Parked(this.parked);
      return view();
    },
    settled: async () => {},
    async write(entriesFor) {
      return kept.add(entriesFor(await this.readAgain(), 1)).view();
    },
    async fanOut(name, childrenFor) {
      const known = sets.get(name);
      const fault = known === undefined ? whyNoFanOut([...sets].map(sealedOf), name) : null;
      if (fault !== null) throw fault;
      const children = known ?? childrenFor(TASK);
      sets.set(name, children);
      const looker = { name, attemptId: TASK, generation: 1, instant: this.instant() };
      const step = fanOutStep(view(), looker, { startedAt: isoTime(now()), children: children.length });
      kept.add([{ step }]);
      return step;
    },
    async seenChildren(names) {
      const members = membersOf(names);
      if (members.some(({ end }) => end === undefined)) return null;
      return members.map(({ fan_out, name, end }) => ({ fan_out, name, state: end?.state ?? 'shipped', error: null }));
    },
    joinedChildren: async (names, { not_shipped }) =>
      membersOf(names).map(({ fan_out, name, end }) => {
        const state = not_shipped[`${fan_out}/${name}`] ?? 'shipped';
        return { fan_out, name, state, result: state === 'shipped' ? (structuredClone(end?.result) ?? null) : null };
      }),
    settle(fanOut, child, end) {
      if (!membersOf([fanOut]).some(({ name }) => name === child))
        throw invalidArgs(`the fan-out ${fanOut} has no child ${child}`);
      ends.set(`${fanOut}/${child}`, end);
    },
    async park(sleepers) {
      this.parked = parkFor(sleepers, view(), this.instant());
      return this.parked;
    },
    isAlone: async () => true,
    goOn: async () => {},
    add: (entriesFor) => void kept.add(entriesFor(view())),
    tell: () => {},
    refused: async () => {},
    starts: async () => async () => {},
    holding: (work) => work(new AbortController().signal),
  };
}

function sealedOf([name, children]: readonly [string, readonly Child[]]): Sealed {
  return { name, attempt_id: TASK, fan_out_id: name, children: children.length };
}
