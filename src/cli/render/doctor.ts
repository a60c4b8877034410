/** `doctor`: a line a check, and below it what to do about those that are not well. */

import type { HealthCheck } from '../../store/port.ts';
import { columnOf, hang, pad, plural } from '../layout.ts';
import type { Look } from '../look.ts';

const SIGNS = {
  ok: ['✓', 'green'],
  warn: ['!', 'yellow'],
  fail: ['✗', 'red'],
} as const;

export function renderDoctor({ checks }: { checks: readonly HealthCheck[] }, look: Look): string {
  const column = columnOf(
    checks.map((check) => check.name),
    20,
  );
  const lines = checks.flatMap((check) => checkLines(check, column, look));
  return [...lines, '', verdict(checks)].join('\n');
}

function checkLines({ name, status, message, fix }: HealthCheck, column: number, look: Look): string[] {
  const [sign, colour] = SIGNS[status];
  const [first = '', ...more] = hang(`${sign} ${pad(name, column)}  `, message, look.width);
  const below = fix === null ? [] : hang(`${' '.repeat(column + 4)}fix: `, fix, look.width);
  return [look.palette[colour](sign) + first.slice(sign.length), ...more, ...below];
}

function verdict(checks: readonly HealthCheck[]): string {
  const count = (status: HealthCheck['status']) => checks.filter((check) => check.status === status).length;
  if (count('fail') > 0) return `${plural(count('fail'), 'check')} failed.`;
  return count('warn') > 0 ? `All is well but for ${plural(count('warn'), 'warning')}.` : 'All is well.';
}
