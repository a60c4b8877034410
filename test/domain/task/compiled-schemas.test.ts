import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { AnswerSchema, LedgerSchema, QuestionSchema } from '../../../src/domain/question/records.ts';
import { reader, shapeOf, UNREAD } from '../../../src/domain/task/compiled-schemas.ts';
import { parseRecord } from '../../../src/domain/task/parse-record.ts';
import {
  AttemptManifestSchema,
  LeaseSchema,
  RunManifestSchema,
  TaskRecordSchema,
  TaskStateSchema,
  VerdictSchema,
} from '../../../src/domain/task/records.ts';
import { isTime } from '../../../src/lib/time.ts';
import fc from '../../support/properties.ts';

const AT = '2030-01-01T00:00:00.000Z';
const owner = { host: 'h', boot_id: 'b', pid_ns: 'pid:[1]', pid: 7, started_at: 'ticks:1' };
const worker = { ...owner, pgid: 7, claim_id: 'c', attempt_id: 'a' };

const state = {
  version: 1,
  task_id: 'build',
  state: 'running',
  state_version: 3,
  attempt_count: 1,
  current_attempt_id: 'a',
  failure_count: 0,
  retry_counts: { 'exit.1': 2 },
  failure_reason: null,
  last_error: { class: 'exit.1', message: 'm', exit_code: 1, signal: null },
  last_failed_at: AT,
  next_eligible_at: null,
  updated_at: AT,
  updated_by: { run_id: 'r', claim_id: 'c', generation: 1 },
};

const lease = {
  version: 1,
  claim_id: 'c',
  task_id: 'build',
  attempt_id: 'a',
  owner_run_id: 'r',
  generation: 1,
  acquired_at: AT,
  expires_at: AT,
  last_heartbeat_at: null,
  owner,
  clock: { boot_id: 'b', mono_ms: 1.5, expires_at: AT },
  ttl_ms: 60_000,
  spec_revision: 'x',
  state_version: 3,
};

const memo = {
  generation: 1,
  abandons: 0,
  ended_claim: { claim_id: 'c', how: 'completed', state: 'shipped' },
  completion: { attempt_id: 'a', outcome: 'o', state: 'shipped', next_eligible_at: null, failure_reason: null },
  absorbed: ['00000000'],
  failures: [1],
};

/** Records as forge writes them, and whether the quick test is made for all that their schema has. */
const RECORDS: [name: string, schemaOf: () => z.ZodMiniType, value: object, quick: boolean][] = [
  ['a task', TaskRecordSchema, { state, lease, worker, memo }, true],
  ['a state', TaskStateSchema, state, true],
  ['a lease', LeaseSchema, lease, true],
  ['a verdict', VerdictSchema, { version: 1, verdict: 'blocked', summary: '', tests: { ran: true, passed: 1 } }, true],
  [
    'an answer',
    AnswerSchema,
    { version: 1, question_id: 'q', answered_at: AT, answered_by: 'me', option_id: null },
    true,
  ],
  ['a ledger', LedgerSchema, { open: null, settled: [], asked: [{ decision_key: 'k', count: 1 }] }, true],
  ['a run', RunManifestSchema, { version: 1, run_id: 'r', started_at: AT, name: null, host: 'h', owner }, true],
  [
    'an attempt',
    AttemptManifestSchema,
    {
      version: 1,
      attempt_id: 'a',
      task_id: 'build',
      run_id: 'r',
      claim_id: 'c',
      generation: 1,
      phase: 'implement',
      worktree_path: null,
      dispatched_at: AT,
      worker,
    },
    true,
  ],
  [
    'a question',
    QuestionSchema,
    {
      version: 1,
      question_id: 'q',
      run_id: 'r',
      task_id: 'build',
      decision_key: 'k',
      attempt: 1,
      max_attempts: 3,
      created_at: AT,
      expires_at: AT,
      status: 'open',
      question: 'Which?',
      options: [
        { id: 'a', label: 'A' },
        { id: 'b', label: 'B' },
      ],
    },
    false,
  ],
];

/** Something else in place of a part: what JSON can say, the odd values first. */
const other = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    0.5,
    2 ** 53,
    Number.POSITIVE_INFINITY,
    '',
    'running',
    AT,
    'no time',
    [],
    {},
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

type Json = Record<string, unknown>;

/** A reader, made of what the schema says as the build writes it down. */
const readerOf = (schema: z.ZodMiniType) => reader(JSON.parse(JSON.stringify(shapeOf(schema))));

/** Every part of a value that something can be done to, as the object it is in and its key. */
function partsOf(value: unknown): [Json, string][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).flatMap(
    (key) => [[value as Json, key], ...partsOf((value as Json)[key])] as [Json, string][],
  );
}

