/**
 * Two builds of forge work on one tree in turns, as while some of a fleet are upgraded. The other one is what `npm run faults -- --other`
 * names; without it this build plays both.
 */

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { expect, test } from 'vitest';
import { FORGE } from '../support/cli.ts';
import { auditTask, expectViewsOf } from '../support/faults/audit.ts';
import { type Answer, answerIn, commandLine } from '../support/faults/forge.ts';
import { ROUNDS, SEED, seeded, sized } from '../support/faults/knobs.ts';
import { makeProject, planOf } from '../support/faults/project.ts';
import { withoutForge } from '../support/processes.ts';

const BUILDS = [FORGE, process.env['FAULT_OTHER'] || FORGE];
const TASKS = ['a', 'b', 'c', 'd', 'e'];
const STEPS = sized(25, 60, 150);

interface Held {
  task: string;
  claim: string;
  run: string;
  attempt: string | null;
}

interface Played {
  code: number | null;
  answer: Answer;
}

function play(build: string, dir: string, ...args: string[]): Promise<Played> {
  const [program = '', , ...rest] = commandLine(dir, args);
  const child = spawn(program, [build, ...rest], { cwd: '/', env: withoutForge(process.env) });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  return new Promise((resolve, reject) =>
    child.once('close', (code) => {
      const answer = answerIn(stdout);
      if (answer === null) reject(new Error(`${build}: ${args.join(' ')}: no answer: ${stderr}`));
      else resolve({ code, answer });
    }),
  );
}

/** What both have a word for: a later build may say more. */
function common(one: unknown, other: unknown): unknown {
  if (Array.isArray(one) && Array.isArray(other)) return one.map((each, at) => common(each, other[at]));
  if (one === null || other === null || typeof one !== 'object' || typeof other !== 'object') return one;
  const theirs = other as Record<string, unknown>;
  // How long an attempt at work has taken depends on when that is asked.
  const isMoving = (key: string) => key === 'duration_ms' && theirs['ended_at'] === null;
  const both = Object.entries(one).filter(([key]) => key in theirs && !isMoving(key));
  return Object.fromEntries(both.map(([key, value]) => [key, common(value, theirs[key])]));
}

/** Of what refused it: that others were first, or that it is not to be done now. */
const REFUSALS = ['NOT_READY', 'ILLEGAL_TRANSITION', 'LEASE_STOLEN', 'STALE_ATTEMPT', 'STATE_NOT_FOUND'];

class Fleet {
  readonly dir = makeProject({
    'plans/phases.yaml': planOf(TASKS.map((id) => ({ id, more: 'run: "true"' }))),
    '.forge/settings.yaml': 'retry: {max_attempts: 3, base: 0}\n',
    'verdict.json': '{"verdict":"ready_for_review","summary":"done"}',
    'options.json': '[{"id":"keep","label":"Keep"},{"id":"drop","label":"Drop"}]',
  });
  readonly held: Held[] = [];
  /** What was done, for the message of a failure. */
  readonly log: string[] = [];
  readonly random;

  constructor(seed: number) {
    this.random = seeded(seed);
  }

  pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.random() * all.length)] as T;
  }

  async verb(...args: string[]): Promise<Record<string, unknown> | null> {
    const at = Math.floor(this.random() * BUILDS.length);
    this.log.push(`${at}: ${args.join(' ')}`);
    const { answer } = await play(BUILDS[at] ?? FORGE, this.dir, ...args);
    if (answer.ok) return answer.data;
    expect(REFUSALS, answer.error.message).toContain(answer.error.code);
    return null;
  }

  keep(claimed: Record<string, unknown> | null): void {
    if (claimed === null) return;
    const { task_id, claim_id, run_id } = claimed as Record<string, string>;
    this.held.push({ task: String(task_id), claim: String(claim_id), run: String(run_id), attempt: null });
  }

  /** Both at once: no task goes to both. */
  async race(): Promise<void> {
    const won = await Promise.all(BUILDS.map((build) => play(build, this.dir, 'claim', '--next')));
    const claims = won.flatMap(({ answer }) => (answer.ok ? [answer.data] : []));
    expect(new Set(claims.map(({ task_id }) => task_id)).size).toBe(claims.length);
    for (const claim of claims) this.keep(claim);
  }

  async work(held: Held): Promise<void> {
    const { task, claim, run } = held;
    const drop = () => void this.held.splice(this.held.indexOf(held), 1);
    if (held.attempt === null) {
      const opened = await this.verb('dispatch', task, '--claim', claim, '--run', run);
      if (opened === null) drop();
      else held.attempt = String(opened['attempt_id']);
      return;
    }
    const own = [task, '--attempt', held.attempt];
    const moves: [ends: boolean, ...args: string[]][] = [
      [false, 'heartbeat', ...own],
      [false, 'event', ...own, '--type', 'note', '--data', '{"half":true}'],
      [true, 'complete', ...own, '--verdict-file', `${this.dir}/verdict.json`],
      [true, 'complete', ...own, '--failed', '--error-class', 'network'],
      [true, 'release', task, '--claim', claim],
      [
        true,
        'question',
        ...own,
        '--decision-key',
        'key',
        '--question',
        'Which?',
        '--options-file',
        `${this.dir}/options.json`,
      ],
    ];
    const [ends, ...args] = this.pick(moves);
    if ((await this.verb(...args)) === null || ends) drop();
  }

  async step(): Promise<void> {
    const what = this.random();
    if (what < 0.15) return this.race();
    if (what < 0.7)
      return this.held.length > 0 ? this.work(this.pick(this.held)) : this.keep(await this.verb('claim', '--next'));
    const task = this.pick(TASKS);
    if (what < 0.75) return void (await this.verb('retry', task));
    if (what < 0.78) return void (await this.verb('cancel', task));
    if (what < 0.82) return void (await this.verb('gc'));
    const asked = await this.verb('questions');
    const [open] = (asked?.['questions'] ?? []) as { question_id: string }[];
    if (open !== undefined) return void (await this.verb('answer', open.question_id, '--option', 'keep'));
    this.keep(await this.verb('claim', '--next'));
  }

  /** Both see the same. */
  async look(): Promise<void> {
    for (const args of [['status'], ['show', this.pick(TASKS)], ['why', this.pick(TASKS)]]) {
      const [own, others] = await Promise.all(BUILDS.map((build) => play(build, this.dir, ...args)));
      if (own === undefined || others === undefined) throw new Error('there are two builds');
      const ours = own.answer.ok ? own.answer.data : own.answer.error.code;
      const theirs = others.answer.ok ? others.answer.data : others.answer.error.code;
      expect(common(ours, theirs), args.join(' ')).toEqual(common(theirs, ours));
    }
    for (const task of TASKS) auditTask(this.dir, task);
  }

  async finish(): Promise<void> {
    // Also what is still held, or waits for an answer.
    for (const task of TASKS) {
      await this.verb('cancel', task);
      await this.verb('retry', task);
    }
    const build = this.pick(BUILDS);
    const child = spawn(process.execPath, [build, 'orchestrate', '--dir', this.dir, 'run'], { stdio: 'ignore' });
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
    await this.look();
    for (const task of TASKS) {
      const { record } = auditTask(this.dir, task);
      expect(record?.state.state, task).toBe('shipped');
      if (record !== null) expectViewsOf(this.dir, task, record);
    }
    const left = fs.readdirSync(`${this.dir}/.forge/orchestrator/tasks/a`).filter((name) => name.startsWith('.tmp-'));
    expect(left).toEqual([]);
  }
}

test.each(Array.from({ length: ROUNDS }, (_, at) => SEED + at))(
  'two builds of forge work on one tree in turns, seed %i',
  { timeout: 600_000 },
  async (seed) => {
    const fleet = new Fleet(seed);
    try {
      for (let step = 1; step <= STEPS; step++) {
        await fleet.step();
        if (step % 5 === 0) await fleet.look();
      }
      await fleet.finish();
    } catch (error) {
      throw new Error(fleet.log.join('\n'), { cause: error });
    }
  },
);
