/** What the command line accepts and refuses, and how it says so. */

import { describe, expect, it } from 'vitest';
import { parseArgv } from '../../src/cli/program.ts';
import { cli, folder, project } from '../support/cli.ts';
import { refused } from '../support/refused.ts';

const UUID = '01997b62-5a10-7c3e-9d44-0b6f2a1e7c01';

/** Reads the command line and asks the verb for everything that it reads off it, as far as that goes without a project. */
const refusal = (args: readonly string[], env: Record<string, string> = {}) =>
  refused(() => parseArgv(['orchestrate', ...args], env));

describe('a slip on the command line', () => {
  it.each([
    [['statsu'], 'UNKNOWN_VERB', /has no verb "statsu"/, /Did you mean `forge orchestrate status`\?/],
    [['skip', 'a'], 'UNKNOWN_VERB', /has no verb "skip"/, /Did you mean `forge orchestrate drop`\?/],
    [['prune'], 'UNKNOWN_VERB', /has no verb "prune"/, /Did you mean `forge orchestrate gc --prune`\?/],
    [['constructor'], 'UNKNOWN_VERB', /has no verb "constructor"/, /^See /],
    [['qqqqqq'], 'UNKNOWN_VERB', /has no verb "qqqqqq"/, /--help/],
    [['run', 'strat'], 'UNKNOWN_VERB', /has no verb "strat"/, /`forge orchestrate run start`/],
    [['run', 'build'], 'UNKNOWN_VERB', /has no verb "build"/, /`forge orchestrate run --task build`/],
    [['status', '--jsn'], 'INVALID_ARGS', /unknown option --jsn/, /Did you mean --json\?/],
    [['run', '--max-paralel', '2'], 'INVALID_ARGS', /unknown option --max-paralel/, /Did you mean --max-parallel\?/],
    [['--jsn'], 'INVALID_ARGS', /unknown option --jsn/, /Did you mean --json\?/],
    [['--zzz', 'status'], 'INVALID_ARGS', /unknown option --zzz/, /--help/],
    [['help', 'statsu'], 'UNKNOWN_VERB', /has no verb "statsu"/, /status/],
    [['why', 'a', 'b'], 'INVALID_ARGS', /why takes one argument, not 2$/, /why --help/],
    [['status', 'a'], 'INVALID_ARGS', /status takes no arguments$/, /status --help/],
    [['claim', '--run'], 'INVALID_ARGS', /--run <id> needs a value/, /claim --help/],
    [['--dir'], 'INVALID_ARGS', /--dir <dir> needs a value/, /--help/],
    [['exec', 'a', 'make', 'all'], 'INVALID_ARGS', /behind `--`/, /exec a -- make/],
    [['run', '--dry-run', 'list'], 'INVALID_ARGS', /run takes no arguments$/, /run --help/],
    [['--zzz'], 'INVALID_ARGS', /unknown option --zzz/, /--help/],
  ])('%j is refused: %s', async (args, code, message, hint) => {
    const error = await refusal(args);
    expect([error.code, error.exitCode]).toEqual([code, 2]);
    expect(error.message).toMatch(message);
    expect(error.hint).toMatch(hint);
  });

  it.each([
    [['status', '--limit', 'x'], 'status'],
    [['why'], 'why'],
    [['run', '--max-parallel', 'x'], 'run'],
    [['run', 'end'], 'run end'],
    [['logs', 'a', '--stream', 'both'], 'logs'],
  ])('the hint about %j names the verb', async (args, verb) => {
    expect((await refusal(args)).hint).toBe(`See \`forge orchestrate ${verb} --help\`.`);
  });

  it('a slip in a verb without orchestrate, or in orchestrate, gets the full command', async () => {
    await expect(parseArgv(['statsu'], {})).rejects.toThrow(
      expect.objectContaining({ code: 'UNKNOWN_VERB', hint: expect.stringContaining('`forge orchestrate status`') }),
    );
    await expect(parseArgv(['orchestrat'], {})).rejects.toThrow(
      expect.objectContaining({ code: 'UNKNOWN_VERB', hint: expect.stringContaining('`forge orchestrate`') }),
    );
  });
});

describe('a verb', () => {
  it.each([
    [['status', '--json'], { kind: 'verb', verb: 'status' }],
    [['run', 'list'], { kind: 'verb', verb: 'run list' }],
    [['--dir', '/x', 'why', 'a'], { kind: 'verb', verb: 'why', dir: '/x', input: { task: 'a' } }],
    [['help', 'run'], { kind: 'help', verb: 'run' }],
    [['run', '-h'], { kind: 'help', verb: 'run' }],
    [['-h'], { kind: 'help', verb: null }],
    [['-v'], { kind: 'version' }],
    [['-V'], { kind: 'version' }],
    [['version'], { kind: 'version' }],
    [['orchestrate', '--no-color', 'version'], { kind: 'version' }],
    [['orchestrate', '-v'], { kind: 'version' }],
    [[], { kind: 'help', verb: null }],
  ])('may stand right behind forge, and letters stand for flags: %j', async (args, request) => {
    expect(await parseArgv(args, {})).toMatchObject(request);
  });
});

