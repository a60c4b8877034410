/** Readers of what a step passes on, which go before it ends. */

import { describe, expect, it } from 'vitest';
import { dataOf, F, linesIn, orchestrate, project } from '../support/cli.ts';

/** What the journal says of step `x` of a task that has shipped, whose worker is this script. */
async function stepOf(cwd: string) {
  expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
  const { steps } = await dataOf(cwd, 'steps', 'a');
  return steps[0];
}
const scripted = (body: string) => project(['id: a, title: A, run: sh -e body.sh'], { 'body.sh': body });

describe('a reader that goes before a step ends', () => {
  it('a reader that goes leaves the step to be done, and later ones get all that it wrote', async () => {
    const writes = 'echo one; while ! test -e gone; do sleep 0.02; done; echo two; echo ran >> ledger';
    const cwd = scripted(
      `${F} step x -- sh -ec '${writes}' | { head -1 >> read; exec <&-; touch gone; }\n` +
        `test -e tried || { touch tried; exit 9; }\n${F} step y -- cat read > copy\n`,
    );
    expect(await stepOf(cwd)).toMatchObject({ name: 'x', status: 'completed', result: { stdout: 'one\ntwo\n' } });
    expect(linesIn(cwd)).toEqual(['ran']);
    expect(linesIn(cwd, 'read')).toEqual(['one', 'one']);
  });

  it('a reader that goes ends a command that writes without end, which is not tried again', async () => {
    const cwd = scripted(`${F} step x -- yes | head -1 > read\n`);
    expect(await stepOf(cwd)).toMatchObject({ status: 'failed', tries: 1, last_error: { class: 'signal.SIGPIPE' } });
    expect(linesIn(cwd, 'read')).toEqual(['y']);
  });
});
