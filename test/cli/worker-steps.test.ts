/** Steps of a program, by `forge-orchestrate/worker`. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { memoryWorker, RetryPolicy, type StepScope } from '../../src/worker.ts';
import { answerOf, dataOf, FORGE, linesIn, orchestrate, project } from '../support/cli.ts';

const LIBRARY = pathToFileURL(join(import.meta.dirname, '../../dist/lib/worker.js')).href;
const HEAD = `import { appendFileSync, existsSync, writeFileSync } from 'node:fs';\nimport { worker } from '${LIBRARY}';\nconst note = (text) => appendFileSync('ledger', text + '\\n');\n`;

/** A project with one task, whose worker is this module. */
const scripted = (body: string, more = ', retry: {max_attempts: 3, base: 1ms}') =>
  project([`id: a, title: A, run: node body.mjs${more}`], { 'body.mjs': HEAD + body });

/** Its module, under a claim that no run looks after. */
async function claimed(cwd: string) {
  const { claim_id, run_id } = await answerOf(cwd, 'claim', 'a');
  const { attempt_id } = await answerOf(cwd, 'dispatch', 'a', '--claim', claim_id, '--run', run_id);
  const env = { ...process.env, FORGE_DIR: cwd, FORGE_TASK_ID: 'a', FORGE_ATTEMPT_ID: attempt_id, FORGE_CLI: FORGE };
  return spawn(process.execPath, ['body.mjs'], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
}

describe('a step of a program', () => {
  it('a step of a program is done once over all attempts, and so is what it keeps of the context', async () => {
    const cwd = scripted(`
      const made = await worker.step('make', ({ set, key }) => { note('make'); set('made.at', { n: 1 }); return { size: 3, none: undefined }; });
      const [one, two] = await Promise.all([worker.step('one', async () => 1), worker.step('two', async () => 2)]);
      note(JSON.stringify([made, one, two, await worker.context.get('made.at')]));
      if (!existsSync('tried')) { writeFileSync('tried', ''); throw new Error('not yet'); }
    `);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    const told = JSON.stringify([{ size: 3 }, 1, 2, { n: 1 }]);
    expect(linesIn(cwd)).toEqual(['make', told, told]);
    expect((await dataOf(cwd, 'steps', 'a')).context).toEqual({ 'made.at': { n: 1 } });
  });

  it('steps of a program run side by side by the hundred, without a warning', async () => {
    const cwd = scripted(`
      const all = Array.from({ length: 300 }, (_, number) => worker.step('at.' + number, () => number));
      note(String((await Promise.all(all)).every((made, number) => made === number)));
    `);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['true']);
    expect((await dataOf(cwd, 'steps', 'a')).steps).toHaveLength(300);
    expect((await orchestrate(['logs', 'a'], { cwd })).stdout).not.toContain('Warning');
  });

  it('a step of a program keeps what is nested up to 500 deep, in the record and in a part that was moved out of it', async () => {
    const cwd = scripted(`
      const nested = (levels) => levels === 0 ? 'x'.repeat(10_000) : [nested(levels - 1)];
      for (const name of ['one', 'two', 'three']) note(JSON.stringify(await worker.step(name, () => { note(name); return nested(500); })) === JSON.stringify(nested(500)));
      if (!existsSync('tried')) { writeFileSync('tried', ''); throw new Error('not yet'); }
      await worker.step('deep', () => nested(501), { retry: { max_attempts: 1 } }).catch((error) => { if (!/nested 500 levels/.test(error.message)) throw error; });
    `);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['one', 'true', 'two', 'true', 'three', 'true', 'true', 'true', 'true']);
  });

  it('a step of a program may make children and join them, in the records of the shell', async () => {
    const cwd = scripted(`
      note(JSON.stringify(await worker.fanOut('files', ['x', 'y'].map((name) => ({ name, run: 'cp "$FORGE_INPUT_FILE" "$FORGE_RESULT_FILE"', input: { name } })))));
      note(JSON.stringify(await worker.join('files')));
    `);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    const told = ['x', 'y'].map((name) => ({ fan_out: 'files', name, state: 'shipped', result: { name } }));
    expect(linesIn(cwd)).toEqual(['{"children":2}', '{"children":2}', JSON.stringify(told)]);
    expect((await dataOf(cwd, 'steps', 'a')).steps.map(({ kind }: { kind: string }) => kind)).toEqual([
      'fan-out',
      'join',
    ]);
  });

  it('shares its records with the shell', async () => {
    const cwd = scripted(`
      import { execFileSync } from 'node:child_process';
      const sh = (...args) => execFileSync(process.env.FORGE_CLI, ['orchestrate', ...args], { encoding: 'utf8' });
      note(sh('step', 'shell', '--', 'echo', 'told').trim());
      await worker.context.set('n', 1);
      note(sh('context', 'get', 'n').trim());
      note(JSON.stringify(await worker.step('program', () => 'done')));
    `);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['told', '1', '"done"']);
    expect((await dataOf(cwd, 'steps', 'a')).steps.map(({ name }: { name: string }) => name)).toEqual([
      'shell',
      'program',
    ]);
  });

  it('a step of a program fails its attempt with what it threw last, under its class', async () => {
    const cwd = scripted(
      `await worker.step('pay', () => { note('try'); throw Object.assign(new Error('card refused'), { class: 'declined' }); }, { retry: { max_attempts: 2, base: 1 } });`,
      ', retry: {max_attempts: 1}',
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect(linesIn(cwd)).toEqual(['try', 'try']);
    expect((await dataOf(cwd, 'show', 'a')).state.last_error).toMatchObject({
      class: 'declined',
      message: 'step pay: card refused',
    });
  });

  it('a step of a program fails its attempt also with more text than a record has room for, and a class that is none', async () => {
    const cwd = scripted(
      `await worker.step('x', () => { throw Object.assign(new Error('long '.repeat(60_000)), { class: 'A b' }); });`,
      ', retry: {max_attempts: 1}',
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    const { state } = await dataOf(cwd, 'show', 'a');
    expect(state).toMatchObject({ state: 'failed', last_error: { class: 'error' } });
    expect(state.last_error.message).toMatch(/^step x: long long/);
    writeFileSync(join(cwd, 'body.mjs'), `${HEAD}await worker.wait('w', 'long '.repeat(60_000));`);
    await orchestrate(['retry', 'a'], { cwd });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect((await dataOf(cwd, 'show', 'a')).state).toMatchObject({ last_error: { class: 'fatal.step' } });
  });

  it('a step of a program of a reserved name fails its attempt, and no other follows', async () => {
    const cwd = scripted(
      `note('attempt');\nawait worker.step('one', () => 1);\nawait worker.step('forge.x', () => 1);`,
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect(linesIn(cwd)).toEqual(['attempt']);
    expect((await dataOf(cwd, 'show', 'a')).state.last_error).toMatchObject({ class: 'fatal.step' });
  });

  it('a program that ends by an error of forge shows where that was made, and no other source', async () => {
    const cwd = scripted(
      `await worker.step('slow', () => new Promise(() => {}), { timeout: 1, retry: { max_attempts: 1 } });`,
      ', retry: {max_attempts: 1}',
    );
    const { code, stdout } = await orchestrate(['run'], { cwd });
    expect(code).toBe(1);
    expect(stdout).toContain('step slow: slow took longer than its timeout of 1ms');
    expect(Buffer.byteLength((await orchestrate(['logs', 'a'], { cwd })).stdout)).toBeLessThan(2000);
  });

  it('a program that exits right behind the call of a step, with code 0, has failed', async () => {
    const cwd = scripted(`worker.step('x', () => note('ran')); process.exit(0);`, ', retry: {max_attempts: 1}');
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect((await dataOf(cwd, 'show', 'a')).state.last_error.message).toContain('it ended while step x was at work');
  });

  it('a program whose journal could not be opened opens it at its next step', async () => {
    const cwd = scripted(`
      writeFileSync('.forge/settings.yaml', 'no: 1');
      await worker.step('x', () => 1).catch((error) => note(error.code));
      writeFileSync('.forge/settings.yaml', '');
      note(await worker.step('x', () => 'done'));
    `);
    expect(await once(await claimed(cwd), 'exit')).toEqual([0, null]);
    expect(linesIn(cwd)).toEqual(['SETTINGS_INVALID', 'done']);
  });

  it('a step of a program that waits ends its program, and the next attempt goes on behind it', async () => {
    const body = `await worker.step('one', () => note('one'));\nnote('pass');\nawait worker.wait('soak', 300);\nnote(await worker.waitFor('go'));`;
    const cwd = project([`id: a, title: A, run: node body.mjs, retry: {max_attempts: 1}`], {
      'body.mjs': HEAD + body,
      '.forge/settings.yaml': 'steps: {park_after: 0}\n',
    });
    await orchestrate(['signal', 'a', 'go', '--data', '"came"'], { cwd });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['one', 'pass', 'pass', 'came']);
    const [{ attempt_id: first }] = (await dataOf(cwd, 'show', 'a')).attempts;
    const { stdout } = await orchestrate(['logs', 'a', '--attempt', first], { cwd });
    expect(stdout).toMatch(/the task is parked: it waits until/);
    expect(stdout).not.toContain('    at ');
  });

  it('a step of a program is aborted when its attempt has lost the task', async () => {
    const cwd = scripted(`
      await worker.step('slow', ({ signal }) => new Promise((_, reject) => {
        const work = setInterval(() => {}, 1000);
        signal.addEventListener('abort', () => { clearInterval(work); reject(signal.reason); });
        console.log('begun');
      })).catch((error) => note(error.code));
      await worker.step('late', () => note('ran')).catch((error) => note(error.code));
    `);
    const program = await claimed(cwd);
    // It may end before the command that cancels it does.
    const ended = once(program, 'exit');
    await once(program.stdout, 'data');
    await orchestrate(['cancel', 'a'], { cwd });
    expect(await ended).toEqual([0, null]);
    expect(linesIn(cwd)).toEqual(['LEASE_STOLEN', 'LEASE_STOLEN']);
  });
});

