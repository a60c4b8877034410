/** How the answer of each verb is shown to a person, and what the process exits with. */

import type { VerbData, VerbInput, VerbName } from '../commands/registry.ts';
import { EXIT } from '../lib/errors.ts';
import type { View } from './view.ts';

const gc = () => import('../commands/gc.ts');
const finish = () => import('./render/finish.ts');
const init = () => import('./render/init.ts');
const phases = () => import('./render/phases.ts');
const questions = () => import('./render/questions.ts');
const runs = () => import('./render/runs.ts');
const work = () => import('./render/work.ts');

export const VIEWS: { readonly [N in VerbName]: View<VerbData<N>, VerbInput<N>> } = {
  '': { text: async (data, look) => (await import('./render/home.ts')).renderHome(data, look) },
  init: { text: async (data, look) => (await init()).renderInit(data, look) },
  run: {
    text: async (data, look) =>
      'would_start' in data ? (await import('./render/dry-run.ts')).renderDryRun(data, look) : '',
    follow: (cli, input) => (input.dry_run ? null : import('./run.ts').then(({ watchRun }) => watchRun(cli, input))),
  },
  exec: {
    text: async (data, look) => (await work()).renderExec(data, look),
    exitCode: ({ exit_code }) => exit_code,
    to: 'stderr',
  },
  'run start': { text: async (data, look) => (await runs()).renderRunStart(data, look) },
  'run end': { text: async (data) => (await runs()).renderRunEnd(data) },
  status: {
    text: async (data, look) => (await import('./render/status.ts')).renderStatus(data, look),
    follow: (cli, input) =>
      input.watch ? import('./watch.ts').then(({ watchStatus }) => watchStatus(cli, input)) : null,
  },
  phases: { text: async (data, look) => (await phases()).renderPhases(data, look) },
  why: { text: async (data, look) => (await phases()).renderWhy(data, look) },
  show: { text: async (data, look) => (await import('./render/show.ts')).renderShow(data, look) },
  logs: {
    text: () => '',
    follow: (cli, input) => (cli.screen.json ? null : import('./logs.ts').then(({ showLogs }) => showLogs(cli, input))),
  },
  'render-worker-prompt': { text: ({ prompt }) => prompt.trimEnd() },
  'run list': { text: async (data, look) => (await runs()).renderRuns(data, look) },
  doctor: {
    text: async (data, look) => (await import('./render/doctor.ts')).renderDoctor(data, look),
    exitCode: ({ checks }) => (checks.some(({ status }) => status === 'fail') ? EXIT.failed : EXIT.ok),
  },
  claim: { text: async (data, look) => (await work()).renderClaim(data, look) },
  dispatch: { text: async (data, look) => (await work()).renderDispatch(data, look) },
  'ensure-worktree': { text: async (data, look) => (await work()).renderEnsureWorktree(data, look) },
  heartbeat: { text: async (data, look) => (await work()).renderHeartbeat(data, look) },
  event: { text: async (data, look) => (await work()).renderEvent(data, look) },
  'guardrail-check': { text: async (data, look) => (await work()).renderGuardrails(data, look) },
  complete: { text: async (data, look) => (await work()).renderComplete(data, look) },
  release: { text: async (data, look) => (await work()).renderRelease(data, look) },
  review: { text: async (data, look) => (await finish()).renderReview(data, look) },
  ship: { text: async (data, look) => (await finish()).renderShip(data, look) },
  question: { text: async (data, look) => (await questions()).renderAsked(data, look) },
  answer: { text: async (data, look) => (await questions()).renderAnswered(data, look) },
  questions: { text: async (data, look) => (await questions()).renderQuestions(data, look) },
  attach: {
    text: () => '',
    follow: (cli, input) => import('./attach.ts').then(({ attachTo }) => attachTo(cli, input)),
  },
  cancel: { text: async (data, look) => (await work()).renderCancel(data, look) },
  retry: { text: async (data, look) => (await work()).renderRetry(data, look) },
  gc: {
    text: async (data, look, input) => (await import('./render/gc.ts')).renderGc(data, input, look),
    exitCode: async (data, input) => {
      if (data.failed.length > 0) return EXIT.failed;
      return input.detailed_exitcode && (await gc()).isDivergent(data, input) ? EXIT.divergences : EXIT.ok;
    },
  },
  completion: { text: ({ script }) => script },
  uninit: { text: async (data, look, { dry_run = false }) => (await init()).renderUninit(data, dry_run, look) },
};
