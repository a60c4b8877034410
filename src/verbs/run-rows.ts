/** A run as `run list` and `status` show it. */

import type { RunManifest } from '../core/records.ts';
import { type RunStanding, runStanding } from '../runner/env.ts';
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
