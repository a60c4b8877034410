/** What a worker hands in: how its verdict is read, that there is one, and the result of its verification. */

import { type Outcome, outcomeKey } from '../../domain/task/complete-attempt.ts';
import { parseRecord, type TaskRecord, type Verdict, VerdictSchema } from '../../domain/task/records.ts';
import { evidenceOf } from '../../domain/verify/evidence.ts';
import { pendingVerification, type Verified, VerifiedSchema } from '../../domain/verify/verification.ts';
import { sha256 } from '../../lib/digest.ts';
import { ForgeError, orNull } from '../../lib/errors.ts';
import { parseJson } from '../../lib/json.ts';
import type { ChangeEnv } from '../../store/change.ts';
import type { StandingDocument } from '../../store/port.ts';

/** What a clean exit means. */
export const CLEAN_EXIT: Outcome = {
  kind: 'verdict',
  verdict: { version: 1, verdict: 'ready_for_review', summary: '' },
  written: false,
};

/** Reads JSON that a worker or a reviewer hands in as a `what`. Throws SCHEMA_INVALID, naming `where`. */
export function parseHandedIn<T>(
  schema: Parameters<typeof parseRecord<T>>[0],
  text: string,
  where: string,
  { what, hint }: { what: string; hint: string },
): T {
  const parsed = parseRecord(schema, parseJson(text));
  if (parsed.ok) return parsed.value;
  throw new ForgeError('SCHEMA_INVALID', `${where} is not a ${what}: ${parsed.why}`, { hint });
}

/** Reads a worker's verdict. Throws SCHEMA_INVALID, naming `where`. */
export function parseVerdict(text: string, where: string): Verdict {
  return parseHandedIn(VerdictSchema, text, where, {
    what: 'verdict',
    hint: 'A verdict is JSON like {"verdict": "ready_for_review", "summary": "..."}; others are changes_needed and blocked.',
  });
}

/** Hexadecimal SHA-256 of a twin; the same of one that was read from its file. */
export function twinDigest(twin: Verified): string {
  return sha256(JSON.stringify(VerifiedSchema().parse(twin)));
}

/** The twin of an attempt's verdict for people to see; null when there is none, or none that forge has written. */
export async function twinOf(
  { store }: Pick<ChangeEnv, 'store'>,
  record: TaskRecord,
  attemptId: string,
): Promise<Verified | null> {
  const twin = await orNull(() => store.readDocument('verified', record.state.task_id, attemptId));
  const evidence = evidenceOf(record, attemptId);
  return twin === null || evidence === null || evidence.verified?.digest === twinDigest(twin) ? twin : null;
}

/** Throws STALE_ATTEMPT when the verdict that was to be handed in found another one there. */
export function refuseOtherVerdict(standing: StandingDocument | null, taskId: string): void {
  if (standing?.kind !== 'verdict') return;
  const { attemptId } = standing;
  throw new ForgeError('STALE_ATTEMPT', `attempt ${attemptId} of task ${taskId} has handed in another verdict before`);
}

/** What the attempt handed in that the record says is being verified; null when there is no such thing. */
export async function handedIn(
  env: Pick<ChangeEnv, 'store'>,
  record: TaskRecord,
  attemptId: string,
): Promise<{ outcome: Outcome; unreadable: boolean } | null> {
  const pending = pendingVerification(record);
  if (pending?.attempt_id !== attemptId) return null;
  if (!pending.written) return { outcome: CLEAN_EXIT, unreadable: false };
  const verdict = await orNull(() => env.store.readDocument('verdict', record.state.task_id, attemptId));
  if (verdict !== null) {
    const outcome: Outcome = { kind: 'verdict', verdict, written: true };
    if (outcomeKey(outcome) === pending.outcome) return { outcome, unreadable: false };
  }
  const message = 'the verdict that it had handed in was gone or changed before it was verified';
  return { outcome: { kind: 'failed', error: { class: 'verdict.invalid', message } }, unreadable: true };
}
