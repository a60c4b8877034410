/** The live view: a few lines that say what runs, what waits and for what, what was asked, and how much is left. */

import { answerCommand } from '../../domain/question/questions.ts';
import type { LiveCount, LiveModel, LiveQuestion, LiveRun, LiveWait } from '../../domain/run/live-model.ts';
import { firstOf, plainText, plural } from '../../lib/text.ts';
import { formatDuration } from '../../lib/time.ts';
import { asCalled } from '../called.ts';
import { columnOf, cut, pad, padId, widest, widthOf } from '../layout.ts';
import { withLocalTimes } from '../local-times.ts';
import type { Palette } from '../render-context.ts';

export interface Frame {
  /** Of the terminal. */
  columns: number;
  rows: number;
  /** Milliseconds since the epoch. */
  nowMs: number;
  palette: Palette;
  /** Stands on the line that sets the view apart from what is above it; null: nothing does. */
  note: string | null;
}

const MAX_LINES = 12;
/** A terminal with less has no room for it. */
const MIN_COLUMNS = 20;
const ID_COLUMNS = 20;
/** Ids that are named of those that wait for the same, and of those that they wait for. */
const NAMES_SHOWN = 4;

/**
 * The lines from the top down, none wider than the terminal less a column, at most twelve and a third of its rows. None at
 * all on a terminal that is too narrow.
 */
export function liveLines(model: LiveModel, frame: Frame): string[] {
  if (!(frame.columns >= MIN_COLUMNS && frame.rows > 0)) return [];
  const room = Math.max(1, Math.min(MAX_LINES, Math.floor(frame.rows / 3)));
  const shares = share(model, room - 1);
  return [
    ...(shares.rule > 0 ? [ruleLine(frame)] : []),
    ...runLines(model.running, shares.running, frame),
    ...waitLines(model.waiting, shares.waiting, frame),
    ...questionLines(model.asked, shares.asked, frame),
    countsLine(model, frame),
    ...(shares.path > 0 ? [pathLine(model.path, frame)] : []),
  ];
}

/** The lines that each part gets: something of everything first, then of what there is most to say of. */
function share({ running, waiting, asked, path }: LiveModel, lines: number) {
  let left = lines;
  const take = (wanted: number) => {
    const got = Math.max(0, Math.min(wanted, left));
    left -= got;
    return got;
  };
  const shares = {
    running: take(Math.min(1, running.length)),
    asked: take(Math.min(2, asked.length * 2)),
    path: take(Math.min(1, path.length)),
    waiting: take(Math.min(1, waiting.length)),
    rule: take(1),
  };
  const kept = Math.min(waiting.length - shares.waiting, Math.floor(left / 3));
  shares.running += take(Math.min(running.length - shares.running, left - kept));
  shares.waiting += take(waiting.length - shares.waiting);
  if (asked.length > 1) shares.asked += take(1);
  return shares;
}

/** The first of `items`, and on the last line what there is of the others. */
function listed<T>(
  items: readonly T[],
  lines: number,
  line: (item: T) => string,
  more: (rest: readonly T[]) => string,
) {
  if (items.length <= lines || lines < 2) return items.slice(0, lines).map(line);
  return [...items.slice(0, lines - 1).map(line), more(items.slice(lines - 1))];
}

function ruleLine(frame: Frame): string {
  const width = frame.columns - 1;
  const note = frame.note === null ? '' : ` ${cut(frame.note, width - 6)} `;
  return frame.palette.dim(`──${note}${'─'.repeat(Math.max(0, width - 2 - widthOf(note)))}`);
}

function runLines(running: readonly LiveRun[], lines: number, frame: Frame): string[] {
  const shown = running.slice(0, lines);
  const idColumn = columnOf(Math.min(ID_COLUMNS, Math.floor(frame.columns / 4)), shown, 'task_id');
  const titleColumn = widest(Math.floor((frame.columns - idColumn - 12) * 0.45), shown.map(titleOf));
  const { cyan, dim } = frame.palette;
  const line = (run: LiveRun) => {
    const took = elapsed(frame.nowMs - run.since_ms).padStart(6);
    // On a narrow screen, what it does says more than what it is called.
    const title = frame.columns < 60 ? '' : `${pad(titleOf(run), titleColumn)}  `;
    const checks = run.checking === null ? run.line : `verifying: ${run.checking}`;
    const output = run.setup === null ? checks : `setting up: ${run.setup}`;
    return row(frame, [['● ', cyan], [padId(run.task_id, idColumn)], [` ${took}  `], [title], [output, dim]]);
  };
  return listed(running, lines, line, (rest) => row(frame, [[`  +${rest.length} more`, dim]]));
}

