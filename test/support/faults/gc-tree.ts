/** A tree for gc: tasks for every row that needs neither git nor a tracker, by hand and by verbs, and the expected result. */

import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { claim } from '../../../src/commands/claim.ts';
import { dispatch } from '../../../src/commands/dispatch.ts';
import { doctor } from '../../../src/commands/doctor.ts';
import { type GcData, gc, isDivergent } from '../../../src/commands/gc.ts';
import { heartbeat } from '../../../src/commands/heartbeat.ts';
import { phases } from '../../../src/commands/phases.ts';
import { question } from '../../../src/commands/question.ts';
import { release } from '../../../src/commands/release.ts';
import type { CommandContext } from '../../../src/commands/shared/session.ts';
import { show } from '../../../src/commands/show.ts';
import { status } from '../../../src/commands/status.ts';
import { why } from '../../../src/commands/why.ts';
import {
  dirOf,
  freshId,
  handAnswer,
  handLease,
  handQuestion,
  handState,
  handVerdict,
  OPTIONS,
  type Writable,
} from '../commands/divergences.ts';
import { auditTask, taskDir } from './audit.ts';
import { callOn } from './forge.ts';
import { LOGS, listing, makeProject, planOf } from './project.ts';

const HOUR_MS = 3_600_000;
/** Times too far away to be reached during a test. */
const LONG_AGO = { updated_at: '2020-01-01T00:00:00Z' };
const STALE = { acquired_at: '2020-01-01T00:00:00Z', expires_at: '2020-01-01T00:30:00Z' };
const LIVE = { acquired_at: '2020-01-01T00:00:00Z', expires_at: '2120-01-01T00:30:00Z' };
const ASKED = { created_at: '2020-01-01T00:00:00Z', expires_at: '2120-01-01T00:00:00Z' };

/** Nothing is wrong with these two: one that can be claimed, and one that is being worked on. */
const FREE = 'free';
const LIVE_TASK = 'z-live';

export interface GcTree {
  dir: string;
  /** Every task but the free one. */
  tasks: readonly string[];
  /** In order: row, task, action. */
  planned: readonly string[];
  /** What is moved away, and must be there once: its text. */
  kept: readonly string[];
  /** Texts of lease files that count for nothing. */
  strays: readonly string[];
  /** The least generation that the task may have from now on. */
  generations: Readonly<Record<string, number>>;
  /** The attempt that works on `z-live`. */
  attempt: string;
}

/** What a task is made into; returns the rows that it is due. */
type Maker = (at: Hand, task: string) => Promise<string[]> | string[];

/** Writes by hand, and remembers what was written. */
class Hand implements Writable {
  readonly dir: string;
  readonly kept: string[] = [];
  readonly strays: string[] = [];
  readonly generations: Record<string, number> = {};
  last = '';

  constructor(dir: string) {
    this.dir = dir;
  }

  write(name: string, text: string): string {
    makeProject({ [name]: text }, this.dir);
    this.last = text;
    return `${this.dir}/${name}`;
  }

  state(task: string, state: string, more: object = {}): void {
    handState(this, task, state, { ...LONG_AGO, ...more });
  }

  lease(task: string, more: { generation: number }, name = 'lease.json'): void {
    handLease(this, task, more, name);
    this.generations[task] = Math.max(this.generations[task] ?? 0, more.generation);
  }

  stray(task: string, more: { generation: number }, name: string): void {
    handLease(this, task, more, name);
    this.strays.push(this.last);
  }

  keep(write: () => unknown): void {
    write();
    this.kept.push(this.last);
  }

  /** What is done some time ago was done before the machine was started, so that only the wall clock tells how long ago. */
  agoOf(ms: number): CommandContext {
    const call = callOn(this.dir);
    if (ms === 0) return call;
    const machine = { ...call.ctx.machine(), boot_id: 'the boot before' };
    return { ...call, ctx: { ...call.ctx, now: () => Date.now() - ms, machine: () => machine } };
  }
}

/** Claims and dispatches a task as an agent does, some time ago. */
async function worked(hand: Hand, task: string, agoMs: number) {
  const call = hand.agoOf(agoMs);
  const { claim_id, run_id, generation } = await claim.run(call, { task });
  const { attempt_id } = await dispatch.run(call, { task, claim: claim_id, run: run_id, phase: 'implement' });
  hand.generations[task] = generation;
  return { claim: claim_id, attempt: attempt_id };
}

