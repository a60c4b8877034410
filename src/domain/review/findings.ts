/** A finding of a review, or of forge for a review: its shape and its text. */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { oneLine } from '../../lib/text.ts';

/** `block`: must be fixed before the task can go on. `improvement`: only reported. */
const SEVERITIES = ['block', 'improvement'] as const;

export const ReviewFindingSchema = once(() =>
  z.looseObject({
    severity: z.enum(SEVERITIES),
    /** Relative to the top of the repository; null: about no single file. */
    path: z._default(z.nullable(z.string()), null),
    /** From 1; null: the whole file. */
    line: z._default(z.nullable(z.int().check(z.gte(1))), null),
    message: z.string(),
    /** What kind of fault it is, in the reviewer's words; and what would be right. */
    category: z.optional(z.nullable(z.string())),
    suggestion: z.optional(z.nullable(z.string())),
  }),
);
export type ReviewFinding = z.infer<ReturnType<typeof ReviewFindingSchema>>;

/** `src/a.ts:12: category: message (suggestion)`, on one line. `max`: of the message and of the suggestion, characters. */
export function findingText({ path, line, message, category, suggestion }: ReviewFinding, max = 300): string {
  const where = path === null ? '' : `${oneLine(path, 200)}${line === null ? '' : `:${line}`}: `;
  const kind = category ? `${oneLine(category, 60)}: ` : '';
  return `${where}${kind}${oneLine(message, max)}${suggestion ? ` (${oneLine(suggestion, max)})` : ''}`;
}
