/** `run start`, `run end`, `run list`: a run is what claims are made under, for somebody who works by hand. */

import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { oneLine } from '../lib/text.ts';
import { endRun, openRun, type RunRow, runRow } from './shared/runs.ts';
import { type Call, openSession } from './shared/session.ts';

export type { RunRow } from './shared/runs.ts';

export interface RunStartData {
  run_id: string;
  name: string | null;
  started_at: string;
}

export async function runStart(call: Call, options: { name?: string | undefined }): Promise<RunStartData> {
  const name = options.name === undefined ? null : oneLine(options.name, 200);
  const { run_id, started_at } = await openRun(openSession(call), { name });
  return { run_id, name, started_at };
}

export interface RunEndData extends RunStartData {
  ended_at: string;
}

/** Notes that a run is over; its leases go on until they are completed, released or run out. Throws RUN_NOT_FOUND. */
export async function runEnd(call: Call, options: { run: string }): Promise<RunEndData> {
  const session = openSession(call);
  const runId = requireUuid(options.run, '--run');
  const manifest = await endRun(session, runId);
  if (manifest === null) throw new ForgeError('RUN_NOT_FOUND', `there is no run ${runId}`);
  const { run_id, name, started_at, ended_at } = manifest;
  return { run_id, name, started_at, ended_at };
}

export async function runList(call: Call): Promise<{ runs: RunRow[] }> {
  const session = openSession(call);
  const manifests = await session.store.listRuns();
  return { runs: manifests.map((manifest) => runRow(session, manifest)) };
}
