/** A finding of a review, or of forge for a review: its shape and its text. */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { oneLine } from '../../lib/text.ts';

/** `block`: must be fixed before the task can go on. `improvement`: only reported. */
export const SEVERITIES = ['block', 'improvement'] as const;

export const ReviewFindingSchema = once(() =>
  z.looseObject({
    severity: z.enum(SEVERITIES),
    /** Relative to the top of the repository; null: about no single file. */
    path: z._default(z.nullable(z.string()), null),
    /** From 1; null: the whole file. */
    line: z._default(z.nullable(z.int().check(z.gte(1))), null),
    message: z.string(),
  }),
);
export type ReviewFinding = z.infer<ReturnType<typeof ReviewFindingSchema>>;

/** `src/a.ts:12: message`, on one line. */
export function findingText({ path, line, message }: ReviewFinding): string {
  const where = path === null ? '' : `${oneLine(path, 200)}${line === null ? '' : `:${line}`}: `;
  return `${where}${oneLine(message, 300)}`;
}
