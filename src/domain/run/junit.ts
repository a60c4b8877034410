/** A run as JUnit XML, which CI services show: a test case a task. Pure. */

import { plainText } from '../../lib/text.ts';
import { errorText } from '../retry/classify.ts';
import type { RunReport, TaskResult } from './report.ts';

/**
 * One suite; the class of a case is the phase of its task. What is not done is skipped, with the reason. So is a failure with which others go
 * on, since a service takes one failure for a failed run; pytest reports what is expected to fail in the same way. A run that broke off has an
 * error of its own. Source: the schema of Jenkins' xUnit plugin, which others read too.
 */
export function junitXml(report: RunReport): string {
  const { project, started_at, duration_ms, finished, tasks } = report;
  const failures = tasks.filter(isFailure).length;
  const broken = finished === null;
  const counts = {
    tests: tasks.length + (broken ? 1 : 0),
    failures,
    errors: broken ? 1 : 0,
  };
  const skipped = tasks.filter(({ outcome }) => outcome !== 'passed').length - failures;
  const time = seconds(duration_ms);
  const suite = { name: project, ...counts, skipped, time, timestamp: started_at };
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    // Here the schema has no `skipped`.
    `<testsuites${attributes({ name: 'forge', ...counts, time })}>`,
    `  <testsuite${attributes(suite)}>`,
    ...tasks.map((task) => testCase(task)),
    ...(broken
      ? ['    <testcase name="the run" classname="forge" time="0"><error message="the run broke off"/></testcase>']
      : []),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function isFailure({ outcome, goes_on }: TaskResult): boolean {
  return outcome === 'failed' && !goes_on;
}

function testCase(task: TaskResult): string {
  const { task_id, title, phase_id, outcome, duration_ms, error, excerpt, why } = task;
  const name = title === task_id ? task_id : `${task_id}: ${title}`;
  const open = `    <testcase${attributes({ name, classname: phase_id ?? 'children', time: seconds(duration_ms) })}`;
  if (outcome === 'passed') return `${open}/>`;
  if (outcome === 'skipped') return `${open}><skipped${attributes({ message: why })}/></testcase>`;
  const message = error === null ? why || 'failed' : errorText(error);
  const text = [why, excerpt].filter((part) => part !== '').join('\n');
  const type = error?.class ?? 'failed';
  if (isFailure(task)) return `${open}><failure${attributes({ message, type })}>${escaped(text)}</failure></testcase>`;
  const skipped = `<skipped${attributes({ message: `failed, and others go on: ${message}`, type })}/>`;
  return `${open}>${skipped}<system-out>${escaped(text)}</system-out></testcase>`;
}

/** Seconds, with milliseconds. */
function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(
      ([name, value]) =>
        ` ${name}="${escaped(String(value)).replace(/[\t\n]/g, (char) => `&#${char.charCodeAt(0)};`)}"`,
    )
    .join('');
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Source: XML 1.0, section 2.2: what it does not allow, also as a reference, is left out. */
function escaped(text: string): string {
  return plainText(text)
    .replace(/[^\t\n\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '')
    .replace(/[&<>"]/g, (char) => ENTITIES[char] ?? '');
}
