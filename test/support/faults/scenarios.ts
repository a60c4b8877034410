/** Commands under faults: the tree that each starts on, and what each may leave behind. */

import fs from 'node:fs';
import { expect } from 'vitest';
import { answer } from '../../../src/commands/answer.ts';
import { cancel } from '../../../src/commands/cancel.ts';
import { claim } from '../../../src/commands/claim.ts';
import { complete } from '../../../src/commands/complete.ts';
import { context } from '../../../src/commands/context.ts';
import { dispatch } from '../../../src/commands/dispatch.ts';
import { heartbeat } from '../../../src/commands/heartbeat.ts';
import { question } from '../../../src/commands/question.ts';
import type { VerbInput } from '../../../src/commands/registry.ts';
import { release } from '../../../src/commands/release.ts';
import { retry } from '../../../src/commands/retry.ts';
import type { CommandContext } from '../../../src/commands/shared/session.ts';
import { signal } from '../../../src/commands/signal.ts';
import { openQuestion } from '../../../src/domain/question/questions.ts';
import { ForgeError } from '../../../src/lib/errors.ts';
import { RETENTION } from '../../../src/store/file/protocol.ts';
import { auditTask, type TaskFiles } from './audit.ts';
import { asked, callOn } from './forge.ts';
import { type Files, makeProject, planOf } from './project.ts';

export const TASK = 'a';
/** Names of the claims, so that a request can be repeated. */
export const MINE = '01a00000-0000-7000-8000-00000000000a';
export const OTHER = '01a00000-0000-7000-8000-00000000000b';

export interface Scenario {
  name: string;
  /** Makes the tree, and returns the command line that works on it and on copies of it. */
  prepare(): Promise<{ dir: string; args: string[] }>;
  /** What the answer's `data` says beside ids and times, whether it is the first or a repeated one. */
  says: Record<string, unknown>;
  /** A repeat is answered with the first result and commits nothing. */
  repeatable: boolean;
  /** How many changes the command makes. Default: 1. */
  changes?: number;
  /** How many changes any claim of the task makes. Default: 1. */
  claims?: number;
  /** It starts processes, so only steady calls can be aimed at. Default: false. */
  steady?: boolean;
  /** Its last change may be that it takes back what it has made, and is refused. Default: false. */
  yields?: boolean;
  /** What must hold as well of a tree that a fault has left; `dir` is a copy to work on. `before`: the task before the command. */
  also?(dir: string, args: readonly string[], before: TaskFiles): Promise<void>;
}

export const VERDICT = '{"verdict":"ready_for_review","summary":"done"}';
/** The policy is in the settings: when the plan can't be read, a failure is judged by theirs. */
export const SETTINGS = 'retry: { max_attempts: 3, base: 0 }\n';

export function project(settings: Files = { '.forge/settings.yaml': SETTINGS }): string {
  return makeProject({ 'plans/phases.yaml': planOf([{ id: TASK }]), 'verdict.json': VERDICT, ...settings });
}

/** A task that can't be claimed itself, and would write what the other one writes. */
const RIVAL = 'rival';

function overlappingPlan(rival: 'active' | 'paused'): string {
  const globs = 'write_globs: [go.sum]';
  return planOf([
    { id: TASK, more: globs },
    { id: RIVAL, more: `status: ${rival}, ${globs}` },
  ]);
}

/** The work on a task as an agent does it, up to some point. */
export async function worked(dir: string, steps: { beats: number; claim?: string }): Promise<string> {
  const call = callOn(dir);
  const { run_id, claim_id } = await claim.run(call, { task: TASK, claim_id: steps.claim ?? MINE });
  const { attempt_id } = await dispatch.run(call, { task: TASK, claim: claim_id, run: run_id, phase: 'implement' });
  for (let beat = 0; beat < steps.beats; beat++) await heartbeat.run(call, { task: TASK, attempt: attempt_id });
  return attempt_id;
}

