/** The changing commands that no owner of a task makes, with each of their system calls on the project failing once. */

import { expect, test } from 'vitest';
import { doctor } from '../../src/commands/doctor.ts';
import { loadCommand, VERBS } from '../../src/commands/registry.ts';
import { answerIn, ask, callOn } from '../support/faults/forge.ts';
import { LONG, pooled, sampled, varied } from '../support/faults/knobs.ts';
import { OTHER_COMMANDS } from '../support/faults/other-commands.ts';
import { ALL_SCENARIOS } from '../support/faults/question-scenarios.ts';
import { RUN_SCENARIOS } from '../support/faults/run-scenarios.ts';
import { SHIP_SCENARIOS } from '../support/faults/shipping-scenarios.ts';
import { answered, cleanForge, failures, isSteady, noStrace, type TracedCall } from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

/** Calls that fail in the sample. */
const SAMPLE = 6;

/** Closing what was only read does not fail on any disk, and Node takes it for a bug of its own. */
const mayFail = ({ name }: TracedCall) => name !== 'close';

describeUnless(noStrace(), 'a system call that fails', () => {
  test.each(varied(OTHER_COMMANDS, 2))(
    '$verb answers a failing system call as an error of the disk, and works when it is repeated',
    { timeout: LONG ? 1_200_000 : 120_000 },
    async ({ prepare, steady }) => {
      const { dir, args } = await prepare();
      const { ran: undisturbed, calls } = await cleanForge(dir, args);
      expect(answerIn(undisturbed.stdout), undisturbed.stdout).toMatchObject({ ok: true });
      const changing = calls.filter(steady === true ? isSteady : (call) => call.changes && mayFail(call));
      const points = failures(changing, sampled(changing, SAMPLE));
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

test('every command that changes something is in a loop over failing system calls', async () => {
  // Of a command of an agent the name begins with its verb; gc and the steps of a worker have files of their own.
  const agents = ALL_SCENARIOS.map(({ name }) => name.split(/[ ,]/)[0]);
  const others = [OTHER_COMMANDS, RUN_SCENARIOS, SHIP_SCENARIOS].flatMap((all) =>
    all.map(({ verb }) => verb as string),
  );
  const changing = [];
  for (const verb of VERBS) if ((await loadCommand(verb)).changes) changing.push(verb);
  expect(changing.toSorted()).toEqual(
    [
      ...new Set([...agents, ...others, 'gc', 'step', 'wait', 'wait-until', 'wait-for', 'repeat', 'fan-out', 'join']),
    ].toSorted(),
  );
});
