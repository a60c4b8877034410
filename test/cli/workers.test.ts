/** Tasks without a command, done by the coding agent of the settings. The agents here are scripts. */

import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PRESETS } from '../../src/domain/plan/task-command.ts';
import { warningOf } from '../../src/domain/warnings.ts';
import { dataOf, folder, jsonLines, orchestrate, project, startCli } from '../support/cli.ts';
import { commandLine } from '../support/domain/plans.ts';
import { LiveForge } from '../support/faults/forge.ts';
import { Repository } from '../support/repository.ts';

const SETTINGS = '.forge/settings.yaml';
const ONE_TRY = 'retry: {max_attempts: 1}\n';

/** A folder with programs, each a shell script; the PATH with it in front, and without any other `forge`. */
function programs(scripts: Record<string, string>): { bin: string; PATH: string } {
  const bin = folder();
  for (const [name, lines] of Object.entries(scripts)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${lines}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return { bin, PATH: [bin, dirname(process.execPath), '/usr/bin', '/bin'].join(':') };
}

/** Notes how it was called, what it was handed, and for which task. */
const NOTES =
  'for word in "$@"; do echo "$word"; done > args; cat > prompt; echo "$FORGE_TASK_ID" > task; echo "$GEMINI_CLI_TRUST_WORKSPACE" > trust';

const read = (cwd: string, name: string) => readFileSync(join(cwd, name), 'utf8');

describe.each([
  [
    'claude',
    ['-p', '--output-format', 'stream-json', '--verbose', '--permission-mode', 'acceptEdits', '--allowedTools', 'Bash'],
    '',
  ],
  [
    'codex',
    [
      'exec',
      '--json',
      ...['--sandbox', 'workspace-write', '-c', 'allow_login_shell=false', '--add-dir', 'PROJECT/.forge'],
      ...['--add-dir', 'PROJECT/.git', '--add-dir', 'PROJECT/.git', '-'],
    ],
    '',
  ],
  [
    'copilot',
    [
      ...['--output-format', 'json', '--no-ask-user', '--allow-tool=shell', '--allow-tool=write'],
      ...['--add-dir', 'PROJECT/.forge'],
    ],
    '',
  ],
  ['cursor', ['-p', '--force', '--trust'], ''],
  ['gemini', ['-o', 'stream-json', '--approval-mode', 'yolo'], 'true'],
  ['opencode', ['run', '--format', 'json', '--auto', '--print-logs', '--log-level', 'ERROR'], ''],
  ['qwen', ['-o', 'stream-json', '--approval-mode', 'auto-edit', '--allowed-tools', 'run_shell_command'], ''],
] as const)('agents.worker: %s', (worker, args, trust) => {
  it('a preset starts its program with the prompt on stdin', async () => {
    const { PATH } = programs({ [PRESETS[worker].program]: NOTES });
    const cwd = project(['id: a, title: -Start with a dash, description: "Say `$HOME` and \'so\'"'], {
      [SETTINGS]: `agents: {worker: ${worker}}\n`,
    });
    new Repository(cwd);
    const run = await orchestrate(['run', '--json'], { cwd, env: { PATH } });
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(read(cwd, 'args').replaceAll(cwd, 'PROJECT').trimEnd().split('\n')).toEqual(args);
    expect(read(cwd, 'task')).toBe('a\n');
    expect(read(cwd, 'trust')).toBe(`${trust}\n`);
    expect(read(cwd, 'prompt')).toMatch(
      /^# Task a: -Start with a dash\n(?:.*\n)*Say `\$HOME` and 'so'\n(?:.*\n)*## How to report\n/,
    );
  });
});

it('gemini commits as git is configured, although it hides that configuration', async () => {
  const { PATH } = programs({ gemini: 'cat > /dev/null; env | grep -E "^GIT_(AUTHOR|COMMITTER)_" | sort > identity' });
  const cwd = project(['id: a, title: A'], { [SETTINGS]: 'agents: {worker: gemini}\n' });
  const repository = new Repository(cwd);
  repository.git('config', 'user.name', 'Ada "A" Lovelace');
  repository.git('config', 'user.email', 'ada@example.com');
  const own = { GIT_AUTHOR_NAME: 'Own', GIT_AUTHOR_EMAIL: '', GIT_COMMITTER_NAME: '', GIT_COMMITTER_EMAIL: '' };
  expect(await orchestrate(['run'], { cwd, env: { PATH, ...own } })).toMatchObject({ code: 0 });
  expect(read(cwd, 'identity').trimEnd().split('\n')).toEqual([
    'GIT_AUTHOR_EMAIL=ada@example.com',
    'GIT_AUTHOR_NAME=Own',
    'GIT_COMMITTER_EMAIL=ada@example.com',
    'GIT_COMMITTER_NAME=Ada "A" Lovelace',
  ]);
});

it('the command of a task or of the settings replaces the preset', async () => {
  const { PATH } = programs({ claude: 'echo claude > who' });
  const tasks = ['id: own, title: A, run: echo own > own', 'id: other, title: B'];
  const cwd = project(tasks, { [SETTINGS]: 'agents: {worker: claude, worker_command: echo command > who}\n' });
  const dry = (await orchestrate(['run', '--dry-run', '--json'], { cwd, env: { PATH } })).json().data;
  expect(dry.would_start.map(({ command, command_from }: Record<string, string>) => [command, command_from])).toEqual([
    ['echo own > own', 'run'],
    ['echo command > who', 'worker_command'],
  ]);
  expect(await orchestrate(['run'], { cwd, env: { PATH } })).toMatchObject({ code: 0 });
  expect([read(cwd, 'own'), read(cwd, 'who')]).toEqual(['own\n', 'command\n']);
});

it('the command line of a task and its source are shown', async () => {
  const { PATH } = programs({ gemini: '' });
  const tasks = ['id: own, title: A, run: make', 'id: other, title: B', 'id: person, title: C, owner_type: human'];
  const cwd = project(tasks, { [SETTINGS]: 'agents: {worker: gemini}\n' });
  const inCwd = { cwd, env: { PATH, COLUMNS: '60' } };
  const json = (await orchestrate(['run', '--dry-run', '--json'], inCwd)).json().data;
  expect(json).toMatchObject({
    would_start: [
      { task_id: 'own', command: 'make', command_from: 'run' },
      { task_id: 'other', command: commandLine('gemini'), command_from: 'gemini' },
    ],
    for_agents: [],
    human: [{ task_id: 'person' }],
    warnings: [],
  });
  for (const args of [
    ['run', '--dry-run'],
    ['show', 'other'],
  ]) {
    const { stdout } = await orchestrate(args, inCwd);
    expect(stdout.replace(/\s+/g, ' ')).toContain(commandLine('gemini'));
    expect(stdout).toContain('worker: gemini');
  }
  expect((await orchestrate(['show', 'person', '--json'], inCwd)).json().data.command).toBeNull();
  expect((await orchestrate([], inCwd)).stdout).toContain('forge orchestrate run');
});

it('an agent can ask and gets the answer', async () => {
  const { PATH } = programs({
    claude: `cat > prompt
echo '[{"id": "keep", "label": "Keep"}, {"id": "drop", "label": "Drop"}]' > options.json
forge orchestrate question --decision-key format --question 'Which?' --options-file options.json --json > asked`,
  });
  const cwd = project(['id: a, title: A'], { [SETTINGS]: `agents: {worker: claude}\n${ONE_TRY}` });
  const inCwd = { cwd, env: { PATH } };
  const run = startCli(['orchestrate', 'run', '--wait', '--json'], inCwd);
  const question = await new Promise<string>((resolve) => {
    let seen = '';
    run.process.stdout?.on('data', (text: string) => {
      seen += text;
      const asked = /"type":"question_opened".*"question_id":"([^"]+)"/.exec(seen);
      if (asked?.[1] !== undefined) resolve(asked[1]);
    });
  });
  expect(read(cwd, 'prompt')).not.toContain('## Decisions');
  expect(await orchestrate(['answer', question, '--option', 'drop'], inCwd)).toMatchObject({ code: 0 });
  expect(await run.ended).toMatchObject({ code: 0 });
  expect(read(cwd, 'prompt')).toContain('answer: drop (Drop)');
  expect(JSON.parse(read(cwd, 'asked')).data).toMatchObject({ status: 'answered', option_id: 'drop' });
});

