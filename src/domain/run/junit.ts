/** A run as JUnit XML, which CI services show: a test case a task. Pure. */

import { plainText } from '../../lib/text.ts';
import { errorText } from '../retry/classify.ts';
import type { RunReport, TaskResult } from './report.ts';

/**
 * One suite; the class of a case is the phase of its task. What is not done is skipped, with the reason. A run that broke off has an error of
 * its own. Source: the schema of Jenkins' xUnit plugin, which others read too.
 */
export function junitXml(report: RunReport): string {
  const { project, started_at, duration_ms, finished, tasks } = report;
  const count = (outcome: TaskResult['outcome']) => tasks.filter((task) => task.outcome === outcome).length;
  const broken = finished === null;
  const counts = {
    tests: tasks.length + (broken ? 1 : 0),
    failures: count('failed'),
    errors: broken ? 1 : 0,
    skipped: count('skipped'),
    time: seconds(duration_ms),
  };
  const suite = { name: project, ...counts, timestamp: started_at };
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: 'forge', ...counts })}>`,
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

function testCase({ task_id, title, phase_id, outcome, duration_ms, error, excerpt, why }: TaskResult): string {
  const name = title === task_id ? task_id : `${task_id}: ${title}`;
  const open = `    <testcase${attributes({ name, classname: phase_id ?? 'children', time: seconds(duration_ms) })}`;
  if (outcome === 'passed') return `${open}/>`;
  if (outcome === 'skipped') return `${open}><skipped${attributes({ message: why })}/></testcase>`;
  const message = error === null ? why || 'failed' : errorText(error);
  const text = [why, excerpt].filter((part) => part !== '').join('\n');
  return `${open}><failure${attributes({ message, type: error?.class ?? 'failed' })}>${escaped(text)}</failure></testcase>`;
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