const MAKERS: Record<string, Maker> = {
  'all-at-once': (hand, task) => {
    const attempt = freshId();
    hand.state(task, 'running', { current_attempt_id: attempt, attempt_count: 1 });
    hand.lease(task, { ...STALE, generation: 6 });
    hand.stray(task, { ...STALE, generation: 2 }, 'lease.json.old');
    handVerdict(hand, task, attempt);
    hand.keep(() => handQuestion(hand, task, freshId(), ASKED));
    return ['2 mark_abandoned', '8 reverify_verdict', '11 archive_question', '13 release_lease_admin'];
  },
  'stale-by-verbs': async (hand, task) => {
    await worked(hand, task, 2 * HOUR_MS);
    return ['2 mark_abandoned'];
  },
  answered: (hand, task) => {
    const attempt = freshId();
    hand.state(task, 'blocked_on_question', { current_attempt_id: attempt });
    handAnswer(hand, task, attempt, handQuestion(hand, task, attempt, ASKED), 'keep');
    return ['5 resume_answered'];
  },
  'past-deadline': async (hand, task) => {
    const { attempt } = await worked(hand, task, 2 * HOUR_MS);
    const options_file = `${makeProject({ 'options.json': OPTIONS })}/options.json`;
    const asks = { task, attempt, decision_key: 'k', question: 'Q?', options_file, default: 'keep', deadline: 60_000 };
    await question.run(hand.agoOf(2 * HOUR_MS), asks);
    return ['5 apply_default_answer'];
  },
  'handed-in': async (hand, task) => {
    const held = await worked(hand, task, 0);
    handVerdict(hand, task, held.attempt);
    await release.run(callOn(hand.dir), { task, claim: held.claim });
    return ['8 reverify_verdict'];
  },
  'over-and-asking': (hand, task) => {
    hand.state(task, 'shipped');
    hand.keep(() => handQuestion(hand, task, freshId(), ASKED));
    return ['11 archive_question'];
  },
  'answer-to-nothing': (hand, task) => {
    hand.state(task, 'unclaimed');
    hand.keep(() => handAnswer(hand, task, freshId(), freshId(), 'keep'));
    return ['12 archive_answer'];
  },
  'two-leases': (hand, task) => {
    hand.state(task, 'claimed');
    hand.lease(task, { ...LIVE, generation: 9 });
    hand.stray(task, { ...LIVE, generation: 2 }, 'lease.json.orig');
    return ['13 release_lease_admin'];
  },
  'lease-elsewhere': (hand, task) => {
    hand.state(task, 'claimed');
    hand.stray(task, { ...LIVE, generation: 1 }, 'lease.json');
    hand.lease(task, { ...LIVE, generation: 7 }, 'lease.json.bak');
    return ['13 release_lease_admin'];
  },
  'over-and-leased': (hand, task) => {
    hand.state(task, 'shipped');
    hand.lease(task, { ...LIVE, generation: 5 });
    return ['14 release_lease_admin'];
  },
  'over-leased-elsewhere': (hand, task) => {
    hand.state(task, 'shipped');
    hand.stray(task, { ...LIVE, generation: 3 }, 'lease.json.a');
    hand.stray(task, { ...LIVE, generation: 8 }, 'lease.json.b');
    hand.generations[task] = 8;
    return ['13 release_lease_admin', '14 release_lease_admin'];
  },
  [LIVE_TASK]: async (hand, task) => {
    await worked(hand, task, 0);
    hand.stray(task, { ...LIVE, generation: 99 }, 'lease-copy.json');
    return ['13 release_lease_admin'];
  },
};

/** `copies`: how many tasks of each kind. */
export async function gcTree({ copies = 1, more = '' }: { copies?: number; more?: string } = {}): Promise<GcTree> {
  const names = Object.keys(MAKERS);
  const tasks = names.flatMap((name) => Array.from({ length: copies }, (_, at) => (at === 0 ? name : `${name}-${at}`)));
  const lines = tasks.map((id) => (more !== '' && id === 'handed-in' ? { id, more } : { id }));
  const hand = new Hand(makeProject({ 'plans/phases.yaml': planOf([{ id: FREE }, ...lines]) }));
  const rows: { row: number; task: string; action: string }[] = [];
  for (const task of tasks) {
    const maker = MAKERS[task.replace(/-\d+$/, '')] as Maker;
    for (const due of await maker(hand, task)) {
      const [row, action = ''] = due.split(' ');
      rows.push({ row: Number(row), task, action });
    }
  }
  for (const folder of ['questions', 'answers'])
    hand.keep(() => hand.write(`.forge/${folder}/old.json`, `{"of the first layout": "${folder}"}\n`));
  rows.sort((a, b) => a.row - b.row || (a.task < b.task ? -1 : 1));
  const { record } = auditTask(hand.dir, LIVE_TASK);
  return {
    dir: hand.dir,
    tasks,
    planned: rows.map(({ row, task, action }) => `${row} ${task} ${action}`),
    kept: hand.kept,
    strays: hand.strays,
    generations: hand.generations,
    attempt: record?.state.current_attempt_id ?? '',
  };
}

/** Makes the lock of a killed process stale at once. */
export function letLockRunOut(dir: string): void {
  const lock = `${dir}/.forge/orchestrator/.gc.lock`;
  if (fs.existsSync(lock)) fs.utimesSync(lock, 1, 1);
}

