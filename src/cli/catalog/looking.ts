/** The verbs that look and change nothing. */

import type { Input } from '../input.ts';
import type { VerbSpec } from '../spec.ts';
import { PHASES_OF_WORK, RUN, SAMPLE, TASK } from './common.ts';

/** Bare `forge orchestrate`. */
export const HOME: VerbSpec = {
  name: '',
  about: 'Where things stand, and the next command',
  examples: [['', 'where things stand, and the next command']],
  async answer(_input, { call }) {
    const { home } = await import('../../commands/home.ts');
    const data = await home(call);
    return { data, human: async (look) => (await import('../render/home.ts')).renderHome(data, look) };
  },
};

const STATUS: VerbSpec = {
  name: 'status',
  about: 'Where every task stands',
  options: [
    { ...RUN, about: 'Only the tasks of this run' },
    { name: 'watch', about: 'What runs and what waits, kept up to date until Ctrl-C; needs a terminal' },
  ],
  examples: [
    ['status', 'every task, by phase'],
    ['status --json', 'the same for a script'],
    ['status --watch', 'the live view of `run`, from another terminal'],
    [`status --run ${SAMPLE.run}`, 'what one run works on'],
  ],
  async answer(input, desk) {
    const run = input.text('run');
    if (input.flag('watch')) return (await import('../watch.ts')).watchStatus(desk, { run });
    const { status } = await import('../../commands/status.ts');
    const data = await status(desk.call, { run });
    return {
      data,
      warnings: data.warnings,
      human: async (look) => (await import('../render/status.ts')).renderStatus(data, look),
    };
  },
};

const PHASES: VerbSpec = {
  name: 'phases',
  about: 'How far the phases are; with --ready, what can start now',
  options: [
    { name: 'ready', about: 'What can start now, and what the rest waits for' },
    { name: 'phase', value: PHASES_OF_WORK.join('|'), about: 'With --ready, the kind of work (default: implement)' },
    { name: 'blocked-by', value: 'id', about: 'Only what waits for this task or phase' },
    { name: 'limit', value: 'n', about: 'At most this many ready tasks' },
  ],
  examples: [
    ['phases', 'every phase, and how far it is'],
    ['phases --ready', 'what can start now, and what the rest waits for'],
    ['phases --ready --limit 1 --json', 'the next task, for a script'],
    ['phases --ready --blocked-by build', 'what waits for the task build'],
  ],
  async answer(input, { call }) {
    const { phases } = await import('../../commands/phases.ts');
    const data = await phases(call, {
      ready: input.flag('ready'),
      phase: input.oneOf('phase', PHASES_OF_WORK),
      blockedBy: input.text('blocked-by'),
      limit: input.integer('limit', 1),
    });
    return {
      data,
      warnings: data.warnings,
      human: async (look) => (await import('../render/phases.ts')).renderPhases(data, look),
    };
  },
};

const WHY: VerbSpec = {
  name: 'why',
  about: 'Why a task cannot start now',
  operands: [TASK],
  examples: [
    ['why build', 'everything that build waits for'],
    ['why build --json', 'the same with codes, for a script'],
  ],
  async answer(input, { call }) {
    const { why } = await import('../../commands/phases.ts');
    const data = await why(call, { task: input.task() });
    return { data, human: async (look) => (await import('../render/phases.ts')).renderWhy(data, look) };
  },
};

const SHOW: VerbSpec = {
  name: 'show',
  about: 'Everything about one task',
  operands: [TASK],
  examples: [
    ['show build', 'plan, state, lease, attempts and claims of build'],
    ['show build --json', 'the same for a script'],
  ],
  async answer(input, { call }) {
    const { show } = await import('../../commands/show.ts');
    const data = await show(call, { task: input.task() });
    return {
      data,
      warnings: data.warnings,
      human: async (look) => (await import('../render/show.ts')).renderShow(data, look),
    };
  },
};

const LOGS: VerbSpec = {
  name: 'logs',
  about: "What a task's worker wrote",
  operands: [TASK],
  options: [
    { name: 'attempt', value: 'id', about: 'This attempt instead of the current or last one' },
    { name: 'follow', about: 'Go on until the attempt is over' },
    { name: 'stream', value: 'stdout|stderr', about: 'Only this one' },
  ],
  examples: [
    ['logs build', 'both logs of the current or last attempt'],
    ['logs build --follow', 'go on while the worker writes'],
    ['logs build --stream stderr', 'only the errors'],
    [`logs build --attempt ${SAMPLE.attempt}`, 'an earlier attempt'],
  ],
  async answer(input, desk) {
    const { showLogs } = await import('../logs.ts');
    const task = input.task();
    return showLogs(desk, {
      task,
      attempt: input.text('attempt') ?? ownAttempt(input, task),
      follow: input.flag('follow'),
      stream: input.oneOf('stream', ['stdout', 'stderr']),
    });
  },
};

const RENDER_WORKER_PROMPT: VerbSpec = {
  name: 'render-worker-prompt',
  about: 'What the worker of a task is told',
  notes: 'Of the next attempt, or of the current one: `run` leaves it in FORGE_PROMPT_FILE.',
  operands: [TASK],
  options: [
    { name: 'attempt', value: 'id', about: 'The current attempt (default: FORGE_ATTEMPT_ID, for its own task)' },
  ],
  examples: [
    ['render-worker-prompt build', 'what the next worker of build is told'],
    ['render-worker-prompt', 'the task and attempt in FORGE_*'],
    ['render-worker-prompt build --json', 'the same for a script'],
  ],
  async answer(input, { call }) {
    const { renderWorkerPrompt } = await import('../../commands/render-worker-prompt.ts');
    const task = input.task();
    const data = await renderWorkerPrompt(call, { task, attempt: input.text('attempt') ?? ownAttempt(input, task) });
    return { data, human: () => data.prompt.trimEnd() };
  },
};

/** A worker's own attempt is not one of another task that it looks at. */
function ownAttempt(input: Input, task: string): string | undefined {
  return task === input.env('FORGE_TASK_ID') ? input.env('FORGE_ATTEMPT_ID') : undefined;
}

const RUN_LIST: VerbSpec = {
  name: 'run list',
  about: 'All runs, and which are still open',
  examples: [
    ['run list', 'all runs, oldest first'],
    ['run list --json', 'the same for a script'],
  ],
  async answer(_input, { call }) {
    const { runList } = await import('../../commands/runs.ts');
    const data = await runList(call);
    return { data, human: async (look) => (await import('../render/runs.ts')).renderRuns(data, look) };
  },
};

const DOCTOR: VerbSpec = {
  name: 'doctor',
  about: 'Whether everything here is as it should be',
  examples: [
    ['doctor', 'every check, and what to do about those that fail'],
    ['doctor --json', 'the same for a script'],
  ],
  async answer(_input, { call }) {
    const { doctor } = await import('../../commands/doctor.ts');
    const data = await doctor(call);
    return {
      data,
      human: async (look) => (await import('../render/doctor.ts')).renderDoctor(data, look),
      exitCode: data.checks.some(({ status }) => status === 'fail') ? 1 : 0,
    };
  },
};

export const LOOKING = [STATUS, PHASES, WHY, SHOW, LOGS, RENDER_WORKER_PROMPT, RUN_LIST, DOCTOR];
