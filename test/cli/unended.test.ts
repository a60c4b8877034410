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

  it
    .skipIf(process.platform === 'darwin')
    .each([
      `${F} step x`,
      `${F} step --json x`,
      `${F} step --timeout 5m x`,
      `${F} step --timeout=5m x`,
      `${F} --json --dir . step x --json`,
      `node "\${FORGE_CLI%.cjs}-orchestrate.cjs" step x`,
    ])('a script that ends while a step of it has only just started has failed: %s', async (call) => {
    expect(await script(`${call} -- sleep 60 &\n`)).toEqual(unended('step x was at work'));
  });

  it('a script that leaves what is no step has not failed', async () => {
    const found = await script(`sleep 60 &\n${F} steps --json > /dev/null &\n`);
    expect(found).toMatchObject({ code: 0, state: 'shipped' });
  });

  it('work is not handed in while a step of a program is at work that the worker has started beside it', async () => {
    const body = `
      import { closeSync, openSync } from 'node:fs';
      import { worker } from '${LIBRARY}';
      await worker.step('quick', () => 1);
      await worker.step('slow', () => new Promise(() => { setInterval(() => {}, 1e6); closeSync(openSync('begun', 'w')); }));
    `;
    const found = await ended('sh -e body.sh', {
      'program.mjs': body,
      'body.sh': `node program.mjs &\n${BEGUN}${VERDICT}${F} complete --verdict-file verdict.json\n`,
    });
    const { message } = found.last_error;
    expect(found).toEqual(unended(expect.anything(), { exit_code: 4, message }));
    expect(message).toMatch(/^it ended while a step of process \d+ was at work$/);
  });

  it('a script that ends while a step of a program is at work that it has left has failed', async () => {
    const body = `
      import { closeSync, openSync } from 'node:fs';
      import { worker } from '${LIBRARY}';
      await worker.step('slow', () => new Promise(() => { setInterval(() => {}, 1e6); closeSync(openSync('begun', 'w')); }));
    `;
    const found = await ended('sh -e body.sh', { 'program.mjs': body, 'body.sh': `node program.mjs &\n${BEGUN}` });
    expect(found).toMatchObject({ state: 'failed', last_error: { class: 'step.unended' } });
  });

  it('a program may hand its work in within a step, and a script once the steps of a program beside it are done', async () => {
    const inStep = await ended('node body.mjs', {
      'verdict.json': '{"verdict": "ready_for_review", "summary": "made"}',
      'body.mjs': `
        import { execFileSync } from 'node:child_process';
        import { worker } from '${LIBRARY}';
        await worker.step('hand-in', () => { execFileSync(process.env.FORGE_CLI, ['orchestrate', 'complete', '--verdict-file', 'verdict.json']); });
      `,
    });
    const beside = await ended('sh -e body.sh', {
      'program.mjs': `
        import { existsSync, writeFileSync } from 'node:fs';
        import { setTimeout } from 'node:timers/promises';
        import { worker } from '${LIBRARY}';
        await worker.step('one', () => 1);
        await worker.step('two', () => setTimeout(20));
        await setTimeout(20);
        writeFileSync('begun', '');
        for (;;) await setTimeout(20);
      `,
      'body.sh': `node program.mjs &\n${BEGUN}${VERDICT}${F} complete --verdict-file verdict.json\n`,
    });
    expect([inStep.state, beside.state]).toEqual(['shipped', 'shipped']);
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

  it('a wait of a script parks its task only once a step of a program beside it is done', async () => {
    const cwd = project(['id: a, title: A, run: sh -e body.sh'], {
      'program.mjs': `
        import { writeFileSync } from 'node:fs';
        import { setTimeout } from 'node:timers/promises';
        import { worker } from '${LIBRARY}';
        await worker.step('x', () => (writeFileSync('begun', ''), setTimeout(2500)));
      `,
      'body.sh': `node program.mjs &\n${BEGUN}${F} wait-for go || true\nwait\n`,
    });
    await orchestrate(['run'], { cwd });
    const { state } = (await dataOf(cwd, 'show', 'a')).state;
    const { steps } = await dataOf(cwd, 'steps', 'a');
    const standings = steps.map(({ name, status }: { name: string; status: string }) => `${name} ${status}`).sort();
    expect([state, standings]).toEqual(['waiting', ['go running', 'x completed']]);
  });

  it('a program that ends itself while a step of it is at work has failed', async () => {
    const found = await program(
      "worker.step('x', () => new Promise(() => process.nextTick(() => process.exit(0))));\nawait worker.step('y', () => new Promise(() => {}));\n",
    );
    expect(found).toEqual(unended('steps x, y were at work', { exit_code: 1 }));
  });

  it('a program ends when nothing can end its step any more', async () => {
    const never = "worker.step('x', () => new Promise(() => {}))";
    const [called, awaited] = [await program(`${never};\n`), await program(`await ${never};\n`)];
    expect(called).toEqual(unended('step x was at work', { exit_code: 1 }));
    expect(awaited).toEqual(called);
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
