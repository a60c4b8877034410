/** Checks of a task's files that hold after any kill. */

import fs from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { decodeVersion, isSealedView, versionNumber, viewsOf } from '../../../src/store/file/record-file.ts';

/** Where everything of a task is. */
export function taskDir(dir: string, taskId: string): string {
  return `${dir}/.forge/orchestrator/tasks/${taskId}`;
}

export interface TaskFiles {
  /** Number of the newest version; 0 when there is none. */
  newest: number;
  record: TaskRecord | null;
}

/**
 * Reads the version files of a task, of each the newest version in it. Fails unless every one of them is whole, no generation ever had two claims, and
 * neither generations nor attempts ever went back.
 */
export function auditTask(dir: string, taskId: string): TaskFiles {
  const folder = taskDir(dir, taskId);
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  const numbers = names.flatMap((name) => versionNumber(name) ?? []).sort((a, b) => a - b);
  const claims = new Map<number, string>();
  let last: TaskRecord | null = null;
  let newest = 0;
  for (const number of numbers) {
    const name = names.find((candidate) => versionNumber(candidate) === number);
    const decoded = decodeVersion(fs.readFileSync(`${folder}/${name}`, 'utf8'));
    if (decoded.kind !== 'valid') throw new Error(`${name} of task ${taskId} is ${decoded.kind}`);
    const { record, n } = decoded.version;
    newest = n;
    if (record.lease !== null) {
      const { generation, claim_id } = record.lease;
      expect(claims.get(generation) ?? claim_id, `generation ${generation} of task ${taskId}`).toBe(claim_id);
      claims.set(generation, claim_id);
      expect(record.memo.generation).toBe(generation);
    }
    if (last !== null) {
      expect(record.memo.generation).toBeGreaterThanOrEqual(last.memo.generation);
      expect(record.state.attempt_count).toBeGreaterThanOrEqual(last.state.attempt_count);
      const { state, lease } = last;
      // What no view shows, as a step of a journal, leaves the state as it was.
      if (isDeepStrictEqual(record.state, state)) expect(record.lease).toEqual(lease);
      else expect(record.state.state_version).toBeGreaterThan(state.state_version);
    }
    last = record;
  }
  return { newest, record: last };
}

/** The views must say what the newest version says; a crash may leave them behind, the next change may not. */
export function expectViewsOf(dir: string, taskId: string, record: TaskRecord): void {
  const wanted = viewsOf(record);
  for (const name of ['state.json', 'lease.json'] as const) {
    const file = `${taskDir(dir, taskId)}/${name}`;
    const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null;
    expect(content(text), `${name} of task ${taskId}`).toEqual(content(wanted[name]));
    if (text !== null) expect(isSealedView(text), `${name} of task ${taskId} is as forge wrote it`).toBe(true);
  }
}

/** Views left behind by a crash: as forge once wrote them, and not ahead of the record. */
export function expectOlderViews(dir: string, taskId: string, record: TaskRecord): void {
  for (const name of ['state.json', 'lease.json'] as const) {
    const file = `${taskDir(dir, taskId)}/${name}`;
    if (!fs.existsSync(file)) continue;
    const text = fs.readFileSync(file, 'utf8');
    expect(isSealedView(text), `${name} of task ${taskId} is as forge wrote it`).toBe(true);
    const { state_version } = JSON.parse(text) as { state_version: number };
    expect(state_version).toBeLessThanOrEqual(record.state.state_version);
  }
}

/** The version that `state.json` shows; 0 without one. */
export function viewedVersion(dir: string, taskId: string): number {
  const file = `${taskDir(dir, taskId)}/state.json`;
  return fs.existsSync(file)
    ? (JSON.parse(fs.readFileSync(file, 'utf8')) as { state_version: number }).state_version
    : 0;
}

/** What a view says. Its checksum is over its text, in which the order of the keys may differ. */
function content(view: string | null): unknown {
  if (view === null) return null;
  const { checksum: _checksum, ...rest } = JSON.parse(view) as Record<string, unknown>;
  return rest;
}
