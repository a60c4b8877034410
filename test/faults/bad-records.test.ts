/** Damaged files of a tree: cut short, too large, of a newer version, or a symlink out of it. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { doctor } from '../../src/commands/doctor.ts';
import { home } from '../../src/commands/home.ts';
import { phases } from '../../src/commands/phases.ts';
import { run } from '../../src/commands/run.ts';
import { why } from '../../src/commands/why.ts';
import { auditTask, expectViewsOf, taskDir } from '../support/faults/audit.ts';
import { ask, callOn } from '../support/faults/forge.ts';
import { freshPlace, LOGS, listing, makeProject, planOf } from '../support/faults/project.ts';

const MINE = '01a00000-0000-7000-8000-00000000000a';

interface Damage {
  name: string;
  /** Puts it in the place of the file. */
  make(file: string): void;
  /** What a person is told about it. */
  told: RegExp;
}

const WHOLE = JSON.stringify({ version: 1, task_id: 'a', state: 'unclaimed', state_version: 1 });

const DAMAGES: Damage[] = [
  { name: 'cut short', make: (file) => fs.writeFileSync(file, WHOLE.slice(0, 40)), told: /cut short|not what forge/ },
  { name: 'empty', make: (file) => fs.writeFileSync(file, ''), told: /cut short|not what forge/ },
  { name: 'a list', make: (file) => fs.writeFileSync(file, `[${WHOLE}]`), told: /a list|not what forge/ },
  {
    name: '10 MB long',
    make: (file) => fs.writeFileSync(file, WHOLE.replace('{', `{"x":"${'x'.repeat(10_000_000)}",`)),
    told: /64 KiB/,
  },
  {
    name: 'a symlink',
    make: (file) => {
      const target = `${freshPlace()}.json`;
      fs.writeFileSync(target, WHOLE);
      fs.symlinkSync(target, file);
    },
    told: /64 KiB/,
  },
  {
    name: 'a folder',
    make: (file) => fs.mkdirSync(file),
    told: /64 KiB/,
  },
];

const NEWER: Damage = {
  name: 'of a newer version',
  make: (file) => fs.writeFileSync(file, JSON.stringify({ version: 2, task_id: 'a', state_version: 1, moods: [] })),
  told: /newer forge/,
};

function project(): string {
  return makeProject({ 'plans/phases.yaml': planOf([{ id: 'a' }, { id: 'b' }]) });
}

/** Every read verb works on the tree and leaves it as it is. Returns what `status` warns of. */
async function expectReadable(dir: string): Promise<string> {
  const before = listing(dir, LOGS);
  const call = callOn(dir);
  await why.run(call, { task: 'a' });
  await phases.run(call, { ready: true });
  await phases.run(call, { ready: false });
  await home.run(call, {});
  await doctor.run(call, {});
  await run.run(call, { dry_run: true });
  expect(await ask(dir, 'show', 'a')).toMatchObject({ code: 0, answer: { ok: true } });
  const { code, answer } = await ask(dir, 'status');
  expect(listing(dir, LOGS)).toEqual(before);
  if (!answer.ok || code !== 0) throw new Error(`status exited with ${code}`);
  return JSON.stringify(answer.data['warnings']);
}

describe.concurrent.each([...DAMAGES, NEWER])('state.json of a tree written by hand is $name', ({ make, told }) => {
  test('an invalid hand-written state.json is reported, left alone, and does not affect other tasks', async () => {
    const dir = project();
    fs.mkdirSync(taskDir(dir, 'a'), { recursive: true });
    make(`${taskDir(dir, 'a')}/state.json`);
    expect(await expectReadable(dir)).toMatch(told);
    const before = listing(dir, LOGS);
    for (const args of [
      ['claim', 'a'],
      ['cancel', 'a'],
      ['retry', 'a'],
      ['release', 'a', '--claim', MINE],
      ['heartbeat', 'a', '--attempt', MINE],
    ]) {
      const { code, answer } = await ask(dir, ...args);
      if (answer.ok) throw new Error(`${args.join(' ')} was not refused`);
      // `claim` asks first what is ready, and a task that can't be read is not.
      const refusal = args[0] === 'claim' ? /NOT_READY|SCHEMA_INVALID/ : /SCHEMA_INVALID/;
      expect(answer.error.code, args.join(' ')).toMatch(refusal);
      expect(code).toBe(answer.error.code === 'NOT_READY' ? 4 : 1);
      expect(answer.error.hint).not.toBe('');
    }
    expect(listing(dir, LOGS)).toEqual(before);
    expect((await ask(dir, 'claim', 'b')).code).toBe(0);
  });
});

/** A task that forge has changed before, claimed as MINE. */
async function adopted(): Promise<{ dir: string; view: string }> {
  const dir = project();
  await claim.run(callOn(dir), { task: 'a', claim_id: MINE });
  const view = `${taskDir(dir, 'a')}/state.json`;
  fs.rmSync(view);
  return { dir, view };
}

