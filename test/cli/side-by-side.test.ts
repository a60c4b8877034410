/** The same name reached side by side in one attempt: by threads, by programs, and by a program and a call of a script. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { dataOf, F, linesIn, orchestrate, project } from '../support/cli.ts';

const LIBRARY = pathToFileURL(join(import.meta.dirname, '../../dist/lib/worker.js')).href;
const until = (file: string) => `until test -e ${file}; do sleep 0.02; done\n`;

/** Does what `x` names until `go` is there, and notes that; then what it was told, by `name`. */
const program = (call: string) => `
  import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
  import { setTimeout } from 'node:timers/promises';
  import { isMainThread, workerData } from 'node:worker_threads';
  import { worker } from '${LIBRARY}';
  const name = isMainThread ? process.argv[2] : workerData;
  const work = async () => {
    appendFileSync('ledger', 'x\\n');
    writeFileSync('begun', '');
    while (!existsSync('go')) await setTimeout(20);
    return true;
  };
  const told = await ${call}.then(() => 'done', ({ code, message }) => code + ': ' + message);
  writeFileSync(name, told);
`;
const CALLS = {
  step: "worker.step('x', work)",
  'wait-until': "worker.waitUntil('x', work)",
  repeat: "worker.repeat('x', work, { every: '1h', times: 1 })",
};

const read = (cwd: string, file: string) => readFileSync(join(cwd, file), 'utf8');
const REFUSED = 'STEP_REPEATED: step x is at work in another call of this attempt';

async function done(files: Record<string, string>, run = 'sh -e body.sh') {
  const cwd = project([`id: a, title: A, run: ${run}, retry: {max_attempts: 1}`], files);
  const { code } = await orchestrate(['run'], { cwd });
  return { cwd, code };
}

describe('the same name side by side', () => {
  it.each(Object.entries(CALLS))(
    'a %s that a program is at is refused to another program of its attempt',
    async (_kind, call) => {
      const { cwd, code } = await done({
        'program.mjs': program(call),
        'body.sh': `node program.mjs one & one=$!\n${until('begun')}node program.mjs other\ntouch go; wait $one\n`,
      });
      expect([code, read(cwd, 'one'), read(cwd, 'other')]).toEqual([0, 'done', REFUSED]);
      expect(linesIn(cwd)).toEqual(['x']);
    },
  );

  it('a step that a program is at is refused to a call of a script, and the other way round', async () => {
    const { cwd } = await done({
      'program.mjs': program(CALLS.step),
      'body.sh': `node program.mjs one & one=$!\n${until('begun')}${F} step x -- touch called 2> told || true\ntouch go; wait $one\nrm begun go
${F} step y -- sh -c 'touch begun; ${until('go')}' & call=$!\n${until('begun')}sed 's/step(.x./step("y"/' program.mjs > y.mjs; node y.mjs two\ntouch go; wait $call\n`,
    });
    expect(read(cwd, 'told')).toContain('step x is at work in another call of this attempt');
    expect([read(cwd, 'one'), read(cwd, 'two')]).toEqual(['done', REFUSED.replace(' x ', ' y ')]);
    const { steps } = await dataOf(cwd, 'steps', 'a');
    expect(steps).toMatchObject([
      { name: 'x', status: 'completed' },
      { name: 'y', status: 'completed' },
    ]);
  });

  it('a step that a thread is at is refused to another thread, which gets what was done once it is', async () => {
    const { cwd, code } = await done(
      {
        'thread.mjs': program(CALLS.step),
        'body.mjs': `
          import { existsSync, writeFileSync } from 'node:fs';
          import { once } from 'node:events';
          import { setTimeout } from 'node:timers/promises';
          import { Worker } from 'node:worker_threads';
          const begin = (workerData) => new Worker(new URL('thread.mjs', import.meta.url), { workerData });
          const one = once(begin('one'), 'exit');
          while (!existsSync('begun')) await setTimeout(20);
          await once(begin('other'), 'exit');
          writeFileSync('go', '');
          await one;
          await once(begin('last'), 'exit');
        `,
      },
      'node body.mjs',
    );
    expect([code, read(cwd, 'one'), read(cwd, 'other'), read(cwd, 'last')]).toEqual([0, 'done', REFUSED, 'done']);
    expect(linesIn(cwd)).toEqual(['x']);
  });

  it('a step runs again in the same attempt when the program or the thread that was at it was killed', async () => {
    const files = {
      'program.mjs': program(CALLS.step),
      'threads.mjs': `
        import { existsSync } from 'node:fs';
        import { setTimeout } from 'node:timers/promises';
        import { Worker } from 'node:worker_threads';
        const thread = new Worker(new URL('program.mjs', import.meta.url), { workerData: 'one' });
        while (!existsSync('begun')) await setTimeout(20);
        await thread.terminate();
        process.argv[2] = 'other';
        await import('./program.mjs');
      `,
    };
    const killed = `node program.mjs one & one=$!\n${until('begun')}kill -9 $one; wait $one || true\nrm begun\nnode program.mjs other & other=$!\n`;
    const terminated = `node threads.mjs & other=$!\n${until('begun')}`;
    // Elsewhere than on Linux a thread is known by its process.
    for (const body of process.platform === 'darwin' ? [killed] : [killed, terminated]) {
      const again = `until test $(wc -l < ledger) -eq 2; do sleep 0.02; done\ntouch go; wait $other\n`;
      const { cwd, code } = await done({ ...files, 'body.sh': body + again });
      expect([code, read(cwd, 'other')]).toEqual([0, 'done']);
    }
  });
});
