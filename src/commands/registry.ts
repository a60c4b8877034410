/** Every verb of `forge orchestrate`, in the order of the help. A verb's own code is loaded when it is called. */

import type { Command, DataOf, InputOf } from './shared/command.ts';

/** `''` is bare `forge orchestrate`. */
export const HOME = '';

const RUN = 'Run a plan';
const LOOK = 'Look';
const CHANGE = 'Change the plan';
const WORK = 'Work on a task';
const MERGE = 'Review and merge';
const ASK = 'Ask and answer';
const STEER = 'Steer';
const TIDY = 'Tidy up';
const SHELL = 'In your shell';

/** `load` imports the file of the verb. */
function entry<M>(group: string | null, about: string, load: () => Promise<M>) {
  return { group, about, load };
}

export const COMMANDS = {
  [HOME]: entry(null, 'Where things stand, and the next command', () => import('./home.ts')),
  init: entry(RUN, 'Write a first plan and settings', () => import('./init.ts')),
  // `run` stands before the verbs below it.
  run: entry(RUN, 'Work through the plan', () => import('./run.ts')),
  exec: entry(RUN, 'Claim a task, do it with a command of your own, complete it', () => import('./exec.ts')),
  'run start': entry(RUN, 'Open a run to claim under', () => import('./run-start.ts')),
  'run end': entry(RUN, 'Note that a run is over', () => import('./run-end.ts')),
  status: entry(LOOK, 'Where every task stands', () => import('./status.ts')),
  phases: entry(LOOK, 'The progress of the phases; with --ready, what can start now', () => import('./phases.ts')),
  why: entry(LOOK, 'Why a task cannot start now', () => import('./why.ts')),
  show: entry(LOOK, 'Everything about one task', () => import('./show.ts')),
  logs: entry(LOOK, "What a task's worker wrote", () => import('./logs.ts')),
  'render-worker-prompt': entry(LOOK, 'What the worker of a task is told', () => import('./render-worker-prompt.ts')),
  steps: entry(LOOK, 'The steps of a task', () => import('./steps.ts')),
  'run list': entry(LOOK, 'All runs, and which are still open', () => import('./run-list.ts')),
  doctor: entry(LOOK, 'Whether everything here is as it should be', () => import('./doctor.ts')),
  graph: entry(LOOK, 'Tasks and what they depend on, drawn', () => import('./graph.ts')),
  add: entry(CHANGE, 'Put a task into the plan', () => import('./add.ts')),
  edit: entry(CHANGE, 'Change a task of the plan', () => import('./edit.ts')),
  drop: entry(CHANGE, 'Mark a task as one that will never be done', () => import('./drop.ts')),
  claim: entry(WORK, 'Take a task', () => import('./claim.ts')),
  dispatch: entry(WORK, 'Open the attempt of a claim', () => import('./dispatch.ts')),
  'ensure-worktree': entry(WORK, "Make a task's git worktree, if it has none", () => import('./ensure-worktree.ts')),
  heartbeat: entry(WORK, 'Renew the lease of a task while you work on it', () => import('./heartbeat.ts')),
  event: entry(WORK, "Note something in the attempt's events", () => import('./event.ts')),
  'guardrail-check': entry(
    WORK,
    'Whether files are protected, before they are changed',
    () => import('./guardrail-check.ts'),
  ),
  step: entry(WORK, 'Run a command once in the life of a task', () => import('./step.ts')),
  wait: entry(WORK, 'Wait for a time; a longer wait gives the task back until then', () => import('./wait.ts')),
  'wait-until': entry(WORK, 'Wait until a command says that it is so', () => import('./wait-until.ts')),
  'wait-for': entry(WORK, 'Wait for a signal, and print what it brings', () => import('./wait-for.ts')),
  repeat: entry(WORK, 'Run a command again and again, at times', () => import('./repeat.ts')),
  context: entry(WORK, 'Keep a value for later attempts', () => import('./context.ts')),
  'fan-out': entry(WORK, 'Make children of a task, once', () => import('./fan-out.ts')),
  join: entry(WORK, 'Wait until the children of a task are over', () => import('./join.ts')),
  complete: entry(WORK, 'End an attempt, by a verdict or as a failure', () => import('./complete.ts')),
  release: entry(WORK, 'Give a claim back; nothing is charged', () => import('./release.ts')),
  mcp: entry(WORK, 'Serve these verbs to an agent, over MCP', () => import('./mcp.ts')),
  hook: entry(WORK, 'What to tell a coding agent at an event of its session', () => import('./hook.ts')),
  review: entry(MERGE, 'Review the result of a task', () => import('./review.ts')),
  ship: entry(MERGE, 'Merge a reviewed task into the base', () => import('./ship.ts')),
  inbox: entry(ASK, 'What waits for a person, and the command that settles it', () => import('./inbox.ts')),
  question: entry(ASK, 'Ask for a decision; the task waits for it, and the worker ends', () => import('./question.ts')),
  answer: entry(ASK, 'Decide a question', () => import('./answer.ts')),
  questions: entry(ASK, 'Questions, open and settled', () => import('./questions.ts')),
  attach: entry(ASK, "Watch a run's questions as they come", () => import('./attach.ts')),
  signal: entry(ASK, 'Send a signal to a task that waits for it, or will', () => import('./signal.ts')),
  cancel: entry(STEER, 'End a task for good, also one in flight', () => import('./cancel.ts')),
  retry: entry(STEER, 'Try a failed or cancelled task again, or one in backoff now', () => import('./retry.ts')),
  rerun: entry(STEER, 'Do tasks again from the start, shipped or not', () => import('./rerun.ts')),
  done: entry(STEER, 'Mark tasks as done, by a person or elsewhere', () => import('./done.ts')),
  forget: entry(TIDY, 'Remove the state of tasks that have left the plan', () => import('./forget.ts')),
  gc: entry(TIDY, 'Find where things disagree, and put them right', () => import('./gc.ts')),
  uninit: entry(TIDY, 'Take away what init wrote', () => import('./uninit.ts')),
  completion: entry(SHELL, 'Print a script that completes command lines of forge', () => import('./completion.ts')),
};

export type VerbName = keyof typeof COMMANDS;
type FileOf<N extends VerbName> = Awaited<ReturnType<(typeof COMMANDS)[N]['load']>>;
export type CommandOf<N extends VerbName> = Extract<FileOf<N>[keyof FileOf<N>], { examples: unknown }>;
export type VerbInput<N extends VerbName> = InputOf<CommandOf<N>>;
export type VerbData<N extends VerbName> = DataOf<CommandOf<N>>;

/** All but bare `forge orchestrate`. */
export const VERBS = (Object.keys(COMMANDS) as VerbName[]).filter((name) => name !== HOME);

/** The command of any verb, for callers that go by its schemas: the one that its file exports. */
export async function loadCommand(name: VerbName): Promise<Command> {
  const exported: unknown[] = Object.values(await COMMANDS[name].load());
  return exported.find((value) => Object(value).examples !== undefined) as Command;
}
