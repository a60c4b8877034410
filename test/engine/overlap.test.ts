/**
 * Concurrent claims of tasks that write the same files: the code of the product, over records in
 * memory, in random orders of reads, commits, pauses and kills.
 */

import { describe, expect, test } from 'vitest';
import { holdsBack } from '../../src/domain/schedule/overlap.ts';
import { reasonsToWait } from '../../src/domain/schedule/readiness.ts';
import { DEFAULT_SETTINGS } from '../../src/domain/settings/settings.ts';
import { claimTask, dispatchTask, releaseTask } from '../../src/domain/task/operations.ts';
import type { TaskRecord } from '../../src/domain/task/records.ts';
import { repeated } from '../../src/domain/task/transition.ts';
import { lookForRivals, rivalsFor } from '../../src/engine/attempt/overlap.ts';
import { type Env, schedulingContextOf } from '../../src/engine/env.ts';
import { ForgeError } from '../../src/lib/errors.ts';
import { changeTask } from '../../src/store/change.ts';
import type { TaskEvent } from '../../src/store/events.ts';
import type { TaskRead } from '../../src/store/port.ts';
import { onePhase } from '../support/domain/plans.ts';
import { BOOT, GRACE_MS, id, T0, TTL_MS } from '../support/domain/tasks.ts';
import fc, { runs } from '../support/properties.ts';

/** Ends a killed claimer without any cleanup. */
class Killed extends Error {}

interface Scene {
  /** What each task writes; one claimer a task. */
  globs: readonly (readonly string[])[];
  /** What each task uses of `LIMITS`. Default: nothing. */
  uses?: readonly (readonly (string | object)[])[];
  /** After how many steps each claimer dies; null: never. */
  dies: (number | null)[];
  /** How often the clock goes on by more than a lease and its grace, at a moment of its own. */
  jumps: number;
  /** How often a refused claimer tries again. */
  rounds: number;
  /** The look after a claim; left out by the control. */
  look: typeof lookForRivals;
}

interface Outcome {
  /** Pairs of tasks that were dispatched at once although one holds the other back. */
  collisions: string[];
  states: string[];
  /** Claims that gave way. */
  yielded: number;
}

const LIMITS = { deploy: 1, gpu: 3 };

