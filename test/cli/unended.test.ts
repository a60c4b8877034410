/** Workers that end well while a step of theirs is at work: nothing says that it was done. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { dataOf, F, linesIn, orchestrate, project } from '../support/cli.ts';

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
    expect(found).toEqual(unended('step slow was at work', { exit_code: 4 }));
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

  it('a program hands no work in while a step of it is at work, nor within it: there it leaves its verdict in a file', async () => {
    const refused = (within: boolean) => `
      import { execFile } from 'node:child_process';
      import { writeFileSync } from 'node:fs';
      import { promisify } from 'node:util';
      const handIn = () => promisify(execFile)(process.env.FORGE_CLI, ['orchestrate', 'complete', '--verdict-file', 'verdict.json', '--json']);
      const told = async () => writeFileSync('told', await handIn().catch(({ code, stdout }) => code + stdout));
      let begun, go;
      const begins = new Promise((resolve) => { begun = resolve; });
      const goes = new Promise((resolve) => { go = resolve; });
      const step = worker.step('x', async () => { begun(); ${within ? 'await told()' : 'await goes'}; });
      await begins;
      ${within ? '' : 'await told(); go();'}
      await step;
      writeFileSync(process.env.FORGE_VERDICT_FILE, '{"verdict": "ready_for_review", "summary": "left"}');
    `;
    for (const within of [true, false]) {
      const cwd = project(['id: a, title: A, run: node body.mjs'], {
        'body.mjs': `import { worker } from '${LIBRARY}';\n${refused(within)}`,
        'verdict.json': '{"verdict": "ready_for_review", "summary": "made"}',
      });
      expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0, stdout: expect.stringContaining('left') });
      expect(linesIn(cwd, 'told')).toEqual([
        expect.stringMatching(/^4\{.*"code":"NOT_READY".*it ended while step x was at work/),
      ]);
    }
  });

  it('a script hands its work in once the steps of a program beside it are done, and a program right behind its own', async () => {
    const beside = await ended('sh -e body.sh', {
      'program.mjs': `
        import { existsSync, writeFileSync } from 'node:fs';
        import { setTimeout } from 'node:timers/promises';
        import { worker } from '${LIBRARY}';
        await worker.step('one', () => 1);
        await worker.step('two', () => setTimeout(20));
        writeFileSync('begun', '');
        for (;;) await setTimeout(20);
      `,
      'body.sh': `node program.mjs &\n${BEGUN}${VERDICT}${F} complete --verdict-file verdict.json\n`,
    });
    const behind = await ended('node body.mjs', {
      'verdict.json': '{"verdict": "ready_for_review", "summary": "made"}',
      'body.mjs': `
        import { execFileSync } from 'node:child_process';
        import { worker } from '${LIBRARY}';
        await Promise.all([worker.step('one', () => 1), worker.step('two', () => 1)]);
        execFileSync(process.env.FORGE_CLI, ['orchestrate', 'complete', '--verdict-file', 'verdict.json']);
      `,
    });
    expect([beside.state, behind.state]).toEqual(['shipped', 'shipped']);
  });

  it('work is not handed in beside a step that has only just started, nor does a step begin while it is', async () => {
    // Elsewhere no program's arguments are read.
    if (process.platform !== 'darwin')
      expect(
        await script(`${VERDICT}${F} step x -- sleep 60 &\n${F} complete --verdict-file verdict.json\n`),
      ).toMatchObject({ last_error: { class: 'step.unended' } });
    const cwd = project(
      ['id: a, title: A, run: sh body.sh, verify: ["touch asked; until test -e go; do sleep 0.02; done"]'],
      {
        'body.sh': `${VERDICT}${F} complete --verdict-file verdict.json & complete=$!
until test -e asked; do sleep 0.02; done
${F} step x --json -- touch made > told & step=$!
until grep -qs '"name":"x"' .forge/orchestrator/tasks/a/attempts/$FORGE_ATTEMPT_ID/events.jsonl; do sleep 0.02; done
touch go; wait $complete; wait $step
echo $? >> told
`,
      },
    );
    await orchestrate(['run'], { cwd });
    expect((await dataOf(cwd, 'show', 'a')).state.state).toBe('shipped');
    expect(existsSync(join(cwd, 'made'))).toBe(false);
    const [told, code] = linesIn(cwd, 'told');
    expect([JSON.parse(told ?? '').error.code, code]).toEqual(['LEASE_STOLEN', '3']);
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

  it('work is handed in where the log of the attempt can not be written', async () => {
    const end = await script(
      `mkdir "$(dirname "$FORGE_PROMPT_FILE")/events.jsonl"\n${VERDICT}${F} complete --verdict-file verdict.json\n`,
    );
    expect(end).toMatchObject({ code: 0, state: 'shipped', attempt_count: 1 });
  });

  it('the command of a step may hand the work in', async () => {
    const nested = `${F} step inner -- ${F} complete --verdict-file verdict.json`;
    const found = await script(`${VERDICT}${F} step outer -- sh -c '${nested}' || true\n`);
    expect(found).toMatchObject({ code: 0, state: 'shipped' });
  });

  it('a script that leaves a wait, or a call that was killed and made again, has not failed', async () => {
    const found = await ended('sh -e body.sh', {
      // However long the script takes between its calls, the wait parks no task.
      '.forge/settings.yaml': 'steps: {park_after: 1h}\n',
      'body.sh':
        `${F} wait-for stop --timeout 10m &\nsh -c 'echo $$ > pid; exec ${F} step x -- sh -c "touch begun; sleep 60"' & call=$!\n` +
        `${BEGUN}kill -9 $(cat pid)\nwait $call || true\n${F} step x -- true\n`,
    });
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

  it('a wait in a thread parks its task only once the steps of the main thread are done', async () => {
    const cwd = project(['id: a, title: A, run: node body.mjs'], {
      'thread.mjs': `import { worker } from '${LIBRARY}';\nawait worker.waitFor('go');\n`,
      'body.mjs': `
        import { setTimeout } from 'node:timers/promises';
        import { Worker } from 'node:worker_threads';
        import { worker } from '${LIBRARY}';
        const waits = () => new Worker(new URL('thread.mjs', import.meta.url));
        await worker.step('x', () => (waits(), setTimeout(2500)));
        await worker.step('y', () => 1);
      `,
    });
    await orchestrate(['run'], { cwd });
    const { steps } = await dataOf(cwd, 'steps', 'a');
    const standings = steps.map(({ name, status }: { name: string; status: string }) => `${name} ${status}`).sort();
    expect(standings).toEqual(['go running', 'x completed', 'y completed']);
    expect((await dataOf(cwd, 'show', 'a')).state.state).toBe('waiting');
  });

  it('a program that ends itself while a thread of it is at a step has failed, unless that was done again', async () => {
    const thread = `
      import { parentPort } from 'node:worker_threads';
      import { worker } from '${LIBRARY}';
      await worker.step('x', () => new Promise(() => { parentPort.postMessage(''); setInterval(() => {}, 1e6); }));
    `;
    const body = (end: string) => ({
      'thread.mjs': thread,
      'body.mjs': `
        import { Worker } from 'node:worker_threads';
        import { worker } from '${LIBRARY}';
        const thread = new Worker(new URL('thread.mjs', import.meta.url));
        thread.on('message', async () => { ${end} });
      `,
    });
    expect(await ended('node body.mjs', body('process.exit(0);'))).toEqual(unended('step x was at work'));
    const again = body("await thread.terminate(); await worker.step('x', () => 1);");
    // Elsewhere a thread is known by its process.
    if (process.platform !== 'darwin')
      expect(await ended('node body.mjs', again)).toMatchObject({ code: 0, state: 'shipped' });
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
