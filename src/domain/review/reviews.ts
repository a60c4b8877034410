/**
 * The results of reviews and merges: the files that they leave in their attempts, and the errors with which a task is sent back.
 * Pure.
 */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { firstOf, oneLine } from '../../lib/text.ts';
import type { ClassifiedError } from '../retry/classify.ts';
import { SETUP_FAILED } from '../retry/schema.ts';
import { CheckResultSchema } from '../verify/verification.ts';
import { findingText, ReviewFindingSchema } from './findings.ts';

export const REVIEW_VERDICTS = ['pass', 'changes_requested'] as const;

const FINDINGS_MAX = 200;

const text = z.string();
const textOrNull = z._default(z.nullable(text), null);
const findings = once(() => z._default(z.array(ReviewFindingSchema()).check(z.maxLength(FINDINGS_MAX)), () => []));
const error = once(() => z._default(z.nullable(z.looseObject({ class: text, message: text })), null));

/** The file that a reviewer writes, named by `FORGE_REVIEW_FILE`. */
export const ReviewSchema = once(() =>
  z.looseObject({
    verdict: z.enum(REVIEW_VERDICTS),
    summary: z._default(text, ''),
    findings: findings(),
  }),
);
export type Review = z.infer<ReturnType<typeof ReviewSchema>>;

/** `attempts/<attempt>/review.json`, of an attempt of phase `review`. */
export const ReviewedSchema = once(() =>
  z.looseObject({
    version: z.literal(1),
    attempt_id: text,
    /** The attempt whose work was reviewed; null in a tree that does not say. */
    reviewed_attempt_id: textOrNull,
    /** Null: there is none, `error` says why. */
    verdict: z.nullable(z.enum(REVIEW_VERDICTS)),
    summary: z._default(text, ''),
    findings: findings(),
    /** The range: commits, null where there is no repository. */
    head: textOrNull,
    base: textOrNull,
    error: error(),
    reviewed_at: text,
  }),
);
export type Reviewed = z.infer<ReturnType<typeof ReviewedSchema>>;

/** `attempts/<attempt>/ship.json`, of an attempt of phase `ship`. */
export const ShippedSchema = once(() =>
  z.looseObject({
    version: z.literal(1),
    attempt_id: text,
    /** Whether the base has the work now. */
    merged: z.boolean(),
    /** The branch that it was merged into; null: HEAD of the main checkout was detached. */
    base: textOrNull,
    /** The commit of the base, the merged commit, and the result; null where it did not get that far. */
    base_sha: textOrNull,
    head: textOrNull,
    merge_sha: textOrNull,
    commands: z._default(z.array(CheckResultSchema()), () => []),
    conflicts: z._default(z.array(text), () => []),
    error: error(),
    shipped_at: text,
  }),
);
export type Shipped = z.infer<ReturnType<typeof ShippedSchema>>;

/** Whether the task needs another attempt. A blocking finding overrides a verdict of `pass`. */
export function asksForChanges({ verdict, findings }: Pick<Review, 'verdict' | 'findings'>): boolean {
  return verdict === 'changes_requested' || findings.some(({ severity }) => severity === 'block');
}

/** Findings in an error message; all are in the review's file and in the next attempt's prompt. */
const FINDINGS_SHOWN = 3;

export function changesError(review: Review): ClassifiedError {
  const blocking = review.findings.filter(({ severity }) => severity === 'block');
  const shown = (blocking.length > 0 ? blocking : review.findings)
    .slice(0, FINDINGS_SHOWN)
    .map((each) => findingText(each));
  const more = review.findings.length - shown.length;
  const parts = [
    ...(review.summary === '' ? [] : [review.summary]),
    ...shown,
    ...(more > 0 ? [`and ${more} more`] : []),
  ];
  const what = parts.length === 0 ? 'the review asks for changes, and does not say which' : parts.join('; ');
  return { class: 'review.changes', message: oneLine(what, 500) };
}

/** The failure of a task whose branch is not at the verified commit. `how`: what was about to be done with it. */
export function movedError(
  how: 'review' | 'ship',
  { branch, expected, found }: { branch: string; expected: string; found: string | null },
): ClassifiedError {
  const now = found === null ? 'is gone' : `is at ${found}`;
  return {
    class: `${how}.moved`,
    message: `${branch} ${now}, and what was verified is ${expected}; it has to be verified again`,
  };
}

export function conflictError(branch: string, base: string, files: readonly string[]): ClassifiedError {
  const message = `${branch} conflicts with ${base} in ${firstOf(files)}; merge ${base} into ${branch}, resolve that, and commit`;
  return { class: 'ship.conflict', message: oneLine(message, 500) };
}

/** The failure of a task whose merge with the base fails verification, or its setup, by `failed`. */
export function mergeVerifyError(base: string, failed: ClassifiedError): ClassifiedError {
  const name = failed.class === SETUP_FAILED ? SETUP_FAILED : 'ship.verify';
  return { ...failed, class: name, message: oneLine(`merged with ${base}, ${failed.message}`, 500) };
}
