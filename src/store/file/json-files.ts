/** Small JSON files of the tree, which the commit protocol has no part in. */

import { parseRecord } from '../../domain/task/parse-record.ts';
import { RECORD_MAX_BYTES } from '../../domain/task/records.ts';
import { ForgeError } from '../../lib/errors.ts';
import { ifThere } from '../../lib/fs/io-errors.ts';
import { readCapped } from '../../lib/fs/read.ts';
import { parseJson } from '../../lib/json.ts';

export function asText(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

export function readValid<T>(file: string, schema: Parameters<typeof parseRecord<T>>[0]): T | null {
  const text = ifThere(`reading ${file}`, () => readCapped(file, RECORD_MAX_BYTES));
  if (text === null) return null;
  const parsed = parseRecord(schema, parseJson(text) ?? null);
  if (parsed.ok) return parsed.value;
  throw new ForgeError('SCHEMA_INVALID', `${file}: ${parsed.why}`);
}
