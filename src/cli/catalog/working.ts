/** The verbs of an agent that works on one task, from claim to completion. */

import { existsSync } from 'node:fs';
import type { Input } from '../input.ts';
import type { VerbSpec } from '../spec.ts';
import { ATTEMPT, CLAIM, PHASES_OF_WORK, RUN, SAMPLE, TASK, taskOrNext } from './common.ts';

const CLAIM_TASK: VerbSpec = {
  name: 'claim',
  about: 'Take a task',
  operands: [TASK],
  usage: '<task>|--next [options]',
  options: [
    { name: 'next', about: 'The first task that is ready' },
    { ...RUN, about: 'The run to work under (default: a new one)' },
    { name: 'claim-id', value: 'id', about: 'A UUID of your own: a repeat gets the same lease' },
    { name: 'owner-pid', value: 'pid', about: 'A process that lives as long as the work; its death frees the task' },
  ],
  examples: [
    ['claim build', 'take build'],
    ['claim --next --json', 'take whatever is next, for a script'],
    [`claim build --claim-id ${SAMPLE.claim}`, 'safe to repeat'],
  ],
  async answer(input, { call }) {
    const { claim } = await import('../../commands/claim.ts');
    const data = await claim(call, {
      ...taskOrNext(input),
      run: input.text('run'),
      claimId: input.text('claim-id'),
      ownerPid: input.integer('owner-pid', 1),
    });
    return { data, human: async (look) => (await import('../render/work.ts')).renderClaim(data, look) };
  },
};

const DISPATCH: VerbSpec = {
  name: 'dispatch',
  about: 'Open the attempt of a claim',
  operands: [TASK],
  usage: '<task> --claim <id> --run <id> [options]',
  options: [
    CLAIM,
    RUN,
    {
      name: 'phase',
      value: PHASES_OF_WORK.join('|'),
      about: 'The kind of work (default: implement)',
      env: 'FORGE_PHASE',
    },
  ],
  examples: [
    [`dispatch build --claim ${SAMPLE.claim} --run ${SAMPLE.run}`, 'begin with build'],
    ['dispatch --json', 'the task, claim and run in FORGE_*'],
  ],
  async answer(input, { call }) {
    const { dispatch } = await import('../../commands/dispatch.ts');
    const data = await dispatch(call, {
      task: input.task(),
      claim: input.required('claim'),
      run: input.required('run'),
      phase: input.oneOf('phase', PHASES_OF_WORK) ?? 'implement',
    });
    return { data, human: async (look) => (await import('../render/work.ts')).renderDispatch(data, look) };
  },
};

const ENSURE_WORKTREE: VerbSpec = {
  name: 'ensure-worktree',
  about: "Make a task's git worktree, if it has none",
  operands: [TASK],
  examples: [
    ['ensure-worktree build', 'where to work on build'],
    ['ensure-worktree --json', 'the task in FORGE_TASK_ID'],
  ],
  async answer(input, { call }) {
    const { ensureWorktree } = await import('../../commands/ensure-worktree.ts');
    const data = await ensureWorktree(call, { task: input.task() });
    return { data, human: async (look) => (await import('../render/work.ts')).renderEnsureWorktree(data, look) };
  },
};

const HEARTBEAT: VerbSpec = {
  name: 'heartbeat',
  about: 'Say that the work goes on; renews the lease',
  operands: [TASK],
  usage: '<task> --attempt <id>',
  options: [ATTEMPT],
  examples: [
    [`heartbeat build --attempt ${SAMPLE.attempt}`, 'keep build'],
    ['heartbeat', 'the task and attempt in FORGE_*'],
  ],
  async answer(input, { call }) {
    const { heartbeat } = await import('../../commands/heartbeat.ts');
    const data = await heartbeat(call, { task: input.task(), attempt: input.required('attempt') });
    return { data, human: async (look) => (await import('../render/work.ts')).renderHeartbeat(data, look) };
  },
};

const EVENT: VerbSpec = {
  name: 'event',
  about: "Note something in the attempt's events",
  operands: [TASK],
  usage: '<task> --attempt <id> --type <name> [options]',
  options: [
    ATTEMPT,
    { name: 'type', value: 'name', about: 'What kind of event, such as tests.passed' },
    { name: 'data', value: 'json', about: 'Anything more about it' },
  ],
  examples: [
    ['event --type tests.passed', 'the task and attempt in FORGE_*'],
    [`event build --attempt ${SAMPLE.attempt} --type tests.passed --data '{"count": 12}'`, 'with data'],
  ],
  async answer(input, { call }) {
    const { event } = await import('../../commands/event.ts');
    const data = await event(call, {
      task: input.task(),
      attempt: input.required('attempt'),
      type: input.required('type'),
      data: input.text('data'),
    });
    return { data, human: async (look) => (await import('../render/work.ts')).renderEvent(data, look) };
  },
};

