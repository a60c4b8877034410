/** A disk that is read-only, and one that is full: of bytes, and of inodes. */

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { doctor } from '../../src/commands/doctor.ts';
import type { HealthCheck } from '../../src/store/port.ts';
import { auditTask, expectViewsOf } from '../support/faults/audit.ts';
import { ask, callOn } from '../support/faults/forge.ts';
import { sampled } from '../support/faults/knobs.ts';
import { makeReadOnly, noMounts, smallDisk } from '../support/faults/mounts.ts';
import { type Files, LOGS, listing, makeProject, planOf } from '../support/faults/project.ts';
import { TASK } from '../support/faults/scenarios.ts';
import { ended, refusal, ShipPlay } from '../support/faults/shipping-scenarios.ts';
import { describeUnless } from '../support/possible.ts';
import { until } from '../support/processes.ts';

/** Amounts of room in the sample. */
const SAMPLE = 4;

const MINE = '01a00000-0000-7000-8000-00000000000a';
const FILES: Files = {
  'plans/phases.yaml': planOf([{ id: 'a' }, { id: 'b' }]),
  'verdict.json': '{"verdict":"ready_for_review","summary":"done"}',
};
const READERS = [
  ['status'],
  ['show', 'a'],
  ['why', 'a'],
  ['phases', '--ready'],
  ['run', 'list'],
  ['run', '--dry-run'],
  [],
];

/** A project on a disk of its own, with task `a` in flight. */
async function worked(disk: { kilobytes: number; inodes: number }) {
  const dir = makeProject(FILES, smallDisk(disk));
  const { run_id } = await claim.run(callOn(dir), { task: 'a', claim_id: MINE });
  const { attempt_id } = await dispatch.run(callOn(dir), { task: 'a', claim: MINE, run: run_id, phase: 'implement' });
  return { dir, attempt: attempt_id };
}

/** What `doctor` says about writing. */
async function writable(dir: string): Promise<HealthCheck | undefined> {
  const { checks } = await doctor.run(callOn(dir), {});
  return checks.find(({ name }) => name === 'writable');
}

async function expectReadable(dir: string): Promise<void> {
  for (const args of READERS) expect(await ask(dir, ...args)).toMatchObject({ code: 0, answer: { ok: true } });
}

const missing = noMounts();
const because = missing === null ? '' : ` (skipped: ${missing})`;

describeUnless(missing, 'a read-only disk', () => {
  test('on a read-only disk reading works, and every change is refused with the reason', async () => {
    const { dir, attempt } = await worked({ kilobytes: 2000, inodes: 200 });
    makeReadOnly(dir);
    const before = listing(dir);
    await expectReadable(dir);
    for (const args of [
      ['claim', 'b'],
      ['heartbeat', 'a', '--attempt', attempt],
      ['complete', 'a', '--attempt', attempt, '--verdict-file', `${dir}/verdict.json`],
      ['release', 'a', '--claim', MINE],
      ['cancel', 'a'],
      ['cancel', 'b'],
      ['run', 'start'],
      ['gc', '--prune', '--older-than', '0'],
      ['exec', 'b', '--', 'true'],
    ]) {
      const { code, answer } = await ask(dir, ...args);
      expect({ args, code, answer }).toMatchObject({
        args,
        code: 1,
        answer: { ok: false, error: { code: 'IO_ERROR' } },
      });
      if (!answer.ok) expect(answer.error.hint).toContain('read-only');
    }
    expect(await writable(dir)).toMatchObject({ status: 'fail', fix: expect.stringContaining('read-only') });
    expect(listing(dir)).toEqual(before);
  });

  test('on a read-only disk a project without state can be read', async () => {
    const dir = makeProject(FILES, smallDisk({ kilobytes: 2000, inodes: 200 }));
    makeReadOnly(dir);
    const before = listing(dir);
    expect((await ask(dir, 'status')).code).toBe(0);
    expect(await ask(dir, 'claim', 'a')).toMatchObject({ code: 1, answer: { ok: false, error: { code: 'IO_ERROR' } } });
    expect(listing(dir)).toEqual(before);
  });
});

interface Shortage {
  name: string;
  disk: { kilobytes: number; inodes: number };
  /** Uses up all that is free but `left` units. Gives them free again when it is called. */
  fill(dir: string, left: number): () => void;
  /** From nothing to more than a command takes. */
  lefts: number[];
}

const SHORTAGES: Shortage[] = [
  {
    name: 'bytes',
    disk: { kilobytes: 400, inodes: 200 },
    fill(dir, left) {
      const { bavail, bsize } = fs.statfsSync(dir);
      fs.writeFileSync(`${dir}/filler`, Buffer.alloc(Math.max(0, bavail - left) * bsize));
      return () => fs.rmSync(`${dir}/filler`);
    },
    lefts: [0, 1, 2, 3, 4, 5, 6, 8, 12],
  },
  {
    name: 'inodes',
    disk: { kilobytes: 400, inodes: 34 },
    fill(dir, left) {
      fs.mkdirSync(`${dir}/filler`);
      const { ffree } = fs.statfsSync(dir);
      for (let at = 0; at < ffree - left; at++) fs.writeFileSync(`${dir}/filler/${at}`, '');
      return () => fs.rmSync(`${dir}/filler`, { recursive: true });
    },
    lefts: [0, 1, 2, 3, 4, 6],
  },
];

