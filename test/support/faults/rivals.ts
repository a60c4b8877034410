/** Commands that may come at the same moment: the tree that they find, how they may be refused, and what holds afterwards. */

import fs from 'node:fs';
import { expect } from 'vitest';
import { cancel } from '../../../src/commands/cancel.ts';
import { claim } from '../../../src/commands/claim.ts';
import { complete } from '../../../src/commands/complete.ts';
import { runStart } from '../../../src/commands/run-start.ts';
import { status } from '../../../src/commands/status.ts';
import { steps } from '../../../src/commands/steps.ts';
import { waitFor } from '../../../src/commands/wait-for.ts';
import { why } from '../../../src/commands/why.ts';
import { auditTask } from './audit.ts';
import { type Answer, ask, asked, callOn } from './forge.ts';
import { makeProject, planOf, type TaskLine } from './project.ts';
import { hourAgo, parked as parkedOnQuestion } from './question-scenarios.ts';
import { MINE, OTHER, TASK, VERDICT, worked } from './scenarios.ts';

export interface Rivals {
  name: string;
  /** Makes the tree, and returns the command lines; `env`: the environment that they have alone. */
  prepare(): Promise<{ dir: string; lines: string[][]; env?: Record<string, string> }>;
  /** Codes that one of them may be refused with. */
  refused: readonly string[];
  /** Rows of gc that may be left to do, as after a plain sequence of them. Default: none. */
  rows?: readonly number[];
  /** What else must hold. `answers` are in the order of the lines. */
  holds?(dir: string, answers: Answer[]): Promise<void> | void;
}

const B = 'b';

function tree(tasks: readonly TaskLine[] = [{ id: TASK }], settings = 'retry: { max_attempts: 1 }\n'): string {
  return makeProject({
    'plans/phases.yaml': planOf(tasks),
    'verdict.json': VERDICT,
    '.forge/settings.yaml': settings,
    'options.json': JSON.stringify(['keep', 'drop'].map((id) => ({ id, label: id }))),
    'children.jsonl': '{"name":"x","run":"true"}\n{"name":"y","run":"true"}\n',
  });
}

const succeeded = (answers: readonly Answer[]) => answers.filter(({ ok }) => ok);
const valueIn = (answer: Answer | undefined, key: string) => (answer?.ok === true ? answer.data[key] : null);

async function stateOf(dir: string, taskId: string = TASK): Promise<string | undefined> {
  const { tasks } = await status.run(callOn(dir), {});
  return tasks.find(({ task_id }) => task_id === taskId)?.state;
}

/** A task that an attempt works on. */
async function inWork(lines: (dir: string, attempt: string, run: string) => string[][], dir = tree()) {
  const attempt = await worked(dir, { beats: 1 });
  const run = auditTask(dir, TASK).record?.lease?.owner_run_id ?? '';
  return { dir, lines: lines(dir, attempt, run) };
}

const withVerdict = (dir: string, attempt: string) => [
  'complete',
  TASK,
  '--attempt',
  attempt,
  '--verdict-file',
  `${dir}/verdict.json`,
];
const asFailed = (attempt: string) => ['complete', TASK, '--attempt', attempt, '--failed', '--error-class', 'network'];
const ofAttempt = (attempt: string) => ['--task', TASK, '--attempt', attempt];

async function shipped(dir = tree()): Promise<string> {
  const attempt = await worked(dir, { beats: 0 });
  await complete.run(callOn(dir), { task: TASK, attempt, verdict_file: `${dir}/verdict.json` });
  return dir;
}

async function failed(dir = tree()): Promise<string> {
  const attempt = await worked(dir, { beats: 0 });
  await complete.run(callOn(dir), { task: TASK, attempt, failed: true, error_class: 'network' });
  return dir;
}

/** Its plan does not have the task any more. */
function unplanned(dir: string): string {
  fs.writeFileSync(`${dir}/plans/phases.yaml`, planOf([{ id: B }]));
  return dir;
}

