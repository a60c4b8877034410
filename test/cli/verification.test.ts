/** Verification with real processes: commands that pass, fail or hang, and a forge that is killed meanwhile. */

import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { release } from '../../src/commands/release.ts';
import { groupMembers } from '../../src/process/processes.ts';
import { systemContext } from '../../src/process/system-context.ts';
import { type CliResult, FORGE, orchestrate, project, type StartedCli, startCli, within } from '../support/cli.ts';
import { killGroup, until } from '../support/processes.ts';

const TASK = '.forge/orchestrator/tasks/a';
/** Notes that it was run, with its process group, and goes on when there is a file `gate`. */
const GATED = 'echo $FORGE_COMMAND_PID >> checks; until test -e gate; do sleep 0.02; done';

interface Attempt {
  claim: string;
  run: string;
  attempt: string;
}

/** A project whose task `a` waits for an agent and is verified by `verify`. */
function verifiedBy(verify: readonly string[], more = '', settings = ''): string {
  const list = verify.map((command) => `'${command.replaceAll("'", "''")}'`).join(', ');
  const cwd = project([`id: a, title: A, verify: [${list}]${more}`], {
    '.forge/settings.yaml': `agents: {kill_grace_ms: 500}\n${settings}`,
    'verdict.json': '{"verdict":"ready_for_review","summary":"all done"}',
    'other.json': '{"verdict":"ready_for_review","summary":"something else"}',
  });
  onTestFinished(() => {
    for (const pgid of linesOf(cwd, 'checks')) killGroup(Number(pgid));
  });
  return cwd;
}

function linesOf(cwd: string, name: string): string[] {
  return existsSync(join(cwd, name)) ? readFileSync(join(cwd, name), 'utf8').trimEnd().split('\n') : [];
}

async function begin(cwd: string, more: readonly string[] = []): Promise<Attempt> {
  const { claim_id, run_id } = await within(['claim', 'a', ...more], { cwd });
  const { attempt_id } = await within(['dispatch', 'a', '--claim', claim_id, '--run', run_id], { cwd });
  return { claim: claim_id, run: run_id, attempt: attempt_id };
}

function completing(cwd: string, { attempt }: Attempt, verdict = 'verdict.json'): StartedCli {
  return startCli(['orchestrate', 'complete', 'a', '--attempt', attempt, '--verdict-file', verdict, '--json'], { cwd });
}

const complete = (cwd: string, attempt: Attempt, verdict?: string) => completing(cwd, attempt, verdict).ended;

function twinOf(cwd: string, { attempt }: Attempt) {
  return JSON.parse(readFileSync(join(cwd, TASK, 'attempts', attempt, 'verdict.verified.json'), 'utf8'));
}

async function row(cwd: string) {
  return (await within(['status'], { cwd })).tasks[0];
}

const checkRuns = (cwd: string, times: number) =>
  until(`check number ${times}`, () => linesOf(cwd, 'checks').length >= times);

/** `a`, while the check that `complete` makes of it waits for its gate. */
async function beingVerified() {
  const cwd = verifiedBy([GATED]);
  const attempt = await begin(cwd);
  const running = completing(cwd, attempt);
  await checkRuns(cwd, 1);
  return { cwd, attempt, running };
}

/** A run that has come to the check of that number. */
async function runAtCheck(cwd: string, number: number): Promise<StartedCli> {
  const run = startCli(['orchestrate', 'run', '--json'], { cwd });
  await checkRuns(cwd, number);
  return run;
}

const openGate = (cwd: string) => writeFileSync(join(cwd, 'gate'), '');

