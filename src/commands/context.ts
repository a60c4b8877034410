/** `context`: values that a task keeps for its later attempts. */

import * as z from 'zod/mini';
import { requireContext } from '../domain/steps/context.ts';
import { requireName } from '../domain/steps/names.ts';
import { addToJournal, openJournal } from '../engine/steps/task-journal.ts';
import { invalidArgs } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { isMapping, parseJson } from '../lib/json.ts';
import { operand } from './shared/command.ts';
import { openSession } from './shared/session.ts';
import { workerCommand, workerFields } from './shared/steps.ts';

const ACTIONS = ['get', 'set', 'set-once', 'merge', 'list'] as const;

export const context = workerCommand({
  changes: true,
  notes:
    'get KEY prints a value; set KEY JSON keeps it; set-once keeps it unless there is one; merge JSON keeps several; list prints all.\n' +
    'A value is JSON of 16 KiB at most, 256 KiB in all, and is durable when the command returns.',
  usage: '<get|set|set-once|merge|list> [key] [json] --task <id> --attempt <id> [options]',
  examples: [
    ['context set version \'"1.4.0"\'', 'keep a value'],
    ['context get version', 'in a later attempt'],
    ['context merge \'{"region": "eu", "shards": 4}\'', 'several at once, or none'],
  ],
  input: z.object({
    action: operand(z.enum(ACTIONS), 'What to do'),
    key: operand(z.optional(z.string()), 'Name of a value'),
    value: operand(z.optional(z.string()), 'The value, as JSON'),
    ...workerFields(),
  }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      /** Of `get`, `set` and `set-once`; null otherwise. */
      key: z.nullable(z.string()),
      /** Of `get`: null where there is none. */
      value: z.unknown(),
      /** Whether there is a value of that name; of `merge` and `list` always. */
      found: z.boolean(),
      /** Of `merge` and `list`: all values. */
      values: z.nullable(z.record(z.string(), z.unknown())),
    }),
  /** Throws INVALID_ID, INVALID_ARGS, LEASE_STOLEN, STALE_ATTEMPT, STATE_NOT_FOUND, TASK_NOT_FOUND, IO_ERROR. */
  async run(caller, { action, key, value, task, attempt }) {
    const given = valuesIn(action, key, value);
    const session = await openSession(caller);
    const ref = { taskId: task, attemptId: requireUuid(attempt, '--attempt') };
    let { context: values } = (await openJournal(session, ref)).read;
    if (given === null) await session.store.settle(task, session.newOp());
    else {
      ({ context: values } = await addToJournal(session, ref, (now) => {
        const isNew = (name: string, value: unknown) =>
          !(name in now.context) ||
          (action !== 'set-once' && JSON.stringify(now.context[name]) !== JSON.stringify(value));
        const wanted = Object.entries(given).filter(([name, value]) => isNew(name, value));
        const entry = Object.fromEntries(wanted);
        requireContext(now.context, entry);
        return wanted.length === 0 ? [] : [{ context: entry }];
      }));
    }
    const all = action === 'merge' || action === 'list';
    const name = all ? null : (key ?? null);
    const found = name === null || name in values;
    // Not on stdout, which a script takes for the value.
    if (!found) caller.note?.(`there is no value ${name}`);
    return {
      task_id: task,
      key: name,
      value: name === null ? null : (values[name] ?? null),
      found,
      values: all ? { ...values } : null,
    };
  },
});

/** What is to be kept; null for an action that only reads. Throws INVALID_ARGS, INVALID_ID. */
function valuesIn(action: (typeof ACTIONS)[number], key?: string, value?: string): Record<string, unknown> | null {
  if (action === 'list' || action === 'merge') {
    if (value !== undefined || (action === 'list' && key !== undefined))
      throw invalidArgs(`${action} takes ${action === 'list' ? 'nothing more' : 'one JSON object'}`);
    if (action === 'list') return null;
    const values = jsonIn('merge', key);
    if (isMapping(values)) return values;
    throw invalidArgs('merge takes a JSON object', `forge orchestrate context merge '{"region": "eu"}'`);
  }
  if (key === undefined)
    throw invalidArgs(
      `say which value to ${action === 'get' ? 'get' : 'keep'}`,
      `forge orchestrate context ${action} <key>`,
    );
  const name = requireName(key, 'a value of the context');
  if (action !== 'get') return { [name]: jsonIn(`${action} ${name}`, value) };
  if (value !== undefined) throw invalidArgs('get takes one key');
  return null;
}

function jsonIn(what: string, text: string | undefined): unknown {
  const parsed = text === undefined ? undefined : parseJson(text);
  if (parsed !== undefined) return parsed;
  const found = text === undefined ? 'there is none' : `${JSON.stringify(text.slice(0, 60))} is not JSON`;
  throw invalidArgs(`context ${what} takes a value as JSON, and ${found}`, `Text is written with quotes: '"eu"'.`);
}