async function waiting(dir = tree()): Promise<string> {
  const attempt = await worked(dir, { beats: 0 });
  expect(await asked(waitFor.run(callOn(dir), { task: TASK, attempt, name: 'go' }))).toMatchObject({ ok: false });
  expect(await stateOf(dir)).toBe('waiting');
  return dir;
}

const MOVED = ['LEASE_STOLEN', 'STALE_ATTEMPT', 'ILLEGAL_TRANSITION', 'STATE_NOT_FOUND'];

export const RIVALS: readonly Rivals[] = [
  {
    name: 'claim and claim of one task',
    async prepare() {
      return {
        dir: tree(),
        lines: [
          ['claim', TASK],
          ['claim', TASK],
          ['claim', '--next'],
        ],
      };
    },
    refused: ['LEASE_EXISTS', 'NOT_READY'],
    holds(dir, answers) {
      expect(succeeded(answers)).toHaveLength(1);
      expect(auditTask(dir, TASK)).toMatchObject({
        newest: 1,
        record: { lease: { claim_id: valueIn(succeeded(answers)[0], 'claim_id') } },
      });
    },
  },
  {
    name: 'claim and claim under one id',
    async prepare() {
      return {
        dir: tree(),
        lines: [
          ['claim', TASK, '--claim-id', MINE],
          ['claim', TASK, '--claim-id', MINE],
        ],
      };
    },
    refused: [],
    holds(dir, answers) {
      expect(new Set(answers.map((each) => valueIn(each, 'run_id'))).size).toBe(1);
      expect(fs.readdirSync(`${dir}/.forge/orchestrator/runs`)).toHaveLength(1);
    },
  },
  {
    name: 'claim --next and claim --next',
    async prepare() {
      return {
        dir: tree([{ id: TASK }, { id: B }, { id: 'c' }]),
        lines: [
          ['claim', '--next'],
          ['claim', '--next'],
          ['claim', '--next'],
        ],
      };
    },
    refused: [],
    holds(_dir, answers) {
      expect(new Set(answers.map((each) => valueIn(each, 'task_id'))).size).toBe(3);
    },
  },
  {
    name: 'claims of tasks that overlap',
    async prepare() {
      const more = 'write_globs: [go.sum]';
      return {
        dir: tree([
          { id: TASK, more },
          { id: B, more },
        ]),
        lines: [
          ['claim', TASK],
          ['claim', B],
        ],
      };
    },
    refused: ['OVERLAP_CONFLICT'],
    holds(_dir, answers) {
      expect(succeeded(answers).length).toBeLessThan(2);
    },
  },
  {
    name: 'claim and run end',
    async prepare() {
      const dir = tree();
      const { run_id } = await runStart.run(callOn(dir), {});
      return {
        dir,
        lines: [
          ['claim', TASK, '--run', run_id],
          ['run', 'end', '--run', run_id],
          ['run', 'end', '--run', run_id],
        ],
      };
    },
    refused: [],
  },
  {
    name: 'dispatch and dispatch',
    async prepare() {
      const dir = tree();
      const { run_id } = await claim.run(callOn(dir), { task: TASK, claim_id: MINE });
      const line = ['dispatch', TASK, '--claim', MINE, '--run', run_id];
      return { dir, lines: [line, line] };
    },
    refused: [],
    holds(dir, answers) {
      expect(new Set(answers.map((each) => valueIn(each, 'attempt_id'))).size).toBe(1);
      expect(auditTask(dir, TASK).record?.state.attempt_count).toBe(1);
    },
  },
  {
    name: 'dispatch, release and cancel',
    async prepare() {
      const dir = tree();
      const { run_id } = await claim.run(callOn(dir), { task: TASK, claim_id: MINE });
      return {
        dir,
        lines: [
          ['dispatch', TASK, '--claim', MINE, '--run', run_id],
          ['release', TASK, '--claim', MINE],
          ['cancel', TASK],
        ],
      };
    },
    refused: [...MOVED, 'LEASE_NOT_FOUND'],
    async holds(dir, answers) {
      expect(answers[2]?.ok).toBe(true);
      expect(await stateOf(dir)).toBe('cancelled');
    },
  },
  {
    name: 'heartbeat, release and event',
    prepare: () =>
      inWork((_dir, attempt) => [
        ['heartbeat', TASK, '--attempt', attempt],
        ['release', TASK, '--claim', MINE],
        ['event', TASK, '--attempt', attempt, '--type', 'note'],
      ]),
    refused: MOVED,
    async holds(dir, answers) {
      expect(answers[1]?.ok).toBe(true);
      expect(await stateOf(dir)).toBe('awaiting_respawn');
    },
  },
  {
    name: 'heartbeat, heartbeat and event',
    prepare: () =>
      inWork((_dir, attempt) => [
        ['heartbeat', TASK, '--attempt', attempt],
        ['heartbeat', TASK, '--attempt', attempt],
        ['event', TASK, '--attempt', attempt, '--type', 'note'],
      ]),
    refused: [],
  },
  {
    name: 'complete and heartbeat',
    prepare: () => inWork((dir, attempt) => [withVerdict(dir, attempt), ['heartbeat', TASK, '--attempt', attempt]]),
    refused: MOVED,
    async holds(dir, answers) {
      expect(answers[0]?.ok).toBe(true);
      expect(await stateOf(dir)).toBe('shipped');
    },
  },
  {
    name: 'complete and complete alike',
    prepare: () => inWork((dir, attempt) => [withVerdict(dir, attempt), withVerdict(dir, attempt)]),
    refused: [],
    async holds(dir) {
      expect(await stateOf(dir)).toBe('shipped');
    },
  },
  {
    name: 'complete, verified, and complete alike',
    prepare: () =>
      inWork(
        (dir, attempt) => [withVerdict(dir, attempt), withVerdict(dir, attempt)],
        tree([{ id: TASK, more: 'verify: ["sleep 0.1"]' }]),
      ),
    refused: ['NOT_READY', 'LEASE_EXISTS', 'STATE_VERSION_CONFLICT'],
    async holds(dir) {
      expect(await stateOf(dir)).toBe('shipped');
    },
  },
  {
    name: 'complete in two ways',
    prepare: () => inWork((dir, attempt) => [withVerdict(dir, attempt), asFailed(attempt)]),
    refused: MOVED,
    async holds(dir, answers) {
      expect(succeeded(answers)).toHaveLength(1);
      expect(await stateOf(dir)).toBe(answers[0]?.ok ? 'shipped' : 'failed');
    },
  },
  {
    name: 'complete, cancel and release',
    prepare: () =>
      inWork((dir, attempt) => [withVerdict(dir, attempt), ['cancel', TASK], ['release', TASK, '--claim', MINE]]),
    refused: MOVED,
    async holds(dir, answers) {
      if (answers[0]?.ok) expect(await stateOf(dir)).toBe('shipped');
      else expect(await stateOf(dir)).toBe('cancelled');
    },
  },
  {
    name: 'question and cancel',
    prepare: () =>
      inWork((dir, attempt) => [
        [
          'question',
          TASK,
          '--attempt',
          attempt,
          '--decision-key',
          'k',
          '--question',
          '?',
          '--options-file',
          `${dir}/options.json`,
        ],
        ['cancel', TASK],
      ]),
    refused: MOVED,
    rows: [11],
    async holds(dir) {
      expect(await stateOf(dir)).toBe('cancelled');
    },
  },
  {
    name: 'question and question',
    prepare: () =>
      inWork((dir, attempt) => {
        const line = [
          'question',
          TASK,
          '--attempt',
          attempt,
          '--decision-key',
          'k',
          '--question',
          '?',
          '--options-file',
          `${dir}/options.json`,
        ];
        return [line, line, ['heartbeat', TASK, '--attempt', attempt]];
      }),
    refused: MOVED,
    async holds(dir, answers) {
      expect(new Set(answers.slice(0, 2).map((each) => valueIn(each, 'question_id'))).size).toBe(1);
      expect(await stateOf(dir)).toBe('blocked_on_question');
    },
  },
  {
    name: 'answers that differ, and a claim',
    async prepare() {
      const { dir, id } = await parkedOnQuestion({ over: false });
      return {
        dir,
        lines: [
          ['answer', id, 'keep'],
          ['answer', id, 'drop'],
          ['claim', TASK],
        ],
      };
    },
    refused: ['ILLEGAL_TRANSITION', 'NOT_READY'],
    holds(_dir, answers) {
      expect(succeeded(answers.slice(0, 2))).toHaveLength(1);
    },
  },
  {
    name: 'answer, cancel and retry',
    async prepare() {
      const { dir, id } = await parkedOnQuestion({ over: false });
      return {
        dir,
        lines: [
          ['answer', id, 'keep'],
          ['cancel', TASK],
          ['retry', TASK],
        ],
      };
    },
    refused: ['ILLEGAL_TRANSITION'],
    // An answer to a question that cancel has withdrawn meanwhile was written before its commit.
    rows: [11, 12],
  },
  {
    name: 'an answer at the deadline, gc and a claim',
    async prepare() {
      const { dir, id } = await parkedOnQuestion({ over: true, default: 'keep' });
      return { dir, lines: [['answer', id, 'drop'], ['gc'], ['claim', TASK]] };
    },
    refused: ['ILLEGAL_TRANSITION', 'NOT_READY'],
  },
  {
    name: 'a signal and the wait for it',
    prepare: () =>
      inWork((_dir, attempt) => [
        ['signal', TASK, 'go', '--data', '1'],
        ['wait-for', 'go', ...ofAttempt(attempt)],
      ]),
    refused: ['PARKED'],
    async holds(dir, answers) {
      expect(answers[0]?.ok).toBe(true);
      // It has the signal, or is to go on.
      expect((await why.run(callOn(dir), { task: TASK })).ready).toBe(answers[1]?.ok === false);
    },
  },
  {
    name: 'signals under one id, to a task that is parked, and a claim',
    async prepare() {
      const line = ['signal', TASK, 'go', '--id', 'one'];
      return { dir: await waiting(), lines: [line, line, ['claim', TASK]] };
    },
    refused: ['NOT_READY'],
    holds(_dir, answers) {
      expect(
        answers
          .slice(0, 2)
          .map((each) => valueIn(each, 'sent'))
          .sort(),
      ).toEqual([false, true]);
    },
  },
  {
    name: 'a signal and cancel of a task that is parked',
    async prepare() {
      return {
        dir: await waiting(),
        lines: [
          ['signal', TASK, 'go'],
          ['cancel', TASK],
        ],
      };
    },
    refused: ['ILLEGAL_TRANSITION'],
    async holds(dir) {
      expect(await stateOf(dir)).toBe('cancelled');
    },
  },
  {
    name: 'signals, values and a step',
    prepare: () =>
      inWork((_dir, attempt) => [
        ['signal', TASK, 'go'],
        ['context', 'set', 'one', '1', ...ofAttempt(attempt)],
        ['context', 'merge', '{"two": 2}', ...ofAttempt(attempt)],
        ['step', 'three', ...ofAttempt(attempt), '--', 'true'],
      ]),
    refused: [],
    async holds(dir) {
      const { context, steps: found } = await steps.run(callOn(dir), { task: TASK });
      expect(context).toEqual({ one: 1, two: 2 });
      expect(found).toMatchObject([{ name: 'three', status: 'completed' }]);
    },
  },
  {
    name: 'values under one key that is set once',
    prepare: () =>
      inWork((_dir, attempt) => [
        ['context', 'set-once', 'key', '1', ...ofAttempt(attempt)],
        ['context', 'set-once', 'key', '2', ...ofAttempt(attempt)],
      ]),
    refused: [],
    holds(_dir, answers) {
      expect(new Set(answers.map((each) => valueIn(each, 'value'))).size).toBe(1);
    },
  },
  {
    name: 'steps of one name',
    prepare: () =>
      inWork((dir, attempt) => {
        const line = ['step', 'one', ...ofAttempt(attempt), '--', 'sh', '-c', `echo made >> ${dir}/ledger`];
        return [line, line];
      }),
    refused: ['STEP_REPEATED'],
    holds(dir, answers) {
      expect(succeeded(answers).length).toBeGreaterThan(0);
      expect(fs.readFileSync(`${dir}/ledger`, 'utf8')).toBe('made\n');
    },
  },
  {
    name: 'a step, release and cancel',
    prepare: () =>
      inWork((_dir, attempt) => [
        ['step', 'one', ...ofAttempt(attempt), '--', 'true'],
        ['release', TASK, '--claim', MINE],
        ['cancel', TASK],
      ]),
    refused: MOVED,
    async holds(dir) {
      expect(await stateOf(dir)).toBe('cancelled');
    },
  },
  {
    name: 'fan-outs of one name',
    prepare: () =>
      inWork((dir, attempt) => {
        const line = ['fan-out', 'files', ...ofAttempt(attempt), '--from', `${dir}/children.jsonl`];
        return [line, line];
      }),
    refused: ['STEP_REPEATED'],
    holds(dir, answers) {
      expect(succeeded(answers).length).toBeGreaterThan(0);
      expect(auditTask(dir, TASK).record?.memo.fan_outs).toHaveLength(1);
    },
  },
  {
    name: 'fan-outs of two names',
    prepare: () =>
      inWork((dir, attempt) => [
        ['fan-out', 'one', ...ofAttempt(attempt), '--from', `${dir}/children.jsonl`],
        ['fan-out', 'two', ...ofAttempt(attempt), '--from', `${dir}/children.jsonl`],
        ['claim', '--next'],
      ]),
    refused: ['NOT_READY'],
    holds(dir) {
      expect(auditTask(dir, TASK).record?.memo.fan_outs).toHaveLength(2);
    },
  },
  {
    name: 'adds',
    async prepare() {
      return {
        dir: tree(),
        lines: [
          ['add', 'More'],
          ['add', 'More'],
          ['add', 'Else', '--depends-on', TASK],
        ],
      };
    },
    refused: [],
    async holds(dir) {
      const { tasks } = await status.run(callOn(dir), {});
      expect(tasks.map(({ task_id }) => task_id).sort()).toEqual([TASK, 'else', 'more', 'more-2']);
    },
  },
  {
    name: 'adds with one id',
    async prepare() {
      return {
        dir: tree(),
        lines: [
          ['add', 'One', '--id', 'new'],
          ['add', 'Two', '--id', 'new'],
        ],
      };
    },
    refused: ['DUPLICATE_ID'],
    holds(_dir, answers) {
      expect(succeeded(answers)).toHaveLength(1);
    },
  },
  {
    name: 'edit, drop, add and claim',
    async prepare() {
      return {
        dir: tree([{ id: TASK }, { id: B }]),
        lines: [
          ['edit', TASK, '--set', 'title=Another'],
          ['drop', B],
          ['add', 'More'],
          ['claim', TASK],
        ],
      };
    },
    refused: [],
    holds(dir) {
      const plan = fs.readFileSync(`${dir}/plans/phases.yaml`, 'utf8');
      for (const text of ['title: Another', 'status: dropped', 'id: more']) expect(plan).toContain(text);
    },
  },
  {
    name: 'drop and claim of one task',
    async prepare() {
      return {
        dir: tree(),
        lines: [
          ['drop', TASK],
          ['claim', TASK],
        ],
      };
    },
    refused: ['ILLEGAL_TRANSITION', 'NOT_READY'],
    holds(_dir, answers) {
      expect(succeeded(answers).length).toBeGreaterThan(0);
    },
  },
  {
    name: 'retry and retry, and a claim',
    async prepare() {
      return {
        dir: await failed(),
        lines: [
          ['retry', TASK],
          ['retry', TASK],
          ['claim', TASK],
        ],
      };
    },
    refused: ['ILLEGAL_TRANSITION', 'NOT_READY', 'LEASE_EXISTS'],
  },
  {
    name: 'retry, cancel and done',
    async prepare() {
      return {
        dir: await failed(),
        lines: [
          ['retry', TASK],
          ['cancel', TASK],
          ['done', TASK],
        ],
      };
    },
    refused: ['ILLEGAL_TRANSITION'],
  },
  {
    name: 'retry and forget',
    async prepare() {
      return {
        dir: unplanned(await failed()),
        lines: [
          ['retry', TASK],
          ['forget', TASK],
        ],
      };
    },
    refused: ['TASK_NOT_FOUND'],
    async holds(dir, answers) {
      expect(answers[1]?.ok).toBe(true);
      expect(await stateOf(dir)).toBeUndefined();
    },
  },
  {
    name: 'forget and forget',
    async prepare() {
      return { dir: unplanned(await failed()), lines: [['forget', TASK], ['forget', TASK], ['gc']] };
    },
    refused: [],
    async holds(dir) {
      expect(await stateOf(dir)).toBeUndefined();
    },
  },
  {
    name: 'a signal, cancel and forget',
    async prepare() {
      return {
        dir: unplanned(await waiting()),
        lines: [
          ['signal', TASK, 'go'],
          ['cancel', TASK],
          ['forget', TASK],
        ],
      };
    },
    refused: ['TASK_NOT_FOUND', 'ILLEGAL_TRANSITION'],
    async holds(dir, answers) {
      expect(answers[2]?.ok).toBe(true);
      expect(await stateOf(dir)).toBeUndefined();
    },
  },
  {
    name: 'rerun and rerun, and a claim',
    async prepare() {
      return {
        dir: await shipped(),
        lines: [
          ['rerun', TASK],
          ['rerun', TASK],
          ['claim', TASK],
        ],
      };
    },
    refused: ['NOT_READY', 'ILLEGAL_TRANSITION'],
  },
  {
    name: 'rerun and a run',
    async prepare() {
      return {
        dir: await shipped(tree([{ id: TASK, more: 'run: "true"' }])),
        lines: [
          ['rerun', TASK],
          ['run', '--output', 'none'],
        ],
      };
    },
    refused: [],
  },
  {
    name: 'rerun and done',
    async prepare() {
      return { dir: await shipped(), lines: [['rerun', TASK], ['done', TASK], ['gc']] };
    },
    refused: ['ILLEGAL_TRANSITION'],
  },
  {
    name: 'done, claim and cancel',
    async prepare() {
      return {
        dir: tree(),
        lines: [
          ['done', TASK],
          ['claim', TASK],
          ['cancel', TASK],
        ],
      };
    },
    refused: ['ILLEGAL_TRANSITION', 'NOT_READY'],
  },
  {
    name: 'runs',
    async prepare() {
      const ids = ['a', 'b', 'c', 'd'].map((id, at) => ({
        id,
        more: `run: "echo ${id} >> ledger"${at === 3 ? ', depends_on: [a, b]' : ''}`,
      }));
      return {
        dir: tree(ids),
        lines: [
          ['run', '--output', 'none'],
          ['run', '--output', 'none'],
        ],
      };
    },
    refused: [],
    async holds(dir) {
      expect(fs.readFileSync(`${dir}/ledger`, 'utf8').split('\n').sort()).toEqual(['', 'a', 'b', 'c', 'd']);
      expect((await status.run(callOn(dir), {})).counts).toEqual({ shipped: 4 });
    },
  },
  {
    name: 'exec and a run',
    async prepare() {
      return {
        dir: tree([{ id: TASK, more: 'run: "echo made >> ledger"' }]),
        lines: [
          ['exec', TASK, '--', 'true'],
          ['run', '--output', 'none', '--max-parallel', '1'],
        ],
      };
    },
    refused: ['LEASE_EXISTS', 'NOT_READY'],
  },
  {
    name: 'gc, claim and gc of a task whose lease is over',
    async prepare() {
      const dir = tree();
      await claim.run(hourAgo(dir), { task: TASK, claim_id: OTHER });
      return { dir, lines: [['gc'], ['claim', TASK], ['gc']] };
    },
    refused: [],
  },
  {
    name: 'gc and the work of an agent',
    prepare: () =>
      inWork((dir, attempt) => [['gc'], ['heartbeat', TASK, '--attempt', attempt], withVerdict(dir, attempt)]),
    refused: MOVED,
    async holds(dir, answers) {
      expect(answers[2]?.ok).toBe(true);
      expect(await stateOf(dir)).toBe('shipped');
    },
  },
  {
    name: 'gc --prune, rerun and gc --prune',
    async prepare() {
      return {
        dir: await shipped(),
        lines: [
          ['gc', '--prune', '--older-than', '0'],
          ['rerun', TASK],
          ['gc', '--prune', '--older-than', '0'],
        ],
      };
    },
    refused: [],
    async holds(dir) {
      expect(await stateOf(dir)).toBe('unclaimed');
    },
  },
  {
    name: 'gc --prune, signal and cancel',
    async prepare() {
      const dir = tree();
      await worked(dir, { beats: 0 });
      await cancel.run(callOn(dir), { task: TASK });
      return {
        dir,
        lines: [
          ['gc', '--prune', '--older-than', '0'],
          ['retry', TASK],
          ['cancel', TASK],
        ],
      };
    },
    refused: ['ILLEGAL_TRANSITION'],
  },
  {
    name: 'init and init',
    async prepare() {
      const line = ['init', '--agents', '--hooks'];
      return { dir: makeProject({ 'AGENTS.md': '# Rules\n' }), lines: [line, line, line] };
    },
    refused: [],
    async holds(dir) {
      expect((await ask(dir, 'uninit')).answer).toMatchObject({ ok: true, data: { kept: [] } });
      expect(fs.readFileSync(`${dir}/AGENTS.md`, 'utf8')).toBe('# Rules\n');
    },
  },
  {
    name: 'init and uninit',
    async prepare() {
      const dir = makeProject({ 'AGENTS.md': '# Rules\n' });
      await ask(dir, 'init', '--agents', '--hooks');
      return { dir, lines: [['init', '--agents', '--hooks'], ['uninit'], ['uninit']] };
    },
    refused: ['PHASES_NOT_FOUND'],
    async holds(dir) {
      await ask(dir, 'init', '--agents', '--hooks');
      expect((await ask(dir, 'uninit')).answer).toMatchObject({ ok: true, data: { kept: [] } });
      expect(fs.readFileSync(`${dir}/AGENTS.md`, 'utf8')).toBe('# Rules\n');
    },
  },
  {
    name: 'the first commands of a project',
    async prepare() {
      return {
        dir: makeProject({ 'plans/phases.yaml': planOf([{ id: TASK }, { id: B }]) }),
        lines: [['claim', TASK], ['run', 'start'], ['cancel', B], ['gc']],
      };
    },
    refused: [],
  },
];

/** Commands that change nothing, which work whatever else is at work. */
export const LOOKS: readonly string[][] = [
  ['status'],
  ['show', TASK],
  ['why', TASK],
  ['phases', '--ready'],
  ['inbox'],
  ['questions'],
  ['steps', TASK],
  ['run', 'list'],
  ['graph'],
  ['doctor'],
  ['gc', '--dry-run'],
  ['run', '--dry-run'],
  [],
];
