/** Steps: what is done once stays done, whatever becomes of the attempt. */

import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { lookUp } from '../../src/process/processes.ts';
import { answerOf, dataOf, F, linesIn, orchestrate, project, startCli, within } from '../support/cli.ts';
import { LiveForge } from '../support/faults/forge.ts';

/** A project with one task, whose body is this script, and three attempts. */
function scripted(body: string, task = '', settings = ''): string {
  return project([`id: a, title: A, run: sh -e body.sh, retry: {max_attempts: 3, base: 1ms}${task}`], {
    'body.sh': body,
    '.forge/settings.yaml': settings,
  });
}

/** Runs, kills that once a task prints `now`, and leaves a file that says so. */
async function killedAt(cwd: string, what: string): Promise<void> {
  const run = new LiveForge(cwd, ['run']);
  await run.event(what, (event) => event.type === 'task_output' && String(event['text']).includes('now'));
  run.signal('SIGKILL');
  await run.ended;
  writeFileSync(join(cwd, 'killed'), '');
}

/** The variables of an attempt that is at work, and that no run looks after. */
async function atWork(cwd: string): Promise<Record<string, string>> {
  const { claim_id, run_id } = await answerOf(cwd, 'claim', 'a');
  const { attempt_id } = await answerOf(cwd, 'dispatch', 'a', '--claim', claim_id, '--run', run_id);
  return { FORGE_TASK_ID: 'a', FORGE_ATTEMPT_ID: attempt_id };
}

