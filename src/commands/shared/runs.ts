/** Runs: opened, ended, and as rows of an answer. */

import * as z from 'zod/mini';
import { newId } from '../../domain/context.ts';
import type { RunManifest } from '../../domain/task/records.ts';
import { runStanding } from '../../engine/env.ts';
import { ForgeError } from '../../lib/errors.ts';
import { requireUuid } from '../../lib/ids.ts';
import { isoTime } from '../../lib/time.ts';
import type { EndedRun, TaskSummaryRead } from '../../store/port.ts';
import { textOrNull } from './data.ts';
import type { Session } from './session.ts';

/** Opens a run. Throws IO_ERROR. */
export async function openRun(session: Session, fields: Partial<RunManifest> = {}): Promise<RunManifest> {
  const manifest: RunManifest = {
    version: 1,
    run_id: newId(session.ctx),
    started_at: isoTime(session.now()),
    name: null,
    host: session.ctx.machine().host,
    stops_at_failure: true,
    ...fields,
  };
  await session.store.createRun(manifest, session.newOp());
  return manifest;
}

/** Throws INVALID_ID, RUN_NOT_FOUND. */
export async function requireRun(session: Session, runId: string): Promise<RunManifest> {
  const manifest = await session.store.readRun(requireUuid(runId, '--run'));
  if (manifest === null) throw new ForgeError('RUN_NOT_FOUND', `there is no run ${runId}`);
  return manifest;
}

/** Notes that a run is over. One that ended before keeps its time. Null when there is no such run, or it is gone with its tree. */
export function endRun(session: Session, runId: string): Promise<EndedRun | null> {
  return session.store.endRun(runId, isoTime(session.now()), session.newOp());
}

/**
 * Does `work` under the run that is named, which must exist, else under a new one. A run that was opened for work that was
 * then refused is taken back, and so is one whose work names another (`run_id`) that did it already; after IO_ERROR something may be done under it all
 * the same. Throws RUN_NOT_FOUND, and what `work` throws.
 */
export async function underRun<T extends object>(
  session: Session,
  runId: string | undefined,
  fields: Partial<RunManifest>,
  work: (runId: string) => Promise<T>,
): Promise<T> {
  if (runId !== undefined) return work((await requireRun(session, runId)).run_id);
  const { run_id } = await openRun(session, fields);
  try {
    const done = await work(run_id);
    if ('run_id' in done && done.run_id !== run_id) await session.store.discardRun(run_id);
    return done;
  } catch (error) {
    if (!(error instanceof ForgeError && error.code === 'IO_ERROR')) await session.store.discardRun(run_id);
    throw error;
  }
}

export const runFields = () => ({ run_id: z.string(), name: textOrNull(), started_at: z.string() });

export const runRowSchema = () =>
  z.strictObject({
    ...runFields(),
    host: z.string(),
    ended_at: textOrNull(),
    standing: z.enum(['open', 'ended', 'dead']),
  });
export type RunRow = z.infer<ReturnType<typeof runRowSchema>>;

export function runRow(session: Session, manifest: RunManifest): RunRow {
  const { run_id, name, host, started_at } = manifest;
  const ended_at = manifest.ended_at ?? null;
  return { run_id, name, host, started_at, ended_at, standing: runStanding(session, manifest) };
}

/** Whether the run works on the task, or touched it last. */
export function isOfRun({ record }: Pick<TaskSummaryRead, 'record'>, runId: string): boolean {
  return record?.lease?.owner_run_id === runId || record?.state.updated_by.run_id === runId;
}