describe('what another process has done meanwhile', () => {
  it('what another process has done meanwhile is done for a program: its own child, and a person who has cancelled its task', async () => {
    const cwd = scripted(`
      import { execFileSync } from 'node:child_process';
      const sh = (...args) => execFileSync(process.env.FORGE_CLI, ['orchestrate', ...args], { encoding: 'utf8' });
      await worker.step('first', () => 1);
      sh('context', 'set', 'by.child', '5');
      note(String(await worker.context.get('by.child')));
      sh('step', 'both', '--', 'echo', 'child');
      note((await worker.step('both', () => 'program')).stdout.trim());
      sh('cancel', 'a');
      await worker.step('late', () => note('ran')).catch((error) => note(error.code));
      await worker.context.get('by.child').catch((error) => note(error.code));
    `);
    const program = await claimed(cwd);
    expect(await once(program, 'exit')).toEqual([0, null]);
    expect(linesIn(cwd)).toEqual(['5', 'child', 'LEASE_STOLEN', 'LEASE_STOLEN']);
  });
});

describe('a worker in memory', () => {
  it('a worker in memory tries by policies of code, which match errors by their class or their ancestors', async () => {
    class Network extends Error {}
    class Dns extends Network {}
    const policy = RetryPolicy.compose(
      new RetryPolicy({ name: 'network', retry_on: [Network], max_attempts: 4, base: 0 }),
      new RetryPolicy({ name: 'declined', retry_on: ['declined'], max_attempts: 1 }),
    );
    const thrown = [new Dns('a'), new Network('b'), new Dns('c'), { class: 'declined' }];
    const worker = memoryWorker();
    const tries: number[] = [];
    const fail = (scope: StepScope) => {
      tries.push(scope.try);
      throw thrown[scope.try - 1];
    };
    await expect(worker.step('x', fail, { retry: policy })).rejects.toBe(thrown[3]);
    expect(tries).toEqual([1, 2, 3, 4]);
  });

  it('a text that is thrown names no class: no policy of a class matches it, and fatal is tried again', async () => {
    let tries = 0;
    const fail = (text: string) => () => {
      tries += 1;
      throw text;
    };
    const retry = [
      { retry_on: ['network'], max_attempts: 9, base: 0 },
      { max_attempts: 2, base: 0 },
    ];
    await expect(memoryWorker().step('x', fail('network'), { retry })).rejects.toBe('network');
    await expect(memoryWorker().step('x', fail('fatal'), { retry })).rejects.toBe('fatal');
    expect(tries).toBe(4);
  });

  it.each([null, 5, 'text', undefined])('handles %j that is thrown as it would an error', async (thrown) => {
    let tries = 0;
    const fail = () => {
      tries += 1;
      throw thrown;
    };
    await expect(memoryWorker().step('x', fail, { retry: { max_attempts: 2, base: 0 } })).rejects.toBe(thrown);
    expect(tries).toBe(2);
  });

  it('a worker in memory comes to the steps within a step again when that is tried again, and to one that has failed', async () => {
    const worker = memoryWorker();
    const retry = { max_attempts: 2, base: 0 };
    let inner = 0;
    const outer = async (scope: StepScope) => {
      await worker.step('inner', () => {
        inner += 1;
      });
      if (scope.try === 1) throw new Error('not yet');
      await expect(worker.step('inner', () => 0)).rejects.toMatchObject({ code: 'STEP_REPEATED' });
    };
    await worker.step('outer', outer, { retry });
    expect(inner).toBe(1);
    const fail = () => Promise.reject(new Error('no'));
    await expect(worker.step('again', fail, { retry: { max_attempts: 1 } })).rejects.toThrow('no');
    expect(await worker.step('again', () => 5)).toBe(5);
    const slow = worker.step('slow', () => new Promise((resolve) => setImmediate(resolve)));
    await expect(worker.step('slow', () => 1)).rejects.toMatchObject({ code: 'STEP_REPEATED' });
    await slow;
  });

  it('a worker in memory does not try a mistake of the program again', async () => {
    const worker = memoryWorker();
    const retry = { max_attempts: 3, base: 0 };
    let tries = 0;
    const mistakes: [string, (scope: StepScope) => unknown, string][] = [
      ['reserved', ({ set }) => set('forge.x', 1), 'INVALID_ID'],
      ['no-json', () => 1n, 'INVALID_ARGS'],
      // Two bytes each.
      ['large', () => 'é'.repeat(600_000), 'INVALID_ARGS'],
    ];
    for (const [name, fn, code] of mistakes) {
      const counted = (scope: StepScope) => {
        tries += 1;
        return fn(scope);
      };
      await expect(worker.step(name, counted, { retry })).rejects.toMatchObject({ code });
    }
    expect(tries).toBe(mistakes.length);
  });

  it('a worker in memory gives out copies, keeps undefined as null, and what is set late is lost', async () => {
    const worker = memoryWorker();
    let late: StepScope['set'] = () => {};
    const made = await worker.step('make', ({ set }) => {
      late = set;
      return { list: [1] };
    });
    late('late', 1);
    made.list.push(2);
    await worker.context.merge({ none: undefined, deep: { a: 1 }, constructor: null });
    const deep = await worker.context.get<{ a: number }>('deep');
    if (deep !== undefined) deep.a = 2;
    expect(await worker.context.list()).toEqual({ none: null, deep: { a: 1 }, constructor: null });
    expect(await worker.context.get('toString')).toBeUndefined();
  });

  it('a worker in memory waits between tries for a policy that asks for more than a timer can, and warns of nothing', async () => {
    const warnings: string[] = [];
    const warned = (warning: Error) => warnings.push(warning.name);
    process.on('warning', warned);
    const worker = memoryWorker();
    const last = (scope: StepScope) => {
      if (scope.try < 20) throw new Error('not yet');
    };
    await worker.step('often', last, { retry: { max_attempts: 20, base: 0 } });
    let tries = 0;
    const fail = () => {
      tries += 1;
      throw new Error('no');
    };
    vi.useFakeTimers();
    void worker
      .step('rarely', fail, { retry: { max_attempts: 3, base: '40d', cap: '60d', jitter: 'none' } })
      .catch(() => {});
    await vi.advanceTimersByTimeAsync(24 * 86_400_000);
    vi.useRealTimers();
    expect({ tries, warnings }).toEqual({ tries: 1, warnings: [] });
    process.off('warning', warned);
  });

  it('a worker in memory fails at the ninth try when two policies of five take turns', async () => {
    const policy = ['a', 'b'].map((name) => ({ retry_on: [name], max_attempts: 5, base: 0 }));
    let tries = 0;
    const fail = () => {
      tries += 1;
      throw Object.assign(new Error('no'), { class: tries % 2 === 1 ? 'a' : 'b' });
    };
    await expect(memoryWorker().step('x', fail, { retry: policy })).rejects.toMatchObject({ class: 'a' });
    expect(tries).toBe(9);
  });

  it('a worker in memory refuses names, results and values before they are kept', async () => {
    const worker = memoryWorker();
    const one = { max_attempts: 1 };
    await expect(worker.step(5 as never, () => 1)).rejects.toMatchObject({ code: 'INVALID_ID' });
    await expect(worker.step('forge.x', () => 1)).rejects.toMatchObject({ code: 'INVALID_ID' });
    await worker.step('x', () => 1);
    await expect(worker.step('x', () => 1)).rejects.toMatchObject({ code: 'STEP_REPEATED' });
    await expect(worker.step('big', () => 1n, { retry: one })).rejects.toMatchObject({ code: 'INVALID_ARGS' });
    await expect(worker.step('y', ({ set }) => set('a b', 1), { retry: one })).rejects.toMatchObject({
      code: 'INVALID_ID',
    });
    await expect(worker.step('z', () => new Promise(() => {}), { timeout: 5, retry: one })).rejects.toMatchObject({
      class: 'timeout',
    });
    await expect(worker.context.merge({ ok: 1, 'not ok': 2 })).rejects.toMatchObject({ code: 'INVALID_ID' });
    expect(await worker.context.list()).toEqual({});
    expect(await worker.context.setOnce('k', 1)).toBe(1);
    expect(await worker.context.setOnce('k', 2)).toBe(1);
  });
});
