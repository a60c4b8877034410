/** The client of the Agent Client Protocol, with an agent that is a script. */

import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { failureIn } from '../../src/domain/agents/events.ts';
import { adapterOf, saidText } from '../../src/domain/agents/output.ts';
import { processStart } from '../../src/process/processes.ts';
import { cli, dataOf, folder, orchestrate, project, startCli } from '../support/cli.ts';
import { eventsIn } from '../support/domain/agent-events.ts';
import { until } from '../support/processes.ts';

const AGENT = path.resolve('test/support/acp-agent.mjs');
const acp = adapterOf('acp');
if (acp === null) throw new Error('there is no adapter for acp');

let cwd: string;
beforeEach(() => {
  cwd = fs.realpathSync(folder());
});

/** What the client has written, and what forge makes of it. `flags` stand before the agent's command. */
async function done(mode: string, args: readonly string[] = [], flags: readonly string[] = []) {
  const command = `"${process.execPath}" "${AGENT}" "$@"`;
  const result = await cli(['__acp', ...flags, '--', command, mode, ...args], { cwd, input: 'Do it.\n' });
  const events = eventsIn(acp as NonNullable<typeof acp>, result.stdout);
  return { ...result, events, told: saidText(events), failure: failureIn(events) };
}

describe('a turn', () => {
  test('the agent gets the prompt and its arguments, and what it does is told once, in words', async () => {
    const { code, told, failure } = await done('ok', ['--fast', 'a b']);
    expect(code).toBe(0);
    expect(failure).toBeNull();
    expect(told).toBe('session s-1, small\n· runs make\n  failed: no rule\nAll done.\nused 40 tokens, and wrote 2\n');
    expect(fs.readFileSync(path.join(cwd, 'prompt.txt'), 'utf8')).toBe('Do it.');
    expect(fs.readFileSync(path.join(cwd, 'args.txt'), 'utf8')).toBe('--fast\na b');
  });

  test('permissions are given once, and not for files outside of the workspace', async () => {
    const { code, told } = await done('asks');
    expect(code).toBe(0);
    for (const said of ['in=allow_once;', 'out=reject_once;', 'up=reject_once;', 'run=allow_once;'])
      expect(told).toContain(said);
    // It offers no files of its own.
    expect(told).toContain('read=-32601');
    expect(told).toContain('· edits /etc/passwd\n  failed: not allowed: it is outside of the workspace');
  });

  test('what tools read and write is not kept whole, and a request is judged by all that was said of it', async () => {
    const { code, told, stdout } = await done('floods');
    expect(code).toBe(0);
    expect(stdout.length).toBeLessThan(64 * 1024);
    expect(told).toContain('· edits a.ts\n');
    expect(told).toContain('reject_once cancelled');
  });

  test.each([
    ['refusal', 'refused'],
    ['max_tokens', 'context'],
    ['max_turn_requests', 'max_turns'],
    ['cancelled', 'crash'],
  ])('a turn that ends with %s has failed, with class %s', async (reason, cause) => {
    const { code, failure } = await done('stops', [reason]);
    expect(code).toBe(1);
    expect(failure).toEqual({ error: { class: cause, message: `its turn has ended with ${reason}` }, until: null });
  });

  test('a model that the task wants is set, and one that is not there is named', async () => {
    expect((await done('ok', [], ['--model', 'large'])).told).toContain('session s-1, large');
    const { code, failure } = await done('ok', [], ['--model', 'none']);
    expect(code).toBe(1);
    expect(failure?.error.message).toBe('no such model (session/set_config_option)');
  });

  test('an agent that would decide by itself what it may do is set to ask', async () => {
    expect((await done('auto')).code).toBe(0);
    expect(fs.readFileSync(path.join(cwd, 'mode'), 'utf8')).toBe('default');
  });

  test('a session that is gone on with is loaded, and what it repeats is not told', async () => {
    const { told } = await done('ok', [], ['--resume', 's-1']);
    expect(told).toContain('session s-1');
    expect(told).not.toContain('Said before');
  });
});