it('an agent can call heartbeat and complete with its own verdict', async () => {
  const { PATH } = programs({
    codex: `forge orchestrate heartbeat --json > beat || exit 8
echo '{"verdict": "ready_for_review", "summary": "done by an agent"}' > "$FORGE_VERDICT_FILE"
forge orchestrate complete --verdict-file "$FORGE_VERDICT_FILE" --json > completed`,
  });
  const cwd = project(['id: a, title: A'], { [SETTINGS]: `agents: {worker: codex}\n${ONE_TRY}` });
  new Repository(cwd);
  expect(await orchestrate(['run'], { cwd, env: { PATH } })).toMatchObject({ code: 0 });
  expect(JSON.parse(read(cwd, 'beat'))).toMatchObject({ ok: true, data: { task_id: 'a' } });
  expect(JSON.parse(read(cwd, 'completed'))).toMatchObject({ ok: true, data: { state: 'shipped' } });
});

it('a forge on PATH is the one that workers call', async () => {
  const { PATH } = programs({ claude: 'forge', forge: 'echo mine > who' });
  const cwd = project(['id: a, title: A'], { [SETTINGS]: 'agents: {worker: claude}\n' });
  expect(await orchestrate(['run'], { cwd, env: { PATH } })).toMatchObject({ code: 0 });
  expect(read(cwd, 'who')).toBe('mine\n');
});

