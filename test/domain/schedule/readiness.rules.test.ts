/** Small random plans and records: readiness against its definition, and the selection of a run against what it can start. */

import { describe, expect, test } from 'vitest';
import type { Plan, PlanTask } from '../../../src/domain/plan/plan.ts';
import { classifyTasks, reasonsToWait, type SchedulingContext } from '../../../src/domain/schedule/readiness.ts';
import { mayStillRun, selectedTasks } from '../../../src/domain/schedule/run-selection.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { plan, scheduling } from '../../support/domain/plans.ts';
import { GRACE_MS, lease, record, T0, TTL_MS } from '../../support/domain/tasks.ts';
import fc, { runs } from '../../support/properties.ts';

const CONDITIONS = [
  'untouched',
  'unclaimed',
  'abandoned',
  'backoff',
  'live',
  'grace',
  'stale',
  'lost lease',
  'blocked_on_question',
  'ready_for_review',
  'shipped',
  'cancelled',
  'failed',
  'unreadable',
] as const;
type Condition = (typeof CONDITIONS)[number];

/** Every lease in here is looked at just when it was taken, so its age is put into it instead. */
function recordIn(condition: Condition): TaskRecord | 'unreadable' | null {
  const held = (ageMs: number): TaskRecord => {
    const { clock: _clock, ...bare } = lease({ expires_at: isoTime(T0 + TTL_MS - ageMs) });
    return { ...record('running'), lease: bare };
  };
  switch (condition) {
    case 'untouched':
      return null;
    case 'unreadable':
      return 'unreadable';
    case 'live':
      return held(0);
    case 'grace':
      return held(TTL_MS);
    case 'stale':
      return held(TTL_MS + GRACE_MS);
    case 'lost lease':
      return { ...record('running'), lease: null };
    case 'backoff': {
      const waiting = record('awaiting_respawn');
      waiting.state.next_eligible_at = isoTime(T0 + 1000);
      return waiting;
    }
    default:
      return record(condition);
  }
}

const taskDraft = fc.record({
  status: fc.oneof({ weight: 5, arbitrary: fc.constant('active') }, fc.constantFrom('paused', 'done', 'dropped')),
  human: fc.oneof({ weight: 7, arbitrary: fc.constant(false) }, fc.constant(true)),
  run: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
  priority: fc.constantFrom('P0', 'P1', 'P2'),
  /** Distances back to the tasks that it depends on. */
  needs: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }),
  condition: fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom('untouched', 'shipped') },
    { weight: 3, arbitrary: fc.constantFrom(...CONDITIONS) },
  ),
});

const phaseDraft = fc.record({
  status: fc.oneof({ weight: 6, arbitrary: fc.constant('active') }, fc.constantFrom('blocked', 'paused', 'done')),
  /** Distance back to the phase that blocks it; 0 is none. */
  blockedBy: fc.nat(2),
  tasks: fc.array(taskDraft, { minLength: 0, maxLength: 4 }),
});

/** A plan and the records of its tasks. Everything waits for what is before it only, so there are no cycles. */
const scene = fc.array(phaseDraft, { minLength: 1, maxLength: 4 }).map((drafts) => {
  const ids: string[] = [];
  const records: Record<string, TaskRecord | 'unreadable'> = {};
  const phases = drafts.map((phase, i) => ({
    id: `phase-${i + 1}`,
    status: phase.status,
    ...(phase.blockedBy > 0 && i - phase.blockedBy >= 0 ? { blocked_by: `phase-${i + 1 - phase.blockedBy}` } : {}),
    tasks: phase.tasks.map((draft) => {
      const id = `t${ids.length}`;
      const depends_on = draft.needs.flatMap((back) => ids.at(-back) ?? []);
      ids.push(id);
      const kept = recordIn(draft.condition as Condition);
      if (kept !== null) records[id] = kept;
      return {
        id,
        status: draft.status,
        priority: draft.priority,
        depends_on,
        ...(draft.human ? { owner_type: 'human' } : {}),
        ...(draft.run ? { run: 'true' } : {}),
      };
    }),
  }));
  return { made: plan(phases), records };
});

type Records = Record<string, TaskRecord | 'unreadable'>;

const stateOf = (records: Records, id: string) => {
  const kept = records[id];
  return kept === undefined ? 'unclaimed' : kept === 'unreadable' ? 'unreadable' : kept.state.state;
};

/** Ready, word for word as it is defined. */
function isReady(made: Plan, records: Records, id: string): boolean {
  const task = made.byId.get(id);
  const phase = task && made.phaseById.get(task.phase_id);
  if (task === undefined || phase === undefined) return false;
  const kept = records[id];
  const done = (other: string) => made.byId.get(other)?.status === 'done' || stateOf(records, other) === 'shipped';
  const over = (other: string) => done(other) || made.byId.get(other)?.status === 'dropped';
  const before = phase.blocked_by === null ? undefined : made.phaseById.get(phase.blocked_by);
  if (phase.status !== 'active' || task.human || task.status !== 'active') return false;
  if (before !== undefined && before.status !== 'done' && !before.task_ids.every(over)) return false;
  if (!task.depends_on.every(done)) return false;
  if (kept === undefined) return true;
  if (kept === 'unreadable') return false;
  const leaseStale = kept.lease === null || Date.parse(kept.lease.expires_at) + GRACE_MS <= T0;
  if (['claimed', 'dispatched', 'running'].includes(kept.state.state)) return leaseStale;
  const eligible = !kept.state.next_eligible_at || Date.parse(kept.state.next_eligible_at) <= T0;
  return ['unclaimed', 'abandoned', 'awaiting_respawn'].includes(kept.state.state) && eligible;
}