async function play(s: fc.Scheduler, { globs, uses, dies, jumps, rounds, look }: Scene): Promise<Outcome> {
  const plan = onePhase(...globs.map((write_globs, i) => ({ id: `t${i}`, write_globs, uses: uses?.[i] ?? [] })));
  const records = new Map<string, { version: number; record: TaskRecord }>();
  const outcome: Outcome = { collisions: [], states: [], yielded: 0 };
  let clock = 0;
  let names = 0;

  const dispatched = () =>
    plan.tasks.filter(({ id }) => {
      const record = records.get(id)?.record;
      return record?.lease != null && (record.state.state === 'dispatched' || record.state.state === 'running');
    });
  const audit = () => {
    for (const [i, a] of dispatched().entries())
      for (const b of dispatched().slice(i + 1))
        if (holdsBack(a, b, DEFAULT_SETTINGS.agents) !== null) outcome.collisions.push(`${a.id} ${b.id}`);
    for (const [name, limit] of Object.entries(LIMITS)) {
      const used = dispatched().reduce((sum, task) => sum + (task.uses[name] ?? 0), 0);
      if (used > limit) outcome.collisions.push(`${used} of ${name}`);
    }
  };

  const claimer = async (i: number): Promise<void> => {
    let steps = 0;
    const step = async (what: string): Promise<void> => {
      if (dies[i] !== null && steps >= (dies[i] ?? 0)) throw new Killed();
      steps += 1;
      await s.schedule(Promise.resolve(), `${i} ${what}`);
    };
    const store = {
      async read(task_id: string): Promise<TaskRead> {
        await step(`reads ${task_id}`);
        const { version, record } = records.get(task_id) ?? { version: 0, record: null };
        const origin = record === null ? 'none' : 'record';
        return { task_id, version, origin, record, problem: null, warnings: [] };
      },
      async commit(task_id: string, { expected, record }: { expected: number; record: TaskRecord }) {
        await step(`commits ${task_id} ${record.state.state}`);
        const version = records.get(task_id)?.version ?? 0;
        if (version !== expected) return { kind: 'conflict' };
        records.set(task_id, { version: version + 1, record });
        audit();
        return { kind: 'committed', version: version + 1, record, warnings: [] };
      },
      async list() {
        await step('lists');
        return [...records.keys()];
      },
      async settle() {},
    };
    const machine = { host: 'mill', boot_id: BOOT, pid_ns: 'pid:[1]' };
    const ctx = {
      now: () => T0 + clock,
      monotonicMs: () => 1e6 + clock,
      machine: () => machine,
      liveness: () => 'unknown',
    };
    const agents = { ...DEFAULT_SETTINGS.agents, steal_grace_ms: GRACE_MS, retry_attempts: 100 };
    const env = {
      ctx,
      store,
      settings: { ...DEFAULT_SETTINGS, agents, limits: LIMITS },
      publish: async (events: readonly TaskEvent[]) => {
        for (const event of events) {
          if (event.type === 'claim' && event.entry.reason?.includes('has to wait')) outcome.yielded += 1;
        }
      },
      now: ctx.now,
      newOp: () => String(names++),
      warn: () => {},
    } as unknown as Env;
    const task = plan.tasks[i];
    if (task === undefined) throw new Error('no such task');
    const instant = () => ({ nowMs: T0 + clock, monoMs: 1e6 + clock, bootId: BOOT });

    const attempt = async (): Promise<boolean> => {
      const reads = new Map<string, TaskRead>();
      for (const { id } of plan.tasks) reads.set(id, await env.store.read(id));
      const scheduling = schedulingContextOf(env, plan, reads);
      if (reasonsToWait(task, scheduling).length > 0)
        return scheduling.recordOf(task.id) !== null && isShipped(task.id);
      // Ids that go up and down with the order in which they are made.
      const claimId = id(1000 + ((names++ * 7919) % 1000));
      const common = { claimId, runId: id(1), ttlMs: TTL_MS };
      const observer = scheduling.observer;
      await changeTask(env, task.id, (record) =>
        claimTask(record, {
          ...common,
          owner: null,
          instant: instant(),
          observer,
          abandonLimit: 100,
          unchecked: rivalsFor(env, plan, task).length > 0,
        }),
      );
      await look(env, plan, task, claimId, () => step('waits'));
      const attemptId = id(5000 + names++);
      await changeTask(env, task.id, (record) =>
        dispatchTask(record, { ...common, attemptId, worker: null, instant: instant(), looked: true }),
      );
      await step('works');
      await changeTask(env, task.id, (record) => {
        if (record.lease?.claim_id !== claimId) return repeated(null);
        const { record: next } = releaseTask(record, { claimId, workerGone: true, nowMs: T0 + clock });
        if (next === null) return repeated(null);
        const shipped = { ...next, state: { ...next.state, state: 'shipped' as const } };
        return { record: shipped, moves: [], history: [], result: null };
      });
      return isShipped(task.id);
    };
    const isShipped = (taskId: string) => records.get(taskId)?.record.state.state === 'shipped';

    for (let round = 0; round < rounds; round++) {
      try {
        if (await attempt()) return;
      } catch (error) {
        if (error instanceof Killed) return;
        if (!(error instanceof ForgeError)) throw error;
      }
      // Refused: tries again.
      await s.schedule(Promise.resolve(), `${i} tries again`);
    }
  };

  const passing = async (): Promise<void> => {
    for (let jump = 0; jump < jumps; jump++) {
      await s.schedule(Promise.resolve(), 'time goes by');
      clock += TTL_MS + GRACE_MS;
    }
  };
  await s.waitFor(Promise.all([...globs.map((_, i) => claimer(i)), passing()]));
  outcome.states = plan.tasks.map(({ id }) => records.get(id)?.record.state.state ?? 'unclaimed');
  return outcome;
}