/** A tree written by hand: a task in flight with an expired lease. */
async function handWritten(): Promise<string> {
  const dir = project();
  const folder = `${dir}/.forge/orchestrator/tasks/${TASK}`;
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(
    `${folder}/state.json`,
    JSON.stringify({ version: 1, task_id: TASK, state: 'running', attempt_count: 4, state_version: 9 }),
  );
  fs.writeFileSync(
    `${folder}/lease.json`,
    JSON.stringify({
      version: 1,
      task_id: TASK,
      claim_id: 'by-hand',
      owner_run_id: 'by-hand',
      generation: 7,
      acquired_at: '2020-01-01T00:00:00Z',
      expires_at: '2020-01-01T00:30:00Z',
    }),
  );
  return dir;
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'claim, the first change of a project',
    async prepare() {
      return { dir: project({}), args: ['claim', TASK, '--claim-id', MINE] };
    },
    says: { task_id: TASK, claim_id: MINE, generation: 1 },
    repeatable: true,
  },
  {
    name: 'claim of a task that is adopted and taken over',
    async prepare() {
      return { dir: await handWritten(), args: ['claim', TASK, '--claim-id', MINE] };
    },
    says: { task_id: TASK, claim_id: MINE, generation: 8 },
    repeatable: true,
  },
  {
    name: 'claim of a task that another task overlaps with',
    async prepare() {
      return {
        dir: project({ 'plans/phases.yaml': overlappingPlan('paused') }),
        args: ['claim', TASK, '--claim-id', MINE],
      };
    },
    says: { task_id: TASK, claim_id: MINE, generation: 1 },
    repeatable: true,
    // The claim, and that the look was clean; or that the claim is given back, where it could not look.
    changes: 2,
    claims: 2,
    yields: true,
    async also(dir, _args, before) {
      const { record, newest } = auditTask(dir, TASK);
      if (record === null || newest === before.newest) return;
      // Checked for overlap or not: no other task gets the files, and nothing is dispatched unchecked.
      fs.writeFileSync(`${dir}/plans/phases.yaml`, overlappingPlan('active'));
      expect(await asked(claim.run(callOn(dir), { task: RIVAL }))).toEqual({ ok: false, code: 'OVERLAP_CONFLICT' });
      expect(record.lease?.overlap_unchecked ?? false).toBe(newest === before.newest + 1);
      const run = record.lease?.owner_run_id ?? '';
      await dispatch.run(callOn(dir), { task: TASK, claim: MINE, run, phase: 'implement' });
      expect(auditTask(dir, TASK).record?.lease?.overlap_unchecked).toBeUndefined();
    },
  },
  {
    name: 'dispatch',
    async prepare() {
      const dir = project();
      const { run_id } = await claim.run(callOn(dir), { task: TASK, claim_id: MINE });
      return { dir, args: ['dispatch', TASK, '--claim', MINE, '--run', run_id] };
    },
    says: { task_id: TASK, attempt_number: 1, phase: 'implement' },
    repeatable: true,
  },
  {
    name: 'heartbeat',
    async prepare() {
      const dir = project();
      return { dir, args: ['heartbeat', TASK, '--attempt', await worked(dir, { beats: 0 })] };
    },
    says: { task_id: TASK, generation: 1 },
    repeatable: false,
  },
  {
    name: 'heartbeat that compacts old versions',
    async prepare() {
      const dir = project();
      return { dir, args: ['heartbeat', TASK, '--attempt', await worked(dir, { beats: RETENTION.compactAt - 2 })] };
    },
    says: { task_id: TASK, generation: 1 },
    repeatable: false,
  },
  {
    name: 'complete with a verdict',
    async prepare() {
      const dir = project();
      const attempt = await worked(dir, { beats: 1 });
      // The verdict is read from outside of the project, so that copies of it find it too.
      const file = `${makeProject({ 'verdict.json': VERDICT })}/verdict.json`;
      return { dir, args: ['complete', TASK, '--attempt', attempt, '--verdict-file', file] };
    },
    says: { task_id: TASK, state: 'shipped', failure_reason: null },
    repeatable: true,
  },
  {
    name: 'complete as a failure',
    async prepare() {
      const dir = project();
      const attempt = await worked(dir, { beats: 1 });
      return { dir, args: ['complete', TASK, '--attempt', attempt, '--failed', '--error-class', 'network'] };
    },
    says: { task_id: TASK, state: 'awaiting_respawn', failure_reason: null },
    repeatable: true,
  },
  {
    name: 'release',
    async prepare() {
      const dir = project();
      await worked(dir, { beats: 1 });
      return { dir, args: ['release', TASK, '--claim', MINE] };
    },
    says: { task_id: TASK, state: 'awaiting_respawn' },
    repeatable: true,
  },
  {
    name: 'cancel of a task in flight',
    async prepare() {
      const dir = project();
      await worked(dir, { beats: 1 });
      return { dir, args: ['cancel', TASK] };
    },
    says: { task_id: TASK, state: 'cancelled' },
    repeatable: true,
  },
  {
    name: 'retry of a task that has failed',
    async prepare() {
      const dir = project({ '.forge/settings.yaml': 'retry: { max_attempts: 1 }\n' });
      const attempt = await worked(dir, { beats: 1 });
      await complete.run(callOn(dir), { task: TASK, attempt, failed: true, error_class: 'network' });
      return { dir, args: ['retry', TASK] };
    },
    says: { task_id: TASK, state: 'unclaimed' },
    repeatable: true,
  },
];

