/** Bare `forge orchestrate`. */

import type { HomeData } from '../../commands/home.ts';
import { oneLine } from '../../lib/text.ts';
import { hang, plural } from '../layout.ts';
import type { Look } from '../look.ts';
import { countsText } from './states.ts';

export function renderHome(data: HomeData, look: Look): string {
  const { bold, cyan } = look.palette;
  const lines: string[] = [];
  if (data.project === null) lines.push('There is no project here yet.');
  else if (data.plan === null) lines.push(`${bold(oneLine(data.project))} has no plan yet.`);
  else lines.push(...standing(data, data.project, data.plan, look));
  const { command, why } = data.next;
  return [...lines, '', bold('Next'), `  ${cyan(oneLine(command))}`, ...hang('  ', why, look.width)].join('\n');
}

function standing(data: HomeData, project: string, plan: string, look: Look): string[] {
  const parts = [
    `${data.ready} ready`,
    `${data.in_flight} in flight`,
    `${data.waiting} waiting`,
    ...(data.human > 0 ? [`${data.human} for a person`] : []),
  ];
  const total = Object.values(data.counts).reduce((sum, count) => sum + count, 0);
  return [
    `${look.palette.bold(oneLine(project))}  ${plural(total, 'task')} in ${oneLine(plan)}`,
    ...(total === 0 ? [] : [`  ${countsText(data.counts, look)}`]),
    `  ${parts.join(', ')}`,
  ];
}
