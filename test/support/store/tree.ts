/** A project in a folder of its own, and access to its state tree. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import {
  type AttemptManifest,
  type DocumentKind,
  freshRecord,
  type RunManifest,
  type TaskRecord,
  type TaskState,
} from '../../../src/domain/task/records.ts';
import { ForgeError } from '../../../src/lib/errors.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { FileStore } from '../../../src/store/file/file-store.ts';
import { FileArtifacts, FileEventLog } from '../../../src/store/file/logs.ts';
import { type Layout, layoutOf, StateTree } from '../../../src/store/file/tree.ts';
import type { RecordCommit } from '../../../src/store/port.ts';

export const T0 = Date.parse('2030-01-01T00:00:00.000Z');

/** A UUID with a readable number. */
export function id(n: number): string {
  return `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
}

/** An empty folder that is removed with the test. Its path has no symlinks. */
export function emptyFolder(): string {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'forge-store-')));
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export class Tree {
  readonly layout: Layout = layoutOf(emptyFolder());
  readonly folders = new StateTree(this.layout);
  readonly store = new FileStore(this.folders);
  readonly eventLog = new FileEventLog(this.folders);
  readonly artifacts = new FileArtifacts(this.folders);
  #ops = 0;

  /** Absolute path of a name in a task's folder. */
  at(task: string, ...names: string[]): string {
    return path.join(this.layout.tasks, task, ...names);
  }

  /** Writes a file and the folders above it; values other than text as JSON. */
  write(file: string, content: unknown): void {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  }

  read(file: string): string {
    return fs.readFileSync(file, 'utf8');
  }

  json(file: string): Record<string, unknown> {
    return JSON.parse(this.read(file)) as Record<string, unknown>;
  }

  has(file: string): boolean {
    return fs.existsSync(file);
  }

  names(dir: string): string[] {
    return fs.existsSync(dir) ? fs.readdirSync(dir).sort() : [];
  }

  /** A fresh name for a commit. */
  op(): string {
    return `op-${++this.#ops}`;
  }

  /** Commits `record` on the newest version. */
  async commit(task: string, record: TaskRecord): Promise<RecordCommit> {
    const { version } = await this.store.read(task, { thorough: true });
    const done = await this.store.commit(task, { expected: version, op: this.op(), record });
    if (done.kind === 'standing') throw new Error('a commit without documents met one');
    return done;
  }

  /** Reads, changes and commits the record, as a changing command does. Default: its state, to the same. Returns the new record. */
  async change(task: string, edit: (record: TaskRecord) => TaskRecord = withNewState): Promise<TaskRecord> {
    const read = await this.store.read(task, { thorough: true });
    if (read.problem !== null) throw new ForgeError('SCHEMA_INVALID', read.problem);
    const before = read.record ?? freshRecord(task, isoTime(T0));
    const result = await this.store.commit(task, { expected: read.version, op: this.op(), record: edit(before) });
    if (result.kind !== 'committed') throw new Error(`conflict on ${task}`);
    return result.record;
  }

  /** Creates a document of attempt `n`; false when another one exists. */
  async create(
    kind: DocumentKind,
    value: object,
    n = 11,
    op = this.op(),
    store: FileStore = this.store,
  ): Promise<boolean> {
    return (await store.createDocuments('build', [{ kind, attemptId: id(n), value }], op)) === null;
  }

  /** Edits a view as an editor does: another text under the same name. */
  editView(task: string, view: 'state.json' | 'lease.json', edit: (view: Record<string, unknown>) => object): void {
    const file = this.at(task, view);
    this.write(file, edit(this.json(file)));
  }
}

export function record(task: string, state: TaskState = 'unclaimed', fields: Partial<TaskRecord['state']> = {}) {
  const fresh = freshRecord(task, isoTime(T0));
  return { ...fresh, state: { ...fresh.state, state, ...fields } };
}

/** `record` held by claim 1 of run 100, running attempt 11. */
export function held(task: string, generation = 1): TaskRecord {
  const running = record(task, 'running', { attempt_count: 1, current_attempt_id: id(11) });
  return {
    ...running,
    lease: {
      version: 1,
      claim_id: id(1),
      task_id: task,
      attempt_id: id(11),
      owner_run_id: id(100),
      generation,
      acquired_at: isoTime(T0),
      expires_at: isoTime(T0 + 60_000),
      last_heartbeat_at: isoTime(T0),
      state_version: 0,
    },
    memo: { ...running.memo, generation },
  };
}

/** The code that `act` is refused with, or 'done'. */
export async function refusal(act: () => unknown): Promise<string> {
  try {
    await act();
  } catch (error) {
    if (error instanceof ForgeError) return error.code;
    throw error;
  }
  return 'done';
}

/** The manifest of a run with that id. */
export function runManifest(runId: string, fields: Partial<RunManifest> = {}): RunManifest {
  return { version: 1, run_id: runId, started_at: isoTime(T0), name: null, host: 'mill', ...fields };
}

function withNewState(record: TaskRecord): TaskRecord {
  return { ...record, state: { ...record.state } };
}

/** The manifest of attempt `id(n)` at the task `build`. */
export function attemptManifest(n: number): AttemptManifest {
  return {
    version: 1,
    attempt_id: id(n),
    task_id: 'build',
    run_id: id(100),
    claim_id: id(1),
    generation: 1,
    phase: 'implement',
    worktree_path: null,
    dispatched_at: isoTime(T0),
  };
}
