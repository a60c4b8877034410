/** Waits: a worker that waits gives its task back, and the next attempt goes on where it waited. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { answerOf, dataOf, F, linesIn, orchestrate, project } from '../support/cli.ts';
import { LiveForge, type RunEvent } from '../support/faults/forge.ts';
import { finishing, WORK } from '../support/finishing.ts';
import { until } from '../support/processes.ts';

const LIBRARY = pathToFileURL(join(import.meta.dirname, '../../dist/lib/worker.js')).href;
const PARKING = 'steps: {park_after: 0}\n';

/** A project with one task, whose body is this script and which has one attempt that may fail. */
function scripted(body: string, settings = PARKING, task = ''): string {
  return project([`id: a, title: A, run: sh -e body.sh, retry: {max_attempts: 1}${task}`], {
    'body.sh': body,
    '.forge/settings.yaml': settings,
  });
}

/** Runs all there is, and sends signal `go` once its task is parked for it. */
async function signalled(cwd: string) {
  const run = new LiveForge(cwd, ['run', '--wait']);
  await run.event('parked', ({ type }) => type === 'task_parked');
  await orchestrate(['signal', 'a', 'go'], { cwd });
  return run.ended;
}

describe('a wait for a time', () => {
  it('a wait for a time parks the task, uncharged, and the next attempt goes on behind it', async () => {
    const cwd = scripted(
      `${F} step one -- sh -c 'echo one >> ledger'\necho pass >> ledger\n${F} wait soak --for 2s\n${F} step two -- sh -c 'echo two >> ledger'\n`,
      PARKING,
      ', budget: {attempts: 1}',
    );
    const ran = await orchestrate(['run'], { cwd });
    expect(ran).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/~ a +parked after .*: it waits until .*\(soak\)/),
    });
    expect(linesIn(cwd)).toEqual(['one', 'pass', 'pass', 'two']);
    const { state, attempts } = await dataOf(cwd, 'show', 'a');
    expect(state).toMatchObject({ state: 'shipped', failure_count: 0, attempt_count: 2 });
    expect(state).not.toHaveProperty('wake_at');
    expect(attempts).toHaveLength(2);
  });

  it('a wait for a time gives its slot to another task', async () => {
    const cwd = project(
      [`id: a, title: A, run: '${F} wait soak --until 2999-01-01T00:00:00Z'`, 'id: b, title: B, run: "true"'],
      { '.forge/settings.yaml': `${PARKING}agents: {max_parallel: 1}\n` },
    );
    const run = new LiveForge(cwd, ['run']);
    await run.event('the end of the other', ({ type, task_id }) => type === 'task_finished' && task_id === 'b');
    const states = (await dataOf(cwd, 'status')).tasks.map(({ state }: { state: string }) => state);
    expect(states).toEqual(['waiting', 'shipped']);
    run.child.kill('SIGINT');
    await run.ended;
  });

  it('a wait for a time that is short is waited out in place', async () => {
    const cwd = scripted(`${F} wait soak --for 50ms\necho behind >> ledger\n`, '');
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['behind']);
    expect((await dataOf(cwd, 'show', 'a')).state.attempt_count).toBe(1);
  });

  it('a wait for a time keeps the task from being claimed until it is over, and says so', async () => {
    const cwd = scripted(`${F} wait soak --until 2999-01-01T00:00:00Z\n`);
    const run = new LiveForge(cwd, ['run']);
    await run.event('parked', ({ type }) => type === 'task_parked');
    run.child.kill('SIGINT');
    await run.ended;
    const [row] = (await dataOf(cwd, 'status')).tasks;
    expect(row).toMatchObject({
      state: 'waiting',
      wake_at: '2999-01-01T00:00:00.000Z',
      waits_for: [{ kind: 'wait', name: 'soak' }],
    });
    expect((await orchestrate(['status'], { cwd })).stdout).toMatch(/it waits until 299[89]-\d\d-\d\d [\d:]+ \(soak\)/);
    const why = 'it waits until 2999-01-01T00:00:00.000Z (soak)';
    expect((await dataOf(cwd, 'why', 'a')).reasons).toEqual([{ code: 'TASK_PARKED', message: why }]);
    expect(await orchestrate(['claim', 'a'], { cwd })).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/it waits until 299[89]-\d\d-\d\d [\d:]+\s+\(soak\)/),
    });
    expect(await orchestrate(['claim', '--next'], { cwd })).toMatchObject({ code: 4 });
    expect(await orchestrate(['retry', 'a'], { cwd })).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/task a is waiting: it waits until/),
    });
    expect(await orchestrate(['cancel', 'a'], { cwd })).toMatchObject({ code: 0 });
  });

  it('retry of a task that is parked over a step says how that step is tried now', async () => {
    const cwd = project(['id: a, title: A'], { '.forge/settings.yaml': PARKING });
    const script = `${F} step far --retry '{max_attempts: 2, base: 1h, cap: 1h}' -- false`;
    await orchestrate(['exec', 'a', '--', 'sh', '-c', script], { cwd });
    const refused = (await orchestrate(['retry', 'a', '--json'], { cwd })).json().error;
    const [, command = ''] = /`forge orchestrate (steps [^`]+)` has that step tried now/.exec(refused.hint) ?? [];
    expect(await orchestrate(command.split(' '), { cwd })).toMatchObject({ code: 0 });
    expect(await dataOf(cwd, 'why', 'a')).toMatchObject({ ready: true });
  });

  it('a wait for a time that a person resets lets the parked task go on at once, and begins anew', async () => {
    const cwd = scripted(`${F} wait soak --for $(cat length)\necho behind >> ledger\n`);
    writeFileSync(join(cwd, 'length'), '1d');
    const run = new LiveForge(cwd, ['run']);
    await run.event('parked', ({ type }) => type === 'task_parked');
    writeFileSync(join(cwd, 'length'), '50ms');
    await dataOf(cwd, 'steps', 'a', '--reset', 'soak');
    expect(await run.ended).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['behind']);
  });

  it('a wait for a time that is over is said to be by status, where no run goes on with its task', async () => {
    const cwd = scripted(`${F} wait soak --for 1d\n`);
    expect(await orchestrate(['exec', 'a', '--', 'sh', '-e', 'body.sh'], { cwd })).toMatchObject({ code: 4 });
    const shown = async () => (await orchestrate(['status'], { cwd })).stdout;
    expect(await shown()).toContain('it waits until');
    await dataOf(cwd, 'steps', 'a', '--reset', 'soak');
    expect(await shown()).toMatch(/\n +its wait is over\n/);
  });

  it('a wait for a time ends a worker that stays', async () => {
    const cwd = scripted(
      `trap '' TERM\n${F} wait soak --for 300ms || sleep 60\n`,
      `${PARKING}agents: {kill_grace_ms: 50}\n`,
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
  });

  it('a wait for a time that is over keeps its name from a step of the same attempt', async () => {
    const cwd = scripted(`${F} wait soak --for 1ms\n${F} step soak -- true 2> told || true\n`, '');
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd, 'told')[0]).toMatch(/^error\[INVALID_ID\]: soak names a wait/);
  });
});

describe('a parked task', () => {
  it('a wait parks what its attempt still asks for too', async () => {
    const cwd = scripted(
      `${F} wait-for go && exit 0\n${F} step late -- true || echo $? >> ledger\n${F} context set late 1 || echo $? >> ledger\n`,
    );
    expect(await signalled(cwd)).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['4', '4']);
  });
});

describe('a step that has failed before a wait', () => {
  it('a step whose budget was used up before the task was parked does not run again behind the wait', async () => {
    const cwd = scripted(
      `${F} step notify --retry '{max_attempts: 2, base: 1ms}' -- sh -c 'echo try >> ledger; echo down >&2; exit 7' || code=$?\n` +
        `echo $code >> ledger\n${F} wait-for go\nexit $code\n`,
      'steps: {park_after: 1s}\n',
    );
    expect(await signalled(cwd)).toMatchObject({ code: 1 });
    expect(linesIn(cwd)).toEqual(['try', 'try', '7', '7']);
    const { state } = await dataOf(cwd, 'show', 'a');
    expect(state).toMatchObject({ attempt_count: 2, last_error: { class: 'exit.7', exit_code: 7 } });
    expect(state.last_error.message).toMatch(/step notify: .*down/);
  });
});

describe('a wait beside other calls of its script', () => {
  it('a wait parks once the step beside it is done', async () => {
    const cwd = scripted(
      `${F} step slow -- sh -c 'echo began >> ledger; until ${F} steps a --json | grep -q wait-for; do sleep 0.05; done; echo slow >> ledger' &\n` +
        `until test -e ledger; do sleep 0.02; done\n` +
        `${F} wait-for go --timeout 1h || code=$?\nwait\ntest -z "$code" || exit $code\necho behind >> ledger\n`,
    );
    expect(await signalled(cwd)).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['began', 'slow', 'behind']);
  });

  it('a wait within a step parks the task, which comes to both again', async () => {
    const cwd = scripted(`${F} step outer -- sh -ec 'echo outer >> ledger; ${F} wait-for go'\necho behind >> ledger\n`);
    expect(await signalled(cwd)).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['outer', 'outer', 'behind']);
  });

  it('a task is parked for all waits of its script, and goes on with the first that is over', async () => {
    const cwd = scripted(
      `${F} wait long --until 2999-01-01T00:00:00Z 2>> told & one=$!\n${F} wait-for go 2>> told & two=$!\n` +
        `wait $one || code=$?\nwait $two || code=$?\nexit $code\n`,
    );
    const run = new LiveForge(cwd, ['run', '--wait']);
    const { waits } = (await run.event('parked', ({ type }) => type === 'task_parked')) as { waits?: string };
    expect(waits).toMatch(/^it waits for (long or signal go|signal go or long); it goes on at 2999-.* at the latest$/);
    expect(readFileSync(join(cwd, 'told'), 'utf8').match(/PARKED/g)).toHaveLength(2);
    await orchestrate(['signal', 'a', 'go'], { cwd });
    await run.event('parked again', ({ type, waits }) => type === 'task_parked' && !`${waits}`.includes('signal'));
    run.child.kill('SIGINT');
    await run.ended;
    const { steps } = await dataOf(cwd, 'steps', 'a');
    expect(
      Object.fromEntries(steps.map(({ name, status }: { name: string; status: string }) => [name, status])),
    ).toEqual({
      long: 'running',
      go: 'completed',
    });
  });
});

describe('a wait of a program beside what else it does', () => {
  const program = (body: string) =>
    project(['id: a, title: A, run: node body.mjs, retry: {max_attempts: 1}'], {
      'body.mjs': `import { appendFileSync } from 'node:fs';\nimport { worker } from '${LIBRARY}';\n${body}`,
      '.forge/settings.yaml': PARKING,
    });

  it('a program whose signal has come goes on, though the wait that it has raced against is not over', async () => {
    const cwd = program(
      `await Promise.race([worker.waitFor('go'), worker.wait('limit', '1h')]);\n` +
        `await worker.step('behind', () => appendFileSync('ledger', 'behind'));\nprocess.exit(0);\n`,
    );
    expect(await signalled(cwd)).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['behind']);
  });

  // What blocks the program has its next look come right before the next step.
  const blocked = 'for (const from = Date.now(); Date.now() < from + 700; );';
  it.each([
    ['before a step beside it', `const waiting = worker.wait('long', '1h');\n`, ''],
    ['before a step beside it, and looks late,', `const waiting = worker.wait('long', '1h');\n`, blocked],
    ['while a step beside it ends', `const waiting = ending.then(() => worker.wait('long', '1h'));\n`, ''],
  ])('a wait of a program that begins %s parks no task between that step and the next', async (_when, wait, late) => {
    // However late the machine lets it go on, by its clock it pauses for 600 ms: long enough for a look whether it only waits.
    const cwd = program(
      `let now = 0;\nperformance.now = () => now;\nlet ends;\nconst ending = new Promise((resolve) => { ends = resolve; });\n${wait}` +
        `const pause = () => { now += 600; const paused = new Promise((resolve) => setTimeout(resolve, 600)); ${late} return paused; };\n` +
        `const steps = async () => { for (const n of [1, 2, 3]) { await worker.step('s' + n, () => { appendFileSync('ledger', n + '\\n'); ends(); }); await pause(); } process.exit(0); };\n` +
        `await Promise.all([waiting, steps()]);\n`,
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['1', '2', '3']);
  });

  it('a look of a program that has made a step parks its task at once', async () => {
    // By its clock nothing is ever long ago.
    const cwd = program(
      `performance.now = () => 0;\n` +
        `await worker.waitUntil('up', async () => { await worker.step('look', () => null); return false; }, { every: '1h', timeout: '9h' });\n`,
    );
    const run = new LiveForge(cwd, ['run', '--wait']);
    await run.event('parked', ({ type }) => type === 'task_parked');
    run.child.kill('SIGINT');
    await run.ended;
  });
});

describe('waits side by side', () => {
  it('a later attempt is parked for all waits of its script again', async () => {
    const calls = [
      'wait-for go',
      'wait-for stop',
      'wait long --until 2999-01-01T00:00:00Z',
      'wait-until up --every 1h --timeout none -- false',
      'repeat tick --every 1h -- true',
      "step far --retry '{max_attempts: 2, base: 1h, cap: 1h}' -- false",
    ];
    const started = calls.map((call, at) => `${F} ${call} & c${at}=$!\n`).join('');
    const ended = calls.map((_, at) => `wait $c${at} || code=$?\n`).join('');
    const cwd = scripted(`${started}${ended}exit $code\n`);
    const run = new LiveForge(cwd, ['run', '--wait']);
    const attempts = new Set<unknown>();
    const parkedFor = async () => {
      const isNew = ({ type, attempt_id }: RunEvent) => type === 'task_parked' && !attempts.has(attempt_id);
      attempts.add((await run.event('parked', isNew))['attempt_id']);
      const { waits_for } = (await dataOf(cwd, 'show', 'a')).state;
      return waits_for.map(({ name }: { name: string }) => name).toSorted();
    };
    expect(await parkedFor()).toEqual(['far', 'go', 'long', 'stop', 'tick', 'up']);
    await orchestrate(['signal', 'a', 'go'], { cwd });
    expect(await parkedFor()).toEqual(['far', 'long', 'stop', 'tick', 'up']);
    await orchestrate(['signal', 'a', 'stop'], { cwd });
    expect(await parkedFor()).toEqual(['far', 'long', 'tick', 'up']);
    run.child.kill('SIGINT');
    await run.ended;
  });
});

describe('a wait for a condition', () => {
  it('looks at once, and again after each interval, in attempts of their own', async () => {
    const look = 'echo look >> ledger; test $(wc -l < ledger) -ge 3';
    const cwd = scripted(`${F} wait-until up --every 100ms -- sh -c '${look}'\necho behind >> ledger\n`);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['look', 'look', 'look', 'behind']);
    const { state, steps } = await dataOf(cwd, 'show', 'a');
    expect(state.attempt_count).toBe(3);
    expect(steps).toMatchObject([{ name: 'up', kind: 'wait-until', status: 'completed', tries: 0 }]);
  });

  it.each([
    ['parked', PARKING],
    ['in place', ''],
  ])('a wait for a condition reaches steps within its looks again at each look, %s', async (_, settings) => {
    const look = `${F} step once -- sh -c "echo once >> ledger"; echo look >> looks; test $(wc -l < looks) -ge 3`;
    const cwd = scripted(`${F} wait-until up --every 100ms -- sh -ec '${look}'\n`, settings);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['once']);
  });

  it.each([
    ['parked', PARKING],
    ['in place', ''],
  ])('fails its attempt when its time is up, %s', async (_, settings) => {
    const cwd = scripted(`${F} wait-until up --every 100ms --timeout 250ms -- false\n`, settings);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect((await dataOf(cwd, 'show', 'a')).state.last_error).toEqual({
      class: 'wait.timeout',
      message: 'step up: up was not true within 250ms',
      exit_code: 1,
    });
  });

  it('the first look of a wait that begins anew gets the whole time', async () => {
    const look = 'echo look >> ledger; test $(wc -l < ledger) -ge 2 || sleep 60; sleep 1.3';
    const cwd = project(['id: a, title: A, run: sh -e body.sh, retry: {max_attempts: 9, base: 1ms}'], {
      'body.sh': `${F} wait-until up --every 20ms --timeout 3s -- sh -c '${look}'\n`,
    });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd).length).toBeGreaterThan(1);
  });

  it('a wait for a condition begins anew in an attempt after a failure that was not charged', async () => {
    const policy = '[{retry_on: [wait.timeout], charge: false, base: 1s, factor: 1}, {max_attempts: 1}]';
    const cwd = project([`id: a, title: A, run: sh -e body.sh, retry: ${policy}`], {
      'body.sh': `echo attempt >> attempts\n${F} wait-until up --every 20ms --timeout 1s -- sh look.sh\n`,
      // True at the second look of an attempt, but never in the first.
      'look.sh': 'n=$(wc -l < attempts)\ntest $n -ge 2 || exit 1\ntest -e seen$n || { touch seen$n; exit 1; }\n',
      '.forge/settings.yaml': '',
    });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd, 'attempts').length).toBeGreaterThan(1);
  });

  it('a wait for a condition ends a look that takes longer than what is left', async () => {
    const cwd = scripted(`${F} wait-until up --timeout 200ms -- sleep 60\n`, '');
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect((await dataOf(cwd, 'show', 'a')).state.last_error.class).toBe('wait.timeout');
  });

  it('a wait for a condition fails with the error of a look, by its class', async () => {
    const cwd = scripted(
      `${F} wait-until up -- sh -c 'echo "no route" >&2; exit 7'\n`,
      'errors: [{class: network, exit: [7]}]\n',
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect((await dataOf(cwd, 'show', 'a')).state.last_error).toMatchObject({ class: 'network', exit_code: 7 });
  });

  it('looks again after errors that its policy names, each class with its own budget', async () => {
    const policy = '[{retry_on: [network], max_attempts: 4, base: 1ms}, {retry_on: [declined], max_attempts: 1}]';
    const look = 'echo look >> ledger; test $(wc -l < ledger) -le 3 && exit 10; exit 11';
    const cwd = scripted(
      `${F} wait-until up --retry '${policy}' -- sh -c '${look}'\n`,
      'errors: [{class: network, exit: [10]}, {class: declined, exit: [11]}]\n',
    );
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect(linesIn(cwd)).toHaveLength(4);
    expect((await dataOf(cwd, 'steps', 'a')).steps).toMatchObject([
      { status: 'failed', tries: 4, retry_counts: { network: 3, declined: 1 }, last_error: { class: 'declined' } },
    ]);
  });
});

describe('a wait for a signal', () => {
  it('a wait for a signal parks the task until it comes, and prints what it brings', async () => {
    const cwd = scripted(
      `echo "got $(${F} wait-for approval)" >> ledger\n`
        .replace('echo', `x=$(${F} wait-for approval)\necho`)
        .replace(`$(${F} wait-for approval)" >>`, '$x" >>'),
    );
    const ran = await orchestrate(['run'], { cwd });
    expect(ran).toMatchObject({
      code: 4,
      stdout: expect.stringMatching(/it waits for signal approval; `forge orchestrate signal a approval` sends\s+it/),
    });
    const other = await orchestrate(['signal', 'a', 'other'], { cwd });
    expect(other).toMatchObject({ code: 0, stdout: 'signal other is sent\n' });
    const sent = await orchestrate(['signal', 'a', 'approval', '--data', '{"by": "me"}'], { cwd });
    expect(sent).toMatchObject({ code: 0, stdout: expect.stringContaining('; it wakes task a') });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['got {"by":"me"}']);
  });

  it('a signal warns where the plan keeps the task from going on that it wakes', async () => {
    const cwd = scripted(`${F} wait-for go\n`);
    await orchestrate(['run'], { cwd });
    await orchestrate(['edit', 'a', '--set', 'status=paused'], { cwd });
    expect(await orchestrate(['signal', 'a', 'go', '--json'], { cwd })).toMatchObject({
      stdout: expect.stringContaining('"wakes":true'),
      stderr: expect.stringContaining('task a does not go on: the plan says that it is paused'),
    });
  });

  it('a wait for a signal wakes a run that works on the task', async () => {
    const cwd = scripted(`${F} wait-for go --timeout 1h\necho behind >> ledger\n`);
    const run = new LiveForge(cwd, ['run']);
    await run.event('parked', ({ type }) => type === 'task_parked');
    await orchestrate(['signal', 'a', 'go'], { cwd });
    expect(await run.ended).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['behind']);
  });

  it('a wait for a signal without a limit keeps a run with --wait going until it comes', async () => {
    const cwd = scripted(`${F} wait-for go\necho behind >> ledger\n`);
    const run = new LiveForge(cwd, ['run', '--wait']);
    await run.event('waiting', ({ type }) => type === 'waiting');
    await orchestrate(['signal', 'a', 'go'], { cwd });
    expect(await run.ended).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['behind']);
  });

  it('a wait for a signal gets one that came before the task began, and a repeat of it is none', async () => {
    const cwd = scripted(`${F} wait-for go > got\n`);
    const send = (text: string) => answerOf(cwd, 'signal', 'a', 'go', '--data', text, '--id', 'one');
    expect(await send('1')).toMatchObject({ sent: true, state: 'unclaimed' });
    expect(await send('2')).toMatchObject({ sent: false });
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd, 'got')).toEqual(['1']);
    expect(await orchestrate(['signal', 'a', 'go'], { cwd })).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/task a is shipped: nothing waits for a signal any\s+more/),
    });
  });

  it('a wait for a signal goes on with a default when its time is up', async () => {
    const cwd = scripted(`${F} wait-for go --timeout 200ms --default '"none"' > got\n`);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd, 'got')).toEqual(['"none"']);
  });

  it('a wait for a signal says why it has failed when its time is up', async () => {
    const cwd = scripted(`${F} wait-for go --timeout 200ms 2> told\n`);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 1 });
    expect(linesIn(cwd, 'told')).toEqual(['go has failed: signal go did not come within 200ms']);
  });

  it.each([
    [['signal', 'a', 'no name'], /can't name a signal/],
    [['signal', 'a', 'go', '--data', 'text'], /--data takes JSON/],
    [['signal', 'b', 'go'], /there is no task b/],
  ])('is refused as %j', async (args, message) => {
    const cwd = scripted('true\n');
    expect(await orchestrate(args, { cwd })).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
    expect(existsSync(join(cwd, '.forge/orchestrator/tasks/a'))).toBe(false);
  });
});

