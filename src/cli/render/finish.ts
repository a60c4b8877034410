/** What came of a review, or of a merge. */

import type { ReviewData } from '../../commands/review.ts';
import type { ShipData } from '../../commands/ship.ts';
import { findingText } from '../../domain/review/findings.ts';
import { oneLine } from '../../lib/text.ts';
import { hang } from '../layout.ts';
import type { Look } from '../look.ts';
import { nextCommands } from './next.ts';
import { inColourOf } from './states.ts';

export function renderReview({ task_id, state, findings }: ReviewData, look: Look): string {
  const lines = findings.flatMap((finding) => hang(`  ${finding.severity}  `, findingText(finding), look.width));
  const next = state === 'reviewed' ? ['', ...nextCommands([`forge orchestrate ship ${task_id}`], look)] : [];
  return [`${look.palette.bold(task_id)} passed: it is ${inColourOf(state, state, look)}.`, ...lines, ...next].join(
    '\n',
  );
}

export function renderShip({ task_id, state, base, merge_sha }: ShipData, look: Look): string {
  const how =
    base === null
      ? ''
      : merge_sha === null
        ? `; ${oneLine(base)} has its work already`
        : `: merged into ${oneLine(base)} by ${merge_sha.slice(0, 12)}`;
  return `${look.palette.bold(task_id)} is ${inColourOf(state, state, look)}${how}.`;
}
