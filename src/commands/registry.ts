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

export const COMMANDS = {
  [HOME]: {
    group: null,
    about: 'Where things stand, and the next command',
    load: async () => (await import('./home.ts')).home,
  },
  init: { group: RUN, about: 'Write a first plan and settings', load: async () => (await import('./init.ts')).init },
  // `run` stands before the verbs below it.
  run: { group: RUN, about: 'Work through the plan', load: async () => (await import('./run.ts')).run },
  exec: {
    group: RUN,
    about: 'Claim a task, do it with a command of your own, complete it',
    load: async () => (await import('./exec.ts')).exec,
  },
  'run start': {
    group: RUN,
    about: 'Open a run to claim under',
    load: async () => (await import('./run-start.ts')).runStart,
  },
  'run end': { group: RUN, about: 'Note that a run is over', load: async () => (await import('./run-end.ts')).runEnd },
  status: { group: LOOK, about: 'Where every task stands', load: async () => (await import('./status.ts')).status },
  phases: {
    group: LOOK,
    about: 'How far the phases are; with --ready, what can start now',
    load: async () => (await import('./phases.ts')).phases,
  },
  why: { group: LOOK, about: 'Why a task cannot start now', load: async () => (await import('./why.ts')).why },
  show: { group: LOOK, about: 'Everything about one task', load: async () => (await import('./show.ts')).show },
  logs: { group: LOOK, about: "What a task's worker wrote", load: async () => (await import('./logs.ts')).logs },
  'render-worker-prompt': {
    group: LOOK,
    about: 'What the worker of a task is told',
    load: async () => (await import('./render-worker-prompt.ts')).renderWorkerPrompt,
  },
  'run list': {
    group: LOOK,
    about: 'All runs, and which are still open',
    load: async () => (await import('./run-list.ts')).runList,
  },
  doctor: {
    group: LOOK,
    about: 'Whether everything here is as it should be',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  claim: { group: WORK, about: 'Take a task', load: async () => (await import('./claim.ts')).claim },
  dispatch: {
    group: WORK,
    about: 'Open the attempt of a claim',
    load: async () => (await import('./dispatch.ts')).dispatch,
  },
  'ensure-worktree': {
    group: WORK,
    about: "Make a task's git worktree, if it has none",
    load: async () => (await import('./ensure-worktree.ts')).ensureWorktree,
  },
  heartbeat: {
    group: WORK,
    about: 'Say that the work goes on; renews the lease',
    load: async () => (await import('./heartbeat.ts')).heartbeat,
  },
  event: {
    group: WORK,
    about: "Note something in the attempt's events",
    load: async () => (await import('./event.ts')).event,
  },
  'guardrail-check': {
    group: WORK,
    about: 'Whether files are protected, before they are changed',
    load: async () => (await import('./guardrail-check.ts')).guardrailCheck,
  },
  complete: {
    group: WORK,
    about: 'End an attempt, by a verdict or as a failure',
    load: async () => (await import('./complete.ts')).complete,
  },
  release: {
    group: WORK,
    about: 'Give a claim back; nothing is charged',
    load: async () => (await import('./release.ts')).release,
  },
  review: {
    group: MERGE,
    about: 'Review what a task has come to',
    load: async () => (await import('./review.ts')).review,
  },
  ship: {
    group: MERGE,
    about: 'Merge a reviewed task into the base',
    load: async () => (await import('./ship.ts')).ship,
  },
  question: {
    group: ASK,
    about: 'Ask for a decision; the task waits for it, and the worker ends',
    load: async () => (await import('./question.ts')).question,
  },
  answer: { group: ASK, about: 'Decide a question', load: async () => (await import('./answer.ts')).answer },
  questions: {
    group: ASK,
    about: 'What was asked, and what came of it',
    load: async () => (await import('./questions.ts')).questions,
  },
  attach: {
    group: ASK,
    about: "Watch a run's questions as they come",
    load: async () => (await import('./attach.ts')).attach,
  },
  cancel: {
    group: STEER,
    about: 'End a task for good, also one in flight',
    load: async () => (await import('./cancel.ts')).cancel,
  },
  retry: {
    group: STEER,
    about: 'Try a failed or cancelled task again, or one in backoff now',
    load: async () => (await import('./retry.ts')).retry,
  },
  gc: {
    group: TIDY,
    about: 'Find where things disagree, and put them right',
    load: async () => (await import('./gc.ts')).gc,
  },
  uninit: { group: TIDY, about: 'Take away what init wrote', load: async () => (await import('./uninit.ts')).uninit },
  completion: {
    group: SHELL,
    about: 'Print a script that completes command lines of forge',
    load: async () => (await import('./completion.ts')).completion,
  },
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
