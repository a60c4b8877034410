/** A project in a folder of its own, and a context with a simulated clock, randomness and processes. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { claim } from '../../../src/commands/claim.ts';
import { complete } from '../../../src/commands/complete.ts';
import { dispatch } from '../../../src/commands/dispatch.ts';
import { type CommandContext, openSession, type Session } from '../../../src/commands/shared/session.ts';
import type { Context } from '../../../src/domain/context.ts';
import type { CompleteResult } from '../../../src/domain/task/complete-attempt.ts';
import type { Liveness } from '../../../src/domain/task/identity.ts';
import { freshRecord, type TaskRecord } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { refused } from '../refused.ts';

export const T0 = Date.parse('2030-01-01T00:00:00.000Z');
export const MINUTE_MS = 60_000;
/** Defaults of the settings: the duration of a lease without a heartbeating owner, and its grace. */
export const TTL_MS = 30 * MINUTE_MS;
export const GRACE_MS = 5 * MINUTE_MS;

/** A UUID that no request of a test was given. */
export const STRANGER = '00000000-0000-7000-8000-000000000bad';

/** Numbers in [0, 1), the same in every run. Source: mulberry32, by Tommy Ettinger. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export class World {
  readonly project: string;
  /** Milliseconds since T0, on both clocks. */
  clock = 0;
  /** The liveness of every owner. */
  liveness: Liveness = 'unknown';
  readonly warnings: string[] = [];
  readonly context: CommandContext;

  constructor(plan: string | null = null, settings: string | null = null) {
    this.project = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'forge-verbs-')));
    onTestFinished(() => fs.rmSync(this.project, { recursive: true, force: true }));
    if (plan !== null) this.write('plans/phases.yaml', plan);
    if (settings !== null) this.write('.forge/settings.yaml', settings);
    this.context = { ctx: this.#context(), warn: (message) => this.warnings.push(message) };
  }

  #context(): Context {
    const random = seeded(1);
    return {
      now: () => T0 + this.clock,
      monotonicMs: () => 1_000_000 + this.clock,
      random,
      randomBytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)),
      env: {},
      cwd: this.project,
      pid: process.pid,
      machine: () => ({ host: 'mill', boot_id: 'boot-a', pid_ns: 'pid:[1]' }),
      liveness: () => this.liveness,
    };
  }

  session(): Promise<Session> {
    return openSession(this.context);
  }

  wait(ms: number): void {
    this.clock += ms;
  }

  /** The ISO time `ms` after T0. */
  at(ms: number): string {
    return isoTime(T0 + ms);
  }

  path(...names: string[]): string {
    return path.join(this.project, ...names);
  }

  write(name: string, text: string): string {
    const file = this.path(name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
    return file;
  }

  json(...names: string[]): Record<string, unknown> {
    return JSON.parse(fs.readFileSync(this.path(...names), 'utf8')) as Record<string, unknown>;
  }

  has(...names: string[]): boolean {
    return fs.existsSync(this.path(...names));
  }

  /** The task's record as a reader sees it. Fails when there is none. */
  async record(task: string): Promise<TaskRecord> {
    const { record } = await (await this.session()).store.read(task, { thorough: true });
    if (record === null) throw new Error(`no record of ${task}`);
    return record;
  }

  /** Puts a task into a state without the moves that lead there. */
  async put(task: string, state: Partial<TaskRecord['state']>): Promise<void> {
    const { store, newOp } = await this.session();
    const { version, record } = await store.read(task, { thorough: true });
    const before = record ?? freshRecord(task, this.at(this.clock));
    const after = { ...before, lease: null, state: { ...before.state, ...state } };
    const result = await store.commit(task, { expected: version, op: newOp(), record: after });
    if (result.kind !== 'committed') throw new Error(`conflict on ${task}`);
  }

  /** Claims a task and opens its attempt, as an agent does. */
  async start(task: string): Promise<{ claim: string; run: string; attempt: string }> {
    const { claim_id, run_id } = await claim.run(this.context, { task });
    const { attempt_id } = await dispatch.run(this.context, { task, claim: claim_id, run: run_id, phase: 'implement' });
    return { claim: claim_id, run: run_id, attempt: attempt_id };
  }

  /** Writes a verdict for `complete`; text as it is. Returns its path. */
  verdict(body: object | string = { verdict: 'ready_for_review', summary: 'done' }): string {
    return this.write('verdict.json', typeof body === 'string' ? body : JSON.stringify(body));
  }

  finish(task: string, attempt: string, body?: object): Promise<CompleteResult> {
    return complete.run(this.context, { task, attempt, verdict_file: this.verdict(body) });
  }

  fail(task: string, attempt: string, errorClass = 'exit.1', message?: string): Promise<CompleteResult> {
    return complete.run(this.context, { task, attempt, failed: true, error_class: errorClass, message });
  }

  /** Everything below the project with its content and its times: differs after any write. */
  footprint(): string[] {
    const seen: string[] = [];
    for (const entry of fs.readdirSync(this.project, { recursive: true, withFileTypes: true })) {
      const place = path.join(entry.parentPath, entry.name);
      const stat = fs.lstatSync(place, { bigint: true });
      const content = entry.isFile() ? fs.readFileSync(place, 'utf8') : '';
      seen.push(`${place} ${stat.mode} ${stat.ino} ${stat.mtimeNs} ${stat.ctimeNs} ${content}`);
    }
    return seen.sort();
  }
}

/** A plan of one phase, each task a YAML flow mapping or just an id. */
export function planOf(...tasks: string[]): string {
  return phasesOf({ id: 'phase-1', tasks });
}

export function phasesOf(...phases: { id: string; more?: string; tasks: string[] }[]): string {
  const lines = phases.flatMap(({ id, more, tasks }) => [
    `  - id: ${id}`,
    `    name: Phase ${id.slice('phase-'.length)}`,
    ...(more === undefined ? [] : [`    ${more}`]),
    tasks.length === 0 ? '    tasks: []' : '    tasks:',
    ...tasks.map((task) => {
      const [name, ...rest] = task.split(', ');
      return `      - {${[`id: ${name}`, `title: Do ${name}`, ...rest].join(', ')}}`;
    }),
  ]);
  return ['project: mill', 'phases:', ...lines, ''].join('\n');
}

/** A plan with every reason to wait: a command, a dependency, a person, a phase. */
export const TWO_PHASES = phasesOf(
  { id: 'phase-1', tasks: ['build, run: make', 'test, depends_on: [build]', 'sign, owner_type: human'] },
  { id: 'phase-2', more: 'blocked_by: phase-1', tasks: ['ship, run: make ship, priority: P0'] },
);

export async function code(act: () => unknown): Promise<string> {
  return (await refused(act)).code;
}

export function keysOf(value: object | undefined): string[] {
  return Object.keys(value ?? {});
}

/** Items of gc, a word for each part. */
export function shortly(items: readonly { row: number; task_id: string; action: string }[]): string[] {
  return items.map(({ row, task_id, action }) => `${row} ${task_id} ${action}`);
}
