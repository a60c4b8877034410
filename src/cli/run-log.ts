/** A run for a person who watches it, or who reads a CI log afterwards: a line for what happens, a summary at the end. */

import { answerCommand } from '../domain/question/questions.ts';
import { classCovers, errorText, shortErrorText } from '../domain/retry/classify.ts';
import type { RunEvent, RunFinished } from '../domain/run/events.ts';
import type { OutputMode } from '../domain/run/output.ts';
import { usedText } from '../domain/task/spending.ts';
import { EXIT } from '../lib/errors.ts';
import { sizeText } from '../lib/size.ts';
import { firstOf, oneLine, plainText, plural } from '../lib/text.ts';
import { formatDuration } from '../lib/time.ts';
import { columnOf, cut, fitting, hang, padId, widthOf } from './layout.ts';
import { countsText, inColourOf, signFor } from './render/parts.ts';
import { optionMarks } from './render/questions.ts';
import type { Palette, RenderContext } from './render-context.ts';

type EventOf<T extends RunEvent['type']> = Extract<RunEvent, { type: T }>;
type Blocked = EventOf<'task_blocked'>;

/** Failures that are shown with the end of their output. */
const FAILURES_SHOWN = 5;
/** Lines of output that are shown of each. */
const TAIL_LINES = 15;
/** Tasks named in each list of the summary. */
const LIST_LENGTH = 15;
/** Tasks whose last line is shown while they work. */
const LINES_SHOWN = 10;
/** What is shown with any output. */
const SHOWN_ALWAYS: readonly RunEvent['type'][] = [
  'question_opened',
  'question_settled',
  'task_held',
  'warning',
  'run_finished',
];
/** Columns of task ids; they grow with the longest id seen so far. */
const ID_COLUMNS = { min: 8, max: 24 };

/** What is said of a run by its exit code, in the colour of a state. */
const OUTCOMES: Partial<Record<number, readonly [said: string, colour: string]>> = {
  [EXIT.ok]: ['✓ all done', 'shipped'],
  [EXIT.failed]: ['✗ failed', 'failed'],
  [EXIT.nothingToDo]: ['· not finished', 'ready_for_review'],
  [EXIT.interrupted]: ['■ interrupted', 'ready_for_review'],
};

/** Of a run that has left nothing to be done, but has not done everything. */
const WITHOUT_CANCELLED = ['· done but for what was cancelled', 'ready_for_review'] as const;

export interface RunLogOptions {
  line(text: string): void;
  /** A line of a worker, which no terminal breaks between words. */
  asIs(text: string): void;
  warn(message: string): void;
  context: RenderContext;
  output: OutputMode;
  /** Whether lines are written uncut, as to a file. */
  whole: boolean;
  /** Path of a log, as the person would write it. */
  logOf(taskId: string, attemptId: string, log: `${string}.log`): string;
}

