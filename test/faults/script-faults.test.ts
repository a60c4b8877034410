/** A worker's script of five steps, of which one call is killed in place of one of its system calls: the run completes without a hand. */

import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FORGE, orchestrate, project } from '../support/cli.ts';
import { LONG, pooled, SHORT, sampled, sized } from '../support/faults/knobs.ts';
import { aroundCommits, callsAbout, callText, isSteady, noStrace, type TracedCall } from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

/** Calls of the script, in their order: the n-th is what the n-th line does where nothing is killed. */
const VERBS = ['step one', 'context set', 'wait soak', 'fan-out', 'join', 'step two'];
const PATHS = sized(1, 2, 1000);

const SCRIPT = `#!/bin/sh -e
f=./forge.sh
$f step one -- sh -c 'echo one >> ledger'
$f context set k '"v"'
$f wait soak --until 2020-01-01T00:00:00Z
for c in a b; do echo "{\\"name\\": \\"$c\\", \\"run\\": \\"echo child-$c >> ledger\\"}"; done | $f fan-out set --from -
$f join set > joined
$f step two -- sh -c 'echo two >> ledger'
`;

/** Counts the calls, and runs that of the number in \`aim\` under strace with the options there. */
const WRAPPER = `#!/bin/sh
n=$(($(cat calls 2> /dev/null || echo 0) + 1)); echo $n > calls
if test -e "aim.$n"; then exec strace -y -o "trace.$n" $(cat "aim.$n") -- "${process.execPath}" "${FORGE}" orchestrate "$@"; fi
exec "${process.execPath}" "${FORGE}" orchestrate "$@"
`;

function prepared(): string {
  const cwd = project([`id: a, title: A, run: sh -e body.sh, retry: {max_attempts: 5, base: 1ms}`], {
    'body.sh': SCRIPT,
    'forge.sh': WRAPPER,
    '.forge/settings.yaml': 'steps: {park_after: 0}\n',
  });
  chmodSync(join(cwd, 'forge.sh'), 0o755);
  return cwd;
}

const lines = (cwd: string, file: string) =>
  existsSync(join(cwd, file)) ? readFileSync(join(cwd, file), 'utf8').trimEnd().split('\n') : [];
const count = (cwd: string, text: string) => lines(cwd, 'ledger').filter((line) => line === text).length;

/** The system calls of each call of the script where nothing is killed. */
async function callsOfScript(): Promise<TracedCall[][]> {
  const cwd = prepared();
  // A join parks the task first, so it is called once more.
  for (let n = 1; n <= 12; n++) writeFileSync(join(cwd, `aim.${n}`), '-e trace=%file,%desc');
  expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
  return VERBS.map((_, at) => callsAbout(cwd, readFileSync(join(cwd, `trace.${at + 1}`), 'utf8')).filter(isSteady));
}

describeUnless(noStrace(), 'a script of five steps', () => {
  test('whichever of its calls is killed at whichever system call, all is done in the end and nothing twice that was recorded', {
    timeout: LONG ? 3_600_000 : 240_000,
  }, async () => {
    const calls = await callsOfScript();
    const points = calls.slice(0, 5).flatMap((each, at) => {
      const commits = each.some(({ name }) => name.startsWith('link')) ? aroundCommits(each).slice(0, PATHS) : [];
      const aimed = SHORT ? commits : sampled(each, PATHS, commits);
      return aimed.map((call) => ({ call, verb: at + 1 }));
    });
    const killed = await pooled(points, async ({ call, verb }) => {
      const cwd = prepared();
      const inject = `inject=${call.name}:signal=KILL:when=${call.count}`;
      writeFileSync(join(cwd, `aim.${verb}`), `-e trace=${call.name} -e ${inject}`);
      const where = `${VERBS[verb - 1]}, SIGKILL at ${callText(call)}`;
      const ran = await orchestrate(['run'], { cwd });
      expect(ran.code, `${where}\n${ran.stdout}`).toBe(0);
      for (const effect of ['one', 'child-a', 'child-b', 'two']) {
        const times = count(cwd, effect);
        expect(times, `${effect}: ${where}`).toBeGreaterThanOrEqual(1);
        // Only a step that was killed before its record may be done once more.
        if (!(verb === 1 && effect === 'one')) expect(times, `${effect}: ${where}`).toBe(1);
      }
      expect(
        lines(cwd, 'joined').map((line) => JSON.parse(line).name),
        where,
      ).toEqual(['a', 'b']);
      // A killed call may leave the file that it was writing, which gc clears away.
      await orchestrate(['gc'], { cwd });
      const gc = await orchestrate(['gc', '--dry-run', '--detailed-exitcode'], { cwd });
      expect(gc.code, `${where}\n${gc.stdout}`).toBe(0);
      return /killed by SIGKILL/.test(readFileSync(join(cwd, `trace.${verb}`), 'utf8'));
    });
    expect(killed.filter(Boolean).length).toBeGreaterThan(killed.length / 2);
  });
});