describe('no turn', () => {
  test.each([
    ['an agent that needs a login', ['login'], 'auth', 'Authentication required (session/new)'],
    [
      'an agent of another version, which ends',
      ['later'],
      'crash',
      'the agent speaks version 2 of ACP, and forge version 1',
    ],
    [
      'an agent that ends at once',
      ['ends', '5'],
      'crash',
      'the agent has ended with exit code 5 before it answered initialize',
    ],
    [
      'an agent that ends in its turn',
      ['dies'],
      'crash',
      'the agent has ended with exit code 3 before it answered session/prompt',
    ],
    [
      'a status in words',
      ['fails', '{"code":-32603,"message":"Internal error","data":{"details":"429 Slow down"}}'],
      'rate_limit',
      '429 Slow down',
    ],
    [
      'a name of an error',
      ['fails', '{"code":-32603,"message":"Internal error: Too much","data":{"errorName":"ContextOverflowError"}}'],
      'context',
      'Too much',
    ],
    ['an error without a word', ['fails', '{"code":-32603,"message":"Internal error"}'], 'crash', 'Internal error'],
  ] as const)('%s fails with its cause', async (_what, [mode, ...args], cause, message) => {
    const { code, failure } = await done(mode, args);
    expect(code).not.toBe(0);
    expect(failure).toEqual({ error: { class: cause, message }, until: null });
  });

  test('an agent that is not there ends as in any shell', async () => {
    const { code, stdout } = await cli(['__acp', '--', 'no-such-agent'], { cwd, input: 'Do it.' });
    expect([code, stdout]).toEqual([127, '']);
  });

  test('what is not a message is skipped', async () => {
    expect(await done('chatter')).toMatchObject({ code: 0, failure: null });
  });
});

describe('worker: acp', () => {
  const settings = (mode: string) =>
    `agents:\n  worker: acp\n  worker_command: '"${process.execPath}" "${AGENT}" ${mode}'\nretry: {max_attempts: 1}\n`;

  test('a run has an agent of the protocol do its tasks', async () => {
    const at = project(['id: a, title: Do A'], { '.forge/settings.yaml': settings('ok') });
    expect((await orchestrate(['run'], { cwd: at })).code).toBe(0);
    expect(fs.readFileSync(path.join(at, 'prompt.txt'), 'utf8')).toContain('# Task a: Do A');
    expect((await orchestrate(['logs', 'a'], { cwd: at })).stdout).toContain('· runs make');
    const { attempts } = await dataOf(at, 'show', 'a');
    expect(attempts[0].session).toMatchObject({
      session_id: 's-1',
      model: 'small',
      input_tokens: 40,
      output_tokens: 2,
    });
  });

  test('a run that is stopped leaves nothing of the agent', async () => {
    const at = project(['id: a, title: Do A'], { '.forge/settings.yaml': settings('hangs') });
    const run = startCli(['orchestrate', 'run'], { cwd: at });
    const file = path.join(at, 'pid');
    const pid = await until('the turn', () => fs.existsSync(file) && (Number(fs.readFileSync(file, 'utf8')) || null));
    expect(processStart(pid)).not.toBeNull();
    run.process.kill('SIGINT');
    expect((await run.ended).code).toBe(130);
    expect(processStart(pid)).toBeNull();
  });

  test('settings refuse a command that takes the prompt for itself', async () => {
    const text = 'agents: {worker: acp, worker_command: \'gemini --acp < "$FORGE_PROMPT_FILE"\'}\n';
    const at = project(['id: a, title: Do A'], { '.forge/settings.yaml': text });
    const { code, stderr } = await orchestrate(['run'], { cwd: at });
    expect(code).toBe(2);
    expect(stderr.replace(/\s+/g, ' ')).toContain('hands the prompt in over the protocol');
  });

  test('settings refuse it without the command of an agent', async () => {
    const at = project(['id: a, title: Do A'], { '.forge/settings.yaml': 'agents: {worker: acp}\n' });
    const { code, stderr } = await orchestrate(['run'], { cwd: at });
    expect(code).toBe(2);
    expect(stderr).toContain('agents.worker: acp needs worker_command');
    expect(stderr).toContain('gemini --acp');
  });
});
