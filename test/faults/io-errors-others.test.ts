/** The changing commands that commit nothing to a task, with each of their system calls on the project failing once. */

import { describe, expect, test } from 'vitest';
import { doctor } from '../../src/commands/doctor.ts';
import { runStart } from '../../src/commands/run-start.ts';
import { ask, callOn, commandLine } from '../support/faults/forge.ts';
import { LONG, pooled, sampled, varied } from '../support/faults/knobs.ts';
import { copyProject, makeProject } from '../support/faults/project.ts';
import { project, TASK, worked } from '../support/faults/scenarios.ts';
import { answered, cleanRun, DISK_FAULTS, noStrace, type TracedCall } from '../support/faults/strace.ts';

const missing = noStrace();
const title = missing === null ? 'a system call that fails' : `system calls that fail (skipped: ${missing})`;

/** Calls that fail in the sample. */
const SAMPLE = 6;

interface Case {
  name: string;
  /** Makes the project; returns the command line that works on it and on copies of it. */
  prepare(): Promise<{ dir: string; args: string[] }>;
}

const ofAttempt = (...args: string[]): Case => ({
  name: args[0] ?? '',
  async prepare() {
    const dir = project();
    const [verb = '', ...more] = args;
    return { dir, args: [verb, TASK, '--attempt', await worked(dir, { beats: 0 }), ...more] };
  },
});

const CASES: Case[] = [
  ofAttempt('event', '--type', 'note', '--data', '{"half":true}'),
  {
    name: 'run start',
    async prepare() {
      return { dir: project(), args: ['run', 'start', '--name', 'night'] };
    },
  },
  {
    name: 'run end',
    async prepare() {
      const dir = project();
      const { run_id } = await runStart.run(callOn(dir), {});
      return { dir, args: ['run', 'end', '--run', run_id] };
    },
  },
  {
    name: 'init',
    async prepare() {
      return { dir: makeProject({ 'README.md': 'x\n' }), args: ['init', '--agents'] };
    },
  },
  {
    name: 'uninit',
    async prepare() {
      const dir = makeProject({ 'README.md': 'x\n' });
      await ask(dir, 'init', '--agents');
      return { dir, args: ['uninit'] };
    },
  },
];

/** Closing what was only read does not fail on any disk, and Node takes it for a bug of its own. */
const mayFail = ({ name }: TracedCall) => name !== 'close';

describe.skipIf(missing !== null)(title, () => {
  test.each(varied(CASES, 2))(
    '$name answers a failing system call as an error of the disk, and works when it is repeated',
    { timeout: LONG ? 1_200_000 : 120_000 },
    async ({ prepare }) => {
      const { dir, args } = await prepare();
      const clean = copyProject(dir);
      const { calls } = await cleanRun(commandLine(clean, args), clean);
      const changing = calls.filter((call) => call.changes && mayFail(call));
      const points = LONG
        ? DISK_FAULTS.flatMap((fault) => changing.map((call) => ({ call, fault })))
        : sampled(changing, SAMPLE).map((call, at) => ({ call, fault: DISK_FAULTS[at % DISK_FAULTS.length] ?? 'EIO' }));
      expect(points.length).toBeGreaterThan(0);
      await pooled(points, async ({ call, fault }) => {
        const { ran, dir: copy, where, answer } = await answered(dir, args, call, fault);
        if (!answer.ok) {
          expect({ code: ran.code, error: answer.error.code }, where).toEqual({ code: 1, error: 'IO_ERROR' });
          expect(answer.error.hint, where).not.toBe('');
        }
        const again = await ask(copy, ...args);
        expect(again.answer, where).toMatchObject({ ok: true });
        if (args[0] === 'uninit') return;
        const { checks } = await doctor.run(callOn(copy), {});
        expect(
          checks.filter(({ status }) => status === 'fail'),
          where,
        ).toEqual([]);
      });
    },
  );
});
