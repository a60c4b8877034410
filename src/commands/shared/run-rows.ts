/** A run as `run list` and `status` show it. */

import type { RunManifest } from '../../domain/task/records.ts';
import { type RunStanding, runStanding } from '../../engine/env.ts';
import type { TaskSeen } from '../../store/file/file-store.ts';
import type { Session } from './session.ts';

export interface RunRow {
  run_id: string;
  name: string | null;
  host: string;
  started_at: string;
  ended_at: string | null;
  standing: RunStanding;
}

export function runRow(session: Session, manifest: RunManifest): RunRow {
  const { run_id, name, host, started_at } = manifest;
  const ended_at = manifest.ended_at ?? null;
  return { run_id, name, host, started_at, ended_at, standing: runStanding(session, manifest) };
}

/** Whether the run works on the task, or touched it last. */
export function isOfRun({ record }: Pick<TaskSeen, 'record'>, runId: string): boolean {
  return record?.lease?.owner_run_id === runId || record?.state.updated_by.run_id === runId;
}
