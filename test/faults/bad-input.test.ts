/** Invalid input of people and programs: each refusal says what, why and what to do next, and changes nothing. */

import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { ask, callOn } from '../support/faults/forge.ts';
import { type Files, LOGS, listing, makeProject, planOf } from '../support/faults/project.ts';

const MINE = '01a00000-0000-7000-8000-00000000000a';
const UNKNOWN = '01a00000-0000-7000-8000-0000000000ff';
const PLAN = planOf([{ id: 'alpha' }, { id: 'beta', more: 'depends_on: [alpha]' }, { id: 'gamma' }]);

interface Refusal {
  name: string;
  /** Files of the project, instead of the usual plan. */
  files?: Files;
  /** alpha is in flight: claimed as MINE and dispatched. */
  worked?: true;
  args: string[];
  code: string;
  exit: number;
  /** What the message must name. */
  message: RegExp;
  hint: RegExp;
}

const REFUSALS: Refusal[] = [
  {
    name: 'an unknown verb',
    args: ['clam', 'alpha'],
    code: 'UNKNOWN_VERB',
    exit: 2,
    message: /clam/,
    hint: /claim/,
  },
  {
    name: 'an unknown flag',
    args: ['status', '--rum', 'x'],
    code: 'INVALID_ARGS',
    exit: 2,
    message: /--rum/,
    hint: /--run/,
  },
  {
    name: 'a flag without its value',
    args: ['claim', 'alpha', '--run'],
    code: 'INVALID_ARGS',
    exit: 2,
    message: /--run/,
    hint: /help/,
  },
  {
    name: 'a task that is not in the plan',
    args: ['claim', 'alhpa'],
    code: 'TASK_NOT_FOUND',
    exit: 2,
    message: /alhpa/,
    hint: /alpha/,
  },
  {
    name: 'no task',
    args: ['claim'],
    code: 'INVALID_ARGS',
    exit: 2,
    message: /task/,
    hint: /--next|help/,
  },
  ...['claim', 'show', 'why', 'cancel', 'retry', 'logs'].map(
    (verb): Refusal => ({
      name: `${verb} with a path for an id`,
      args: [verb, '../../../etc/passwd'],
      code: 'INVALID_ID',
      exit: 2,
      message: /passwd/,
      hint: /letters/,
    }),
  ),
  {
    name: 'release with a path for an id',
    args: ['release', '../alpha', '--claim', MINE],
    code: 'INVALID_ID',
    exit: 2,
    message: /alpha/,
    hint: /letters/,
  },
  {
    name: 'an attempt with a path for an id',
    worked: true,
    args: ['heartbeat', 'alpha', '--attempt', '../../x'],
    code: 'INVALID_ID',
    exit: 2,
    message: /attempt/,
    hint: /UUID/,
  },
  {
    name: 'a claim id that is not a UUID',
    args: ['claim', 'alpha', '--claim-id', 'me'],
    code: 'INVALID_ID',
    exit: 2,
    message: /"me"/,
    hint: /UUID/,
  },
  {
    name: 'an unknown run',
    args: ['claim', 'alpha', '--run', UNKNOWN],
    code: 'RUN_NOT_FOUND',
    exit: 2,
    message: /0000ff/,
    hint: /run list/,
  },
  {
    name: 'an owner that does not live',
    args: ['claim', 'alpha', '--owner-pid', '999999999'],
    code: 'INVALID_ARGS',
    exit: 2,
    message: /999999999/,
    hint: /./,
  },
  {
    name: 'a task that waits for another',
    args: ['claim', 'beta'],
    code: 'NOT_READY',
    exit: 4,
    message: /alpha/,
    hint: /why/,
  },
  {
    name: 'a task with a live lease',
    worked: true,
    args: ['claim', 'alpha'],
    code: 'LEASE_EXISTS',
    exit: 3,
    message: /alpha/,
    hint: /--next/,
  },
  {
    name: 'the claim of another owner',
    worked: true,
    args: ['release', 'alpha', '--claim', UNKNOWN],
    code: 'LEASE_STOLEN',
    exit: 3,
    message: /0000ff/,
    hint: /Stop/,
  },
  ...[['heartbeat'], ['event', '--type', 'note'], ['complete', '--failed', '--error-class', 'x']].map(
    ([verb = '', ...rest]): Refusal => ({
      name: `${verb} of an attempt that is not the current one`,
      worked: true,
      args: [verb, 'alpha', '--attempt', UNKNOWN, ...rest],
      code: 'STALE_ATTEMPT',
      exit: 3,
      message: /0000ff/,
      hint: /Stop/,
    }),
  ),
  {
    name: 'a heartbeat for a task without state',
    args: ['heartbeat', 'alpha', '--attempt', UNKNOWN],
    code: 'STATE_NOT_FOUND',
    exit: 3,
    message: /alpha/,
    hint: /[Cc]laim/,
  },
  {
    name: 'a retry of a task in flight',
    worked: true,
    args: ['retry', 'alpha'],
    code: 'ILLEGAL_TRANSITION',
    exit: 3,
    message: /alpha/,
    hint: /./,
  },
  {
    name: 'a verdict that is not there',
    worked: true,
    args: ['complete', 'alpha', '--attempt', UNKNOWN, '--verdict-file', '/nowhere/verdict.json'],
    code: 'INVALID_ARGS',
    exit: 2,
    message: /no such file/,
    hint: /./,
  },
  {
    name: 'a plan with a cycle',
    files: {
      'plans/phases.yaml': planOf([
        { id: 'alpha', more: 'depends_on: [beta]' },
        { id: 'beta', more: 'depends_on: [alpha]' },
      ]),
    },
    args: ['run'],
    code: 'PHASES_PARSE_ERROR',
    exit: 2,
    message: /alpha.*beta|beta.*alpha/,
    hint: /[Ff]ix/,
  },
  {
    name: 'a plan with a typo',
    files: { 'plans/phases.yaml': planOf([{ id: 'alpha', more: 'depends_om: [beta]' }]) },
    args: ['claim', 'alpha'],
    code: 'PHASES_PARSE_ERROR',
    exit: 2,
    message: /depends_om.*depends_on/,
    hint: /[Ff]ix/,
  },
  {
    name: 'a plan with two tasks of one id',
    files: { 'plans/phases.yaml': planOf([{ id: 'alpha' }, { id: 'alpha' }]) },
    args: ['phases', '--ready'],
    code: 'PHASES_PARSE_ERROR',
    exit: 2,
    message: /alpha/,
    hint: /[Ff]ix/,
  },
  {
    name: 'a plan that is no YAML',
    files: { 'plans/phases.yaml': 'project: [x\n' },
    args: ['status'],
    code: 'PHASES_PARSE_ERROR',
    exit: 2,
    message: /phases\.yaml/,
    hint: /[Ff]ix/,
  },
  {
    name: 'settings with an unknown key',
    files: { 'plans/phases.yaml': PLAN, '.forge/settings.yaml': 'agents: { max_paralell: 2 }\n' },
    args: ['run'],
    code: 'SETTINGS_INVALID',
    exit: 2,
    message: /max_paralell.*max_parallel/,
    hint: /settings\.yaml/,
  },
  ...['status', 'run', 'phases'].map(
    (verb): Refusal => ({
      name: `${verb} where there is neither a plan nor a .forge`,
      files: { 'README.md': 'Nothing to do here.\n' },
      args: [verb],
      code: 'PHASES_NOT_FOUND',
      exit: 2,
      message: /plan/,
      hint: /init/,
    }),
  ),
];