describe.skipIf(missing !== null).each(SHORTAGES)(`a disk with no more $name${because}`, ({ disk, fill, lefts }) => {
  test.each(sampled(lefts, SAMPLE))(
    'on a full disk with %i left a completion is done or refused, never partly',
    async (left) => {
      const { dir, attempt } = await worked(disk);
      const before = auditTask(dir, 'a');
      const free = fill(dir, left);
      const full = listing(`${dir}/.forge`, LOGS);
      // There may be room for a smaller record than the largest.
      if (left === 0)
        expect(await writable(dir)).toMatchObject({ status: 'fail', fix: expect.stringContaining('full') });
      expect(listing(`${dir}/.forge`, LOGS)).toEqual(full);
      const complete = ['complete', 'a', '--attempt', attempt, '--verdict-file', `${dir}/verdict.json`];
      const first = await ask(dir, ...complete);
      if (left === lefts[0]) expect(first.answer.ok, 'the disk is full').toBe(false);
      if (left === lefts.at(-1)) expect(first.answer.ok, 'there is room').toBe(true);
      expect((await ask(dir, 'status')).code).toBe(0);
      expect((await ask(dir, 'show', 'a')).code).toBe(0);
      const { newest } = auditTask(dir, 'a');
      if (first.answer.ok) expect(newest).toBe(before.newest + 1);
      else {
        expect(first).toMatchObject({ code: 1, answer: { error: { code: 'IO_ERROR', details: { errno: 'ENOSPC' } } } });
        expect(first.answer.error.hint).toContain('full');
        expect(newest).toBe(before.newest);
        // The verdict and its twin may be there already; nothing refers to them, and the repeat takes them up.
        const handedIn = /verdict(\.verified)?\.json$/;
        const left = Object.entries(listing(`${dir}/.forge`, LOGS)).filter(([file]) => !handedIn.test(file));
        expect(Object.fromEntries(left)).toEqual(full);
      }
      free();
      if (left === 0) expect(await writable(dir)).toMatchObject({ status: 'ok' });
      const again = await ask(dir, ...complete);
      expect(again).toMatchObject({ code: 0, answer: { ok: true, data: { state: 'shipped' } } });
      const { newest: last, record } = auditTask(dir, 'a');
      expect(last, 'one completion').toBe(before.newest + 1);
      if (record !== null) expectViewsOf(dir, 'a', record);
      expect((await ask(dir, 'claim', 'b')).code).toBe(0);
    },
  );

  test('on a full disk a first claim is refused, and works once there is room', async () => {
    const dir = makeProject(FILES, smallDisk(disk));
    const free = fill(dir, 0);
    expect(await ask(dir, 'claim', 'a', '--claim-id', MINE)).toMatchObject({
      code: 1,
      answer: { error: { code: 'IO_ERROR' } },
    });
    expect((await ask(dir, 'status')).code).toBe(0);
    free();
    expect(await ask(dir, 'claim', 'a', '--claim-id', MINE)).toMatchObject({ code: 0, answer: { ok: true } });
    expect(fs.readFileSync(`${dir}/.forge/.gitignore`, 'utf8')).not.toBe('');
  });
});

describeUnless(missing, 'a disk with no more bytes for git', () => {
  test('on a full disk the checkout of the base stays unchanged, and the merge works once there is room', async () => {
    const place = smallDisk({ kilobytes: 6000, inodes: 2000 });
    const big = randomBytes(450_000).toString('hex');
    const play = new ShipPlay({ worktrees: makeProject({}), files: { 'big.txt': `${big}\n` } }, place);
    onTestFinished(() => play.cleanUp());
    await play.prepare();
    play.mark('wait');
    const ship = play.forge('ship', TASK);
    await until('the merge is verified', () => play.lines('checks').length === 1);
    const before = play.checkout();
    const { bavail, bsize } = fs.statfsSync(place);
    // Room for all that is written but that file.
    fs.writeFileSync(`${play.dir}/filler`, Buffer.alloc(bavail * bsize - 500_000));
    play.mark('gate');
    expect(await refusal(ship, 4)).toMatchObject({
      code: 'NOT_READY',
      message: expect.stringContaining('unable to write file'),
    });
    expect(play.checkout()).toEqual(before);
    play.expectStanding('merge_pending');
    fs.rmSync(`${play.dir}/filler`);
    expect(await ended(play.forge('ship', TASK))).toMatchObject({ code: 0 });
    play.expectShipped();
    expect(play.git('status', '--porcelain', '--', ':!.forge')).toBe('');
  });
});