describe('a step', () => {
  it('a step that is done is not run again by a later attempt, and prints what it printed', async () => {
    const cwd = scripted(
      `v=$(${F} step version -- sh -c 'echo version >> ledger; echo 1.4; echo noise >&2')\necho "$v" >> got\n` +
        `${F} step build -- sh -c 'echo build >> ledger'\ntest -e tried || { touch tried; exit 9; }\n`,
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['version', 'build']);
    expect(linesIn(cwd, 'got')).toEqual(['1.4', '1.4']);
    const { steps } = await dataOf(cwd, 'steps', 'a');
    expect(steps).toMatchObject([
      { name: 'version', status: 'completed', tries: 1, result: { stdout: '1.4\n', bytes: 4 }, generation: 1 },
      { name: 'build', status: 'completed', tries: 1, generation: 1 },
    ]);
    expect((await dataOf(cwd, 'show', 'a')).steps).toEqual(steps);
    expect((await orchestrate(['show', 'a'], { cwd })).stdout).toMatch(
      /\n\nSteps\n {2}version {2}done in .*\n {2}build /,
    );
  });

  it.each([
    ['step', 'x', '--', 'true'],
    ['wait', 'x', '--for', '1s'],
    ['context', 'get', 'x'],
    ['join', 'x'],
  ])('%s of a task that there is not says so', async (...call) => {
    const cwd = scripted('');
    const env = { ...(await atWork(cwd)), FORGE_TASK_ID: 'b' };
    await expect(within(call, { cwd, env })).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
  });

  it('a step is tried again in place, with one key and a policy of its own', async () => {
    const cwd = scripted(
      `${F} step flaky --retry '{max_attempts: 4, base: 1ms}' -- sh -c 'echo "$FORGE_STEP $FORGE_STEP_TRY $FORGE_STEP_KEY" >> ledger; test $FORGE_STEP_TRY -ge 3'\n`,
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    const tried = linesIn(cwd).map((line) => line.split(' '));
    expect(tried.map(([name, number]) => [name, number])).toEqual([1, 2, 3].map((number) => ['flaky', String(number)]));
    expect(new Set(tried.map(([, , key]) => key)).size).toBe(1);
    expect((await dataOf(cwd, 'show', 'a')).state.attempt_count).toBe(1);
  });

  it('a step that is still to be tried again is not what its script has failed over', async () => {
    const body =
      `${F} step far --retry '{max_attempts: 2, base: 20s}' -- false &\n` +
      `until ${F} steps a --json | grep -q '"tries":1'; do sleep 0.05; done\necho "disk is full" >&2\nexit 1\n`;
    const cwd = project(['id: a, title: A, run: sh body.sh, retry: {max_attempts: 1}'], { 'body.sh': body });
    expect(await orchestrate(['run', '--task', 'a'], { cwd })).toMatchObject({ code: 1 });
    expect((await dataOf(cwd, 'show', 'a')).state.last_error.message).toBe('exited with code 1: disk is full');
  });

  it('a step that has used its budget up fails the attempt with its own error, and begins anew in the next', async () => {
    const cwd = scripted(
      `${F} step upload --retry '{max_attempts: 2, base: 1ms}' -- sh -c 'echo try $FORGE_STEP_TRY >> ledger; echo "no route to host" >&2; exit 7'\n`,
      '',
      "errors: [{class: network, output: 'no route'}]\n",
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect(linesIn(cwd)).toEqual(['try 1', 'try 2', 'try 1', 'try 2', 'try 1', 'try 2']);
    expect((await dataOf(cwd, 'show', 'a')).state.last_error).toEqual({
      class: 'network',
      message: 'step upload: exited with code 7: no route to host',
      exit_code: 7,
    });
  });

  it('a step counts each error class on its own, and goes on counting when its run was killed', async () => {
    const policy = '[{retry_on: [network], max_attempts: 4, base: 1ms}, {retry_on: [declined], max_attempts: 1}]';
    const body =
      'echo $FORGE_STEP_TRY >> ledger; test $FORGE_STEP_TRY != 3 || test -e killed || { echo now; exec sleep 60; }; ' +
      'test $FORGE_STEP_TRY -le 3 && exit 10; exit 11';
    const cwd = project([`id: a, title: A, run: sh body.sh, retry: {max_attempts: 1}`], {
      'body.sh': `${F} step pay --retry '${policy}' -- sh -c '${body}'\n`,
      '.forge/settings.yaml': 'errors: [{class: network, exit: [10]}, {class: declined, exit: [11]}]\n',
    });
    await killedAt(cwd, 'the third try');
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    // The try that was killed has no end: it is made again.
    expect(linesIn(cwd)).toEqual(['1', '2', '3', '3', '4']);
    const { steps } = await dataOf(cwd, 'steps', 'a');
    expect(steps).toMatchObject([
      { tries: 4, retry_counts: { network: 3, declined: 1 }, last_error: { class: 'declined' }, generation: 2 },
    ]);
  });

  it('a step that had used its budget up when its run was killed fails again in the next attempt, and does not run', async () => {
    const cwd = project([`id: a, title: A, run: sh body.sh, retry: {max_attempts: 1}`], {
      'body.sh':
        `${F} step pay --retry '{max_attempts: 2, base: 1ms}' -- sh -c 'echo try >> ledger; exit 7' || code=$?\n` +
        'echo $code >> ledger; test -e killed || { echo now; exec sleep 60; }; exit $code\n',
    });
    await killedAt(cwd, 'the end of the step');
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect(linesIn(cwd)).toEqual(['try', 'try', '7', '7']);
  });

  it('a step that has used its budget up is tried once more in an attempt after a failure that was not charged', async () => {
    const policy = '[{retry_on: [limit], charge: false, base: 1s, factor: 1}, {max_attempts: 1}]';
    const cwd = project([`id: a, title: A, run: sh -e body.sh, retry: ${policy}`], {
      'body.sh': `${F} step x --retry '{max_attempts: 1}' -- sh -c 'echo try >> ledger; test $(wc -l < ledger) -ge 3 || exit 7'\n`,
      '.forge/settings.yaml': 'errors: [{class: limit, exit: [7]}]\n',
    });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['try', 'try', 'try']);
    expect((await dataOf(cwd, 'show', 'a')).state).toMatchObject({ attempt_count: 3, failure_count: 0 });
  });

  it('a step that fails is named where the failure of its attempt is told', async () => {
    const cwd = project([`id: a, title: A, run: sh body.sh, retry: {max_attempts: 1}`], {
      'body.sh': `${F} step deploy --retry '{max_attempts: 1}' -- sh -c 'echo no route >&2; exit 7'\n`,
    });
    const { stdout } = await orchestrate(['run'], { cwd });
    expect(stdout).toMatch(/✗ a +failed after .*: exit\.7: step deploy: no route\n/);
  });

  it('a step is stopped at its time limit, with what it has started', async () => {
    const cwd = scripted(
      `${F} step slow --timeout 300ms --retry '{max_attempts: 1}' -- sh -c 'sleep 60 & wait'\n`,
      ', timeout: 20s',
    );
    const run = await orchestrate(['run'], { cwd });
    expect(run.code).toBe(1);
    expect((await dataOf(cwd, 'show', 'a')).state.last_error).toMatchObject({
      class: 'timeout',
      message: 'step slow: took longer than its timeout of 300ms',
    });
  });

  it.each([
    [
      'at its own limit',
      `${F} step slow --timeout 300ms --retry '{max_attempts: 99, base: 1ms}' -- sh -c "$LEFT; sleep 600 & wait"\n`,
      '20s',
    ],
    ['at the limit of its task', `${F} step slow -- sh -c "$LEFT; sleep 600"\n`, '1s'],
    ['when its command ends', `${F} step quick -- sh -c "$LEFT; sleep 600 & echo ok"\n`, '20s'],
  ])('leaves no process behind: %s', async (_when, body, timeout) => {
    // A limit that it reaches before it has begun is followed by another try.
    const left = `test -s pids && exit; setsid sleep 600 & echo \\$! >> pids`;
    const cwd = project(
      [`id: a, title: A, run: sh body.sh, timeout: ${timeout}, retry: {max_attempts: 99, base: 1ms}`],
      {
        'body.sh': body.replace('$LEFT', left),
      },
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    const started = linesIn(cwd, 'pids').map(Number);
    expect(started).toHaveLength(1);
    const alive = started.map((pid) => lookUp(pid)).filter((found) => typeof found !== 'string' && found.live);
    expect(alive).toEqual([]);
  });

  it('a step is left alone by a name that comes twice, that is reserved, or that is none', async () => {
    const cwd = scripted(
      `for name in twice twice forge.x 'a b'; do ${F} step "$name" --json -- sh -c 'echo ran >> ledger' >> answers || true; done\n`,
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['ran']);
    const codes = linesIn(cwd, 'answers').map((line) => JSON.parse(line).error?.code ?? 'ok');
    expect(codes).toEqual(['ok', 'STEP_REPEATED', 'INVALID_ID', 'INVALID_ID']);
  });

  it.each([
    ['a reserved name of a step', `step forge.x -- true`, 'INVALID_ID'],
    ['a name of a wait that is none', `wait 'not a name' --for 1s`, 'INVALID_ID'],
    ['a reserved key of the context', `context set forge.x 1`, 'INVALID_ID'],
    ['a child of a reserved name', `fan-out set --from child.jsonl`, 'INVALID_ID'],
    ['a fan-out that was never made', `join nothing`, 'UNKNOWN_FANOUT'],
    ['a name that comes twice', `step one -- true`, 'STEP_REPEATED'],
  ])('fails its attempt without another one over %s', async (_, call, code) => {
    const cwd = scripted(`echo attempt >> ledger\n${F} step one -- true\n${F} ${call}\n`);
    writeFileSync(join(cwd, 'child.jsonl'), '{"name": "x y", "run": "true"}\n');
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect(linesIn(cwd)).toEqual(['attempt']);
    const { state } = await dataOf(cwd, 'show', 'a');
    expect(state).toMatchObject({ state: 'failed', attempt_count: 1, last_error: { class: 'fatal.step' } });
    expect(state.last_error.message).toContain(code);
  });

  it('a step that was refused, and whose script went on, does not keep a later failure from its retries', async () => {
    const cwd = scripted(
      `echo attempt >> ledger\n${F} step forge.x -- true || true\n${F} step one --retry '{max_attempts: 1}' -- sh -c 'exit 2'\n`,
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect(linesIn(cwd)).toHaveLength(3);
  });

  it('a step of an attempt that has lost its task is refused, and its command is stopped', async () => {
    const cwd = project(['id: a, title: A']);
    const env = await atWork(cwd);
    expect(await orchestrate(['step', 'one', '--', 'true'], { cwd, env })).toMatchObject({ code: 0 });
    const late = startCli(['orchestrate', 'step', 'two', '--', 'sh', '-c', 'echo begun; exec sleep 60'], { cwd, env });
    await once(late.process.stdout as NodeJS.ReadableStream, 'data');
    await orchestrate(['cancel', 'a'], { cwd });
    expect(await late.ended).toMatchObject({ code: 3, stderr: expect.stringContaining('LEASE_STOLEN') });
    const after = await orchestrate(['step', 'three', '--json', '--', 'true'], { cwd, env });
    expect(after.json().error.code).toBe('LEASE_STOLEN');
  });

  it.each([
    ['its time is up', ['--timeout', '300ms', '--retry', '{max_attempts: 1}'], 'one has failed after 1 try', 143],
    ['its attempt has lost the task', [], 'LEASE_STOLEN', 3],
  ])('a step whose output nothing reads is stopped when %s', async (_when, options, words, code) => {
    const cwd = project(['id: a, title: A']);
    const env = await atWork(cwd);
    const command = ['sh', '-c', 'echo $$ >&2; exec yes'];
    const begun = startCli(['orchestrate', 'step', 'one', ...options, '--', ...command], { cwd, env });
    const { stdout, stderr } = begun.process as { stdout: Readable; stderr: Readable };
    stdout.pause();
    let told = '';
    const isTold = new Promise<void>((resolve) => {
      stderr.on('data', (text: string) => {
        told += text;
        if (told.includes(words)) resolve();
      });
    });
    const [pid] = await once(stderr, 'data');
    if (options.length === 0) await orchestrate(['cancel', 'a'], { cwd });
    await isTold;
    const found = lookUp(Number(pid));
    expect(typeof found !== 'string' && found.live).toBe(false);
    stdout.resume();
    expect(await begun.ended).toMatchObject({ code, stdout: expect.stringMatching(/^(y\n)+y?$/) });
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'that %s ends stops its command, and is tried as if it had not been begun',
    async (signal) => {
      const cwd = project(['id: a, title: A']);
      const env = await atWork(cwd);
      const begun = startCli(['orchestrate', 'step', 'one', '--', 'sh', '-c', 'echo $$; exec sleep 600'], { cwd, env });
      const [said] = await once(begun.process.stdout as NodeJS.ReadableStream, 'data');
      begun.process.kill(signal);
      expect(await begun.ended).toMatchObject({ code: 130 });
      const found = lookUp(Number(said));
      expect(typeof found !== 'string' && found.live).toBe(false);
      expect((await dataOf(cwd, 'steps', 'a')).steps).toEqual([]);
      expect(await orchestrate(['step', 'one', '--', 'true'], { cwd, env })).toMatchObject({ code: 0 });
    },
  );

  it('a step that is reset runs again in the next attempt, under another key', async () => {
    const cwd = scripted(
      `${F} step one -- sh -c 'echo $FORGE_STEP_KEY >> ledger'\n${F} step two -- true\n${F} step three -- true\ntest -e go || exit 1\n`,
      '',
    );
    await orchestrate(['run'], { cwd });
    expect(await orchestrate(['steps', 'a', '--reset', 'none'], { cwd })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('has no step none'),
    });
    // None of several of which there is not one.
    expect(await orchestrate(['steps', 'a', '--reset', 'one', '--reset', 'none'], { cwd })).toMatchObject({ code: 2 });
    expect(
      (await dataOf(cwd, 'steps', 'a', '--reset', 'one', '--reset', 'three')).steps.map(
        ({ name }: { name: string }) => name,
      ),
    ).toEqual(['two']);
    writeFileSync(join(cwd, 'go'), '');
    await orchestrate(['retry', 'a'], { cwd });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(new Set(linesIn(cwd)).size).toBe(2);
  });

  it('a step passes its stdin, its exit code and a signal on, and keeps 64 KiB of its stdout', async () => {
    const cwd = scripted(
      `${F} step large -- sh -c 'head -c 100000 /dev/zero | tr "\\0" x' | wc -c > first\n` +
        `echo given | ${F} step reads -- cat > read\n` +
        `set +e\n${F} step dies --retry '{max_attempts: 1}' -- sh -c 'kill -TERM $$'\necho $? > code\n` +
        `test -e tried || { touch tried; exit 1; }\n`,
    );
    const run = await orchestrate(['run'], { cwd });
    expect(run).toMatchObject({ code: 0 });
    expect(
      [linesIn(cwd, 'first'), linesIn(cwd, 'read'), linesIn(cwd, 'code')].flat().map((line) => line.trim()),
    ).toEqual(['65536', 'given', '143']);
    const { stderr } = await answerOf(cwd, 'logs', 'a');
    const [, file = ''] =
      /step large wrote 100000 bytes; these are the first 65536, and all are in (.*)/.exec(stderr) ?? [];
    expect(readFileSync(file, 'utf8')).toBe('x'.repeat(100_000));
  });
});

describe('what a step keeps of its stdout', () => {
  it('what a step keeps of its stdout is printed again byte for byte: text cut between characters, and what is no text', async () => {
    const cwd = project([`id: a, title: A, run: sh body.sh, retry: {max_attempts: 2, base: 1ms}`], {
      'cut.cjs': `process.stdout.write('x'.repeat(65535) + 'é!');`,
      'full.cjs': `process.stdout.write('é'.repeat(32768));`,
      'body.sh':
        `for name in cut full; do ${F} step $name -- node $name.cjs > $name; done\n` +
        `${F} step binary -- printf '\\377\\000a' > binary\n${F} step none -- true > none\n` +
        `test -e tried || { touch tried; exit 1; }\n`,
    });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    const found = ['cut', 'full', 'binary', 'none'].map((name) => readFileSync(join(cwd, name)));
    const expected = ['x'.repeat(65_535), 'é'.repeat(32_768)].map((text) => Buffer.from(text));
    expect(found).toEqual([...expected, Buffer.from([255, 0, 97]), Buffer.alloc(0)]);
    expect((await answerOf(cwd, 'logs', 'a')).stderr).toContain(
      'step cut wrote 65538 bytes; these are the first 65535, ',
    );
  });
});

/** A project whose task has more steps than its record has room for, and the file of the first part that was moved out of it. */
async function parted(): Promise<{ cwd: string; part: string }> {
  const cwd = scripted(
    `for name in one two; do ${F} step $name -- node -e 'process.stdout.write("x".repeat(9000))'; done\n`,
  );
  await orchestrate(['run'], { cwd });
  const attempts = join(cwd, '.forge/orchestrator/tasks/a/attempts');
  const files = readdirSync(attempts, { recursive: true, encoding: 'utf8' });
  return { cwd, part: join(attempts, files.find((path) => /\/steps\/./.test(path)) ?? '') };
}

describe('a part of a journal that is gone', () => {
  it('a part of a journal that is gone is named by show, which shows the rest, and by what needs it', async () => {
    const { cwd, part } = await parted();
    rmSync(part);
    const told = { stderr: expect.stringContaining('a part of its journal is gone: attempts/') };
    expect(await orchestrate(['show', 'a'], { cwd })).toMatchObject({ code: 0, ...told });
    expect(await orchestrate(['steps', 'a'], { cwd })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/is gone[\s\S]*Put the file back/),
    });
  });
});

describe('a part of a journal that a person has changed', () => {
  it('a part of a journal that a person has changed counts as it is where it makes sense, and is refused where it does not', async () => {
    const { cwd, part } = await parted();
    const before = readFileSync(part, 'utf8');
    writeFileSync(part, before.replace(/"tries": ?1/, '"tries":7'));
    expect((await dataOf(cwd, 'steps', 'a')).steps[0]).toMatchObject({ name: 'one', tries: 7 });
    writeFileSync(part, before.replace(/"tries": ?1/, '"tries":"many"'));
    const { code, stderr } = await orchestrate(['steps', 'a'], { cwd });
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringMatching(/tries/) });
  });
});

