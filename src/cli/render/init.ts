/** `init` and `uninit`: what was written, what was taken away, and what comes next. */

import type { InitData } from '../../commands/init.ts';
import type { UninitData } from '../../commands/uninit.ts';
import { oneLine } from '../../lib/text.ts';
import { hang } from '../layout.ts';
import type { Look } from '../look.ts';
import { nextCommands } from './next.ts';

export function renderInit({ project, created, updated, kept }: InitData, look: Look): string {
  const { bold, green, dim } = look.palette;
  return [
    bold(oneLine(project)),
    ...created.map((file) => `  ${green('created')}  ${oneLine(file)}`),
    ...updated.map((file) => `  ${green('updated')}  ${oneLine(file)}`),
    ...kept.map((file) => dim(`  kept     ${oneLine(file)}`)),
    '',
    ...nextCommands(['forge orchestrate run --dry-run', 'forge orchestrate run'], look),
  ].join('\n');
}

export function renderUninit({ project, removed, updated, kept }: UninitData, dryRun: boolean, look: Look): string {
  const { bold, green, yellow } = look.palette;
  const nothing = removed.length === 0 && updated.length === 0;
  return [
    bold(oneLine(project)),
    ...removed.map((path) => `  ${green(dryRun ? 'would go' : 'removed ')}  ${oneLine(path)}`),
    ...updated.map((path) => `  ${green(dryRun ? 'would change' : 'updated ')}  ${oneLine(path)}`),
    ...kept.flatMap(({ path, reason }) => [
      `  ${yellow('kept')}      ${oneLine(path)}`,
      ...hang(' '.repeat(12), reason, look.width),
    ]),
    ...(nothing ? ['Nothing to undo.'] : []),
    ...(dryRun ? ['Nothing was changed.'] : []),
  ].join('\n');
}
