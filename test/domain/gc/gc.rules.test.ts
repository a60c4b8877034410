/** Properties of every gc plan, over random snapshots and valid histories. */

import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { GcTask } from '../../../src/domain/gc/gc-plan.ts';
import { GC_ROW_IDS, type GcPlanRow, type GcSnapshot, plannedRows } from '../../../src/domain/gc/gc-plan.ts';
import { CHEAP_ROW_IDS, detectCheapDivergences, GC_RULES, isAtRest, planGc } from '../../../src/domain/gc/plan-gc.ts';
import type { GcOptions } from '../../../src/domain/gc/projection.ts';
import { isTerminal } from '../../../src/domain/task/states.ts';
import * as make from '../../support/domain/snapshots.ts';
import { frozen } from '../../support/domain/tasks.ts';
import fc, { runs } from '../../support/properties.ts';

const options: fc.Arbitrary<GcOptions> = fc.record({
  removeOrphanWorktrees: fc.boolean(),
  removeShippedAfterMs: fc.constantFrom(null, 0, 1e12),
});
const apart = make.anySnapshot(true);
const RUNS = runs(1000);

const planned = (snapshot: GcSnapshot, given: GcOptions = {}): GcPlanRow[] =>
  plannedRows(planGc(frozen(snapshot), given));

function shuffled<T>(list: readonly T[], seed: number): T[] {
  const keyed = list.map((value, at) => ({ value, key: Math.sin(seed * 7919 + at * 104_729) }));
  return keyed.sort((a, b) => a.key - b.key).map(({ value }) => value);
}

/** The same facts, listed in another order everywhere. */
function reordered(snapshot: GcSnapshot, seed: number): GcSnapshot {
  const { plan, tracker } = snapshot;
  const mix = <T>(list: readonly T[]) => shuffled(list, seed);
  const tasks = snapshot.tasks.map((task) => ({
    ...task,
    lease_files: mix(task.lease_files),
    attempts: mix(
      task.attempts.map((each) => ({ ...each, questions: mix(each.questions), answers: mix(each.answers) })),
    ),
  }));
  return {
    ...snapshot,
    plan: plan && mix(plan),
    tasks: mix(tasks),
    runs: mix(snapshot.runs),
    tracker: tracker.kind === 'up' ? { kind: 'up', issues: mix(tracker.issues) } : tracker,
    branches: mix(snapshot.branches),
    worktrees: mix(snapshot.worktrees),
  };
}

