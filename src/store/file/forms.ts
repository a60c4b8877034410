/** The documents of an attempt as files: their names, their schemas, and the manifest, which the record holds. */

import { AgentSessionSchema } from '../../domain/agents/session.ts';
import { ChildResultSchema, FanOutSchema } from '../../domain/fan-out/fan-outs.ts';
import { AnswerSchema, QuestionSchema } from '../../domain/question/questions.ts';
import { ReviewedSchema, ShippedSchema } from '../../domain/review/reviews.ts';
import { ChunkSchema, sealedChunk } from '../../domain/steps/journal.ts';
import {
  type AttemptManifest,
  AttemptManifestSchema,
  parseRecord,
  RECORD_MAX_BYTES,
  type TaskRecord,
  VerdictSchema,
} from '../../domain/task/records.ts';
import { VerifiedSchema } from '../../domain/verify/verification.ts';
import { ForgeError, orNull } from '../../lib/errors.ts';
import { ifThere } from '../../lib/fs/io-errors.ts';
import { readCapped } from '../../lib/fs/read.ts';
import { parseJson } from '../../lib/json.ts';
import type { DocumentKind, Documents } from '../port.ts';

type Schema<T> = Parameters<typeof parseRecord<T>>[0];

/** `sealed`: reads one that is as forge wrote it; null for any other text. */
interface Form<T> {
  file: string;
  schema: Schema<T>;
  sealed?: (text: string) => T | null;
}

export const FORMS: { [K in DocumentKind]: Form<Documents[K]> } = {
  manifest: { file: 'manifest.json', schema: AttemptManifestSchema },
  question: { file: 'questions', schema: QuestionSchema },
  answer: { file: 'answers', schema: AnswerSchema },
  verdict: { file: 'verdict.json', schema: VerdictSchema },
  verified: { file: 'verdict.verified.json', schema: VerifiedSchema },
  review: { file: 'review.json', schema: ReviewedSchema },
  ship: { file: 'ship.json', schema: ShippedSchema },
  session: { file: 'session.json', schema: AgentSessionSchema },
  steps: { file: 'steps', schema: ChunkSchema, sealed: sealedChunk },
  'fan-out': { file: 'fan-outs', schema: FanOutSchema },
  result: { file: 'result.json', schema: ChildResultSchema },
};

/** Kinds that may be large, and the largest that is read, bytes. */
export const LARGE: readonly DocumentKind[] = ['steps', 'fan-out', 'result'];
export const LARGE_MAX_BYTES = 256 * 1024 * 1024;

/** Kinds of which an attempt may have several, each with an id of its own. */
export const MANY: readonly DocumentKind[] = ['question', 'answer', 'steps', 'fan-out'];

/** What stays although its commit has lost: others may have acted on it and it counts, or the record before still holds it. */
export const SHARED: readonly DocumentKind[] = ['answer', 'verdict', 'manifest'];

/** That of the attempt that began last; null where the record has none, as that of an earlier version. */
export function manifestIn(record: TaskRecord | null): AttemptManifest | null {
  const manifest = record?.memo.manifest;
  if (manifest === undefined) return null;
  const parsed = parseRecord(AttemptManifestSchema, manifest);
  return parsed.ok ? parsed.value : null;
}

export function withManifest(record: TaskRecord, manifest: object): TaskRecord {
  return { ...record, memo: { ...record.memo, manifest } };
}

/** By which a document of several is found. */
export function idOf(value: object): string | undefined {
  const ids = value as { question_id?: string; chunk_id?: string; fan_out_id?: string };
  return ids.question_id ?? ids.chunk_id ?? ids.fan_out_id;
}

export function asText(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Null when there is no file. Throws SCHEMA_INVALID, IO_ERROR. */
export function readValid<T>(
  file: string,
  { schema, sealed }: Pick<Form<T>, 'schema' | 'sealed'>,
  max = RECORD_MAX_BYTES,
): T | null {
  const text = ifThere(`reading ${file}`, () => readCapped(file, max));
  if (text === null) return null;
  const own = sealed?.(text);
  if (own) return own;
  const parsed = parseRecord(schema, parseJson(text));
  if (parsed.ok) return parsed.value;
  throw new ForgeError('SCHEMA_INVALID', `${file}: ${parsed.why}`);
}

/** What `read` gives for each of `ids`, without those that can't be read. */
export async function readable<T>(ids: readonly string[], read: (id: string) => Promise<T | null>): Promise<T[]> {
  const found = await Promise.all(ids.map((id) => orNull(() => read(id))));
  return found.filter((each) => each !== null);
}