/** Prints what there is to say about each event that it is given. */
export function runLog(options: RunLogOptions): (event: RunEvent) => void {
  const { context, output, whole, logOf } = options;
  const { palette, width } = context;
  const failures: EventOf<'task_finished'>[] = [];
  const blocked: Blocked[] = [];
  let idColumn = ID_COLUMNS.min;
  /** A run that has nothing to say before its summary would leave two blank lines. */
  let afterBlank = false;
  let isQuiet = false;
  const say: { [T in RunEvent['type']]: (event: EventOf<T>) => void } = {
    run_started: ({ run_id, tasks, max_parallel, rerun = [] }) => {
      const work = `${plural(tasks, 'task')}, ${max_parallel} at a time`;
      const head = `${palette.bold('run')} ${palette.dim(run_id)}`;
      const fits = widthOf(`run ${run_id}  ${work}`) <= width;
      print(...(fits ? [`${head}  ${work}`] : [head, `  ${work}`]), '');
      if (rerun.length > 0) dimmed(`begun again from the start: ${firstOf(rerun, 10)}`);
    },

    task_started: ({ task_id, title, attempt_number }) => {
      taskLine('▸', 'cyan', task_id, attempt_number > 1 ? `attempt ${attempt_number}: ${title}` : title);
    },

    task_output: (event) => {
      const lines = event.text.replace(/\n$/, '').split('\n');
      if (output === 'grouped') blockOf(event, lines);
      else for (const line of lines) asIs(`${padded(event.task_id)} | ${line}`);
    },

    task_retry: ({ task_id, attempts, error, delay_ms, duration_ms }) => {
      const when = delay_ms > 0 ? `in ${formatDuration(delay_ms)}` : 'now';
      // Work that was fine by itself, until others looked at it or at what it was merged with.
      const isSentBack = classCovers('review', error.class) || classCovers('ship', error.class);
      const how = isSentBack ? 'sent back' : `failed after ${formatDuration(duration_ms)}`;
      const [why, next] = [errorText(error), `attempt ${attempts + 1} ${when}`];
      stateLine('awaiting_respawn', task_id, `${how}, ${next}: ${why}`, `${next}: ${why}`, why, shortErrorText(error));
    },

    task_finished: (event) => {
      const { task_id, state, attempts, duration_ms, error, failure_reason, unchanged = false } = event;
      if (state === 'failed') failures.push(event);
      const took = `${state === 'failed' ? 'after' : 'in'} ${formatDuration(duration_ms)}`;
      const facts = [unchanged ? 'unchanged' : attempts > 1 ? `${attempts} attempts` : null, failure_reason].filter(
        (fact) => fact !== null,
      );
      const said = `${state} ${took}`;
      const full = facts.length === 0 ? said : `${said} (${facts.join(', ')})`;
      if (error === null) return stateLine(state, task_id, full);
      const why = errorText(error);
      stateLine(state, task_id, `${full}: ${why}`, `${said}: ${why}`, why, shortErrorText(error));
    },

    task_setup: ({ task_id, command }) => taskLine('▹', 'cyan', task_id, `setting up: ${command}`),

    task_verifying: ({ task_id, command }) => taskLine('▹', 'cyan', task_id, `verifying: ${command}`),

    task_finishing: ({ task_id, phase }) =>
      taskLine('▹', 'cyan', task_id, phase === 'review' ? 'reviewing' : 'merging'),

    task_held: ({ task_id, phase, error, delay_ms }) => {
      const what = phase === 'review' ? 'not reviewed' : 'not merged';
      const when = delay_ms === null ? '' : `, again in ${formatDuration(delay_ms)}`;
      taskLine('·', 'yellow', task_id, `${what}${when}: ${oneLine(error.message, 500)}`);
      if (delay_ms === null) print(...hang('    ', oneLine(error.hint, 500), width));
    },

    task_interrupted: ({ task_id, why, state, duration_ms }) =>
      taskLine('■', 'yellow', task_id, `stopped after ${formatDuration(duration_ms)}: ${why}; it is ${state}`),

    task_parked: ({ task_id, state, duration_ms, waits }) => {
      const what = waits === null ? 'stopped to ask' : 'parked';
      const why = waits === null ? '' : `: ${waits}`;
      stateLine(state, task_id, `${what} after ${formatDuration(duration_ms)}${why}`);
    },

    question_opened: ({ task_id, decision_key, expires_at, question }) => {
      taskLine('?', 'yellow', task_id, `asks: ${question?.question ?? decision_key}`);
      for (const [i, { id, label }] of (question?.options ?? []).entries())
        print(
          `    ${cut(`${i + 1}. ${id} — ${label}${question === null ? '' : optionMarks(id, question)}`, width - 4)}`,
        );
      print(`    ${answerCommand(task_id)}`);
      const otherwise = question?.default_option_id || 'it is tried again without';
      print(palette.dim(`    open until ${expires_at}, then ${otherwise}`));
    },

    question_settled: ({ task_id, decision_key, option_id, answered_by }) => {
      const answer = option_id === null ? 'no answer in time' : `${option_id} (${answered_by})`;
      taskLine('?', 'yellow', task_id, `${oneLine(decision_key, 60)}: ${answer}`);
    },

    task_blocked: (event) => void blocked.push(event),

    still_running: ({ tasks, waiting }) => {
      const text = ({ task_id, duration_ms }: (typeof tasks)[number]) => `${task_id} ${formatDuration(duration_ms)}`;
      const waits = waiting > 0 ? `; ${plural(waiting, 'task waits', 'tasks wait')}` : '';
      dimmed(`… running: ${tasks.map(text).join(', ')}${waits}`);
      for (const { task_id, line } of tasks.filter(({ line }) => line !== null).slice(0, LINES_SHOWN)) {
        const first = `  ${padded(task_id)} | `;
        const room = whole ? Number.POSITIVE_INFINITY : Math.max(20, width - widthOf(first));
        print(palette.dim(first + cut(line ?? '', room)));
      }
    },

    waiting: ({ for: tasks }) => {
      const named = tasks.map(({ task_id, reason }) => `${task_id} (${reason})`);
      dimmed(`… waiting for ${firstOf(named, 3)}`);
    },

    pruned: ({ tasks, runs, files, bytes }) => {
      const what = files === 0 ? [] : [`${plural(files, 'file')} of ${plural(tasks, 'old task')}, ${sizeText(bytes)}`];
      dimmed(`removed ${[...what, ...(runs === 0 ? [] : [plural(runs, 'old run')])].join(', and ')}`);
    },

    warning: ({ message }) => options.warn(message),

    run_finished: (event) => summary(event),
  };

  // -------------------------------------------------------------------------------------------- at the end
  function summary(finished: RunFinished): void {
    const { exit_code, duration_ms, counts } = finished;
    const isPart = exit_code === EXIT.ok && (counts['cancelled'] ?? 0) > 0;
    const [said, colour] = isPart ? WITHOUT_CANCELLED : (OUTCOMES[exit_code] ?? ['', '']);
    const head = inColourOf(colour, context, said);
    const tasks = countsText(counts, context) || 'no tasks';
    print('', `${palette.bold(head)} in ${formatDuration(duration_ms)}: ${tasks}`);
    const used = usedText(finished.spent);
    if (used !== '') print(`  used ${used}`);
    resultList(finished.results);
    failureList(finished.failed);
    const why = ({ reasons }: Blocked) => reasons.map(({ message }) => message).join('; ');
    taskList('Left', leftTasks(), why, 'phases --ready');
    const next = nextCommands(finished);
    if (next.length > 0) print('', palette.bold('Next'), ...next.map((command) => `  ${command}`));
  }

  /** What workers say of their results, and where these are. */
  function resultList(all: RunFinished['results']): void {
    const text = ({ summary, branch }: (typeof all)[number]) =>
      [summary, branch === null ? null : `branch ${branch}`].filter(Boolean).join('; ');
    taskList('Results', all, text, 'status');
  }

  /** Tasks with what is said of each; `verb` lists those that are too many. */
  function taskList<T extends { task_id: string }>(
    title: string,
    all: readonly T[],
    text: (of: T) => string,
    verb: string,
  ) {
    if (all.length === 0) return;
    print('', palette.bold(title));
    const shown = all.slice(0, LIST_LENGTH);
    const column = columnOf(ID_COLUMNS.max, shown, 'task_id');
    for (const each of shown) print(...hang(`  ${padId(each.task_id, column)}  `, text(each), width));
    moreLine(all, verb);
  }

  /** Those of this run with the end of their output, then those that had failed before. */
  function failureList(all: RunFinished['failed']): void {
    if (all.length === 0) return;
    print('', palette.bold('Failed'));
    const own = new Set(failures.map(({ task_id }) => task_id));
    const before = all.filter(({ task_id }) => !own.has(task_id));
    const goesOn = new Set(all.flatMap(({ task_id, goes_on }) => (goes_on ? task_id : [])));
    for (const [i, { task_id, error }] of [...failures, ...before].slice(0, LIST_LENGTH).entries()) {
      const what = error === null ? 'failed' : errorText(error);
      print(...hang(`  ${task_id}  `, goesOn.has(task_id) ? `(goes on) ${what}` : what, width));
      const shown = i < FAILURES_SHOWN ? failures[i] : undefined;
      if (shown !== undefined) tailLines(shown);
    }
    moreLine(all, 'status');
  }

  function moreLine(all: readonly unknown[], verb: string): void {
    const rest = all.length - LIST_LENGTH;
    if (rest > 0) print(`  and ${rest} more: \`forge orchestrate ${verb}\``);
  }

  function tailLines({ task_id, attempt_id, tail }: EventOf<'task_finished'>): void {
    if (attempt_id === null) return;
    const stderr = lastLines(tail.stderr, TAIL_LINES);
    const stdout = lastLines(tail.stdout, TAIL_LINES - stderr.length);
    const room = whole ? WHOLE_MAX : width - 6;
    for (const line of output === 'none' ? [] : [...stderr, ...stdout])
      print(`    ${palette.dim('│')} ${fitLine(line, room)}`);
    const log = tail.log ?? `${stderr.length > 0 || stdout.length === 0 ? 'stderr' : 'stdout'}.log`;
    const file = `log: ${logOf(task_id, attempt_id, log)}`;
    // A path that the end of the line breaks can't be copied, and of a stream that was not written to there is no log.
    const fits = tail.stdout + tail.stderr !== '' && (whole || widthOf(file) + 4 <= width);
    print(`    ${palette.dim(fits ? file : `log: forge orchestrate logs ${task_id}`)}`);
  }

  /** What waits for a person or an agent first, then what waits for those. */
  function leftTasks(): Blocked[] {
    const own = ({ reasons }: Blocked) => reasons.every(({ on }) => on === null);
    return [...blocked.filter(own), ...blocked.filter((event) => !own(event))];
  }

  function nextCommands({ exit_code, interrupted, failed }: RunFinished): string[] {
    if (exit_code === 0) return [];
    if (interrupted) return ['forge orchestrate run'];
    // One with which others go on is nothing to mend first.
    const ids = failed.flatMap(({ task_id, goes_on }) => (goes_on ? [] : task_id));
    const own = failures.find(({ task_id }) => ids.includes(task_id))?.task_id;
    const again = ids.length > 1 ? '--failed' : (own ?? ids[0]);
    const by = (code: string) => blocked.find(({ reasons }) => reasons[0]?.code === code);
    const asks = by('TASK_WAITS_FOR_ANSWER')?.task_id;
    const first = [
      ...(again === undefined ? [] : [`forge orchestrate retry ${again}`]),
      ...(asks === undefined ? [] : [answerCommand(asks)]),
    ];
    if (first.length > 0) return [...first, 'forge orchestrate run'];
    if (exit_code === 1) return ['forge orchestrate status'];
    if (by('NO_COMMAND') !== undefined) return ['forge orchestrate claim --next'];
    const human = by('TASK_HUMAN')?.task_id;
    if (human !== undefined) return [`forge orchestrate show ${human}`, `forge orchestrate done ${human}`];
    const [left] = leftTasks();
    return left === undefined ? [] : [`forge orchestrate why ${left.task_id}`];
  }

  // -------------------------------------------------------------------------------------------- lines
  function taskLine(sign: string, colour: keyof Palette, taskId: string, text: string): void {
    lineOf(palette[colour](sign), taskId, text);
  }

  function stateLine(state: string, taskId: string, ...texts: [string, ...string[]]): void {
    lineOf(signFor(state, context), taskId, ...texts);
  }

  /** `✓ build     shipped in 2.1s`. Of several texts that which there is room for: what went wrong stays, where the rest does not fit. */
  function lineOf(sign: string, taskId: string, ...texts: [string, ...string[]]): void {
    const id = padded(taskId);
    const room = Math.max(20, width - idColumn - 4);
    const shown = whole ? oneLine(texts[0], WHOLE_MAX) : fitting(texts, room);
    print(`${sign} ${id}  ${shown}`);
  }

  /** The id in the column of ids. */
  function padded(taskId: string): string {
    idColumn = Math.min(ID_COLUMNS.max, Math.max(idColumn, widthOf(taskId)));
    return padId(taskId, idColumn);
  }

  /** What a stream of an attempt has written, below a line that says whose it is. */
  function blockOf(
    { task_id, attempt_id, stream, cut: isCut }: EventOf<'task_output'>,
    lines: readonly string[],
  ): void {
    asIs(palette.dim(`── ${task_id} ${stream} ──`));
    if (isCut) asIs(palette.dim(`… what was before is in ${logOf(task_id, attempt_id, `${stream}.log`)}`));
    for (const line of lines) asIs(line);
  }

  function asIs(text: string): void {
    afterBlank = false;
    options.asIs(text);
  }

  function dimmed(text: string): void {
    print(palette.dim(whole ? text : cut(text, width)));
  }

  function print(...lines: string[]): void {
    for (const line of isQuiet ? [] : lines) {
      if (line === '' && afterBlank) continue;
      afterBlank = line === '';
      options.line(line);
    }
  }

  return (event) => {
    isQuiet = output === 'none' && !SHOWN_ALWAYS.includes(event.type);
    (say[event.type] as (event: RunEvent) => void)(event);
  };
}

function lastLines(text: string, count: number): string[] {
  const lines = plainText(text).trimEnd().split('\n');
  return count <= 0 || text.trim() === '' ? [] : lines.slice(-count);
}

/** Where a line is not cut to the width of a terminal, characters. */
const WHOLE_MAX = 1000;

/** A line of output in at most `width` columns, its indentation kept. */
function fitLine(line: string, width: number): string {
  const indent = /^\s*/.exec(line.replaceAll('\t', '  '))?.[0] ?? '';
  return indent.slice(0, width / 2) + cut(line, Math.max(1, width - indent.length));
}