const GUARDRAIL_CHECK: VerbSpec = {
  name: 'guardrail-check',
  about: 'Whether files are protected, before they are changed',
  notes: 'Exits with 4 for a file of agents.preflight_globs, unless it was decided that it may be changed.',
  operands: [TASK],
  usage: '[<task>] --path <path>... [options]',
  options: [
    { name: 'path', value: 'path', about: 'A file, or a folder with all that is in it', many: true },
    {
      name: 'attempt',
      value: 'id',
      about: 'The attempt that asks, which is noted (default: FORGE_ATTEMPT_ID, for its own task)',
    },
  ],
  examples: [
    ['guardrail-check --path migrations/0007.sql', 'the task and attempt in FORGE_*'],
    ['guardrail-check --path src --path package.json --json', 'several, for a script'],
  ],
  async answer(input, { call }) {
    const { guardrailCheck } = await import('../../commands/guardrail-check.ts');
    const own = input.env('FORGE_TASK_ID');
    const task = input.writtenTask() ?? own;
    const attempt = input.text('attempt') ?? (task === own ? input.env('FORGE_ATTEMPT_ID') : undefined);
    const data = await guardrailCheck(call, { paths: input.list('path'), task, attempt });
    return { data, human: async (look) => (await import('../render/work.ts')).renderGuardrails(data, look) };
  },
};

const COMPLETE: VerbSpec = {
  name: 'complete',
  about: 'End an attempt, by a verdict or as a failure',
  operands: [TASK],
  usage: '<task> --attempt <id> (--verdict-file <file> | --failed --error-class <class>)',
  options: [
    ATTEMPT,
    { name: 'verdict-file', value: 'file', about: 'The verdict (default: FORGE_VERDICT_FILE, where that file exists)' },
    { name: 'failed', about: 'The attempt failed' },
    { name: 'error-class', value: 'class', about: 'How it failed, such as network.timeout; decides about a retry' },
    { name: 'message', value: 'text', about: 'What happened, for people' },
    { name: 'exit-code', value: 'n', about: 'The exit code of what failed' },
  ],
  examples: [
    [`complete build --attempt ${SAMPLE.attempt} --verdict-file verdict.json`, 'done'],
    ['complete --failed --error-class network.timeout --message "no answer"', 'failed; may be tried again'],
    ['complete', 'with everything that is in FORGE_*'],
  ],
  async answer(input, { call }) {
    const { complete } = await import('../../commands/complete.ts');
    const failed = input.flag('failed');
    const data = await complete(call, {
      task: input.task(),
      attempt: input.required('attempt'),
      verdictFile: input.text('verdict-file') ?? (failed ? undefined : verdictOf(input)),
      failed,
      errorClass: input.text('error-class'),
      message: input.text('message'),
      exitCode: input.integer('exit-code', 0, 255),
    });
    return { data, human: async (look) => (await import('../render/work.ts')).renderComplete(data, look) };
  },
};

/** Where `run` told the worker to leave its verdict, when it has left one. */
function verdictOf(input: Input): string | undefined {
  const file = input.env('FORGE_VERDICT_FILE');
  return file !== undefined && existsSync(file) ? file : undefined;
}

const RELEASE: VerbSpec = {
  name: 'release',
  about: 'Give a claim back; nothing is charged',
  operands: [TASK],
  usage: '<task> --claim <id>',
  options: [CLAIM],
  examples: [
    [`release build --claim ${SAMPLE.claim}`, 'give build back'],
    ['release', 'the task and claim in FORGE_*'],
  ],
  async answer(input, { call }) {
    const { release } = await import('../../commands/release.ts');
    const data = await release(call, { task: input.task(), claim: input.required('claim') });
    return { data, human: async (look) => (await import('../render/work.ts')).renderRelease(data, look) };
  },
};

const CANCEL: VerbSpec = {
  name: 'cancel',
  about: 'End a task for good, also one in flight',
  operands: [TASK],
  options: [{ name: 'reason', value: 'text', about: 'Why, for the history' }],
  examples: [
    ['cancel docs', 'docs is not needed'],
    ['cancel docs --reason "moved to the wiki"', 'and why'],
  ],
  async answer(input, { call }) {
    const { cancel } = await import('../../commands/cancel.ts');
    const data = await cancel(call, { task: input.task(), reason: input.text('reason') });
    return { data, human: async (look) => (await import('../render/work.ts')).renderCancel(data, look) };
  },
};

const RETRY: VerbSpec = {
  name: 'retry',
  about: 'Try a failed or cancelled task again, or one in backoff now',
  operands: [TASK],
  examples: [
    ['retry build', 'give build a fresh start'],
    ['retry build --json', 'the same for a script'],
  ],
  async answer(input, { call }) {
    const { retry } = await import('../../commands/cancel.ts');
    const data = await retry(call, { task: input.task() });
    return { data, human: async (look) => (await import('../render/work.ts')).renderRetry(data, look) };
  },
};

export const WORKING = [CLAIM_TASK, DISPATCH, ENSURE_WORKTREE, HEARTBEAT, EVENT, GUARDRAIL_CHECK, COMPLETE, RELEASE];
export const STEERING = [CANCEL, RETRY];