describe('complete', () => {
  it('complete counts a result that passes every command', async () => {
    const cwd = verifiedBy(['echo fine', 'test -f plans/phases.yaml'], '', "verify: {commands: ['test -d .forge']}");
    const attempt = await begin(cwd);
    const { code, json } = await complete(cwd, attempt);
    expect(code).toBe(0);
    expect(json().data).toMatchObject({ task_id: 'a', attempt_id: attempt.attempt, state: 'shipped' });
    const twin = twinOf(cwd, attempt);
    expect(twin).toMatchObject({ verdict: 'ready_for_review', summary: 'all done', failure: null });
    expect(twin.commands.map(({ name, exit_code }: { name: string; exit_code: number }) => [name, exit_code])).toEqual([
      ['test-d-forge', 0],
      ['echo-fine', 0],
      ['test-f-plans-phases-yaml', 0],
    ]);
    expect(twin.commands[1]).toMatchObject({ command: 'echo fine', output_tail: 'fine\n', timed_out: false });
  });

  it('complete fails a result whose tests fail', async () => {
    const cwd = verifiedBy(['echo told >&2; exit 7', 'echo also'], ', retry: {max_attempts: 2, base: 0}');
    const attempt = await begin(cwd);
    const first = await complete(cwd, attempt);
    expect(first.code).toBe(1);
    const failed = first.json();
    expect(failed).toMatchObject({
      ok: false,
      error: {
        code: 'VERIFICATION_FAILED',
        details: { task_id: 'a', class: 'verify.echo-told-2-exit-7', output_tail: 'told\n' },
      },
      data: { task_id: 'a', state: 'awaiting_respawn', failure_reason: null },
    });
    expect(twinOf(cwd, attempt).commands).toMatchObject([{ exit_code: 7 }, { exit_code: 0, output_tail: 'also\n' }]);
    expect(
      JSON.parse(readFileSync(join(cwd, TASK, 'attempts', attempt.attempt, 'verdict.json'), 'utf8')),
    ).toMatchObject({
      verdict: 'ready_for_review',
    });
    // The same again is told the same, and nothing runs for it.
    expect((await complete(cwd, attempt)).json()).toEqual(failed);
    const again = await begin(cwd);
    expect((await complete(cwd, again)).json().data).toMatchObject({
      state: 'failed',
      failure_reason: 'retries_exhausted',
    });
    const shown = await orchestrate(['show', 'a'], { cwd });
    expect(shown.stdout).toContain('verify.echo-told-2-exit-7');
  });

  it('failed verification commands have separate retry budgets', async () => {
    const policies = '[{retry_on: [verify], max_attempts: 3, base: 0}, {max_attempts: 1}]';
    const cwd = verifiedBy(['exit 1'], `, retry: ${policies}`);
    const states: string[] = [];
    for (let n = 0; n < 3; n++) states.push((await complete(cwd, await begin(cwd))).json().data.state);
    expect(states).toEqual(['awaiting_respawn', 'awaiting_respawn', 'failed']);
  });

  it('complete stops a command at its time limit, with its children', async () => {
    const cwd = verifiedBy(
      ['echo $FORGE_COMMAND_PID >> checks; sleep 1000 & sleep 1000'],
      ', retry: {max_attempts: 1}',
      'verify: {timeout: 300ms}',
    );
    const { json } = await complete(cwd, await begin(cwd));
    expect(json().error.message).toContain('took longer than its timeout of ');
    expect(json().error.details.class).toMatch(/^verify\.echo-forge_command_pid-checks-sleep/);
    expect(groupMembers(Number(linesOf(cwd, 'checks')[0]))).toEqual([]);
  });

  it('complete runs no command for a verdict that is not ready_for_review, or for a failure', async () => {
    const cwd = verifiedBy(['echo $FORGE_COMMAND_PID >> checks'], ', retry: {max_attempts: 9, base: 0}');
    writeFileSync(join(cwd, 'verdict.json'), '{"verdict":"blocked"}');
    expect((await complete(cwd, await begin(cwd))).json().data.state).toBe('awaiting_respawn');
    const { attempt } = await begin(cwd);
    const args = ['complete', 'a', '--attempt', attempt, '--failed', '--error-class', 'x', '--json'];
    expect((await orchestrate(args, { cwd })).code).toBe(0);
    expect(linesOf(cwd, 'checks')).toEqual([]);
  });

  it('complete verifies nothing as passed when the plan cannot be read', async () => {
    const cwd = verifiedBy(['exit 1']);
    const attempt = await begin(cwd);
    const plan = join(cwd, 'plans/phases.yaml');
    const text = readFileSync(plan, 'utf8');
    writeFileSync(plan, 'project: [');
    expect((await complete(cwd, attempt)).json().error.code).toBe('PHASES_PARSE_ERROR');
    writeFileSync(plan, text);
    expect((await row(cwd)).state).toBe('dispatched');
    expect((await complete(cwd, attempt)).json().error.code).toBe('VERIFICATION_FAILED');
  });

  it('the record shows a running verification, and no other claim gets the task', async () => {
    const { cwd, attempt, running } = await beingVerified();
    expect(await row(cwd)).toMatchObject({
      state: 'running',
      verifying: expect.stringMatching(/^echo-forge_command_pid-checks-until/),
    });
    expect((await orchestrate(['why', 'a'], { cwd })).stdout).toContain(
      'being verified (echo-forge_command_pid-checks-until',
    );
    expect((await orchestrate(['claim', 'a', '--json'], { cwd })).json().error.code).toBe('LEASE_EXISTS');
    expect((await complete(cwd, attempt, 'other.json')).json().error.code).toBe('STALE_ATTEMPT');
    const fail = ['complete', 'a', '--attempt', attempt.attempt, '--failed', '--error-class', 'x', '--json'];
    expect((await orchestrate(fail, { cwd })).json().error.code).toBe('STALE_ATTEMPT');
    openGate(cwd);
    expect((await running.ended).json().data.state).toBe('shipped');
    expect(await row(cwd)).toMatchObject({ state: 'shipped', verifying: null });
  });

  it('two concurrent completes run the command once and get the same answer', async () => {
    const cwd = verifiedBy([GATED]);
    const attempt = await begin(cwd);
    const first = completing(cwd, attempt);
    await checkRuns(cwd, 1);
    const second = completing(cwd, attempt);
    const ended: CliResult[] = [];
    void second.ended.then((result) => ended.push(result));
    // Whatever the second does, it does not do it before the first has come to its end.
    openGate(cwd);
    expect((await first.ended).json()).toEqual((await second.ended).json());
    expect(ended[0]?.json().data.state).toBe('shipped');
    expect(linesOf(cwd, 'checks')).toHaveLength(1);
  });

  it('an interrupted complete keeps the verdict and stops its command, and a repeat continues', async () => {
    const { cwd, attempt, running } = await beingVerified();
    running.process.kill('SIGINT');
    const { code, json } = await running.ended;
    expect(code).toBe(130);
    expect(json().error.code).toBe('INTERRUPTED');
    expect(groupMembers(Number(linesOf(cwd, 'checks')[0]))).toEqual([]);
    expect(await row(cwd)).toMatchObject({ state: 'running' });
    openGate(cwd);
    expect((await complete(cwd, attempt)).json().data.state).toBe('shipped');
  });

  it('a repeat of a killed complete stops its command and finishes', async () => {
    const { cwd, attempt, running } = await beingVerified();
    running.process.kill('SIGKILL');
    await running.ended;
    const left = Number(linesOf(cwd, 'checks')[0]);
    expect(groupMembers(left)).not.toEqual([]);
    const repeat = completing(cwd, attempt);
    await checkRuns(cwd, 2);
    expect(groupMembers(left)).toEqual([]);
    openGate(cwd);
    expect((await repeat.ended).json().data.state).toBe('shipped');
  });

  it('a task cancelled during verification stops the command and refuses the completion', async () => {
    const { cwd, running } = await beingVerified();
    expect((await orchestrate(['cancel', 'a'], { cwd })).code).toBe(0);
    const { code, json } = await running.ended;
    expect(code).toBe(3);
    expect(json().error.code).toBe('LEASE_STOLEN');
    expect(groupMembers(Number(linesOf(cwd, 'checks')[0]))).toEqual([]);
    expect((await row(cwd)).state).toBe('cancelled');
  });
});

