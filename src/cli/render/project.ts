/** The answers of the verbs that are about a project as a whole. */

import { heldText } from '../../domain/task/held.ts';
import { oneLine, plural } from '../../lib/text.ts';
import { columnOf, hang, pad } from '../layout.ts';
import type { Renderers } from '../view.ts';
import { ago, countsText, nextCommands } from './parts.ts';

const SIGNS = {
  ok: ['✓', 'green'],
  warn: ['!', 'yellow'],
  fail: ['✗', 'red'],
} as const;

/** Tasks that runs have given up that the bare command shows. */
const HELD_SHOWN = 3;

export const PROJECT = {
  ''({ project, plan, counts, ready, in_flight, waiting, human, held, next }, context) {
    const { bold, cyan } = context.palette;
    const lines: string[] = [];
    if (project === null) lines.push('There is no project here yet.');
    else if (plan === null) lines.push(`${bold(oneLine(project))} has no plan yet.`);
    else {
      const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
      const people = human > 0 ? `, ${human} for a person` : '';
      lines.push(`${bold(oneLine(project))}  ${plural(total, 'task')} in ${oneLine(plan)}`);
      if (total > 0) lines.push(`  ${countsText(counts, context)}`);
      lines.push(`  ${ready} ready, ${in_flight} in flight, ${waiting} waiting${people}`);
    }
    for (const { task_id, ...why } of held.slice(0, HELD_SHOWN))
      lines.push(
        ...hang(`  ${oneLine(task_id)}  `, `given up ${ago(why.at, context)}: ${heldText(why)}`, context.width),
      );
    if (held.length > HELD_SHOWN)
      lines.push(`  and ${held.length - HELD_SHOWN} more; see \`forge orchestrate status\``);
    const why = hang('  ', next.why, context.width);
    return [...lines, '', bold('Next'), `  ${cyan(oneLine(next.command))}`, ...why].join('\n');
  },

  init({ project, created, updated, kept }, context) {
    const { bold, green, dim } = context.palette;
    return [
      bold(oneLine(project)),
      ...created.map((file) => `  ${green('created')}  ${oneLine(file)}`),
      ...updated.map((file) => `  ${green('updated')}  ${oneLine(file)}`),
      ...kept.map((file) => dim(`  kept     ${oneLine(file)}`)),
      '',
      ...nextCommands(['forge orchestrate run --dry-run', 'forge orchestrate run'], context),
    ].join('\n');
  },

  uninit({ project, removed, updated, kept }, { palette, width }, { dry_run: dryRun }) {
    const { bold, green, yellow } = palette;
    return [
      bold(oneLine(project)),
      ...removed.map((path) => `  ${green(dryRun ? 'would go' : 'removed ')}  ${oneLine(path)}`),
      ...updated.map((path) => `  ${green(dryRun ? 'would change' : 'updated ')}  ${oneLine(path)}`),
      ...kept.flatMap(({ path, reason }) => [
        `  ${yellow('kept')}      ${oneLine(path)}`,
        ...hang(' '.repeat(12), reason, width),
      ]),
      ...(removed.length + updated.length === 0 ? ['Nothing to undo.'] : []),
      ...(dryRun ? ['Nothing was changed.'] : []),
    ].join('\n');
  },

  doctor({ checks }, { palette, width }) {
    const column = columnOf(20, checks, 'name');
    const lines = checks.flatMap(({ name, status, message, fix }) => {
      const [sign, colour] = SIGNS[status];
      const below = fix === null ? [] : hang(`${' '.repeat(column + 4)}fix: `, fix, width);
      const [first = '', ...more] = hang(`${sign} ${pad(name, column)}  `, message, width);
      return [first.replace(sign, palette[colour]), ...more, ...below];
    });
    const count = (wanted: string) => checks.filter(({ status }) => status === wanted).length;
    const warnings = count('warn') === 0 ? '' : ` but for ${plural(count('warn'), 'warning')}`;
    const verdict = count('fail') > 0 ? `${plural(count('fail'), 'check')} failed.` : `All is well${warnings}.`;
    return [...lines, '', verdict].join('\n');
  },

  completion({ shell, script, installed }) {
    if (installed === null) return script;
    const { file, line, added } = installed;
    if (!added) return `${file} has it already.`;
    return `Added to ${file}:\n  ${line}\nThe next ${shell} with \`forge\` on its PATH completes it. To take it away, delete that line.`;
  },
} satisfies Partial<Renderers>;