const change = fc.record({
  at: fc.nat(),
  to: other,
  how: fc.constantFrom('set', 'set', 'delete', 'add'),
  key: fc.constantFrom('extra', 'constructor', '__proto__'),
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function changed(value: object, changes: readonly Change[]): unknown {
  const copy = structuredClone(value);
  for (const { at, to: drawn, how, key } of changes) {
    const to = structuredClone(drawn);
    const parts = partsOf(copy);
    const [parent, name] = parts[at % parts.length] ?? [copy as Json, 'version'];
    if (how === 'set') parent[name] = to;
    else if (Array.isArray(parent)) parent.pop();
    else if (how === 'delete') delete parent[name];
    // As JSON does it, for which `__proto__` is a key like any other.
    else Object.defineProperty(parent, key, { ...PLAIN, value: to });
  }
  return copy;
}

const PLAIN = { enumerable: true, configurable: true, writable: true };

describe.each(RECORDS)('compiled reader of %s', (_name, schemaOf, value, quick) => {
  test('the compiled reader returns a record as forge writes it unchanged', () => {
    expect(readerOf(schemaOf())(value)).toBe(quick ? value : UNREAD);
    expect(parseRecord(schemaOf, value)).toEqual({ ok: true, value });
  });

  test('the compiled reader gives the same result as parsing, and does not change its input', () => {
    const read = readerOf(schemaOf());
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const given = changed(value, changes);
        const before = JSON.stringify(given);
        const got = read(given);
        expect(JSON.stringify(given)).toBe(before);
        if (got === UNREAD) return;
        const parsed = schemaOf().safeParse(given);
        expect(parsed.success && parsed.data).toStrictEqual(got);
        if (got !== given) expect(JSON.stringify(parsed.data)).toBe(JSON.stringify(got));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('records written by hand', () => {
  test.each<[string, () => z.ZodMiniType, object, object]>([
    ['a state', TaskStateSchema, { version: 1, note: 'mine', state: 'failed', task_id: 'build' }, { attempt_count: 0 }],
    [
      'a lease',
      LeaseSchema,
      {
        ...{ version: 1, claim_id: 'c', task_id: 'build', owner_run_id: 'r', generation: 1 },
        ...{ acquired_at: AT, expires_at: AT },
      },
      { attempt_id: null, last_heartbeat_at: null, state_version: 0 },
    ],
    ['a verdict', VerdictSchema, { summary: 'done', verdict: 'blocked' }, { version: 1 }],
  ])('%s written by hand is read with its defaults filled in', (_name, schemaOf, value, filled) => {
    const got = readerOf(schemaOf())(value);
    expect(got).toMatchObject({ ...value, ...filled });
    expect(JSON.stringify(got)).toBe(JSON.stringify(schemaOf().safeParse(value).data));
  });

  test('defaults that are lists are separate for each record', () => {
    const { absorbed: _, ...rest } = memo;
    const read = readerOf(TaskRecordSchema());
    const [one, other] = [{}, {}].map(() => read({ state, lease, worker, memo: rest })) as [Task, Task];
    one.memo.absorbed.push('00000000');
    expect(other.memo.absorbed).toEqual([]);
  });
});

type Task = { memo: { absorbed: string[] } };

const DEFAULTED = z.looseObject({ a: z._default(z.string(), 'b') });

describe('schemas without a compiled reader', () => {
  test.each<[string, z.ZodMiniType, unknown]>([
    ['of an unsupported kind', z.tuple([z.string()]), ['a']],
    ['of texts by checked keys', z.record(z.string().check(z.refine(isTime)), z.string()), { a: 'b' }],
    ['of a value that JSON cannot express', z.literal([undefined, 'a']), null],
    ['with a default that JSON cannot express', z._default(z.number(), Number.NaN), 1],
    ['with a check of its own', z.string().check(z.refine((text) => text.length < 3)), AT],
    ['of a list with defaults in it', z.array(DEFAULTED), [{}]],
    ['of entries with defaults in them', z.record(z.string(), DEFAULTED), { a: {} }],
    ['with an unsupported check', z.string().check(z.minLength(1)), 'a'],
    ['that drops unknown keys', z.object({ a: z.string() }), { a: 'b' }],
    ['that refuses unknown keys', z.strictObject({ a: z.string() }), { a: 'b' }],
    ['of numbers in another format', z.int32(), 1],
    [
      'that changes what it reads',
      z.pipe(
        z.string(),
        z.transform((text) => `${text}!`),
      ),
      'a',
    ],
  ])('a schema %s is left to the parser', (_name, schema, value) => {
    expect(readerOf(schema)(value)).toBe(UNREAD);
  });
});
