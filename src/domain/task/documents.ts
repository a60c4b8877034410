/** The documents of an attempt. Each is created once, with the commit that refers to it. */

/** `verified`: what verifying the verdict came to. A question and its answer carry the `question_id` that they are found by. */
export type DocumentKind = 'manifest' | 'question' | 'answer' | 'verdict' | 'verified' | 'review' | 'ship';

/** A document that a decision creates. */
export interface NewDocument {
  kind: DocumentKind;
  attemptId: string;
  value: object;
}
