/** Every verb of `forge orchestrate`, in the order of the help. A verb's own code is loaded when it is called. */

import type { Command, DataOf, InputOf } from './shared/command.ts';

/** `''` is bare `forge orchestrate`. */
export const HOME = '';

const RUN = 'Run a plan';
const LOOK = 'Look';
const WORK = 'Work on a task';
const MERGE = 'Review and merge';
const ASK = 'Ask and answer';
const STEER = 'Steer';
const TIDY = 'Tidy up';
const SHELL = 'In your shell';

function entry<C>(group: string | null, about: string, load: () => Promise<C>) {
  return { group, about, load };
}

export const COMMANDS = {
  [HOME]: entry(null, 'Where things stand, and the next command', async () => (await import('./home.ts')).home),
  init: entry(RUN, 'Write a first plan and settings', async () => (await import('./init.ts')).init),
  // `run` stands before the verbs below it.
  run: entry(RUN, 'Work through the plan', async () => (await import('./run.ts')).run),
  exec: entry(
    RUN,
    'Claim a task, do it with a command of your own, complete it',
    async () => (await import('./exec.ts')).exec,
  ),
  'run start': entry(RUN, 'Open a run to claim under', async () => (await import('./run-start.ts')).runStart),
  'run end': entry(RUN, 'Note that a run is over', async () => (await import('./run-end.ts')).runEnd),
  status: entry(LOOK, 'Where every task stands', async () => (await import('./status.ts')).status),
  phases: entry(
    LOOK,
    'How far the phases are; with --ready, what can start now',
    async () => (await import('./phases.ts')).phases,
  ),
  why: entry(LOOK, 'Why a task cannot start now', async () => (await import('./why.ts')).why),
  show: entry(LOOK, 'Everything about one task', async () => (await import('./show.ts')).show),
  logs: entry(LOOK, "What a task's worker wrote", async () => (await import('./logs.ts')).logs),
  'render-worker-prompt': entry(
    LOOK,
    'What the worker of a task is told',
    async () => (await import('./render-worker-prompt.ts')).renderWorkerPrompt,
  ),
  'run list': entry(LOOK, 'All runs, and which are still open', async () => (await import('./run-list.ts')).runList),
  doctor: entry(LOOK, 'Whether everything here is as it should be', async () => (await import('./doctor.ts')).doctor),
  claim: entry(WORK, 'Take a task', async () => (await import('./claim.ts')).claim),
  dispatch: entry(WORK, 'Open the attempt of a claim', async () => (await import('./dispatch.ts')).dispatch),
  'ensure-worktree': entry(
    WORK,
    "Make a task's git worktree, if it has none",
    async () => (await import('./ensure-worktree.ts')).ensureWorktree,
  ),
  heartbeat: entry(
    WORK,
    'Say that the work goes on; renews the lease',
    async () => (await import('./heartbeat.ts')).heartbeat,
  ),
  event: entry(WORK, "Note something in the attempt's events", async () => (await import('./event.ts')).event),
  'guardrail-check': entry(
    WORK,
    'Whether files are protected, before they are changed',
    async () => (await import('./guardrail-check.ts')).guardrailCheck,
  ),
  complete: entry(
    WORK,
    'End an attempt, by a verdict or as a failure',
    async () => (await import('./complete.ts')).complete,
  ),
  release: entry(WORK, 'Give a claim back; nothing is charged', async () => (await import('./release.ts')).release),
  review: entry(MERGE, 'Review what a task has come to', async () => (await import('./review.ts')).review),
  ship: entry(MERGE, 'Merge a reviewed task into the base', async () => (await import('./ship.ts')).ship),
  question: entry(
    ASK,
    'Ask for a decision; the task waits for it, and the worker ends',
    async () => (await import('./question.ts')).question,
  ),
  answer: entry(ASK, 'Decide a question', async () => (await import('./answer.ts')).answer),
  questions: entry(ASK, 'What was asked, and what came of it', async () => (await import('./questions.ts')).questions),
  attach: entry(ASK, "Watch a run's questions as they come", async () => (await import('./attach.ts')).attach),
  cancel: entry(STEER, 'End a task for good, also one in flight', async () => (await import('./cancel.ts')).cancel),
  retry: entry(
    STEER,
    'Try a failed or cancelled task again, or one in backoff now',
    async () => (await import('./retry.ts')).retry,
  ),
  gc: entry(TIDY, 'Find where things disagree, and put them right', async () => (await import('./gc.ts')).gc),
  uninit: entry(TIDY, 'Take away what init wrote', async () => (await import('./uninit.ts')).uninit),
  completion: entry(
    SHELL,
    'Print a script that completes command lines of forge',
    async () => (await import('./completion.ts')).completion,
  ),
};

export type VerbName = keyof typeof COMMANDS;
export type CommandOf<N extends VerbName> = Awaited<ReturnType<(typeof COMMANDS)[N]['load']>>;
export type VerbInput<N extends VerbName> = InputOf<CommandOf<N>>;
export type VerbData<N extends VerbName> = DataOf<CommandOf<N>>;

/** All but bare `forge orchestrate`. */
export const VERBS = (Object.keys(COMMANDS) as VerbName[]).filter((name) => name !== HOME);

/** The command of any verb, for callers that go by its schemas. */
export function loadCommand(name: VerbName): Promise<Command> {
  return COMMANDS[name].load() as Promise<unknown> as Promise<Command>;
}
