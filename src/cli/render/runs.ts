/** `run start`, `run end` and `run list`. */

import { oneLine } from '../../lib/text.ts';
import { cut, pad } from '../layout.ts';
import type { Renderers } from '../view.ts';
import { ago, nextCommands } from './parts.ts';

const COLOURS = { open: 'green', ended: 'dim', dead: 'yellow' } as const;

export const RUNS = {
  'run start'({ run_id, name }, context) {
    const called = name === null ? '' : ` (${oneLine(name)})`;
    const next = nextCommands([`forge orchestrate claim --next --run ${run_id}`], context);
    return [`Run ${run_id}${called} is open.`, '', ...next].join('\n');
  },

  'run end': ({ run_id }) => `Run ${run_id} is over.`,

  'run list'({ runs }, context) {
    if (runs.length === 0) return 'No runs yet.';
    const lines = runs.map(({ run_id, name, standing, started_at }) => {
      const colour = context.palette[COLOURS[standing]];
      const called = cut(name ?? '', Math.max(12, context.width - 59));
      return `${colour(standing.padEnd(5))}  ${run_id}  ${pad(ago(started_at, context), 12)}  ${called}`.trimEnd();
    });
    return lines.join('\n');
  },
} satisfies Partial<Renderers>;
