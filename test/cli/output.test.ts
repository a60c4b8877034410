/** Where output goes, in what form, and that all of it arrives. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { warningOf } from '../../src/domain/warnings.ts';
import { environment, FORGE, folder, orchestrate, project, shell } from '../support/cli.ts';

const TASKS = ['id: a, title: A, run: "true"', 'id: b, title: B, depends_on: [a]'];

describe('--json', () => {
  it.each([
    [[], ['project', 'counts', 'next']],
    [['status'], ['project', 'counts', 'tasks', 'runs', 'open_questions', 'warnings']],
    [['phases'], ['phases', 'warnings']],
    [
      ['phases', '--ready'],
      ['ready', 'waiting', 'human', 'warnings'],
    ],
    [
      ['why', 'b'],
      ['task_id', 'ready', 'reasons'],
    ],
    [
      ['show', 'a'],
      ['task_id', 'task', 'state', 'lease', 'attempts', 'history'],
    ],
    [
      ['run', '--dry-run'],
      ['would_start', 'waiting', 'human'],
    ],
    [['run', 'list'], ['runs']],
    [
      ['run', 'start', '--name', 'n'],
      ['run_id', 'name', 'started_at'],
    ],
    [
      ['claim', '--next'],
      ['task_id', 'claim_id', 'generation', 'run_id', 'expires_at'],
    ],
    [
      ['cancel', 'a'],
      ['task_id', 'state'],
    ],
    [['doctor'], ['checks']],
    [['init'], ['created', 'kept', 'project']],
  ])('%j with --json answers in one line', async (args, fields) => {
    const result = await orchestrate([...args, '--json'], { cwd: project(TASKS) });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const { ok, data } = result.json();
    expect(ok).toBe(true);
    expect(Object.keys(data)).toEqual(expect.arrayContaining(fields));
  });
});

describe('text output', () => {
  it.each([
    [[], /^test {2}2 tasks in plans\/phases\.yaml$/m],
    [['status'], /^ {2}· a {2}unclaimed +A$/m],
    [['phases'], /^● phase-1 {2}One +active +0\/2 shipped$/m],
    [['phases', '--ready'], /^ {2}P1 {2}a {2}phase-1 {2}A$/m],
    [['why', 'a'], /^a is ready$/m],
    [['why', 'b'], /^ {2}DEPENDENCY_PENDING {2}it depends on a/m],
    [['show', 'b'], /^ {2}depends on {4}a$/m],
    [['run', '--dry-run'], /^ {5}\$ true$/m],
    [['run', 'list'], /^No runs yet\.$/m],
    [['run', 'start'], /^ {2}forge orchestrate claim --next --run [0-9a-f-]{36}$/m],
    [['claim', 'a'], /^Claimed a \(generation 1\)\. The lease runs for 30m 00s\.$/m],
    [['cancel', 'a'], /^a is cancelled\.$/m],
    [['doctor'], /^✓ plan +/m],
    [['init'], /^ {2}kept {5}plans\/phases\.yaml$/m],
  ])('%j prints text on stdout in 80 columns without colour', async (args, expected) => {
    const result = await orchestrate(args, { cwd: project(TASKS) });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(expected);
    expect(result.stdout).not.toContain('\u001b');
    expect(result.stdout.split('\n').filter((line) => line.length > 80 && !line.includes('/forge-cli-'))).toEqual([]);
  });

  it('warnings are on stderr', async () => {
    const cwd = project(['id: a, title: A, status: dropped', 'id: b, title: B, depends_on: [a]']);
    const { stdout, stderr } = await orchestrate(['status'], { cwd });
    expect(stderr).toMatch(/^warning: task "b" depends on "a", which is dropped/);
    expect(stdout).not.toContain('warning');
    const json = await orchestrate(['status', '--json'], { cwd });
    expect(json.stderr).toBe('');
    expect(json.json().data.warnings).toEqual([warningOf(expect.stringContaining('which is dropped'))]);
  });

  it('control characters of a plan are not printed', async () => {
    const cwd = project(['id: a, title: "\\e[2Jgone\\u202e\\a", run: "true"']);
    for (const args of [['status'], ['phases', '--ready'], ['show', 'a'], ['run', '--dry-run'], ['run']]) {
      const { stdout } = await orchestrate(args, { cwd });
      expect(stdout).toContain('gone');
      expect(stdout).not.toMatch(/[\u0007\u001b\u202e]/);
    }
  });
});

describe('--json', () => {
  const NASTY = 'C1 \u009b31m DEL \u007f bidi \u202e\u2066\u2069\u200f\u061c hidden \u200b\u2028\ufeff end';
  const RAW = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

  it('escapes controls and what reorders or hides text, and the values stay the same', async () => {
    const cwd = project([`id: a, title: ${JSON.stringify(NASTY)}, run: ${JSON.stringify(`printf '${NASTY}'`)}`]);
    const show = await orchestrate(['show', 'a', '--json'], { cwd });
    expect(show.stdout).not.toMatch(RAW);
    expect(show.stdout).toContain('C1 \\u009b31m DEL \\u007f bidi \\u202e\\u2066');
    expect(JSON.stringify(show.json().data)).toContain(JSON.stringify(NASTY));
    const run = await orchestrate(['run', '--json'], { cwd });
    expect(run.stdout).not.toMatch(RAW);
    expect(run.stdout).toContain('task_output');
    const logs = await orchestrate(['logs', 'a', '--json'], { cwd });
    expect(logs.stdout).not.toMatch(RAW);
    expect(logs.json().data.stdout).toBe(NASTY);
    const error = await orchestrate(['show', NASTY, '--json'], { cwd });
    expect(error.stdout).not.toMatch(RAW);
    expect(error.json().ok).toBe(false);
  });
});

const HAS_SCRIPT = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0;

describe.skipIf(!HAS_SCRIPT)('colours', () => {
  /** What a terminal is sent. */
  function onTerminal(args: string, env: Record<string, string> = {}): string {
    const command = `"${process.execPath}" "${FORGE}" ${args}`;
    const cwd = project(TASKS);
    spawnSync('script', ['-qec', command, join(cwd, 'typescript')], {
      cwd,
      env: environment({ TERM: 'xterm', ...env }),
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    return readFileSync(join(cwd, 'typescript'), 'utf8').split('\n').slice(1, -2).join('\n');
  }

  it('output on a terminal has colours', () => {
    expect(onTerminal('orchestrate status')).toContain('\u001b[1mtest\u001b[22m');
    expect(onTerminal('orchestrate statsu')).toContain('\u001b[31m');
    expect(onTerminal('orchestrate run --task a')).toContain('\u001b[32m✓');
  });

  it.each([
    ['orchestrate status', { NO_COLOR: '1' }],
    ['orchestrate status', { TERM: 'dumb' }],
    ['orchestrate status --no-color', {}],
    ['--no-color orchestrate statsu', {}],
    ['orchestrate status --json', {}],
    ['orchestrate run --task a --no-color', {}],
  ])('output on a terminal has no colours with %s and %j', (args, env) => {
    const text = onTerminal(args, env);
    expect(text.length).toBeGreaterThan(20);
    expect(text).not.toContain('\u001b');
  });

  it.each<[env: Record<string, string>, coloured: boolean]>([
    [{ FORCE_COLOR: '1' }, true],
    [{ FORCE_COLOR: 'true', TERM: 'dumb' }, true],
    [{ FORCE_COLOR: '' }, false],
    [{ FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  ])('a pipe has colours only where FORCE_COLOR says so: %j', async (env, coloured) => {
    const { stdout } = await orchestrate(['status'], { cwd: project(TASKS), env });
    expect(stdout.includes('\u001b[1mtest\u001b[22m')).toBe(coloured);
  });

  it.each(['0', 'false'])('a terminal has no colours with FORCE_COLOR=%s', (value) => {
    expect(onTerminal('orchestrate status', { FORCE_COLOR: value })).not.toContain('\u001b');
  });

  it('a stream has no colours when only the other one is a terminal', () => {
    const text = onTerminal('orchestrate status | cat');
    expect(text).toContain('2 tasks');
    expect(text).not.toContain('\u001b');
  });
});

describe('pipes', () => {
  const many = () => project(Array.from({ length: 3000 }, (_, i) => `id: task-${i}, title: "${'word '.repeat(20)}"`));

  // A reader that takes little at a time, so that the pipe is full again and again.
  const SLOWLY = 'dd bs=512 2>/dev/null';

  it('a pipe gets a long answer whole', () => {
    const { stdout } = shell(`forge orchestrate status --json | ${SLOWLY}`, { cwd: many() });
    expect(stdout.length).toBeGreaterThan(500_000);
    expect(JSON.parse(stdout).data.tasks).toHaveLength(3000);
  });

  it('a non-blocking pipe gets a long answer whole', () => {
    // Node makes its end of a pipe non-blocking, which holds for everybody who shares it, and killed it can't undo that.
    const killed = `"$NODE" -e 'process.stdout.write(""); process.kill(process.pid, "SIGKILL")' 2>/dev/null`;
    const { stdout } = shell(`{ ${killed}; forge orchestrate status --json; } | ${SLOWLY}`, { cwd: many() });
    expect(JSON.parse(stdout).data.tasks).toHaveLength(3000);
  });

  it('a pipe closed by its reader is not an error', () => {
    const { stdout, stderr } = shell('{ forge orchestrate status; echo "exit $?" >&2; } | head -1', { cwd: many() });
    expect(stdout).toMatch(/^test {2}3000 tasks/);
    expect(stderr).toBe('exit 0\n');
  });

  it('a pipe closed from the start is not an error', () => {
    const { stderr } = shell('forge orchestrate --help >&-; echo "exit $?" >&2', { cwd: folder() });
    expect(stderr).toBe('exit 0\n');
  });

  it.skipIf(process.platform !== 'linux')('an output that cannot be written is a failure', () => {
    const { stderr } = shell('forge orchestrate --help >/dev/full; echo "exit $?" >&2', { cwd: folder() });
    expect(stderr).toMatch(/^error\[IO_ERROR\]: .*ENOSPC.*\nexit 1\n$/);
  });
});
