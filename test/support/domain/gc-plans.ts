/** Short forms of the gc plan of a snapshot and of its items. */

import { expect } from 'vitest';
import type { GcPlanRow, GcTask } from '../../../src/domain/gc/gc-plan.ts';
import { planGc } from '../../../src/domain/gc/plan-gc.ts';
import type { GcOptions } from '../../../src/domain/gc/projection.ts';
import { TASK_STATES, type TaskState } from '../../../src/domain/task/records.ts';
import { IN_FLIGHT_STATES } from '../../../src/domain/task/states.ts';
import type { TrackerIssue } from '../../../src/domain/tracker-issues.ts';
import { seenLease, snapshot, task } from './snapshots.ts';
import { frozen } from './tasks.ts';

export type Fields = Parameters<typeof snapshot>[0];

export const IDENTITY = { version: 7, digest: 'd7' };
/** A task without a lease. */
export const FREE = TASK_STATES.filter((state) => !(IN_FLIGHT_STATES as readonly TaskState[]).includes(state));

export function rows(fields: Fields, options: GcOptions = {}): readonly GcPlanRow[] {
  return planGc(frozen(snapshot(fields)), options).rows;
}

/** The gc rows of a snapshot with this one task. */
export const of = (seen: GcTask, issues?: TrackerIssue[], rest: Fields = {}) =>
  rows({ tasks: [seen], ...(issues === undefined ? {} : { issues }), ...rest });

export const acts = (list: readonly GcPlanRow[]) => list.map(({ row, action }) => `${row} ${action}`);

/** The only item of a list, whole. */
export function only(list: readonly GcPlanRow[]): GcPlanRow {
  expect(acts(list)).toHaveLength(1);
  return list[0] as GcPlanRow;
}

export const stale = (state: TaskState, fields: Partial<GcTask> = {}) =>
  task(state, { lease: seenLease('stale'), ...fields });

export const report = (row: number, kind: string, reason: string, more = {}, rest = {}) => ({
  row,
  task_id: 'build',
  action: 'report_orphan',
  severity: 'warning',
  reason,
  payload: { kind, ...more },
  identity: IDENTITY,
  ...rest,
});

export const unreadable = (row: number, reason: string, more = {}) =>
  report(row, 'unreadable', reason, more, { severity: 'error' });
