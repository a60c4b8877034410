/** A run as `run list` and `status` show it. */

import type { RunManifest } from '../core/records.ts';
import type { Session } from './session.ts';

/** `open`: nobody said that it ended. `dead`: its process is gone without having said so. */
export type RunStanding = 'open' | 'ended' | 'dead';

export interface RunRow {
  run_id: string;
  name: string | null;
  host: string;
  started_at: string;
  ended_at: string | null;
  standing: RunStanding;
}

export function runRow(session: Session, manifest: RunManifest): RunRow {
  const { run_id, name, host, started_at, owner } = manifest;
  const ended_at = manifest.ended_at ?? null;
  const dead = ended_at === null && owner != null && session.ctx.liveness(owner) === 'dead';
  return { run_id, name, host, started_at, ended_at, standing: ended_at !== null ? 'ended' : dead ? 'dead' : 'open' };
}