describe('a value that is missing or wrong', () => {
  const dir = () => project(['id: a, title: A, run: "true"']);
  it.each([
    [['why'], /why needs <task> \(or FORGE_TASK_ID\)/],
    [['claim'], /claim needs <task> or --next \(or FORGE_TASK_ID\)/],
    [['claim', 'a', '--next'], /both a task \(a\) and --next/],
    [['claim', 'a', '--owner-pid', 'me'], /--owner-pid "me": expected a whole number from 1 on/],
    [['dispatch', 'a', '--run', UUID], /dispatch needs --claim <id> \(or FORGE_CLAIM_ID\)/],
    [
      ['dispatch', 'a', '--claim', UUID, '--run', UUID, '--phase', 'ships'],
      /"ships": expected implement, review or ship/,
    ],
    [['heartbeat', 'a'], /heartbeat needs --attempt <id> \(or FORGE_ATTEMPT_ID\)/],
    [['complete', 'a', '--attempt', UUID], /how the attempt ended/],
    [['complete', 'a', '--attempt', UUID, '--failed'], /--error-class/],
    [
      ['complete', 'a', '--attempt', UUID, '--failed', '--exit-code', '300'],
      /"300": expected a whole number from 0 to 255/,
    ],
    [['run', '--max-parallel', '0'], /"0": expected a whole number from 1 to 1000/],
    [['run', '--max-parallel', '1.5'], /"1.5": expected a whole number/],
    [['run', '--on-failure', 'stpo'], /"stpo": expected continue, stop or stop-all/],
    [['phases', '--limit', '-1'], /"-1": expected a whole number/],
    [['logs', 'a', '--stream', 'both'], /"both": expected setup, stdout or stderr/],
    [['exec', 'a', '--'], /which command/],
    [['exec', '--', 'true'], /exec needs <task> or --next/],
    [['run', 'end'], /run end needs --run <id>/],
    [['status', '--dir', '/nowhere/at/all'], /not a folder/],
  ])('the invalid command line %j is refused with exit 2', async (args, message) => {
    const result = await cli(['orchestrate', ...args, '--json'].sort(afterJson), { cwd: dir() });
    expect(result.code).toBe(2);
    expect(result.json().error).toMatchObject({ code: 'INVALID_ARGS', message: expect.stringMatching(message) });
  });

  /** `--json` may stand anywhere before `--`; first is such a place. */
  function afterJson(a: string, b: string): number {
    return Number(b === '--json') - Number(a === '--json');
  }
});

describe('failures as JSON', () => {
  it.each([
    [['foo', '--json'], 'UNKNOWN_VERB'],
    [['--json', 'orchestrate', 'foo'], 'UNKNOWN_VERB'],
    [['orchestrate', 'status', '--bogus', '--json'], 'INVALID_ARGS'],
    [['orchestrate', '--json', 'status'], 'PHASES_NOT_FOUND'],
    [['orchestrate', 'run', '--json'], 'PHASES_NOT_FOUND'],
    [['orchestrate', 'exec', '--json', 'a', '--', 'true'], 'PHASES_NOT_FOUND'],
  ])('the failure of %j with --json is one line on stdout', async (args, code) => {
    const result = await cli(args, { cwd: folder() });
    expect(result.code).toBe(2);
    expect(result.json()).toEqual({
      ok: false,
      error: {
        code,
        message: expect.any(String),
        hint: expect.any(String),
        retriable: false,
        details: expect.any(Object),
      },
    });
    expect(result.stderr).toBe('');
  });

  it('exec ignores a --json after --', async () => {
    const result = await cli(['orchestrate', 'exec', 'a', '--', 'echo', '--json'], { cwd: folder() });
    expect(result.stdout).toBe('');
    expect(result.stderr).toMatch(/^error\[PHASES_NOT_FOUND\]/);
  });
});

describe('failures for people', () => {
  it('failures are on stderr, with a hint and without a stack', async () => {
    const result = await cli(['orchestrate', 'why', 'nope'], { cwd: project(['id: a, title: A']) });
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error\[TASK_NOT_FOUND\]: .*\nhint: /);
    expect(result.stderr).not.toMatch(/^\s+at /m);
  });

  it('general hints name the verb and the task', async () => {
    const cwd = project(['id: a, title: A', 'id: b, title: B, depends_on: [a]']);
    const waits = await cli(['orchestrate', 'claim', 'b', '--json'], { cwd });
    expect(waits.json().error).toMatchObject({ code: 'NOT_READY', hint: expect.stringContaining('why b`') });
    expect(waits.code).toBe(4);
  });
});