describe('generated snapshots', () => {
  test('planGc plans any snapshot, even a contradictory one, and does not change it', () => {
    fc.assert(
      fc.property(make.anySnapshot(false), options, (snapshot, given) => {
        const before = structuredClone(snapshot);
        const plan = planGc(frozen(snapshot), given);
        expect(plan.version).toBe(1);
        expect(snapshot).toEqual(before);
        expect(JSON.stringify(planGc(snapshot, given))).toBe(JSON.stringify(plan));
      }),
      RUNS,
    );
  });

  test('the cheap rows find nothing at tasks that are at rest, and the same at all others without them', () => {
    let resting = 0;
    fc.assert(
      fc.property(apart, fc.boolean(), fc.boolean(), (drawn, withLease, withAttempts) => {
        const alone = (task: GcTask): GcTask => ({
          ...task,
          problem: null,
          lease: withLease ? task.lease : null,
          lease_files: [],
          attempts: withAttempts ? task.attempts : [],
        });
        const snapshot = { ...drawn, tasks: drawn.tasks.map((task, i) => (i % 2 === 0 ? alone(task) : task)) };
        const tasks = snapshot.tasks.filter((task) => !isAtRest(task));
        resting += snapshot.tasks.length - tasks.length;
        expect(detectCheapDivergences({ ...snapshot, tasks })).toEqual(detectCheapDivergences(snapshot));
      }),
      RUNS,
    );
    expect(resting).toBeGreaterThan(10);
  });

  test('the gc plan does not depend on the order of the snapshot', () => {
    let changed = 0;
    fc.assert(
      fc.property(apart, options, fc.nat(), (snapshot, given, seed) => {
        const other = reordered(snapshot, seed);
        if (JSON.stringify(other) !== JSON.stringify(snapshot)) changed++;
        expect(JSON.stringify(planGc(other, given))).toBe(JSON.stringify(planGc(snapshot, given)));
      }),
      RUNS,
    );
    expect(changed).toBeGreaterThan(RUNS.numRuns / 2);
  });

  test('a gc plan is ordered by row, task and path, by code points', () => {
    const points = (text: string) => Array.from(text, (char) => char.codePointAt(0) ?? 0);
    const less = (a: readonly number[], b: readonly number[]): number => {
      const at = a.findIndex((point, index) => point !== b[index]);
      if (at === -1) return a.length - b.length;
      return at >= b.length ? 1 : (a[at] ?? 0) - (b[at] ?? 0);
    };
    const path = ({ payload }: GcPlanRow) => points('path' in payload ? (payload.path ?? '') : '');
    fc.assert(
      fc.property(apart, options, (snapshot, given) => {
        const { rows } = planGc(snapshot, given);
        const sorted = [...rows].sort(
          (a, b) => a.row - b.row || less(points(a.task_id), points(b.task_id)) || less(path(a), path(b)),
        );
        expect(rows).toEqual(sorted);
      }),
      RUNS,
    );
  });

  test('every item of a gc plan has its subject, record and reason', () => {
    fc.assert(
      fc.property(apart, options, (snapshot, given) => {
        const tasks = new Map(snapshot.tasks.map((task) => [task.task_id, task]));
        for (const item of planGc(snapshot, given).rows) {
          const rule = GC_RULES.find(({ row }) => row === item.row);
          expect([...(rule?.actions ?? []), 'report_orphan']).toContain(item.action);
          expect(item.identity).toEqual(tasks.get(item.task_id)?.identity ?? null);
          expect(['info', 'warning', 'error']).toContain(item.severity);
          expect(item.reason).toMatch(/\w \w/);
          expect(item.reason.length).toBeLessThanOrEqual(400);
          expect(item.reason).not.toMatch(/[\u0000-\u001f\u007f]/);
        }
      }),
      RUNS,
    );
  });

  test('a gc plan has no duplicate items', () => {
    fc.assert(
      fc.property(apart, options, (snapshot, given) => {
        const rows = planned(snapshot, given).map((row) => JSON.stringify(row));
        expect(rows).toEqual([...new Set(rows)]);
      }),
      RUNS,
    );
  });

  test('the cheap rows alone give the same items as all rows', () => {
    const cheap: readonly number[] = CHEAP_ROW_IDS;
    fc.assert(
      fc.property(apart, (snapshot) => {
        const all = planGc(snapshot).rows.filter(({ row }) => cheap.includes(row));
        expect(detectCheapDivergences(snapshot)).toEqual(all);
      }),
      { numRuns: 200 },
    );
  });
});

describe('task with a live lease', () => {
  const isHeld = ({ lease }: GcTask) => lease !== null && lease.standing !== 'stale';

  test('only the allowed rows touch a task with a live lease', () => {
    let held = 0;
    fc.assert(
      fc.property(apart, options, (snapshot, given) => {
        const rows = planned(snapshot, given);
        for (const task of snapshot.tasks) {
          const own = rows.filter(({ task_id }) => task_id === task.task_id);
          // Once the task is over, as seen or by row 1, no lease counts any more.
          const over = task.state !== null && (isTerminal(task.state) || own.some(({ row }) => row === 1));
          if (!isHeld(task) || over) continue;
          held++;
          expect([1, 3, 11, 12, 13]).toEqual(expect.arrayContaining(own.map(({ row }) => row)));
        }
      }),
      RUNS,
    );
    expect(held).toBeGreaterThan(RUNS.numRuns * 0.3);
  });

  test('only rows 1, 3 and 14 touch the record of a task with a live lease', () => {
    fc.assert(
      fc.property(apart, options, (snapshot, given) => {
        const tasks = new Map(snapshot.tasks.map((task) => [task.task_id, task]));
        for (const { row, task_id } of planned(snapshot, given)) {
          const task = tasks.get(task_id);
          if (task !== undefined && isHeld(task)) expect([2, 4, 5, 6, 8]).not.toContain(row);
        }
      }),
      RUNS,
    );
  });
});