describe('a step whose next try is far off', () => {
  it('a step whose next try is far off parks the task, and keeps its budget', async () => {
    const body = `${F} step flaky --retry '{max_attempts: 3, base: 200ms, jitter: none}' -- sh -c 'echo try $FORGE_STEP_TRY >> ledger; test $FORGE_STEP_TRY = 3'\n`;
    const cwd = scripted(body);
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    expect(linesIn(cwd)).toEqual(['try 1', 'try 2', 'try 3']);
    expect((await dataOf(cwd, 'show', 'a')).state).toMatchObject({ attempt_count: 3, failure_count: 0 });
  });
});

describe('a run that was killed', () => {
  it('a run that was killed leaves a parked task as it is, which another run goes on with', async () => {
    const cwd = scripted(`${F} wait-until up --every 1s -- test -e up\necho behind >> ledger\n`);
    const run = new LiveForge(cwd, ['run']);
    await run.event('parked', ({ type }) => type === 'task_parked');
    run.child.kill('SIGKILL');
    await run.ended;
    writeFileSync(join(cwd, 'up'), '');
    expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 0 });
    await vi.waitFor(() => expect(linesIn(cwd)).toEqual(['behind']));
  });
});

describe('what a worker is at', () => {
  it('what a worker is at is said by status while it goes on: a step with its try, a wait', async () => {
    const body = `${F} step slow --retry '{max_attempts: 4, base: 1ms}' -- sh -c 'test $FORGE_STEP_TRY = 2 || exit 1; until test -e go; do sleep 0.05; done'\n`;
    const cwd = scripted(`${body}${F} wait soak --for 1h\n`, 'steps: {park_after: 2h}\n');
    const run = new LiveForge(cwd, ['run']);
    const doing = async () => (await dataOf(cwd, 'status')).tasks[0].doing;
    await vi.waitFor(async () => expect(await doing()).toBe('step slow, try 2 of 4'), { timeout: 30_000 });
    expect((await orchestrate(['status'], { cwd })).stdout).toContain('step slow, try 2 of 4');
    writeFileSync(join(cwd, 'go'), '');
    await vi.waitFor(async () => expect(await doing()).toMatch(/^it waits until .* \(soak\)$/), { timeout: 30_000 });
    run.child.kill('SIGINT');
    expect(await run.ended).toMatchObject({ code: 130 });
    expect(await doing()).toBeNull();
  });

  it('a try beyond the largest budget of a list is said without that', async () => {
    const policies = '[{retry_on: [exit.1], max_attempts: 2, base: 1ms}, {max_attempts: 2, base: 1ms}]';
    const command = 'case $FORGE_STEP_TRY in 1) exit 1;; 2) exit 2;; esac; until test -e go; do sleep 0.05; done';
    const cwd = scripted(`${F} step slow --retry '${policies}' -- sh -c '${command}'\n`, '');
    const run = new LiveForge(cwd, ['run']);
    const doing = async () => (await dataOf(cwd, 'status')).tasks[0].doing;
    await vi.waitFor(async () => expect(await doing()).toBe('step slow, try 3'), { timeout: 30_000 });
    writeFileSync(join(cwd, 'go'), '');
    expect(await run.ended).toMatchObject({ code: 0 });
  });
});

describe('a wait in a review', () => {
  it('a wait in a review waits in its place, however long, since a review is not given back half done', async () => {
    const review = `"$FORGE_CLI" orchestrate step look.$FORGE_REVIEW_HEAD -- touch "$FORGE_DIR/.forge/asked"
${F} wait soak --for 100ms
${F} wait-for go
echo '{"verdict": "pass"}' > "$FORGE_REVIEW_FILE"
`;
    const play = finishing([`id: a, title: A, run: '${WORK}'`], `review: {command: sh -e wait.sh}\n${PARKING}`, {
      'wait.sh': review,
    });
    const run = play.start('run');
    await until('the review', () => existsSync(play.repo.path('.forge/asked')));
    await play.data('signal', 'a', 'go');
    expect(await run.ended).toMatchObject({ code: 0 });
    expect(await play.state('a')).toMatchObject({ state: 'shipped', attempt_count: 1 });
    const { steps } = await play.data('steps', 'a');
    expect(steps.map(({ kind, status }: { kind: string; status: string }) => `${kind} ${status}`)).toEqual([
      'step completed',
      'wait completed',
      'wait-for completed',
    ]);
  });
});
