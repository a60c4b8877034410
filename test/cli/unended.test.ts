/** Workers that end well while a step of theirs is at work: nothing says that it was done. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { dataOf, F, orchestrate, project } from '../support/cli.ts';

const LIBRARY = pathToFileURL(join(import.meta.dirname, '../../dist/lib/worker.js')).href;
const BEGUN = 'while ! test -e begun; do sleep 0.02; done\n';

/** How the only task of a project ends whose worker is this file. */
async function ended(run: string, files: Record<string, string>) {
  const cwd = project([`id: a, title: A, run: ${run}, retry: {max_attempts: 3, base: 1ms}`], files);
  const { code } = await orchestrate(['run'], { cwd });
  const { state, attempt_count, last_error } = (await dataOf(cwd, 'show', 'a')).state;
  return { code, state, attempt_count, last_error };
}
const VERDICT = `echo '{"verdict": "ready_for_review", "summary": "made"}' > verdict.json\n`;
const script = (body: string) => ended('sh -e body.sh', { 'body.sh': body });
const program = (body: string) =>
  ended('node body.mjs', { 'body.mjs': `import { worker } from '${LIBRARY}';\n${body}` });

const unended = (message: string, more = {}) => ({
  code: 1,
  state: 'failed',
  attempt_count: 1,
  last_error: { class: 'step.unended', message: `it ended while ${message}`, ...more },
});

describe('a worker that ends well', () => {
  it('a script that ends while a step of it is at work has failed', async () => {
    expect(await script(`${F} step x -- sh -c 'touch begun; sleep 60' &\n${BEGUN}`)).toEqual(
      unended('step x was at work'),
    );
  });

  it('work is not handed in while a step is at work, and a script that ends over that has failed as one that left it', async () => {
    const found = await script(
      `${F} step x -- sh -c 'touch begun; sleep 60' &\n${BEGUN}${VERDICT}${F} complete --verdict-file verdict.json\n`,
    );
    expect(found).toEqual(unended('step x was at work', { exit_code: 4 }));
  });

  it('work that was refused while a step was at work is taken once it has ended', async () => {
    const found = await script(
      `${F} step x -- sh -c 'touch begun; until test -e go; do sleep 0.02; done' & call=$!\n${BEGUN}${VERDICT}` +
        `${F} complete --verdict-file verdict.json --json > refused || true\ntouch go; wait $call\n` +
        `grep -q '"code":"NOT_READY"' refused\n${F} complete --verdict-file verdict.json\n`,
    );
    expect(found).toMatchObject({ code: 0, state: 'shipped' });
  });

  it('the command of a step may hand the work in', async () => {
    const nested = `${F} step inner -- ${F} complete --verdict-file verdict.json`;
    const found = await script(`${VERDICT}${F} step outer -- sh -c '${nested}' || true\n`);
    expect(found).toMatchObject({ code: 0, state: 'shipped' });
  });

  it('a script that leaves a wait, or a call that was killed and made again, has not failed', async () => {
    const found = await script(
      `${F} wait-for stop &\nsh -c 'echo $$ > pid; exec ${F} step x -- sh -c "touch begun; sleep 60"' & call=$!\n` +
        `${BEGUN}kill -9 $(cat pid)\nwait $call || true\n${F} step x -- true\n`,
    );
    expect(found).toMatchObject({ code: 0, state: 'shipped' });
  });

  it('a program that ends itself while a step of it is at work has failed', async () => {
    const found = await program(
      "worker.step('x', () => new Promise(() => process.nextTick(() => process.exit(0))));\nawait worker.step('y', () => new Promise(() => {}));\n",
    );
    expect(found).toEqual(unended('steps x, y were at work', { exit_code: 1 }));
  });

  it('a program may end while it waits, and when one of several steps was enough and the others have failed', async () => {
    const found = await program(`
      const slow = worker.step('x', async () => { throw new Error('no'); }, { retry: { max_attempts: 1 } }).catch(() => {});
      worker.waitFor('stop');
      const done = worker.step('y', () => 1);
      await Promise.race([slow, done]);
      await Promise.all([slow, done]);
      process.exit(0);
    `);
    expect(found).toMatchObject({ code: 0, state: 'shipped' });
  });
});
