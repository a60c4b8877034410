/** The verbs that set a project up and have forge do the work. */

import type { VerbSpec } from '../spec.ts';
import { RUN, SAMPLE, TASK, taskOrNext } from './common.ts';

const INIT: VerbSpec = {
  name: 'init',
  about: 'Write a first plan and settings',
  notes: 'Writes only what is missing, so it may be repeated. `forge init` is the same.',
  options: [{ name: 'agents', about: 'Also tell agents in AGENTS.md how to take part' }],
  examples: [
    ['init', 'in the current folder'],
    ['init --dir ../other', 'in another one'],
    ['init --agents', 'and add a section to AGENTS.md, or bring it up to date'],
  ],
  async answer(input, { call }) {
    const { init } = await import('../../commands/init.ts');
    const data = await init(call, { agents: input.flag('agents') });
    return { data, human: async (look) => (await import('../render/init.ts')).renderInit(data, look) };
  },
};

const RUN_PLAN: VerbSpec = {
  name: 'run',
  about: 'Work through the plan',
  notes:
    'Starts the command of every task that is ready, tries failures again as the plan says, and ends when nothing is left\n' +
    'that could start without a person. Exits with 1 when a task failed, else with 4 when some are left, else with 0.\n' +
    'Ctrl-C stops the workers and gives their tasks back; a second Ctrl-C does not wait for them.\n' +
    'On a terminal, lines below the log show what runs and what waits; not with --json, nor where CI is set.',
  options: [
    { name: 'max-parallel', value: 'n', about: 'Workers at a time (default: the settings, else the cores)' },
    { name: 'task', value: 'id', about: 'Only this task and what it depends on; may be repeated', many: true },
    {
      name: 'on-failure',
      value: 'continue|stop',
      about: 'stop: start nothing new after a failure (default: continue)',
    },
    { name: 'dry-run', about: 'Show what would be started now; change nothing' },
  ],
  examples: [
    ['run', 'the whole plan'],
    ['run --max-parallel 4 --on-failure stop', 'four at a time, until the first failure'],
    ['run --task build --task docs', 'two tasks and what they depend on'],
    ['run --dry-run', 'only show what would be started'],
  ],
  async answer(input, desk) {
    const options = {
      maxParallel: input.integer('max-parallel', 1, 1000),
      tasks: input.list('task'),
      onFailure: input.oneOf('on-failure', ['continue', 'stop']),
    };
    if (!input.flag('dry-run')) return (await import('../run.ts')).runPlan(desk, options);
    const { dryRun } = await import('../../commands/run.ts');
    const data = await dryRun(desk.call, options);
    return {
      data,
      warnings: data.warnings,
      human: async (look) => (await import('../render/dry-run.ts')).renderDryRun(data, look),
    };
  },
};

const EXEC: VerbSpec = {
  name: 'exec',
  about: 'Claim a task, do it with a command of your own, complete it',
  notes:
    'The command has this terminal. Exits with what the command exits with (128 + n when signal n ended it), with 3 when\n' +
    'the lease was lost, with 130 when interrupted.',
  operands: [TASK],
  usage: '[<task>|--next] [options] -- <command...>',
  options: [
    { name: 'next', about: 'The first task that is ready' },
    { ...RUN, about: 'The run to work under (default: a new one)' },
  ],
  examples: [
    ['exec build -- make all', 'do build by make'],
    ['exec --next -- ./agent.sh', 'do whatever is next'],
  ],
  async answer(input, desk) {
    const { execTask } = await import('../exec.ts');
    return execTask(desk, { ...taskOrNext(input), run: input.text('run'), command: input.rest ?? [] });
  },
};

const RUN_START: VerbSpec = {
  name: 'run start',
  about: 'Open a run to claim under',
  options: [{ name: 'name', value: 'text', about: 'What to call it' }],
  examples: [
    ['run start', 'open a run'],
    ['run start --name nightly --json', 'with a name; its id for a script'],
  ],
  async answer(input, { call }) {
    const { runStart } = await import('../../commands/runs.ts');
    const data = await runStart(call, { name: input.text('name') });
    return { data, human: async (look) => (await import('../render/runs.ts')).renderRunStart(data, look) };
  },
};

const RUN_END: VerbSpec = {
  name: 'run end',
  about: 'Note that a run is over',
  usage: '--run <id>',
  options: [{ ...RUN, about: 'The run that is over' }],
  examples: [
    [`run end --run ${SAMPLE.run}`, 'this run'],
    ['run end', 'the run in FORGE_RUN_ID'],
  ],
  async answer(input, { call }) {
    const { runEnd } = await import('../../commands/runs.ts');
    const data = await runEnd(call, { run: input.required('run') });
    return { data, human: async () => (await import('../render/runs.ts')).renderRunEnd(data) };
  },
};

export const RUNNING = [INIT, RUN_PLAN, EXEC, RUN_START, RUN_END];
