/** `event`: note something about an attempt, for whoever reads its log. */

import { workedBy } from '../domain/task/operations.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { parseJson } from '../lib/json.ts';
import { isoTime } from '../lib/time.ts';
import { requireRecord } from './shared/reads.ts';
import { type Call, openSession } from './shared/session.ts';

export interface EventOptions {
  task: string;
  attempt: string;
  /** A short name such as `tests.passed`. */
  type: string;
  /** JSON; null when there is none. */
  data?: string | undefined;
}

export interface EventData {
  task_id: string;
  attempt_id: string;
  type: string;
  ts: string;
}

const TYPE_PATTERN = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;
const DATA_MAX_CHARS = 16_384;

/** Appends to the attempt's `events.jsonl`. Throws INVALID_ARGS, LEASE_STOLEN, STALE_ATTEMPT, STATE_NOT_FOUND, TASK_NOT_FOUND. */
export async function event(call: Call, options: EventOptions): Promise<EventData> {
  const session = openSession(call);
  const attempt_id = requireUuid(options.attempt, '--attempt');
  if (!TYPE_PATTERN.test(options.type)) {
    throw new ForgeError(
      'INVALID_ARGS',
      `--type ${JSON.stringify(options.type)}: a type is a letter, then at most 63 letters, digits, dots, dashes or underscores`,
    );
  }
  const data = readData(options.data);
  const { record } = await requireRecord(session, options.task);
  workedBy(record, attempt_id);
  const ts = isoTime(session.now());
  await session.eventLog.append(
    { log: 'events', taskId: options.task, attemptId: attempt_id },
    { ts, type: options.type, data },
  );
  return { task_id: options.task, attempt_id, type: options.type, ts };
}

function readData(text: string | undefined): unknown {
  if (text === undefined) return null;
  if (text.length > DATA_MAX_CHARS)
    throw new ForgeError('INVALID_ARGS', `--data has ${text.length} characters; at most ${DATA_MAX_CHARS} are kept`);
  const value = parseJson(text);
  if (value === undefined)
    throw new ForgeError('INVALID_ARGS', '--data is not JSON', { hint: `For example: --data '{"passed": 12}'` });
  return value;
}
