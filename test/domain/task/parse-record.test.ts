import { describe, expect, test } from 'vitest';
import type * as z from 'zod/mini';
import { AnswerSchema, LedgerSchema, QuestionSchema } from '../../../src/domain/question/questions.ts';
import {
  AttemptManifestSchema,
  LeaseSchema,
  parseRecord,
  RunManifestSchema,
  TaskRecordSchema,
  TaskStateSchema,
  VerdictSchema,
} from '../../../src/domain/task/records.ts';

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

/** Records as forge writes them. */
const RECORDS: [name: string, schemaOf: () => z.ZodMiniType, value: object][] = [
  ['a task', TaskRecordSchema, { state, lease, worker, memo }],
  ['a state', TaskStateSchema, state],
  ['a lease', LeaseSchema, lease],
  ['a verdict', VerdictSchema, { version: 1, verdict: 'blocked', summary: '', tests: { ran: true, passed: 1 } }],
  ['an answer', AnswerSchema, { version: 1, question_id: 'q', answered_at: AT, answered_by: 'me', option_id: null }],
  ['a ledger', LedgerSchema, { open: null, settled: [], asked: [{ decision_key: 'k', count: 1 }] }],
  ['a run', RunManifestSchema, { version: 1, run_id: 'r', started_at: AT, name: null, host: 'h', owner }],
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
  ],
];

test.each(RECORDS)('%s as forge writes it is read unchanged', (_name, schemaOf, value) => {
  expect(parseRecord(schemaOf, value)).toEqual({ ok: true, value });
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
    expect(parseRecord(schemaOf, value)).toMatchObject({ ok: true, value: { ...value, ...filled } });
  });

  test('defaults that are lists are separate for each record', () => {
    const { absorbed: _, ...rest } = memo;
    const read = () => parseRecord(TaskRecordSchema, { state, lease, worker, memo: rest });
    const [one, other] = [read(), read()];
    if (one.ok) one.value.memo.absorbed.push('00000000');
    expect(other).toMatchObject({ ok: true, value: { memo: { absorbed: [] } } });
  });
});
