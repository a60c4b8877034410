/** How the answer of each verb is shown to a person, and what the process exits with. */

import type { VerbName } from '../commands/registry.ts';
import { EXIT } from '../lib/errors.ts';
import type { View } from './view.ts';

const inbox = async () => (await import('./render/inbox.ts')).INBOX;
const phases = async () => (await import('./render/phases.ts')).PHASES;
const plan = async () => (await import('./render/plan.ts')).PLAN;
const project = async () => (await import('./render/project.ts')).PROJECT;
const questions = async () => (await import('./render/questions.ts')).QUESTIONS;
const runs = async () => (await import('./render/runs.ts')).RUNS;
const show = async () => (await import('./render/show.ts')).SHOW;
const status = async () => (await import('./render/status.ts')).STATUS;
const steps = async () => (await import('./render/steps.ts')).STEPS;
const work = async () => (await import('./render/work.ts')).WORK;

export const VIEWS: { readonly [N in VerbName]: View<N> } = {
  '': { text: project },
  init: { text: project },
  run: {
    text: phases,
    follow: (cli, input) => (input.dry_run ? null : import('./run.ts').then(({ watchRun }) => watchRun(cli, input))),
  },
  exec: { text: work, exitCode: ({ exit_code }) => exit_code, to: 'stderr' },
  'run start': { text: runs },
  'run end': { text: runs },
  status: {
    text: status,
    follow: (cli, input) =>
      input.watch ? import('./follow.ts').then(({ watchStatus }) => watchStatus(cli, input)) : null,
  },
  phases: { text: phases },
  why: { text: phases },
  show: { text: show },
  logs: {
    follow: (cli, input) =>
      import('./follow.ts').then(({ printLogs, showLogs }) => (cli.screen.json ? printLogs : showLogs)(cli, input)),
  },
  'render-worker-prompt': { text: work, asIs: true },
  steps: { text: steps },
  'run list': { text: runs },
  doctor: {
    text: project,
    exitCode: ({ checks }) => (checks.some(({ status }) => status === 'fail') ? EXIT.failed : EXIT.ok),
  },
  graph: { text: plan, asIs: true },
  add: { text: plan },
  edit: { text: plan },
  drop: { text: plan },
  claim: { text: work },
  dispatch: { text: work },
  'ensure-worktree': { text: work },
  heartbeat: { text: work },
  event: { text: work },
  'guardrail-check': { text: work },
  step: { follow: (cli, input) => import('./step.ts').then(({ showStep }) => showStep(cli, input)) },
  wait: { text: steps, asIs: true, exitCode: ({ exit_code }) => exit_code },
  'wait-until': {
    follow: (cli, input) => import('./step.ts').then(({ showWaitUntil }) => showWaitUntil(cli, input)),
  },
  repeat: { follow: (cli, input) => import('./step.ts').then(({ showRepeat }) => showRepeat(cli, input)) },
  'wait-for': { text: steps, asIs: true, exitCode: ({ exit_code }) => exit_code },
  signal: { text: steps },
  context: { text: steps, asIs: true, exitCode: ({ found }) => (found ? EXIT.ok : EXIT.failed) },
  'fan-out': { text: steps },
  join: { follow: (cli, input) => import('./step.ts').then(({ showJoin }) => showJoin(cli, input)) },
  complete: { text: work },
  release: { text: work },
  mcp: { follow: (cli) => import('./serve.ts').then(({ serveMcp }) => serveMcp(cli)) },
  hook: { text: work, asIs: true },
  review: { text: work },
  ship: { text: work },
  inbox: { text: inbox },
  question: { text: questions },
  answer: { text: questions },
  questions: { text: questions },
  attach: { follow: (cli, input) => import('./follow.ts').then(({ attachTo }) => attachTo(cli, input)) },
  cancel: { text: work },
  retry: { text: work },
  rerun: { text: work },
  done: { text: work },
  forget: { text: work },
  gc: {
    text: async () => (await import('./render/gc.ts')).GC,
    exitCode: async (data, input) => {
      if (data.failed.length + (data.pruned?.failed.length ?? 0) > 0) return EXIT.failed;
      const { isDivergent } = await import('../commands/gc.ts');
      return input.detailed_exitcode && isDivergent(data, input) ? EXIT.divergences : EXIT.ok;
    },
  },
  completion: { text: project, asIs: true },
  uninit: { text: project },
};
