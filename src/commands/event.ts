/** `event`: adds an entry to the log of an attempt. */

import * as z from 'zod/mini';
import { maskedIn } from '../domain/secrets.ts';
import { workedBy } from '../domain/task/transition.ts';
import { secretsOf } from '../engine/env.ts';
import { invalidArgs } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { parseJson } from '../lib/json.ts';
import { isoTime } from '../lib/time.ts';
import { attemptField, command, option, optional, SAMPLE, taskField } from './shared/command.ts';
import { requireRecord } from './shared/reads.ts';
import { openSession } from './shared/session.ts';

export const event = command({
  changes: true,
  examples: [
    ['event --type tests.passed', 'the task and attempt in FORGE_*'],
    [`event build --attempt ${SAMPLE.attempt} --type tests.passed --data '{"count": 12}'`, 'with data'],
  ],
  input: z.object({
    task: taskField(),
    attempt: attemptField(),
    type: option(z.string(), 'name', 'What kind of event, such as tests.passed'),
    data: optional.text('json', 'Anything more about it'),
  }),
  output: () => z.strictObject({ task_id: z.string(), attempt_id: z.string(), type: z.string(), ts: z.string() }),
  /** Appends to the attempt's `events.jsonl`. Throws INVALID_ARGS, LEASE_STOLEN, STALE_ATTEMPT, STATE_NOT_FOUND, TASK_NOT_FOUND. */
  async run(context, options) {
    const session = await openSession(context);
    const attempt_id = requireUuid(options.attempt, '--attempt');
    if (!TYPE_PATTERN.test(options.type)) {
      throw invalidArgs(
        `--type ${JSON.stringify(options.type)}: a type is a letter, then at most 63 letters, digits, dots, dashes or underscores`,
      );
    }
    const data = maskedIn(readData(options.data), secretsOf(session));
    const { record } = await requireRecord(session, options.task);
    workedBy(record, attempt_id);
    const ts = isoTime(session.now());
    await session.eventLog.append(
      { log: 'events', taskId: options.task, attemptId: attempt_id },
      { ts, type: options.type, data },
    );
    return { task_id: options.task, attempt_id, type: options.type, ts };
  },
});

const TYPE_PATTERN = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;
const DATA_MAX_CHARS = 16_384;

function readData(text: string | undefined): unknown {
  if (text === undefined) return null;
  if (text.length > DATA_MAX_CHARS)
    throw invalidArgs(`--data has ${text.length} characters; at most ${DATA_MAX_CHARS} are kept`);
  const value = parseJson(text);
  if (value === undefined) throw invalidArgs('--data is not JSON', `For example: --data '{"passed": 12}'`);
  return value;
}