/** With what is not obvious of it: the kind of work, or that it is not the first try. */
function titleOf({ phase, attempt_number, title }: LiveRun): string {
  if (phase !== null && phase !== 'implement') return `${phase}: ${title}`;
  return attempt_number > 1 ? `attempt ${attempt_number}: ${title}` : title;
}

/** A duration in whole seconds: tenths would only flicker. */
function elapsed(ms: number): string {
  return ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1000))}s` : formatDuration(ms);
}

function waitLines(waiting: readonly LiveWait[], lines: number, frame: Frame): string[] {
  const { dim } = frame.palette;
  const line = (wait: LiveWait) =>
    row(frame, [['· ', dim], [`${firstOf(wait.tasks, NAMES_SHOWN)}${waitText(wait, frame)}`]]);
  return listed(waiting, lines, line, (rest) => {
    const count = rest.reduce((sum, { tasks }) => sum + tasks.length, 0);
    return row(frame, [[`  +${plural(count, 'more waits', 'more wait')}`, dim]]);
  });
}

function waitText({ code, message, on, until_ms, tasks }: LiveWait, { nowMs }: Frame): string {
  const verb = tasks.length === 1 ? 'waits' : 'wait';
  if (code === 'DEPENDENCY_PENDING') return ` ${verb} for ${firstOf(on, NAMES_SHOWN)}`;
  if (code === 'PHASE_BLOCKED') return ` ${verb} for phase ${firstOf(on, NAMES_SHOWN)}`;
  if (until_ms !== null) return `: tried again in ${elapsed(until_ms - nowMs)}`;
  return `: ${message}`;
}

const ALL_QUESTIONS = 'forge orchestrate questions --open';

function questionLines(asked: readonly LiveQuestion[], lines: number, frame: Frame): string[] {
  const [first] = asked;
  if (first === undefined || lines === 0) return [];
  const { yellow } = frame.palette;
  const text = `${first.task_id} asks: ${first.question?.question ?? first.decision_key}`;
  const options = first.question?.options.map(({ id }) => id).join(', ') ?? '';
  const command = `${answerCommand(first.task_id)}${options === '' ? '' : `  (${options})`}`;
  const fits = widthOf(command) <= frame.columns - 5;
  const more = asked.length - 1;
  return [
    row(frame, [['? ', yellow], [text]]),
    // A command that is cut off is none.
    row(frame, [[`    ${fits ? command : ALL_QUESTIONS}`]]),
    row(frame, [[`  +${more} more: ${ALL_QUESTIONS}`]]),
  ].slice(0, more > 0 ? lines : Math.min(2, lines));
}

const COUNTS: readonly [count: LiveCount, word: string, colour: keyof Palette | null][] = [
  ['failed', 'failed', 'red'],
  ['unreadable', 'unreadable', 'red'],
  ['asked', 'asked', 'yellow'],
  ['running', 'running', 'cyan'],
  ['ready', 'ready', null],
  ['waiting', 'waiting', null],
  ['human', 'for a person', 'yellow'],
  ['cancelled', 'cancelled', 'dim'],
];

/** ` · 2m 10s, about 3m 05s left`; empty where it is of no run. */
function progressText({ progress }: LiveModel): string {
  if (progress === null) return '';
  const { elapsed_ms, left_ms } = progress;
  return ` · ${elapsed(elapsed_ms)}${left_ms === null || left_ms < 1000 ? '' : `, about ${elapsed(left_ms)} left`}`;
}

function countsLine(model: LiveModel, frame: Frame): string {
  const { counts } = model;
  const { palette } = frame;
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const shown = COUNTS.filter(([count]) => counts[count] > 0);
  return row(frame, [
    [`${counts.over}/${total} shipped`, palette.green],
    ...shown.map(([count, word, colour]): Part => [`, ${counts[count]} ${word}`, colour ? palette[colour] : undefined]),
    [progressText(model), palette.dim],
  ]);
}

function pathLine(path: readonly string[], frame: Frame): string {
  return row(frame, [
    [`critical path left: ${plural(path.length, 'task')} (${path.slice(0, 50).join(' › ')})`, frame.palette.dim],
  ]);
}

type Part = readonly [text: string, colour?: ((text: string) => string) | undefined];

/** The parts one after the other, as far as they fit and made safe to show; colours are put on after the cut. */
function row({ columns, nowMs }: Frame, parts: readonly Part[]): string {
  let left = columns - 1;
  let line = '';
  for (const [part, colour] of parts) {
    if (left <= 0) break;
    const text = asCalled(withLocalTimes(plainText(part), nowMs)).replace(/[\t\n]/g, ' ');
    const fitting = widthOf(text) <= left ? text : cut(text, left);
    left -= widthOf(fitting);
    line += colour === undefined || fitting === '' ? fitting : colour(fitting);
  }
  return line.trimEnd();
}
