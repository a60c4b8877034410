/** What the live view reads besides the records. */

import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { OwnAttempt } from '../../src/domain/run/live-model.ts';
import type { PhaseOfWork } from '../../src/domain/task/records.ts';
import type { Env } from '../../src/engine/env.ts';
import { liveDetails } from '../../src/engine/run/live-details.ts';
import { readFrom } from '../../src/lib/fs/read.ts';
import type { AttemptRef } from '../../src/store/port.ts';
import { onePhase, scheduling } from '../support/domain/plans.ts';
import { id } from '../support/domain/tasks.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-live-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Manifests that can be read, by attempt; and how often one was asked for. */
const manifests = new Map<string, PhaseOfWork>();
let asked = 0;

function looker(): { look: (attempts: Record<string, string>) => (string | null)[][] } {
  const store = {
    async readDocument(_kind: string, _task: string, attempt: string) {
      asked++;
      const phase = manifests.get(attempt);
      if (phase === undefined) throw new Error('it cannot be read');
      return { phase };
    },
  };
  const artifacts = {
    readLog: ({ attemptId }: AttemptRef, log: string, from: number) =>
      readFrom(`${dir}/${attemptId}/logs/${log}`, from),
    doing: () => '',
  };
  const modelOf = liveDetails({ store, artifacts } as unknown as Env);
  const plan = onePhase({ id: 'a', run: 'true' }, { id: 'b', run: 'true' });
  return {
    look: (attempts) => {
      const own = Object.entries(attempts).map(([task, attempt_id], n): [string, OwnAttempt] => {
        return [task, { attempt_id, attempt_number: 1, age_ms: 100 - n }];
      });
      const { running } = modelOf({ scheduling: scheduling(plan), selected: null, own: new Map(own) });
      return running.map(({ task_id, phase, line }) => [task_id, phase, line]);
    },
  };
}

function write(attempt: string, stream: 'stdout' | 'stderr', text: string): void {
  mkdirSync(`${dir}/${attempt}/logs`, { recursive: true });
  appendFileSync(`${dir}/${attempt}/logs/${stream}.log`, text);
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('a running task shows the last line that its attempt wrote on either stream', () => {
  const { look } = looker();
  const [x, y] = [id(1), id(2)];
  const lines = () => look({ a: x, b: y }).map(([, , line]) => line);
  expect(lines()).toEqual(['', '']);
  write(x, 'stdout', 'one\ntwo\n');
  write(y, 'stderr', '10%\r\u001b[31m20%');
  expect(lines()).toEqual(['two', '20%']);
  write(x, 'stderr', 'careful\n');
  expect(lines()).toEqual(['careful', '20%']);
  write(x, 'stdout', `${'x\n'.repeat(100_000)}three`);
  expect(lines()).toEqual(['three', '20%']);
  write(x, 'stdout', '\n\n');
  expect(lines()).toEqual(['three', '20%']);
  // Another attempt has not written anything yet.
  expect(look({ a: id(3) })).toEqual([['a', null, '']]);
});

test('a running task shows its phase of work, read once per attempt, or none when it cannot be read', async () => {
  const { look } = looker();
  const [x, y] = [id(1), id(2)];
  manifests.set(x, 'review');
  asked = 0;
  expect(look({ a: x, b: y })).toEqual([
    ['a', null, ''],
    ['b', null, ''],
  ]);
  await settled();
  expect(look({ a: x, b: y })).toEqual([
    ['a', 'review', ''],
    ['b', null, ''],
  ]);
  expect(asked).toBe(2);
});
