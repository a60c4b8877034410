/** Trees with one divergence each, written by hand or by verbs, for the gc rows that need neither git nor a tracker. */

import fs from 'node:fs';
import { answer } from '../../../src/commands/answer.ts';
import { claim } from '../../../src/commands/claim.ts';
import { question } from '../../../src/commands/question.ts';
import { release } from '../../../src/commands/release.ts';
import { uuidv7 } from '../../../src/lib/ids.ts';
import { GRACE_MS, MINUTE_MS, TTL_MS, type World } from './world.ts';

export const OPTIONS = '[{"id": "keep", "label": "Keep it"}, {"id": "drop", "label": "Drop it"}]';
const PAST = '2029-06-01T00:00:00.000Z';

/** Writes files by path below the project. */
export type Writable = Pick<World, 'write'>;

let made = 0;
/** A fresh id; the sequence is the same in every run. */
export function freshId(): string {
  made++;
  return uuidv7(
    1_900_000_000_000 + made,
    Uint8Array.from({ length: 10 }, (_, at) => (made * 7 + at * 13) % 256),
  );
}

export function dirOf(task: string): string {
  return `.forge/orchestrator/tasks/${task}`;
}

export function writeJson(world: Writable, name: string, value: object): void {
  world.write(name, `${JSON.stringify(value, null, 2)}\n`);
}

export function handState(world: Writable, task: string, state: string, more: object = {}): void {
  writeJson(world, `${dirOf(task)}/state.json`, {
    version: 1,
    task_id: task,
    state,
    state_version: 3,
    updated_at: PAST,
    ...more,
  });
}

export function handLease(world: Writable, task: string, more: object = {}, name = 'lease.json'): void {
  writeJson(world, `${dirOf(task)}/${name}`, {
    version: 1,
    task_id: task,
    claim_id: freshId(),
    owner_run_id: freshId(),
    generation: 4,
    attempt_id: null,
    acquired_at: PAST,
    expires_at: PAST,
    ...more,
  });
}

export function handQuestion(world: Writable, task: string, attempt: string, more: object = {}): string {
  const question_id = freshId();
  writeJson(world, `${dirOf(task)}/attempts/${attempt}/questions/${question_id}.json`, {
    version: 1,
    question_id,
    run_id: freshId(),
    task_id: task,
    decision_key: 'format',
    attempt: 1,
    max_attempts: 3,
    created_at: PAST,
    expires_at: PAST,
    status: 'open',
    question: 'Keep the old format?',
    options: JSON.parse(OPTIONS),
    ...more,
  });
  return question_id;
}

export function handAnswer(
  world: Writable,
  task: string,
  attempt: string,
  question_id: string,
  option_id: string | null,
): void {
  writeJson(world, `${dirOf(task)}/attempts/${attempt}/answers/${question_id}.json`, {
    version: 1,
    question_id,
    answered_at: PAST,
    answered_by: 'ann',
    option_id,
  });
}

export function handVerdict(world: Writable, task: string, attempt: string): void {
  writeJson(world, `${dirOf(task)}/attempts/${attempt}/verdict.json`, {
    version: 1,
    verdict: 'ready_for_review',
    summary: 'done',
  });
}

export interface Divergence {
  name: string;
  row: number;
  action: string;
  /** Makes the divergence, from task `build` without state. */
  make(world: World): Promise<void> | void;
  /** The state after gc. */
  state: string;
}

async function asked(world: World, more: object = {}): Promise<string> {
  const { attempt } = await world.start('build');
  const options_file = world.write('options.json', OPTIONS);
  const { question_id } = await question.run(world.context, {
    task: 'build',
    attempt,
    decision_key: 'k',
    question: 'Q?',
    options_file,
    ...more,
  });
  return question_id;
}

/** Edits a view of the task as a person does. */
export function edit(world: World, name: string, more: object): void {
  const file = `${dirOf('build')}/${name}`;
  writeJson(world, file, { ...world.json(file), ...more });
}

const inTwoHours = { expires_at: '2030-01-01T02:00:00.000Z' };