/** What gc has made of the tasks: where each stands, who has it, and with which generation. */
export async function outcomeOf(dir: string): Promise<Record<string, unknown>> {
  const { tasks } = await status.run(callOn(dir), {});
  const ends = tasks.map(async ({ task_id, state }) => {
    const { lease } = await show.run(callOn(dir), { task: task_id });
    const { record } = auditTask(dir, task_id);
    return [task_id, { state, claim: lease?.claim_id ?? null, generation: record?.memo.generation ?? null }];
  });
  return Object.fromEntries(await Promise.all(ends));
}

/** Every file below the project, by path: its text. */
function textsIn(dir: string): Map<string, string> {
  const names = fs.readdirSync(dir, { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => fs.lstatSync(`${dir}/${name}`).isFile());
  return new Map(files.map((name) => [name, fs.readFileSync(`${dir}/${name}`, 'utf8')]));
}

/** What holds as soon as a gc was cut short: verbs work, nothing is lost, and nothing of a person's lies where it is swept away. */
export async function expectAtOnce(tree: GcTree, dir: string): Promise<void> {
  const call = callOn(dir);
  const before = listing(dir, LOGS);
  expect((await status.run(call, {})).tasks.map(({ task_id }) => task_id)).toEqual(
    expect.arrayContaining([...tree.tasks]),
  );
  await phases.run(call, { ready: true });
  for (const task of tree.tasks) await why.run(call, { task });
  expect(listing(dir, LOGS), 'reading changes nothing').toEqual(before);
  const texts = textsIn(dir);
  for (const text of tree.kept) expect([...texts.values()], 'nothing is lost').toContain(text);
  for (const [name, text] of texts) {
    if (path.basename(name).startsWith('.tmp-')) expect(tree.strays, `${name} is not a person's`).not.toContain(text);
  }
  expect((await heartbeat.run(call, { task: LIVE_TASK, attempt: tree.attempt })).task_id).toBe(LIVE_TASK);
  expect((await claim.run(call, { task: FREE })).generation).toBe(1);
}

/** A gc that comes after finishes, and the one after that finds nothing. Returns what the first of them did. */
export async function finishedGc(dir: string): Promise<GcData> {
  letLockRunOut(dir);
  const second = await gc.run(callOn(dir), {});
  expect([...second.skipped, ...second.failed]).toEqual([]);
  const third = await gc.run(callOn(dir), {});
  expect(third).toMatchObject({ planned: [], applied: [], skipped: [], failed: [], legacy: { moved: [] } });
  expect(isDivergent(third, {})).toBe(false);
  return second;
}

/** What holds once all is done, however often gc was begun. */
export async function expectPutRight(tree: GcTree, dir: string): Promise<void> {
  const texts = textsIn(dir);
  const having = (wanted: string) => [...texts].flatMap(([name, text]) => (text === wanted ? [name] : []));
  for (const text of tree.kept) {
    const [name, ...more] = having(text);
    expect(more, `${name} is there once`).toEqual([]);
    expect(name).toMatch(/\/archived\/|\/legacy\//);
  }
  // A view may be left behind until the task's next change.
  const isView = (name: string) => path.basename(name) === 'lease.json';
  for (const text of tree.strays) expect(having(text).filter((name) => !isView(name))).toEqual([]);
  for (const name of texts.keys()) expect(path.basename(name)).not.toMatch(/^lease(?!\.json$).*\.json|^lease\.json./);
  expect(fs.readdirSync(`${dir}/.forge/orchestrator`).filter((name) => name.startsWith('.gc'))).toEqual([]);
  for (const task of tree.tasks) expectOneLineEach(dir, task);
  for (const [task, generation] of Object.entries(tree.generations)) {
    const { record } = auditTask(dir, task);
    const lease = fs.existsSync(`${taskDir(dir, task)}/lease.json`)
      ? texts.get(`${dirOf(task)}/lease.json`)
      : undefined;
    const now = record?.memo.generation ?? (lease === undefined ? 0 : JSON.parse(lease).generation);
    expect(now, `generation of ${task}`).toBeGreaterThanOrEqual(generation);
  }
  expect(auditTask(dir, LIVE_TASK).record).toMatchObject({
    state: { state: 'running', current_attempt_id: tree.attempt },
    lease: { attempt_id: tree.attempt },
  });
  const { checks } = await doctor.run(callOn(dir), {});
  expect(checks.find(({ name }) => name === 'tasks')).toMatchObject({ status: 'ok' });
}

/** A history has nothing twice. */
function expectOneLineEach(dir: string, task: string): void {
  const file = `${taskDir(dir, task)}/claim-history.jsonl`;
  if (!fs.existsSync(file)) return;
  const lines = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
  const told = lines.map((line) => JSON.stringify({ ...JSON.parse(line), ts: null }));
  expect(told.filter((line, at) => told.indexOf(line) !== at)).toEqual([]);
}
