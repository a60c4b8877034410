/** `run start`, `run end` and `run list`. */

import type { RunEndData } from '../../commands/run-end.ts';
import type { RunStartData } from '../../commands/run-start.ts';
import type { RunRow } from '../../commands/shared/runs.ts';
import { oneLine } from '../../lib/text.ts';
import { cut, pad } from '../layout.ts';
import type { Look } from '../look.ts';
import { nextCommands } from './next.ts';
import { ago } from './status.ts';

export function renderRunStart({ run_id, name }: RunStartData, look: Look): string {
  const called = name === null ? '' : ` (${oneLine(name)})`;
  return [
    `Run ${run_id}${called} is open.`,
    '',
    ...nextCommands([`forge orchestrate claim --next --run ${run_id}`], look),
  ].join('\n');
}

export function renderRunEnd({ run_id }: RunEndData): string {
  return `Run ${run_id} is over.`;
}

const COLOURS = { open: 'green', ended: 'dim', dead: 'yellow' } as const;

export function renderRuns({ runs }: { runs: readonly RunRow[] }, look: Look): string {
  if (runs.length === 0) return 'No runs yet.';
  return runs
    .map(({ run_id, name, standing, started_at }) => {
      const colour = look.palette[COLOURS[standing]];
      const when = pad(ago(started_at, look), 12);
      return `${colour(standing.padEnd(5))}  ${run_id}  ${when}  ${cut(name ?? '', Math.max(12, look.width - 59))}`.trimEnd();
    })
    .join('\n');
}