describe('a program that is not on PATH', () => {
  const { PATH } = programs({});
  const missing = () =>
    project(['id: a, title: A', 'id: own, title: Own, run: "true"'], {
      [SETTINGS]: `agents: {worker: cursor}\n${ONE_TRY}`,
    });

  it('a program that is not on PATH keeps its tasks waiting, uncharged, and the others go on', async () => {
    const cwd = project(['id: a, title: A', 'id: b, title: B, run: "true"'], {
      [SETTINGS]: 'agents: {worker: cursor}',
    });
    const run = await orchestrate(['run', '--json'], { cwd, env: { PATH } });
    expect(run.code).toBe(4);
    const left = jsonLines(run.stdout).filter(({ type }) => type === 'task_blocked');
    expect(left).toMatchObject([
      { task_id: 'a', reasons: [{ message: 'there is no cursor-agent on PATH to do task a' }] },
    ]);
    const warning = { type: 'warning', message: expect.stringContaining('no cursor-agent on PATH') };
    expect(jsonLines(run.stdout)).toContainEqual(expect.objectContaining(warning));
  });

  it('doctor and run --dry-run report a missing program and do not start an installed one', async () => {
    const cwd = missing();
    const doctor = (PATH: string) => orchestrate(['doctor', '--json'], { cwd, env: { PATH } });
    const check = async (PATH: string) =>
      (await doctor(PATH)).json().data.checks.find(({ name }: { name: string }) => name === 'worker');
    expect(await doctor(PATH)).toMatchObject({ code: 1 });
    expect(await check(PATH)).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('no cursor-agent on PATH'),
      fix: expect.stringContaining('agents.worker_command'),
    });
    const dry = (await orchestrate(['run', '--dry-run', '--json'], { cwd, env: { PATH } })).json().data;
    expect(dry.warnings).toEqual([warningOf(expect.stringContaining('no cursor-agent on PATH'))]);
    // As in the run itself, whose other tasks go on.
    expect(dry.would_start.map(({ task_id }: { task_id: string }) => task_id)).toEqual(['own']);
    expect(dry.waiting).toEqual([
      {
        task_id: 'a',
        code: 'SETTINGS_INVALID',
        reason: expect.stringContaining('no cursor-agent on PATH to do task a'),
      },
    ]);
    const there = programs({ 'cursor-agent': `echo started > '${cwd}/started'` });
    expect(await check(there.PATH)).toMatchObject({ status: 'ok', fix: null });
    expect(() => read(cwd, 'started')).toThrow('ENOENT');
    chmodSync(join(there.bin, 'cursor-agent'), 0o644);
    expect(await check(there.PATH)).toMatchObject({ status: 'fail' });
  });

  it('a missing program that no task needs is not reported', async () => {
    const cwd = project(['id: a, title: A, run: "true"'], { [SETTINGS]: 'agents: {worker: cursor}\n' });
    const dry = (await orchestrate(['run', '--dry-run', '--json'], { cwd, env: { PATH } })).json().data;
    expect(dry.warnings).toEqual([]);
  });
});

it('a run within the session of an agent starts agents that do not take it for theirs', async () => {
  const { PATH } = programs({ claude: 'cat > /dev/null; env > environment' });
  const cwd = project(['id: a, title: A'], { [SETTINGS]: 'agents: {worker: claude}\n' });
  const markers = { CLAUDECODE: '1', CLAUDE_CODE_SESSION_ID: 'outer', CODEX_THREAD_ID: 'outer', GEMINI_CLI: '1' };
  const settings = { CLAUDE_CODE_USE_BEDROCK: '1', CODEX_HOME: '/srv/codex', GEMINI_API_KEY: 'key' };
  expect(await orchestrate(['run'], { cwd, env: { PATH, ...markers, ...settings } })).toMatchObject({ code: 0 });
  const names = read(cwd, 'environment').match(/^\w+(?==)/gm);
  expect(names).toEqual(expect.arrayContaining(Object.keys(settings)));
  for (const name of Object.keys(markers)) expect(names).not.toContain(name);
});

