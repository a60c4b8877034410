import { describe, expect, test } from 'vitest';
import { failuresOf, withFailure } from '../../../src/domain/task/attempts.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { ATTEMPT, complete, failure, GOOD, next, OTHER_ATTEMPT } from '../../support/domain/requests.ts';
import { record } from '../../support/domain/tasks.ts';

const AT = '2030-01-01T00:00:00.000Z';

function failedTimes(count: number): TaskRecord {
  let failed = record('running');
  for (let number = 1; number <= count; number++) {
    const state = { ...failed.state, attempt_count: number };
    const memo = withFailure(
      { ...failed, state },
      OTHER_ATTEMPT,
      { class: 'exit.1', message: `try ${number}` },
      { at: AT },
    );
    failed = { ...failed, state, memo: { ...failed.memo, ...memo } };
  }
  return failed;
}

describe('failures of earlier attempts', () => {
  test('a fresh task has no failures', () => {
    expect(failuresOf(record('running'))).toEqual([]);
  });

  test('the last five failures are kept, oldest first', () => {
    expect(failuresOf(failedTimes(7)).map(({ message }) => message)).toEqual([3, 4, 5, 6, 7].map((n) => `try ${n}`));
  });

  test('the message of a failure is one short line', () => {
    const memo = withFailure(
      record('running'),
      ATTEMPT,
      { class: 'exit.1', message: `a\nb ${'x'.repeat(900)}` },
      { at: AT },
    );
    const [kept] = failuresOf({ ...record('running'), memo: { ...record('running').memo, ...memo } });
    expect(kept?.message).toMatch(/^a b x+…$/);
    expect(kept?.message).toHaveLength(400);
  });

  test('an invalid list of failures counts as none', () => {
    const memo = { ...record('running').memo, failures: [{ class: 1 }] };
    expect(failuresOf({ ...record('running'), memo })).toEqual([]);
  });

  test('a completion adds a failure when it fails, and only then', () => {
    const failed = next(complete(failedTimes(1), failure('exit.2')));
    expect(failuresOf(failed)).toMatchObject([
      { attempt_number: 1, class: 'exit.1' },
      { attempt_id: ATTEMPT, class: 'exit.2' },
    ]);
    expect(failuresOf(next(complete(failedTimes(1), GOOD)))).toHaveLength(1);
  });
});