describe('applied gc plan', () => {
  const foreseen: make.Outcomes = { reclaimed: true, verification: 'twin' };

  test('an applied gc plan leaves nothing to do', () => {
    const many = runs(3000);
    let some = 0;
    fc.assert(
      fc.property(apart, options, (snapshot, given) => {
        const plan = planGc(snapshot, given);
        if (plannedRows(plan).length > 0) some++;
        const after = make.applyModel(frozen(snapshot), plan, foreseen);
        expect(planned(after, given)).toEqual([]);
      }),
      many,
    );
    expect(some).toBeGreaterThan((many.numRuns * 2) / 3);
  });

  test('an applied gc plan leaves only what follows from unforeseeable results, and soon nothing', () => {
    const outcomes: fc.Arbitrary<make.Outcomes> = fc.record({
      reclaimed: fc.boolean(),
      verification: fc.constantFrom('twin', 'passed', 'sent back', 'failed'),
    });
    fc.assert(
      fc.property(apart, options, outcomes, (first, given, outcome) => {
        let snapshot = first;
        // A claim is lost, then its verdict is verified, then the tracker's word counts, then all is quiet.
        for (let round = 0; round < 3; round++) {
          const plan = planGc(snapshot, given);
          const open = new Set(plan.rows.flatMap(({ row, task_id }) => (row === 3 || row === 8 ? [task_id] : [])));
          snapshot = make.applyModel(frozen(snapshot), plan, outcome);
          const late = planned(snapshot, given).filter(({ task_id }) => !open.has(task_id));
          expect(late).toEqual([]);
        }
        expect(planned(snapshot, given)).toEqual([]);
      }),
      runs(3000),
    );
  });
});

// --- valid histories -------------------------------------------------------------------------------------------------

/** How far a task has come, and with what beside its record. */
const STAGES = [
  'planned',
  'given back',
  'claimed',
  'taken over to verify',
  'running',
  'in grace',
  'handed in',
  'asking',
  'answered',
  'sent back',
  'in review',
  'merging',
  'shipped',
  'cancelled',
  'failed',
] as const;

interface Piece {
  task: GcTask | null;
  claimed: boolean;
  issue: 'open' | 'in_progress' | 'in_review' | 'done' | 'cancelled';
  worktree: boolean;
}

function piece(stage: (typeof STAGES)[number], task_id: string): Piece {
  const { attempt, question, answer, task } = make;
  const verified = [attempt('a1', { verdict: 'ready_for_review', verified: true })];
  const done = { task_id, attempts: verified, completed_attempt_id: 'a1' };
  const handedIn = [attempt('a1', { verdict: 'ready_for_review' })];
  const busy = { claimed: true, issue: 'in_progress', worktree: true } as const;
  const free = { claimed: false, issue: 'open', worktree: true } as const;
  switch (stage) {
    case 'planned':
      return { ...free, task: null, worktree: false };
    case 'given back':
      return { ...free, task: task('unclaimed', { task_id }) };
    case 'claimed':
      return { ...busy, task: task('claimed', { task_id }) };
    case 'taken over to verify':
      return { ...busy, task: task('claimed', { task_id, current_attempt_id: 'a1', attempts: handedIn, abandons: 1 }) };
    case 'running':
      return { ...busy, task: task('running', { task_id, attempts: [attempt('a0'), attempt('a1')] }) };
    case 'in grace':
      return { ...busy, task: task('running', { task_id, attempts: [attempt()], lease: make.seenLease('grace') }) };
    case 'handed in':
      return { ...busy, task: task('running', { task_id, attempts: handedIn }) };
    case 'asking':
      return { ...free, task: make.parked(make.LATER, { task_id }) };
    case 'answered': {
      const asked = attempt('a1', { questions: [question('q1', 'answered')], answers: [answer()] });
      return {
        ...busy,
        task: task('running', { task_id, current_attempt_id: 'a2', attempts: [asked, attempt('a2')] }),
      };
    }
    case 'sent back': {
      const attempts = [attempt('a1', { verdict: 'changes_needed' })];
      return { ...free, task: task('awaiting_respawn', { task_id, attempts, completed_attempt_id: 'a1' }) };
    }
    case 'in review':
      return { ...busy, claimed: false, issue: 'in_review', task: task('ready_for_review', done) };
    case 'merging':
      return { ...busy, claimed: false, issue: 'in_review', task: task('merge_pending', done) };
    case 'shipped':
      return {
        claimed: false,
        issue: 'done',
        worktree: false,
        task: task('shipped', { ...done, merged_sha: 'c0ffee' }),
      };
    case 'cancelled':
      return { claimed: false, issue: 'cancelled', worktree: true, task: task('cancelled', { task_id }) };
    case 'failed':
      return { ...free, task: task('failed', { task_id, attempts: [attempt()], completed_attempt_id: 'a1' }) };
  }
}