describe('verifier that has lost its task', () => {
  it('a command stopped by the next claimer gives its verifier no result', async () => {
    const { cwd, attempt, running } = await beingVerified();
    // At once, before the verifier checks its lease again.
    const call = { ctx: systemContext(), dir: cwd, warn: () => {} };
    await release.run(call, { task: 'a', claim: attempt.claim });
    const next = claim.run(call, { task: 'a' });
    await checkRuns(cwd, 2);
    const { code, json } = await running.ended;
    expect(code).toBe(3);
    expect(json().error.code).toBe('LEASE_STOLEN');
    openGate(cwd);
    await expect(next).rejects.toMatchObject({ code: 'NOT_READY' });
    expect(await row(cwd)).toMatchObject({ state: 'shipped', attempt_count: 1, generation: 2 });
    expect(twinOf(cwd, attempt)).toMatchObject({ failure: null, commands: [{ exit_code: 0 }] });
  });
});

describe('interrupted verification', () => {
  async function owned(cwd: string) {
    const owner = spawn('sleep', ['1000']);
    const gone = new Promise((resolve) => owner.once('exit', resolve));
    return { owner, gone, attempt: await begin(cwd, ['--owner-pid', String(owner.pid)]) };
  }

  /** An agent, owned by a process that dies with it, is killed while its result is verified. */
  async function leftBehind(cwd: string): Promise<Attempt> {
    const { owner, gone, attempt } = await owned(cwd);
    const running = completing(cwd, attempt);
    await checkRuns(cwd, 1);
    running.process.kill('SIGKILL');
    owner.kill('SIGKILL');
    await Promise.all([running.ended, gone]);
    return attempt;
  }

  it('run finishes an interrupted verification, also of a task without a command', async () => {
    const cwd = verifiedBy([GATED]);
    const attempt = await leftBehind(cwd);
    const run = await runAtCheck(cwd, 2);
    expect(groupMembers(Number(linesOf(cwd, 'checks')[0]))).toEqual([]);
    // The attempt that handed it in has lost its lease, whatever it says now.
    expect((await orchestrate(['heartbeat', 'a', '--attempt', attempt.attempt, '--json'], { cwd })).code).toBe(3);
    openGate(cwd);
    expect((await run.ended).code).toBe(0);
    expect(await row(cwd)).toMatchObject({ state: 'shipped', attempt_count: 1, generation: 2 });
    // And hears what came of it when it asks again.
    expect((await complete(cwd, attempt)).json().data.state).toBe('shipped');
  });

  it("run finishes a paused verifier's verification, and the late result is refused", async () => {
    const cwd = verifiedBy([GATED]);
    const { owner, gone, attempt } = await owned(cwd);
    const paused = completing(cwd, attempt);
    onTestFinished(() => void paused.process.kill('SIGKILL'));
    await checkRuns(cwd, 1);
    paused.process.kill('SIGSTOP');
    owner.kill('SIGKILL');
    await gone;
    const run = await runAtCheck(cwd, 2);
    // The command that it waits for was stopped meanwhile; that is no finding.
    paused.process.kill('SIGCONT');
    const woken = await paused.ended;
    expect([woken.code, woken.json().error.code]).toEqual([3, 'LEASE_STOLEN']);
    openGate(cwd);
    expect((await run.ended).code).toBe(0);
    expect(await row(cwd)).toMatchObject({ state: 'shipped', attempt_count: 1, generation: 2 });
    expect(twinOf(cwd, attempt)).toMatchObject({ failure: null, commands: [{ exit_code: 0 }] });
  });

  it('claim finishes an interrupted verification and does not give the task out again', async () => {
    const cwd = verifiedBy([GATED]);
    await leftBehind(cwd);
    openGate(cwd);
    const { code, json } = await orchestrate(['claim', '--next', '--json'], { cwd });
    expect(code).toBe(4);
    expect(json().error.code).toBe('NOT_READY');
    expect(await row(cwd)).toMatchObject({ state: 'shipped', attempt_count: 1 });
  });

  it('claim gets a task whose interrupted verification fails', async () => {
    const cwd = verifiedBy([`${GATED}; exit 1`], ', retry: {max_attempts: 9, base: 0}');
    await leftBehind(cwd);
    openGate(cwd);
    const { code, json } = await orchestrate(['claim', 'a', '--json'], { cwd });
    expect(code).toBe(0);
    expect(json().data.generation).toBe(3);
    expect(await row(cwd)).toMatchObject({
      state: 'claimed',
      last_error: { class: expect.stringMatching(/^verify\./) },
    });
  });

  it('exec finishes an interrupted verification and runs its command only if the task is not done', async () => {
    const cwd = verifiedBy([GATED]);
    await leftBehind(cwd);
    openGate(cwd);
    const { code, stderr } = await orchestrate(['exec', 'a', '--', 'touch', 'done-again'], { cwd });
    expect(code).toBe(4);
    expect(stderr).toContain('NOT_READY');
    expect(existsSync(join(cwd, 'done-again'))).toBe(false);
  });

  it('a twin that forge did not write decides nothing, and is replaced', async () => {
    const cwd = verifiedBy([GATED]);
    const attempt = await leftBehind(cwd);
    const file = join(cwd, TASK, 'attempts', attempt.attempt, 'verdict.verified.json');
    const forged = { version: 1, attempt_id: attempt.attempt, verdict: 'ready_for_review', verified_at: '2030-01-01' };
    writeFileSync(file, JSON.stringify(forged));
    openGate(cwd);
    expect((await orchestrate(['run', '--json'], { cwd })).code).toBe(0);
    expect(linesOf(cwd, 'checks')).toHaveLength(2);
    expect(twinOf(cwd, attempt)).toMatchObject({ failure: null, commands: [{ exit_code: 0 }] });
  });

  it('a verdict that was deleted meanwhile counts as a failure', async () => {
    const cwd = verifiedBy([GATED], ', retry: {max_attempts: 1}');
    const attempt = await leftBehind(cwd);
    writeFileSync(join(cwd, TASK, 'attempts', attempt.attempt, 'verdict.json'), '{"verdict":"ready_for_review"}');
    expect((await orchestrate(['run', '--json'], { cwd })).code).toBe(1);
    expect(await row(cwd)).toMatchObject({ state: 'failed', last_error: { class: 'verdict.invalid' } });
  });
});