describe('readiness of generated plans', () => {
  test('a task is ready exactly when the definition says so, and otherwise has a reason', () => {
    fc.assert(
      fc.property(scene, ({ made, records }) => {
        const seen = scheduling(made, records);
        const ready = made.tasks.filter((task) => isReady(made, records, task.id)).map((task) => task.id);
        const without = made.tasks.filter((task) => reasonsToWait(task, seen).length === 0).map((task) => task.id);
        expect(without).toEqual(ready);
        expect(
          classifyTasks(seen)
            .ready.map((task) => task.id)
            .sort(),
        ).toEqual([...ready].sort());
      }),
      runs(500),
    );
  });

  test('ready tasks are ordered by phase, the priority of the most urgent that waits for them, plan order', () => {
    fc.assert(
      fc.property(scene, ({ made, records }) => {
        const urgencyOf = (task: PlanTask | undefined): number => {
          const own = ['P0', 'P1', 'P2'].indexOf(task?.priority ?? '');
          const users = made.tasks.filter(
            ({ id, depends_on }) =>
              depends_on.includes(task?.id ?? '') && !['done', 'dropped'].includes(made.byId.get(id)?.status ?? ''),
          );
          return Math.min(own, ...users.map(urgencyOf));
        };
        const rank = (id: string) => {
          const at = made.tasks.findIndex((task) => task.id === id);
          const task = made.tasks[at];
          const phase = made.phases.findIndex((other) => other.id === task?.phase_id);
          return phase * 1_000_000 + urgencyOf(task) * 1000 + at;
        };
        const ranks = classifyTasks(scheduling(made, records)).ready.map((task) => rank(task.id));
        expect(ranks).toEqual([...ranks].sort((a, b) => a - b));
      }),
      { numRuns: 200 },
    );
  });
});

const FAR = TTL_MS * 1000;

/**
 * The tasks that a runner starts when everything succeeds from here on: tasks in flight are shipped, backoffs end,
 * and started tasks are shipped.
 */
function startedByRunner(made: Plan, records: Records, selected: ReadonlySet<string>): Set<string> {
  const now: Records = { ...records };
  const started = new Set<string>();
  const held = (id: string, seen: SchedulingContext) =>
    reasonsToWait(made.byId.get(id) as Plan['tasks'][number], seen).some(
      ({ code }) => code === 'TASK_IN_FLIGHT' || code === 'LEASE_IN_GRACE',
    );
  for (const { id } of made.tasks) if (held(id, scheduling(made, records))) now[id] = record('shipped');
  for (let more = true; more; ) {
    more = false;
    for (const task of classifyTasks(scheduling(made, now, FAR)).ready) {
      if (task.run === null || !selected.has(task.id)) continue;
      started.add(task.id);
      now[task.id] = record('shipped');
      more = true;
    }
  }
  return started;
}

describe('run selection of generated plans', () => {
  const chosen = fc.tuple(scene, fc.option(fc.array(fc.nat(15), { maxLength: 3 }), { nil: null }));
  const selectedOf = (made: Plan, picks: number[] | null) =>
    picks === null
      ? new Set(made.tasks.map((task) => task.id))
      : selectedTasks(
          picks.map((at) => `t${at}`),
          made,
        );

  test('a task that a runner could still start is always kept in the selection', () => {
    fc.assert(
      fc.property(chosen, ([{ made, records }, picks]) => {
        const selected = selectedOf(made, picks);
        const hope = new Set(mayStillRun(scheduling(made, records), selected).map((task) => task.id));
        const lost = [...startedByRunner(made, records, selected)].filter((id) => !hope.has(id));
        expect(lost).toEqual([]);
      }),
      runs(1000),
    );
  });

  test('a task is kept in the selection only if it could be started or is in flight', () => {
    fc.assert(
      fc.property(chosen, ([{ made, records }, picks]) => {
        const selected = selectedOf(made, picks);
        const seen = scheduling(made, records);
        const could = startedByRunner(made, records, selected);
        for (const task of mayStillRun(seen, selected)) {
          const busy = reasonsToWait(task, seen).some(
            ({ code }) => code === 'TASK_IN_FLIGHT' || code === 'LEASE_IN_GRACE',
          );
          expect(busy || could.has(task.id), task.id).toBe(true);
          expect(selected.has(task.id) && task.run !== null).toBe(true);
        }
      }),
      runs(1000),
    );
  });

  test('tasks in flight and started tasks are classified apart from the rest', () => {
    let some = 0;
    let none = 0;
    fc.assert(
      fc.property(scene, ({ made, records }) => {
        const all = new Set(made.tasks.map((task) => task.id));
        if (startedByRunner(made, records, all).size > 0) some++;
        else none++;
      }),
      runs(300),
    );
    expect(Math.min(some, none)).toBeGreaterThan(20);
  });

  test('selectedTasks selects everything that a selected task waits for', () => {
    fc.assert(
      fc.property(chosen, ([{ made }, picks]) => {
        const selected = selectedOf(made, picks);
        for (const id of selected) {
          const task = made.byId.get(id);
          const before = made.phaseById.get(task?.phase_id ?? '')?.blocked_by ?? '';
          const needed = [...(task?.depends_on ?? []), ...(made.phaseById.get(before)?.task_ids ?? [])];
          expect(needed.filter((other) => !selected.has(other))).toEqual([]);
        }
      }),
      runs(300),
    );
  });
});
