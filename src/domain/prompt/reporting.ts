/** The end of a worker's prompt: how it reports, what it may ask, and how long it has. Only what applies to its kind. */

import { plural } from '../../lib/text.ts';
import { durationText } from '../../lib/time.ts';

/** How a worker got its task. */
export type WorkerKind =
  /** `run` or `exec` starts it, sends its heartbeats, and takes its exit code for the result. Milliseconds; null: no limit. */
  | { kind: 'started'; timeoutMs: number | null; stallMs: number | null }
  /** It claims for itself. `attemptId`: null before its dispatch. */
  | { kind: 'claims'; attemptId: string | null; heartbeatMs: number };

export interface ReportingFacts {
  taskId: string;
  worker: WorkerKind;
  /** The absolute path of this forge; null: FORGE_CLI has it. */
  cli: string | null;
  /** The task's questions so far, and after how many it is to decide by itself, and it fails. */
  questions: { asked: number; soft: number; hard: number };
}

/** Forge in a command for a shell. A path that is not safe there, or in a code span, is left to the variable. */
export function cliWord(cli: string | null): string {
  if (cli === null || !/^[\x20-\x7e]{1,500}$/.test(cli) || /['`]|\s{2}/.test(cli)) return '"$FORGE_CLI"';
  return /^[\w@%+=:,./-]+$/.test(cli) ? cli : `'${cli}'`;
}

/** Arguments that name the attempt; '' where FORGE_TASK_ID and FORGE_ATTEMPT_ID do. */
export function ofAttempt(taskId: string, worker: WorkerKind): string {
  return worker.kind === 'started' ? '' : ` ${taskId} --attempt ${worker.attemptId ?? 'ATTEMPT'}`;
}

export function reportingSection(facts: ReportingFacts): readonly string[] {
  const lines = facts.worker.kind === 'started' ? startedLines(facts) : claimsLines(facts, facts.worker);
  return ['## How to report', lines.map((line) => `- ${line}`).join('\n')];
}

const READY = '`{"verdict": "ready_for_review", "summary": "what you did"}`';
const UNCHANGED = 'Where nothing had to change, add `"changes": "none"`.';

function startedLines(facts: ReportingFacts): string[] {
  const { worker, cli } = facts;
  return [
    `Done: write ${READY} to the file that \`FORGE_VERDICT_FILE\` names, and end with exit code 0. ${UNCHANGED}`,
    'It cannot be done: the same with `"verdict": "blocked"`, and say why in the summary. An exit code other than 0 is a failure, too.',
    ...questionLines(facts, `${cliWord(cli)} orchestrate question`),
    foundLine(`${cliWord(cli)} orchestrate add "TITLE"`),
    ...limitLines(worker),
  ];
}

/** A worker that has no such way does more than its task, or forgets it. */
function foundLine(command: string): string {
  return `You find work that is not part of this task: \`${command} --description "TEXT"\` makes a task of it. Leave it to that.`;
}

function limitLines(worker: WorkerKind): string[] {
  if (worker.kind !== 'started') return [];
  const { timeoutMs, stallMs } = worker;
  const limits = [
    ...(timeoutMs === null ? [] : [`after ${durationText(timeoutMs)}`]),
    ...(stallMs === null ? [] : [`when you write and compute nothing for ${durationText(stallMs)}`]),
  ];
  return limits.length === 0 ? [] : [`You are stopped ${limits.join(', and ')}: commit what is worth keeping before.`];
}

function claimsLines(facts: ReportingFacts, worker: WorkerKind & { kind: 'claims' }): string[] {
  const { taskId, cli } = facts;
  const { attemptId, heartbeatMs } = worker;
  const forge = `${cliWord(cli)} orchestrate`;
  const own = ofAttempt(taskId, worker);
  const first =
    attemptId === null
      ? [
          `First, unless you have the task already: \`${forge} claim ${taskId} --json\`, then ` +
            `\`${forge} dispatch ${taskId} --claim CLAIM --run RUN --json\` with the ids that it answers. That names ATTEMPT.`,
        ]
      : [];
  return [
    ...first,
    `While you work: \`${forge} heartbeat${own}\`, about every ${durationText(heartbeatMs)}.`,
    `Done: write ${READY} to a file, then \`${forge} complete${own} --verdict-file FILE\`. ${UNCHANGED}`,
    `It cannot be done: \`${forge} complete${own} --failed --error-class CLASS --message "TEXT"\`, with a class such as \`tests.flaky\`.`,
    ...questionLines(facts, `${forge} question${own}`),
    foundLine(`${forge} add "TITLE" --discovered-from ${taskId}`),
    'Exit code 3 of any of these commands means that the task is no longer yours: stop, and change nothing more.',
  ];
}

const OPTIONS = '[{"id": "keep", "label": "Keep it"}, {"id": "drop", "label": "Drop it"}]';

function questionLines({ questions: { asked, soft, hard } }: ReportingFacts, command: string): string[] {
  const left = hard - asked;
  if (left <= 0)
    return ['Decide everything by yourself: no more questions of this task are taken, and one more fails it.'];
  const freely = soft - asked;
  const budget =
    `The task has ${plural(left, 'question')} left; a further one fails it. ` +
    (freely > 0 ? `After ${freely}, decide by yourself where you can.` : 'Decide by yourself where you can.');
  return [
    `A decision that is not yours to take: write its options to a file, such as \`${OPTIONS}\`, then ` +
      `\`${command} --decision-key KEY --question "TEXT" --options-file FILE --json\`. With status \`answered\`, go on with that ` +
      `option. With \`open\`, end at once: the task waits, and a later attempt is told the answer. ${budget}`,
  ];
}