it('what a worker or a reviewer leaves in place of a file that it may write is named in words', async () => {
  const cwd = project(
    [
      `id: link, title: L, run: 'ln -s /etc/passwd $FORGE_VERDICT_FILE'`,
      `id: large, title: L, run: 'head -c 70000 /dev/zero > $FORGE_VERDICT_FILE'`,
      `id: pipe, title: P, run: 'mkfifo $FORGE_RETRY_AFTER_FILE; exit 1'`,
      'id: reviewed, title: R, run: "true"',
    ],
    { '.forge/settings.yaml': 'review: {command: mkdir $FORGE_REVIEW_FILE}\nretry: {max_attempts: 1}\n' },
  );
  const { stdout, stderr } = await orchestrate(['run'], { cwd });
  const said = `${stdout}${stderr}`.replace(/\s+/g, ' ');
  expect(said).toContain('FORGE_VERDICT_FILE cannot be read: it is a symlink, which is not followed');
  expect(said).toContain('FORGE_VERDICT_FILE cannot be read: it is larger than 65536 bytes');
  expect(said).toContain('FORGE_RETRY_AFTER_FILE is not read: it is not a regular file');
  expect(said).toContain('FORGE_REVIEW_FILE cannot be read: it is not a regular file');
  expect(said).not.toMatch(/\bE(?:LOOP|FBIG|INVAL|ISDIR)\b/);
});