/** The request of `args`, made within this process: what the caller does who got no answer. */
export function repeat(dir: string, args: readonly string[]): Promise<object> {
  const call = callOn(dir);
  const value = (flag: string): string => args[args.indexOf(flag) + 1] ?? '';
  switch (args[0]) {
    case 'claim':
      return claim.run(call, { ...(args.includes('--next') ? { next: true } : { task: TASK }), claim_id: MINE });
    case 'dispatch':
      return dispatch.run(call, { task: TASK, claim: MINE, run: value('--run'), phase: 'implement' });
    case 'heartbeat':
      return heartbeat.run(call, { task: TASK, attempt: value('--attempt') });
    case 'question':
      return question.run(call, {
        task: TASK,
        attempt: value('--attempt'),
        decision_key: value('--decision-key'),
        question: value('--question'),
        options_file: value('--options-file'),
      });
    case 'answer':
      return answer.run(call, { question: args[1] ?? '', option: value('--option'), by: value('--by') });
    case 'context':
      return context.run(call, { task: TASK, attempt: value('--attempt'), action: 'merge', key: args[2] ?? '' });
    case 'signal':
      return signal.run(call, { task: TASK, signal: args[2] ?? '', data: value('--data'), id: value('--id') });
    case 'release':
      return release.run(call, { task: TASK, claim: MINE });
    case 'cancel':
      return cancel.run(call, { task: TASK });
    case 'retry':
      return retry.run(call, { task: TASK });
    case 'complete':
      return completed(call, {
        task: TASK,
        attempt: value('--attempt'),
        ...(args.includes('--failed')
          ? { failed: true, error_class: value('--error-class') }
          : { verdict_file: value('--verdict-file') }),
      });
    default:
      throw new Error(`no such request: ${args.join(' ')}`);
  }
}

/** What became of the attempt, also where its result did not pass: that is told as an error. */
async function completed(call: CommandContext, options: VerbInput<'complete'>): Promise<object> {
  try {
    return await complete.run(call, options);
  } catch (error) {
    if (error instanceof ForgeError && error.code === 'VERIFICATION_FAILED') return error.data as object;
    throw error;
  }
}

/** Completes the task as its owner, or as the next claimer once its question is answered. Returns its state. */
export async function finish(dir: string, holder: string | null): Promise<string> {
  const call = callOn(dir);
  const mine = holder ?? OTHER;
  const { record } = auditTask(dir, TASK);
  if (record?.state.state === 'cancelled') await retry.run(call, { task: TASK });
  const open = record && openQuestion(record);
  if (open) await answer.run(call, { question: open.question_id, option: 'keep' });
  const { run_id } = await claim.run(call, { task: TASK, claim_id: mine });
  const { attempt_id } = await dispatch.run(call, { task: TASK, claim: mine, run: run_id, phase: 'implement' });
  await heartbeat.run(call, { task: TASK, attempt: attempt_id });
  // For a check that waits for it.
  fs.writeFileSync(`${dir}/fixed`, '');
  const end = await complete.run(call, { task: TASK, attempt: attempt_id, verdict_file: `${dir}/verdict.json` });
  return end.state;
}