async function given({ files, worked }: Refusal): Promise<string> {
  const dir = makeProject(files ?? { 'plans/phases.yaml': PLAN });
  if (worked) {
    const { run_id } = await claim.run(callOn(dir), { task: 'alpha', claim_id: MINE });
    await dispatch.run(callOn(dir), { task: 'alpha', claim: MINE, run: run_id, phase: 'implement' });
  }
  return dir;
}

describe('invalid input', () => {
  test.concurrent.each(REFUSALS)('$name is refused and changes nothing', async (refusal) => {
    const dir = await given(refusal);
    const before = listing(dir, LOGS);
    const { code, answer } = await ask(dir, ...refusal.args);
    if (answer.ok) throw new Error('it was not refused');
    const { error } = answer;
    expect({ code: error.code, exit: code }).toEqual({ code: refusal.code, exit: refusal.exit });
    // A plan or settings file may have many things wrong: each is told with its place.
    expect(`${error.message} ${JSON.stringify(error.details)}`).toMatch(refusal.message);
    expect(error.hint).toMatch(refusal.hint);
    expect(listing(dir, LOGS)).toEqual(before);
  });
});

test('problems of a plan are reported with file, line and column', async () => {
  const dir = makeProject({ 'plans/phases.yaml': planOf([{ id: 'alpha', more: 'depends_om: [beta]' }]) });
  const { answer } = await ask(dir, 'status');
  if (answer.ok) throw new Error('it was not refused');
  expect(answer.error.details['problems']).toEqual([
    expect.objectContaining({ place: { file: 'plans/phases.yaml', line: 6, column: expect.any(Number) } }),
  ]);
});

test('a missing folder is not a project', async () => {
  const { code, answer } = await ask('/nowhere/at/all', 'status');
  expect({ code, answer }).toMatchObject({ code: 2, answer: { ok: false, error: { code: 'INVALID_ARGS' } } });
  expect(fs.existsSync('/nowhere')).toBe(false);
});