const someGlobs = fc.array(
  fc.constantFrom(['package.json'], ['*.json', 'src/**'], ['go.sum'], ['**'], ['migrations/1.sql'], ['migrations/**']),
  { minLength: 2, maxLength: 4 },
);

describe('concurrent claims of overlapping tasks', () => {
  const many = runs(400);

  test('of overlapping tasks never two are dispatched at once, and every task is done in the end', async () => {
    let yielded = 0;
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), someGlobs, async (s, globs) => {
        const outcome = await play(s, {
          globs,
          dies: globs.map(() => null),
          jumps: 0,
          rounds: 60,
          look: lookForRivals,
        });
        expect(outcome.collisions).toEqual([]);
        expect(outcome.states.filter((state) => state !== 'shipped')).toEqual([]);
        yielded += outcome.yielded;
      }),
      many,
    );
    expect(yielded).toBeGreaterThan(0);
  });

  test('of overlapping claims one goes on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 4 }), async (s, count) => {
        const globs = Array.from({ length: count }, () => ['package.json']);
        const outcome = await play(s, { globs, dies: globs.map(() => null), jumps: 0, rounds: 1, look: lookForRivals });
        expect(outcome.states).toContain('shipped');
      }),
      many,
    );
  });

  test('of overlapping tasks never two are dispatched at once, also when processes are killed or paused beyond their lease', async () => {
    const deaths = fc.array(fc.option(fc.nat(30), { freq: 2 }), { minLength: 4, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), someGlobs, deaths, fc.nat(4), async (s, globs, dies, jumps) => {
        expect((await play(s, { globs, dies, jumps, rounds: 10, look: lookForRivals })).collisions).toEqual([]);
      }),
      runs(1500),
    );
  });

  test('tasks at once never use more than the limits, and every task is done in the end', async () => {
    const someUses = fc.array(
      fc.constantFrom(['deploy'], [{ gpu: 1 }], [{ gpu: 2 }], [{ gpu: 3 }], ['deploy', { gpu: 2 }], []),
      { minLength: 2, maxLength: 4 },
    );
    let yielded = 0;
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), someUses, async (s, uses) => {
        const scene = { globs: uses.map(() => []), uses, dies: uses.map(() => null), jumps: 0, rounds: 60 };
        const outcome = await play(s, { ...scene, look: lookForRivals });
        expect(outcome.collisions).toEqual([]);
        expect(outcome.states.filter((state) => state !== 'shipped')).toEqual([]);
        yielded += outcome.yielded;
      }),
      many,
    );
    expect(yielded).toBeGreaterThan(0);
  });

  test('tasks at once never use more than the limits, also when processes are killed or paused beyond their lease', async () => {
    const uses = [['deploy'], ['deploy', { gpu: 2 }], [{ gpu: 2 }], [{ gpu: 1 }]];
    const deaths = fc.array(fc.option(fc.nat(30), { freq: 2 }), { minLength: 4, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), deaths, fc.nat(4), async (s, dies, jumps) => {
        const scene = { globs: uses.map(() => []), uses, dies, jumps, rounds: 10, look: lookForRivals };
        expect((await play(s, scene)).collisions).toEqual([]);
      }),
      many,
    );
  });

  test('without the overlap check two overlapping tasks are dispatched at once', async () => {
    let collisions = 0;
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (s) => {
        const globs = [['package.json'], ['*.json']];
        const outcome = await play(s, { globs, dies: [null, null], jumps: 0, rounds: 1, look: async () => {} });
        collisions += outcome.collisions.length;
      }),
      { numRuns: 100 },
    );
    expect(collisions).toBeGreaterThan(0);
  });
});
