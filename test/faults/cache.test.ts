/** A fault or a kill at any system call on the cache never changes what a command does. */

import fs from 'node:fs';
import { expect, test } from 'vitest';
import { answerIn, commandLine } from '../support/faults/forge.ts';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { freshPlace, makeProject, planOf } from '../support/faults/project.ts';
import { cleanRun, type Fault, faultyRun, noStrace, run } from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

/** Faulty calls of one command in the sample. */
const SAMPLE = 10;

/** A cache's home that holds what `from` does. */
function copyOf(from: string | null): string {
  const place = freshPlace();
  if (from === null) fs.mkdirSync(place);
  else fs.cpSync(from, place, { recursive: true });
  return place;
}

const files = (dir: string) => fs.readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort();

describeUnless(noStrace(), 'what is kept', () => {
  test.each(['for the first time', 'in place of what is there', 'and was kept before'])(
    'status survives faults while it writes the cache %s',
    async (which) => {
      const project = makeProject({
        'plans/phases.yaml': planOf([{ id: 'a' }, { id: 'b' }]),
        '.forge/settings.yaml': '',
      });
      const status = (home: string) => ['env', `XDG_CACHE_HOME=${home}`, ...commandLine(project, ['status'])];
      const warm = copyOf(null);
      await cleanRun(status(warm), warm);
      if (which === 'in place of what is there') fs.appendFileSync(`${project}/plans/phases.yaml`, '# edited\n');
      const start = which === 'for the first time' ? null : warm;
      const clean = copyOf(start);
      const { ran, calls } = await cleanRun(status(clean), clean);
      const answer = answerIn(ran.stdout);
      expect(answer).toMatchObject({ ok: true, data: { counts: { unclaimed: 2 } } });
      const reads = which === 'and was kept before';
      expect(calls.some(({ changes }) => changes)).toBe(!reads);
      const faults: Fault[] = reads ? ['EIO'] : ['EIO', 'ENOSPC', 'kill'];
      // Closing what was only read does not fail on any disk.
      const points = calls.filter(({ name, changes }) => changes || (reads && name !== 'close'));
      const each = points.flatMap((call, at) => {
        // Where not all of them are taken, they take turns.
        const turns = LONG ? faults : [faults[at % faults.length] as Fault];
        return turns.map((fault) => ({ call, fault }));
      });
      const renames = each.filter(({ call }) => call.name.startsWith('rename'));
      await pooled(sampled(each, SAMPLE, renames), async ({ call, fault }) => {
        const where = `${fault} at ${call.shape}`;
        const { ran, dir } = await faultyRun(() => copyOf(start), status, call, fault);
        if (fault !== 'kill')
          expect({ code: ran.code, answer: answerIn(ran.stdout) }, where).toEqual({ code: 0, answer });
        for (let i = 0; i < 2; i++) {
          const next = await run(status(dir));
          expect({ code: next.code, answer: answerIn(next.stdout) }, where).toEqual({ code: 0, answer });
        }
        // Nothing half done stays.
        expect(files(dir), where).toEqual(files(clean));
      });
    },
  );
});
