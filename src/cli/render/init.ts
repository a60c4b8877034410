/** `init`: what was written, and what comes next. */

import { oneLine } from '../../core/text.ts';
import type { InitData } from '../../verbs/init.ts';
import type { Look } from '../look.ts';
import { nextCommands } from './next.ts';

export function renderInit({ project, created, kept }: InitData, look: Look): string {
  const { bold, green, dim } = look.palette;
  return [
    bold(oneLine(project)),
    ...created.map((file) => `  ${green('created')}  ${oneLine(file)}`),
    ...kept.map((file) => dim(`  kept     ${oneLine(file)}`)),
    '',
    ...nextCommands(['forge orchestrate run --dry-run', 'forge orchestrate run'], look),
  ].join('\n');
}