describe('run', () => {
  const forge = `"${process.execPath}" "${FORGE}" orchestrate`;
  const WORKING = ", run: 'echo $FORGE_ATTEMPT_NUMBER >> work'";

  it('after a run is killed during verification the next run verifies without doing the work again', async () => {
    const cwd = verifiedBy([GATED], WORKING);
    const run = await runAtCheck(cwd, 1);
    run.process.kill('SIGKILL');
    await run.ended;
    const next = await runAtCheck(cwd, 2);
    openGate(cwd);
    expect((await next.ended).code).toBe(0);
    expect(linesOf(cwd, 'work')).toEqual(['1']);
    expect(await row(cwd)).toMatchObject({ state: 'shipped', attempt_count: 1, generation: 2 });
  });

  it('a run interrupted during verification gives the task back with its verdict', async () => {
    const cwd = verifiedBy([GATED], WORKING);
    const run = await runAtCheck(cwd, 1);
    run.process.kill('SIGINT');
    expect((await run.ended).code).toBe(130);
    expect(groupMembers(Number(linesOf(cwd, 'checks')[0]))).toEqual([]);
    expect(await row(cwd)).toMatchObject({ state: 'awaiting_respawn', last_error: null });
    expect((await orchestrate(['status'], { cwd })).stdout).toContain('handed in, still to be verified');
    openGate(cwd);
    expect((await orchestrate(['run'], { cwd })).code).toBe(0);
    expect(linesOf(cwd, 'work')).toEqual(['1']);
  });

  it('cancel from another terminal stops a verification of run', async () => {
    const cwd = verifiedBy([GATED], WORKING);
    const run = await runAtCheck(cwd, 1);
    await orchestrate(['cancel', 'a'], { cwd });
    expect((await run.ended).code).toBe(0);
    expect(groupMembers(Number(linesOf(cwd, 'checks')[0]))).toEqual([]);
  });

  it('run goes on when a worker completes by itself', async () => {
    const cwd = verifiedBy([GATED], `, timeout: 30s, run: '${forge} complete --verdict-file verdict.json'`);
    const run = await runAtCheck(cwd, 1);
    openGate(cwd);
    const { code, stdout } = await run.ended;
    expect(code).toBe(0);
    expect(stdout).toContain('"state":"shipped"');
    expect(linesOf(cwd, 'checks')).toHaveLength(1);
  });

  it('run verifies the verdict of a worker that handed it in and died', async () => {
    const worker = `${forge} complete --verdict-file verdict.json & while ! test -e checks; do sleep 0.02; done; kill -9 0`;
    const cwd = verifiedBy([GATED], `, run: '${worker}'`);
    const run = await runAtCheck(cwd, 2);
    expect(groupMembers(Number(linesOf(cwd, 'checks')[0]))).toEqual([]);
    openGate(cwd);
    expect((await run.ended).code).toBe(0);
    const [attempt = ''] = readdirSync(join(cwd, TASK, 'attempts'));
    expect(twinOf(cwd, { attempt, claim: '', run: '' })).toMatchObject({
      summary: 'all done',
      verdict: 'ready_for_review',
    });
  });

  it('run names the verification command, shows its output, and names the log', async () => {
    const cwd = verifiedBy(['echo "3 tests failed"; exit 1'], `${WORKING}, retry: {max_attempts: 1}`);
    const { code, stdout } = await orchestrate(['run'], { cwd });
    expect(code).toBe(1);
    expect(stdout).toMatch(/▹ a +verifying: echo "3 tests failed"; exit 1\n/);
    expect(stdout).toMatch(/│ 3 tests failed\n +log: \.forge\/\S+\/logs\/verify-1-echo-3-tests-failed-exit-1\.log\n/);
  });
});