it('without a worker a task waits for an agent', async () => {
  const cwd = project(['id: a, title: A']);
  const dry = (await orchestrate(['run', '--dry-run', '--json'], { cwd })).json().data;
  expect(dry).toMatchObject({ would_start: [], for_agents: [{ task_id: 'a' }] });
  expect(await orchestrate(['run'], { cwd })).toMatchObject({ code: 4 });
});

describe('what an agent says', () => {
  const recorded = (name: string) => join(import.meta.dirname, '../domain/agents/recordings', name);
  const played = async (name: string, exit: number, settings = '') => {
    const { PATH } = programs({ claude: `cat > /dev/null; cat ${recorded(name)}; exit ${exit}` });
    const cwd = project(['id: a, title: A'], { [SETTINGS]: `agents: {worker: claude}\n${settings}` });
    if (settings.includes('worktree')) new Repository(cwd).commit({ 'code.txt': 'one\n' });
    const run = new LiveForge(cwd, ['run'], { PATH });
    const over = await run.event('an end', ({ type }) => type === 'task_retry' || type === 'task_finished');
    run.signal('SIGINT');
    await run.ended;
    const { state } = await dataOf(cwd, 'show', 'a');
    return { cwd, over, state };
  };

  it('a plan that is used up is retried when its limit ends, a week from now at most', async () => {
    const { over, state } = await played('claude-usage.jsonl', 1);
    expect(over).toMatchObject({ type: 'task_retry', error: { class: 'rate_limit' } });
    const waitMs = Date.parse(state.next_eligible_at) - Date.parse(state.last_failed_at);
    expect(waitMs).toBe(7 * 24 * 3_600_000);
  });

  it('a key that is not valid is not tried again', async () => {
    const { over } = await played('claude-401.jsonl', 1);
    expect(over).toMatchObject({ type: 'task_finished', state: 'failed', attempts: 1, error: { class: 'auth' } });
  });

  it('an agent that gives up and exits with 0 has failed', async () => {
    const { over } = await played('claude-529.jsonl', 0);
    expect(over).toMatchObject({
      type: 'task_retry',
      error: { class: 'overloaded', message: expect.stringMatching(/^API Error/) },
    });
  });

  it('an exit code that the program documents names the cause, and its output says what is wrong', async () => {
    const { PATH } = programs({ gemini: 'cat > /dev/null; echo "Please set an Auth method" >&2; exit 41' });
    const cwd = project(['id: a, title: A'], { [SETTINGS]: 'agents: {worker: gemini}\n' });
    expect(await orchestrate(['run'], { cwd, env: { PATH } })).toMatchObject({ code: 1 });
    expect((await dataOf(cwd, 'show', 'a')).state.last_error).toEqual({
      class: 'auth',
      message: 'exited with code 41: Please set an Auth method',
      exit_code: 41,
    });
  });

  it('an agent that has no session without a login says so on stderr', async () => {
    const words = 'Error: No authentication information found.';
    const { PATH } = programs({ copilot: `cat > /dev/null; echo "${words}" >&2; exit 1` });
    const cwd = project(['id: a, title: A'], { [SETTINGS]: 'agents: {worker: copilot}\n' });
    expect(await orchestrate(['run'], { cwd, env: { PATH } })).toMatchObject({ code: 1 });
    const { state } = await dataOf(cwd, 'show', 'a');
    expect(state.last_error).toEqual({ class: 'auth', message: words, exit_code: 1 });
  });

  it('an agent that gives up as if all were well is told to have committed nothing', async () => {
    const { over } = await played('claude-529.jsonl', 0, 'workspace: worktree\n');
    expect(over).toMatchObject({
      error: { class: 'overloaded', message: expect.stringMatching(/; nothing is committed$/) },
    });
  });

  it('an agent that fails twice alike is not tried a third time, whatever tokens it has used', async () => {
    const result = '{"type":"result","is_error":false,"usage":{"input_tokens":$(wc -l < calls)}}';
    const script = `cat > /dev/null; echo x >> "$FORGE_DIR/.forge/calls"; cd "$FORGE_DIR/.forge"; echo "${result.replaceAll('"', '\\"')}"; exit 3`;
    const { PATH } = programs({ claude: script });
    const retry = 'retry: {max_attempts: 5, base: 1ms}\n';
    const cwd = project(['id: a, title: A'], { [SETTINGS]: `agents: {worker: claude}\nworkspace: worktree\n${retry}` });
    new Repository(cwd).commit({ 'code.txt': 'one\n' });
    expect(await orchestrate(['run'], { cwd, env: { PATH } })).toMatchObject({ code: 1 });
    const { state } = await dataOf(cwd, 'show', 'a');
    expect(state).toMatchObject({
      attempt_count: 2,
      last_error: { message: 'exited with code 3; the attempt before failed in the same way' },
    });
  });

  it('an error rule of the settings comes before what the agent says', async () => {
    const { over } = await played(
      'claude-credit.jsonl',
      1,
      "errors: [{class: fatal.money, output: 'Credit balance'}]\n",
    );
    expect(over).toMatchObject({ type: 'task_finished', error: { class: 'fatal.money' } });
  });

  it('logs tells it in words, and with --raw as it was written', async () => {
    const { cwd, over } = await played('claude-ok.jsonl', 0);
    expect(over).toMatchObject({ state: 'shipped' });
    const shown = await orchestrate(['logs', 'a'], { cwd });
    expect(shown.stdout).toMatch(
      /^session .*\n· runs echo .*\n· runs printf .*\n {2}failed: .*\nhello\.txt is written/m,
    );
    const raw = await orchestrate(['logs', 'a', '--raw', '--stream', 'stdout'], { cwd });
    expect(raw.stdout).toBe(readFileSync(recorded('claude-ok.jsonl'), 'utf8'));
  });

  it('a login that is not valid keeps the agent from all other tasks, until it is mended and the task retried', async () => {
    const { bin, PATH } = programs({
      claude: `cat > /dev/null; echo x >> "$FORGE_DIR/started"; cat ${recorded('claude-401.jsonl')}; exit 1`,
    });
    const cwd = project(['id: a, title: A', 'id: b, title: B', 'id: c, title: C, run: "true"'], {
      [SETTINGS]: 'agents: {worker: claude}\n',
    });
    const run = await orchestrate(['run', '--max-parallel', '1'], { cwd, env: { PATH } });
    expect(run.code).toBe(1);
    expect(read(cwd, 'started')).toBe('x\n');
    const words = run.stdout.replaceAll(/\s+/g, ' ');
    expect(words).toContain("b claude can't be used: auth: Invalid API key");
    expect(words).toContain('log in with `claude /login`, then `forge orchestrate retry a`');
    const status = await dataOf(cwd, 'status');
    expect(status.agents).toMatchObject([{ agent: 'claude', task_id: 'a', until: null }]);
    expect(status.tasks.map(({ state }: { state: string }) => state)).toEqual(['failed', 'unclaimed', 'shipped']);
    expect((await orchestrate(['why', 'b'], { cwd })).stdout).toContain('AGENT_REFUSED');
    writeFileSync(join(bin, 'claude'), `#!/bin/sh\ncat > /dev/null; cat ${recorded('claude-ok.jsonl')}\n`);
    await orchestrate(['retry', 'a'], { cwd });
    expect((await orchestrate(['run'], { cwd, env: { PATH } })).code).toBe(0);
  });

  it('after a limit no other task is started by that agent', async () => {
    const { PATH } = programs({
      claude: `cat > /dev/null; echo x >> "$FORGE_DIR/started"; cat ${recorded('claude-usage.jsonl')}; exit 1`,
    });
    const cwd = project(['id: a, title: A', 'id: b, title: B'], { [SETTINGS]: 'agents: {worker: claude}\n' });
    const run = new LiveForge(cwd, ['run', '--max-parallel', '1'], { PATH });
    const waits = await run.event('a wait', ({ type }) => type === 'waiting');
    expect(waits).toMatchObject({ for: [{ task_id: 'a', reason: expect.stringContaining('rate_limit') }] });
    run.signal('SIGINT');
    await run.ended;
    expect(read(cwd, 'started')).toBe('x\n');
    expect((await orchestrate(['status'], { cwd })).stdout).toContain('claude: limit until ');
    // A run that does not do the task that has met it says what it waits for, too.
    const other = new LiveForge(cwd, ['run', '--task', 'b'], { PATH });
    const reason = expect.stringContaining('`forge orchestrate retry a` tries it now');
    expect(await other.event('b waits', ({ type }) => type === 'waiting')).toMatchObject({
      for: [{ task_id: 'b', reason }],
    });
    other.signal('SIGINT');
    await other.ended;
  });
});