/** Readers go by the time of a view, so the damage is dated later than the view. */
function damage(view: string, make: Damage['make']): void {
  make(view);
  const later = Date.now() / 1000 + 60;
  fs.lutimesSync(view, later, later);
}

describe.concurrent.each(DAMAGES)('state.json of a task with a record is $name', ({ make }) => {
  test('an invalid state.json is moved aside by the next change, and readers see the record', async () => {
    const { dir, view } = await adopted();
    damage(view, make);
    const broken = listing(view);
    const target = fs.lstatSync(view).isSymbolicLink() ? fs.readlinkSync(view) : null;
    expect(await expectReadable(dir)).toContain('state.json');
    const { answer } = await ask(dir, 'show', 'a');
    expect(answer).toMatchObject({ ok: true, data: { state: { state: 'claimed' }, lease: { claim_id: MINE } } });
    const released = await ask(dir, 'release', 'a', '--claim', MINE);
    expect(released).toMatchObject({ code: 0, answer: { ok: true, data: { state: 'unclaimed' } } });
    const aside = fs.readdirSync(taskDir(dir, 'a')).filter((name) => name.startsWith('aside-'));
    expect(aside).toHaveLength(1);
    expect(released.stderr, 'it is told where it went').toContain(aside[0]);
    expect(listing(`${taskDir(dir, 'a')}/${aside[0]}`)).toEqual(broken);
    const { record } = auditTask(dir, 'a');
    if (record === null) throw new Error('the record is gone');
    expectViewsOf(dir, 'a', record);
    if (target !== null) expect(fs.readFileSync(target, 'utf8'), 'nothing was written through it').toBe(WHOLE);
  });
});

test('state.json of a task with a record that is of a newer version is left alone, and changes are refused', async () => {
  const { dir, view } = await adopted();
  damage(view, NEWER.make);
  expect(await expectReadable(dir)).toMatch(NEWER.told);
  const before = listing(dir, LOGS);
  const { code, answer } = await ask(dir, 'release', 'a', '--claim', MINE);
  expect({ code, answer }).toMatchObject({ code: 1, answer: { ok: false, error: { code: 'SCHEMA_INVALID' } } });
  expect(listing(dir, LOGS)).toEqual(before);
});

const COMMANDS = [['claim', 'a'], ['cancel', 'b'], ['run', 'start'], ['status']];

/** Places of the tree, and which commands need them. Where a task's folder would be, that task alone can't be read. */
const PLACES: { place: string; refused: string[]; told?: { code: number; error: string } }[] = [
  { place: '.forge/orchestrator', refused: ['claim', 'cancel', 'run', 'status'] },
  { place: '.forge/orchestrator/tasks', refused: ['claim', 'cancel', 'run', 'status'] },
  { place: '.forge/orchestrator/tasks/a', refused: ['claim'], told: { code: 4, error: 'NOT_READY' } },
  { place: '.forge/orchestrator/runs', refused: ['claim', 'run', 'status'] },
  // Logs decide nothing, so nothing is refused for their sake.
  { place: '.forge/logs', refused: [] },
];

describe.concurrent.each(PLACES)('$place is a symlink to elsewhere', ({ place, refused, told }) => {
  test('a symlink in place of a folder of the tree is never written through', async () => {
    const dir = project();
    const elsewhere = makeProject({ 'tasks/keep': 'x', 'runs/keep': 'x', 'state.json': WHOLE });
    fs.mkdirSync(path.dirname(`${dir}/${place}`), { recursive: true });
    fs.symlinkSync(elsewhere, `${dir}/${place}`);
    const before = listing(elsewhere);
    for (const args of COMMANDS) {
      const { code, answer } = await ask(dir, ...args);
      const refusal = told ?? { code: 1, error: 'IO_ERROR' };
      const wanted = refused.includes(args[0] ?? '') ? refusal : { code: 0, error: null };
      expect({ args, code, error: answer.ok ? null : answer.error.code }).toEqual({ args, ...wanted });
    }
    expect(listing(elsewhere)).toEqual(before);
  });
});

test('a symlink in place of the attempts of a task is never written through', async () => {
  const { dir } = await adopted();
  const elsewhere = makeProject({ keep: 'x' });
  fs.symlinkSync(elsewhere, `${taskDir(dir, 'a')}/attempts`);
  const run = auditTask(dir, 'a').record?.lease?.owner_run_id ?? '';
  const { code, answer } = await ask(dir, 'dispatch', 'a', '--claim', MINE, '--run', run);
  expect({ code, answer }).toMatchObject({ code: 1, answer: { ok: false, error: { code: 'IO_ERROR' } } });
  expect(fs.readdirSync(elsewhere)).toEqual(['keep']);
});

test('an empty .gitignore, as a kill leaves it, is written again', async () => {
  const dir = project();
  fs.mkdirSync(`${dir}/.forge`);
  fs.writeFileSync(`${dir}/.forge/.gitignore`, '');
  expect((await ask(dir, 'claim', 'a')).code).toBe(0);
  expect(fs.readFileSync(`${dir}/.forge/.gitignore`, 'utf8')).toContain('orchestrator/');
});