/** A project in which everything went as it should: records, tracker, branches and worktrees agree. */
const history: fc.Arbitrary<GcSnapshot> = fc
  .tuple(fc.array(fc.constantFrom(...STAGES), { maxLength: 8 }), fc.boolean())
  .map(([stages, tracked]) => {
    const pieces = stages.map((stage, at) => ({ id: `t${at}`, ...piece(stage, `t${at}`) }));
    const out = pieces.filter((each) => each.worktree);
    return make.snapshot({
      plan: pieces.map(({ id }, at) => ({ id, tracker_issue_id: `I-${at}` })),
      tasks: pieces.flatMap(({ task }) => task ?? []),
      runs: [
        { run_id: 'run-1', standing: 'open' },
        { run_id: 'run-0', standing: 'ended' },
      ],
      tracker: tracked
        ? {
            kind: 'up',
            issues: pieces.map(({ issue, claimed }, at) => {
              return { id: `I-${at}`, task_id: null, state: issue, claimed_by: claimed ? 'run-1' : null };
            }),
          }
        : { kind: 'none' },
      branches: out.map(({ id }) => make.branch({ name: `forge/${id}`, task_id: id, has_worktree: true })),
      worktrees: out.map(({ id }) => make.worktree(id)),
    });
  });

describe('undisturbed history', () => {
  test('an undisturbed history gives an empty gc plan without reports', () => {
    fc.assert(
      fc.property(history, options, (snapshot, given) => {
        expect(planGc(frozen(snapshot), given)).toEqual({ version: 1, rows: [] });
      }),
      RUNS,
    );
  });
});

test('the generated snapshots lead to every action of every row', () => {
  const met = new Set<string>();
  fc.assert(
    fc.property(apart, (snapshot) => {
      for (const { row, action } of planned(snapshot, { removeOrphanWorktrees: true })) met.add(`${row} ${action}`);
    }),
    runs(4000),
  );
  expect([...met].sort()).toEqual(
    [
      '1 mark_terminal',
      '2 mark_abandoned',
      '3 mark_unclaimed',
      '4 recover',
      '5 resume_answered',
      '5 apply_default_answer',
      '5 expire_question',
      '6 mark_terminal',
      '7 close_tracker_issue',
      '8 reverify_verdict',
      '9 prune_branch',
      '10 remove_worktree',
      '11 archive_question',
      '12 archive_answer',
      '13 release_lease_admin',
      '14 release_lease_admin',
    ].sort(),
  );
});

describe('table of gc rules', () => {
  test('the gc rules have each row once', () => {
    expect(GC_ROW_IDS).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  });

  test('the gc rules are the table of spec/ORCHESTRATOR.md: row, name, actions, cheap', () => {
    const spec = fs.readFileSync(new URL('../../../spec/ORCHESTRATOR.md', import.meta.url), 'utf8');
    const lines = spec.split('## gc reconciliation rules')[1]?.match(/^\| \d+ \|.*$/gm) ?? [];
    const written = lines.map((line) => {
      const [row, name, , actions = '', cheap] = line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim());
      const named = [...actions.matchAll(/`([a-z_]+)`/g)].map((match) => match[1]);
      return { row: Number(row), name, actions: named.sort(), cheap: cheap === 'yes' };
    });
    const rules = GC_RULES.map(({ row, name, actions, cheap }) => ({ row, name, actions: [...actions].sort(), cheap }));
    expect(written).toEqual(rules.sort((a, b) => a.row - b.row));
  });
});