export const DIVERGENCES: Divergence[] = [
  {
    name: 'in flight by hand, its time over',
    row: 2,
    action: 'mark_abandoned',
    make: (world) => {
      handState(world, 'build', 'running');
      handLease(world, 'build');
    },
    state: 'abandoned',
  },
  {
    name: 'in flight by hand, without a lease',
    row: 2,
    action: 'mark_abandoned',
    make: (world) => handState(world, 'build', 'claimed'),
    state: 'abandoned',
  },
  {
    name: 'claimed, with a stale lease',
    row: 2,
    action: 'mark_abandoned',
    make: async (world) => {
      await world.start('build');
      world.wait(TTL_MS + GRACE_MS + 1);
    },
    state: 'abandoned',
  },
  {
    name: 'parked by hand, and answered',
    row: 5,
    action: 'resume_answered',
    make: (world) => {
      const attempt = freshId();
      handState(world, 'build', 'blocked_on_question', { current_attempt_id: attempt });
      handAnswer(world, 'build', attempt, handQuestion(world, 'build', attempt, inTwoHours), 'keep');
    },
    state: 'awaiting_respawn',
  },
  {
    name: 'parked by hand, past its deadline, with a default',
    row: 5,
    action: 'apply_default_answer',
    make: (world) => {
      const attempt = freshId();
      handState(world, 'build', 'blocked_on_question', { current_attempt_id: attempt });
      handQuestion(world, 'build', attempt, { default_option_id: 'drop' });
    },
    state: 'awaiting_respawn',
  },
  {
    name: 'parked, past its deadline',
    row: 5,
    action: 'expire_question',
    make: async (world) => {
      await asked(world, { deadline: MINUTE_MS });
      world.wait(2 * MINUTE_MS);
    },
    state: 'awaiting_respawn',
  },
  {
    name: 'parked, past its deadline, with a default',
    row: 5,
    action: 'apply_default_answer',
    make: async (world) => {
      await asked(world, { deadline: MINUTE_MS, default: 'keep' });
      world.wait(2 * MINUTE_MS);
    },
    state: 'awaiting_respawn',
  },
  {
    name: 'handed in by hand, and not verified',
    row: 8,
    action: 'reverify_verdict',
    make: (world) => {
      const attempt = freshId();
      handState(world, 'build', 'abandoned', { current_attempt_id: attempt, attempt_count: 1 });
      handVerdict(world, 'build', attempt);
    },
    state: 'abandoned',
  },
  {
    name: 'released with an unverified verdict',
    row: 8,
    action: 'reverify_verdict',
    make: async (world) => {
      const { claim: claimId, attempt } = await world.start('build');
      handVerdict(world, 'build', attempt);
      await release.run(world.context, { task: 'build', claim: claimId });
    },
    state: 'awaiting_respawn',
  },
  {
    name: 'over by hand, with an open question',
    row: 11,
    action: 'archive_question',
    make: (world) => {
      handState(world, 'build', 'shipped');
      handQuestion(world, 'build', freshId());
    },
    state: 'shipped',
  },
  {
    name: 'shipped, and a person has opened a question of before again',
    row: 11,
    action: 'archive_question',
    make: async (world) => {
      const id = await asked(world);
      await answer.run(world.context, { question: id, option: 'keep', by: 'ann' });
      const first = (await world.record('build')).state.current_attempt_id ?? '';
      const { attempt } = await world.start('build');
      await world.finish('build', attempt);
      const file = `${dirOf('build')}/attempts/${first}/questions/${id}.json`;
      fs.rmSync(world.path(dirOf('build'), 'attempts', first, 'answers'), { recursive: true });
      writeJson(world, file, { ...world.json(file), status: 'open' });
    },
    state: 'shipped',
  },
  {
    name: 'an answer by hand to nothing',
    row: 12,
    action: 'archive_answer',
    make: (world) => {
      handState(world, 'build', 'unclaimed');
      handAnswer(world, 'build', freshId(), freshId(), 'keep');
    },
    state: 'unclaimed',
  },
  {
    name: 'a second lease by hand',
    row: 13,
    action: 'release_lease_admin',
    make: (world) => {
      handState(world, 'build', 'claimed');
      handLease(world, 'build', { ...inTwoHours, generation: 9 });
      handLease(world, 'build', { ...inTwoHours, generation: 2 }, 'lease.json.orig');
    },
    state: 'claimed',
  },
  {
    name: 'a second lease beside a committed one',
    row: 13,
    action: 'release_lease_admin',
    make: async (world) => {
      await claim.run(world.context, { task: 'build' });
      handLease(world, 'build', { generation: 99 }, 'lease-copy.json');
    },
    state: 'claimed',
  },
  {
    name: 'shipped by hand, and leased',
    row: 14,
    action: 'release_lease_admin',
    make: (world) => {
      handState(world, 'build', 'shipped');
      handLease(world, 'build', inTwoHours);
    },
    state: 'shipped',
  },
  {
    name: 'claimed, and a person has called it shipped',
    row: 14,
    action: 'release_lease_admin',
    make: async (world) => {
      await world.start('build');
      edit(world, 'state.json', { state: 'shipped' });
    },
    state: 'shipped',
  },
];