describe('two steps', () => {
  it('a step within one that is tried again uncharged is passed by', async () => {
    const cwd = project([`id: a, title: A, run: sh body.sh, retry: {max_attempts: 1}`], {
      'outer.sh': `echo "try $FORGE_STEP_TRY" >> ledger\n${F} step inner -- sh -c 'echo inner >> ledger' || exit 1\ntest $FORGE_STEP_TRY = 3 || exit 75\n`,
      'body.sh': `${F} step outer --retry '{retry_on: [exit.75], charge: false, max_wait: 1m, base: 1ms}' -- sh outer.sh\n`,
    });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['try 1', 'inner', 'try 2', 'try 3']);
    const { steps } = await dataOf(cwd, 'steps', 'a');
    const outer = steps.find(({ name }: { name: string }) => name === 'outer');
    expect(outer).toMatchObject({ status: 'completed', tries: 1, uncharged: 2 });
  });

  it('two steps of which one is within the other are both done once, when the outer one is tried again', async () => {
    const inner = `${F} step inner -- sh -c 'echo inner >> ledger' && test $FORGE_STEP_TRY = 2`;
    const cwd = project([`id: a, title: A, run: sh body.sh, retry: {max_attempts: 1}`], {
      'inner.sh': inner,
      'body.sh': `${F} step outer --retry '{max_attempts: 2, base: 1ms}' -- sh inner.sh\n`,
    });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['inner']);
  });

  it('of two steps of one name side by side the first is done, and the other is refused without its command', async () => {
    const call = `(${F} step one -- sh -c 'echo began >> ledger; until test -e codes; do sleep 0.02; done' 2>> told; echo $? >> codes) &\n`;
    const cwd = project([`id: a, title: A, run: sh body.sh, retry: {max_attempts: 1}`], {
      'body.sh': `${call}${call}wait\n`,
    });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd, 'codes')).toEqual(['2', '0']);
    expect(linesIn(cwd)).toEqual(['began']);
    expect(linesIn(cwd, 'told').join(' ')).toContain('step one is at work in another call of this attempt');
    expect((await dataOf(cwd, 'steps', 'a')).steps).toMatchObject([{ name: 'one', status: 'completed', tries: 1 }]);
  });

  it('a step whose call was killed reaches the steps within it again when it is called again', async () => {
    const inner = `${F} step inner -- sh -c "echo inner >> ledger"`;
    const cwd = scripted(
      `sh -c 'echo $$ > pid; exec ${F} step outer -- sh outer.sh' & call=$!\n` +
        `while ! test -e reached; do sleep 0.02; done\nkill -9 $(cat pid)\nwait $call || true\n${F} step outer --retry '{max_attempts: 1}' -- sh outer.sh\n`,
    );
    writeFileSync(join(cwd, 'outer.sh'), `set -e\n${inner}\ntest -e reached || { touch reached; sleep 60; }\n`);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect((await dataOf(cwd, 'show', 'a')).state.attempt_count).toBe(1);
    expect(linesIn(cwd)).toEqual(['inner']);
  });

  it('a step whose first call was killed without its command stops that command first', async () => {
    const cwd = project([`id: a, title: A, run: sh body.sh, retry: {max_attempts: 1}`], {
      'first.sh': 'echo first >> ledger; touch began; until test -e never; do sleep 0.02; done\n',
      'body.sh':
        `${F} step one -- sh first.sh &\nuntil test -e began; do sleep 0.02; done\nkill -9 $!\nwait\n` +
        `${F} step one -- sh -c 'ps -A -o args= | grep -c "^sh firs[t].sh" >> ledger; true'\n`,
    });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['first', '0']);
  });
});

describe('the context', () => {
  it('the context keeps values for later attempts, all of a call or none', async () => {
    const cwd = scripted(
      `${F} context list >> ledger\n` +
        `${F} context set-once first '"kept"' > /dev/null\n` +
        `${F} context merge '{"n": 1, "deep": {"a": [null]}}'\n` +
        `${F} context merge '{"m": 2, "bad key": 3}' 2> refused || true\n` +
        `${F} context set-once first '"late"' >> ledger\n${F} context get deep >> ledger\n${F} context get none >> ledger || echo none >> ledger\n` +
        `test -e tried || { touch tried; exit 1; }\n`,
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    const round = ['"kept"', '{"a":[null]}', 'none'];
    const all = '{"first":"kept","n":1,"deep":{"a":[null]}}';
    expect(linesIn(cwd)).toEqual(['{}', ...round, all, ...round]);
    expect((await dataOf(cwd, 'steps', 'a')).context).toEqual(JSON.parse(all));
  });
});
