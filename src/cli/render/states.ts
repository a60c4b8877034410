/** Task states as a person sees them: a sign that needs no colour, a colour that adds to it, and counts in a sensible order. */

import type { TaskState } from '../../domain/task/records.ts';
import type { Look, Palette } from '../look.ts';

/** `done` and `dropped` are the plan's word; `unreadable`: the record can't be read. */
export type ShownState = TaskState | 'done' | 'dropped' | 'unreadable';

interface Sign {
  sign: string;
  colour: keyof Palette;
}

/** In the order in which counts are shown. */
const SIGNS: Record<ShownState, Sign> = {
  failed: { sign: '✗', colour: 'red' },
  unreadable: { sign: '!', colour: 'red' },
  blocked_on_question: { sign: '?', colour: 'yellow' },
  running: { sign: '●', colour: 'cyan' },
  dispatched: { sign: '●', colour: 'cyan' },
  claimed: { sign: '●', colour: 'cyan' },
  awaiting_respawn: { sign: '↻', colour: 'yellow' },
  abandoned: { sign: '↻', colour: 'yellow' },
  ready_for_review: { sign: '◆', colour: 'yellow' },
  reviewed: { sign: '◆', colour: 'green' },
  merge_pending: { sign: '◆', colour: 'green' },
  unclaimed: { sign: '·', colour: 'dim' },
  shipped: { sign: '✓', colour: 'green' },
  done: { sign: '✓', colour: 'green' },
  dropped: { sign: '-', colour: 'dim' },
  cancelled: { sign: '-', colour: 'dim' },
};

function signOf(state: string): Sign {
  return Object.hasOwn(SIGNS, state) ? SIGNS[state as ShownState] : { sign: ' ', colour: 'dim' };
}

export function signFor(state: string, { palette }: Look): string {
  const { sign, colour } = signOf(state);
  return palette[colour](sign);
}

/** `text` in the colour of a state. */
export function inColourOf(state: string, text: string, { palette }: Look): string {
  return palette[signOf(state).colour](text);
}

/** `1 failed, 2 running, 3 shipped`; empty for no tasks at all. */
export function countsText(counts: Readonly<Record<string, number>>, look: Look): string {
  const order = Object.keys(SIGNS);
  const rank = (state: string) => (order.indexOf(state) + order.length) % order.length;
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([state, count]) => inColourOf(state, `${count} ${state}`, look))
    .join(', ');
}
