/** A process table that belongs to another pid namespace: its numbers mean other processes, so nothing may be concluded from it. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { jsonLines, project } from '../support/cli.ts';
import { inPidNamespace, noPidNamespaces } from '../support/faults/namespaces.ts';
import { describeUnless } from '../support/possible.ts';

/** The answers that the lines print, one a line. */
function answersOf(lines: string, cwd: string) {
  return jsonLines(inPidNamespace(lines, cwd));
}

describeUnless(noPidNamespaces(), 'a /proc of another pid namespace', () => {
  test('an owner that has ended does not count as dead, and does where /proc is the right one', () => {
    const cwd = project(['id: a, title: A']);
    const [claimed, blind, seeing] = answersOf(
      `sleep 100 & owner=$!
seeing claim a --owner-pid $owner --json
kill $owner; wait $owner
forge claim a --json
seeing claim a --json`,
      cwd,
    );
    expect(claimed).toMatchObject({ ok: true, data: { generation: 1 } });
    expect(blind).toMatchObject({ ok: false, error: { code: 'LEASE_EXISTS' } });
    expect(seeing).toMatchObject({ ok: true, data: { generation: 2 } });
  });

  test('run, exec and claim --owner-pid are refused before they change anything, and doctor says why', () => {
    const cwd = project(['id: a, title: A, run: "touch ran"']);
    const [run, exec, claim, doctor] = answersOf(
      `forge run --json
forge exec a --json -- touch ran
forge claim a --owner-pid $$ --json
forge doctor --json`,
      cwd,
    );
    for (const answer of [run, exec, claim]) {
      expect(answer).toMatchObject({ ok: false, error: { code: 'IO_ERROR', hint: expect.stringContaining('/proc') } });
    }
    const { checks } = doctor.data as { checks: { name: string; status: string; message: string }[] };
    expect(checks.find(({ name }) => name === 'processes')).toMatchObject({
      status: 'warn',
      message: expect.stringContaining('pid namespace'),
    });
    expect(fs.existsSync(path.join(cwd, 'ran'))).toBe(false);
    expect(fs.existsSync(path.join(cwd, '.forge/orchestrator/tasks/a/state.json'))).toBe(false);
  });

  test('an agent works without being identified: it claims, dispatches and completes', () => {
    const cwd = project(['id: a, title: A']);
    const [claimed, dispatched, completed] = answersOf(
      `forge claim a --json | tee claim
of() { sed "s/.*\\"$1\\":\\"\\([^\\"]*\\)\\".*/\\1/"; }
forge dispatch a --claim $(of claim_id < claim) --run $(of run_id < claim) --json | tee attempt
forge complete a --attempt $(of attempt_id < attempt) --failed --error-class tests --json`,
      cwd,
    );
    expect([claimed.ok, dispatched.ok, completed.ok]).toEqual([true, true, true]);
  });
});
