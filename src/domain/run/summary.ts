/** A run as Markdown, for the page of a CI job. Pure. */

import { codeSpan, fenced } from '../../lib/markdown.ts';
import { oneLine } from '../../lib/text.ts';
import { formatDuration } from '../../lib/time.ts';
import { errorText } from '../retry/classify.ts';
import type { RunReport, TaskResult } from './report.ts';

/** Tasks in the table, and failures with their output. GitHub shows a megabyte of a step. */
const ROWS_MAX = 200;
const FAILURES_MAX = 20;
/** Of the output of each, bytes. */
const EXCERPT_BYTES = 8 * 1024;

const SIGNS: Record<TaskResult['outcome'], string> = { failed: '❌', passed: '✅', skipped: '⏭️' };
const ORDER: readonly TaskResult['outcome'][] = ['failed', 'skipped', 'passed'];

export function summaryMarkdown({ project, duration_ms, finished, tasks }: RunReport): string {
  const counts = ORDER.flatMap((outcome) => {
    const count = tasks.filter((task) => task.outcome === outcome).length;
    return count === 0 ? [] : [`${count} ${outcome}`];
  });
  const head = `## ${SIGNS[outcomeOf(finished)]} ${escaped(project)}: ${said(finished)} in ${formatDuration(duration_ms)}`;
  const sorted = ORDER.flatMap((outcome) => tasks.filter((task) => task.outcome === outcome));
  const rows = sorted.slice(0, ROWS_MAX).map(row);
  const more = sorted.length - rows.length;
  const failed = tasks.filter(({ outcome }) => outcome === 'failed');
  return [
    head,
    '',
    counts.join(', ') || 'no tasks',
    ...(rows.length === 0 ? [] : ['', '| | task | attempts | time | |', '|---|---|--:|--:|---|', ...rows]),
    ...(more > 0 ? ['', `and ${more} more`] : []),
    ...failed
      .filter(({ excerpt }) => excerpt !== '')
      .slice(0, FAILURES_MAX)
      .flatMap(details),
    '',
  ].join('\n');
}

function outcomeOf(finished: RunReport['finished']): TaskResult['outcome'] {
  if (finished?.exit_code === 0) return 'passed';
  return finished === null || finished.exit_code === 1 ? 'failed' : 'skipped';
}

function said(finished: RunReport['finished']): string {
  if (finished === null) return 'broken off';
  if (finished.interrupted) return 'interrupted';
  return { passed: 'done', failed: 'failed', skipped: 'not finished' }[outcomeOf(finished)];
}

function row({ task_id, title, outcome, attempts, duration_ms, error, why, goes_on }: TaskResult): string {
  const said = [error === null ? '' : errorText(error), why, goes_on ? 'others go on' : ''];
  const what = said.filter((part) => part !== '').join('; ');
  const name = title === task_id ? codeSpan(task_id) : `${codeSpan(task_id)} ${escaped(oneLine(title, 100))}`;
  const took = attempts === 0 ? '' : formatDuration(duration_ms);
  return `| ${SIGNS[outcome]} | ${name} | ${attempts || ''} | ${took} | ${escaped(oneLine(what, 300))} |`;
}

function details({ task_id, excerpt }: TaskResult): string[] {
  const block = fenced(excerpt, { info: 'text', max: EXCERPT_BYTES, keep: 'tail' });
  return ['', `<details><summary>Output of ${escaped(task_id)}</summary>`, '', block, '', '</details>'];
}

/** Text in which no character is Markdown, HTML, or the end of a cell. */
function escaped(text: string): string {
  return text.replace(/[&<>\\`*_[\]|~]/g, (char) => `&#${char.charCodeAt(0)};`);
}
