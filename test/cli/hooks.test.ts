/** The hooks that `init --hooks` writes, run as Claude Code runs them: by a shell, with the event on stdin. */

import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { environment, FORGE, folder, project, within } from '../support/cli.ts';

const EVENTS = ['SessionStart', 'PreToolUse', 'PostToolUse', 'Stop'] as const;
type Event = (typeof EVENTS)[number];

/** A project with hooks whose task `a` is at work, and the environment of its worker. */
async function working(settings = ''): Promise<{ cwd: string; env: Record<string, string> }> {
  const cwd = project(['id: a, title: The first', 'id: b, title: B']);
  await within(['init', '--hooks'], { cwd });
  if (settings !== '') writeFileSync(join(cwd, '.forge/settings.yaml'), settings);
  const { claim_id, run_id } = await within(['claim', 'a'], { cwd });
  const { attempt_id } = await within(['dispatch', 'a', '--claim', claim_id, '--run', run_id], { cwd });
  const env = { FORGE_TASK_ID: 'a', FORGE_ATTEMPT_ID: attempt_id, FORGE_CLAIM_ID: claim_id, FORGE_CLI: FORGE };
  return { cwd, env };
}

/** What the hook of the event says; null: nothing. Fails unless it ends well and is quiet besides. */
function fire(event: Event, cwd: string, env: Record<string, string>, more: object = {}, stdin?: string) {
  const settings = JSON.parse(readFileSync(join(cwd, '.claude/settings.json'), 'utf8'));
  const [{ hooks }] = settings.hooks[event];
  const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', hooks[0].command], {
    cwd,
    env: environment(env),
    encoding: 'utf8',
    input: stdin ?? JSON.stringify({ hook_event_name: event, session_id: 's', cwd, ...more }),
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout === '' ? null : JSON.parse(stdout);
}

describe('hooks in a task', () => {
  it('SessionStart names the task, and outside of one where things stand', async () => {
    const { cwd, env } = await working();
    const told = fire('SessionStart', cwd, { ...env, FORGE_PROMPT_FILE: '/x/prompt.md' });
    expect(told.hookSpecificOutput).toEqual({
      hookEventName: 'SessionStart',
      additionalContext: expect.stringMatching(/task a of forge: The first\. This is attempt 1\.\n.*\/x\/prompt\.md/),
    });
    const outside = fire('SessionStart', cwd, { FORGE_CLI: FORGE });
    expect(outside.hookSpecificOutput.additionalContext).toMatch(
      /plans\/phases\.yaml \(project test\): 1 \w+, 1 \w+\.\n/,
    );
    expect(outside.hookSpecificOutput.additionalContext).toContain('1 can start, 1 in flight');
  });

  it('PreToolUse refuses to change a protected file until that is decided, and no other', async () => {
    const { cwd, env } = await working('agents: {preflight_globs: ["migrations/**"]}\n');
    const edit = (file_path: string) => fire('PreToolUse', cwd, env, { tool_name: 'Edit', tool_input: { file_path } });
    expect(edit(join(cwd, 'migrations/1.sql')).hookSpecificOutput).toEqual({
      hookEventName: 'PreToolUse',
      permissionDecision: 'deny',
      permissionDecisionReason: expect.stringMatching(/migrations\/1\.sql.*guardrail:migrations\/1\.sql/),
    });
    expect(edit(join(cwd, 'src/a.ts'))).toBeNull();
    expect(edit('/elsewhere')).toBeNull();
    expect(fire('PreToolUse', cwd, env, { tool_name: 'Bash', tool_input: { command: 'ls' } })).toBeNull();
  });

  it('PostToolUse renews a lease that is half over, and tells an agent that has lost its task', async () => {
    const { cwd, env } = await working('agents: {lease_ttl_ms: 1h}\n');
    const record = () => within(['show', 'a'], { cwd });
    const before = await record();
    expect(fire('PostToolUse', cwd, env)).toBeNull();
    expect((await record()).lease.expires_at).toBe(before.lease.expires_at);
    await within(['release', 'a', '--claim', env['FORGE_CLAIM_ID'] ?? ''], { cwd });
    await within(['claim', 'a'], { cwd });
    expect(fire('PostToolUse', cwd, env)).toEqual({
      decision: 'block',
      reason: expect.stringMatching(/^LEASE_STOLEN: .*Stop working on it/),
    });
  });

  it.each([
    ['handed it in', ['complete', 'a', '--failed', '--error-class', 'tests'], null],
    ['given it back', ['release', 'a'], null],
    ['been cancelled', ['cancel', 'a'], expect.objectContaining({ decision: 'block' })],
  ])('PostToolUse of an attempt that has %s says what is new to it', async (_, args, said) => {
    const { cwd, env } = await working();
    await within(args, { cwd, env });
    expect(fire('PostToolUse', cwd, env)).toEqual(said);
    expect(fire('Stop', cwd, env)).toBeNull();
  });

  it('Stop asks for a verdict once, and not where there is one', async () => {
    const { cwd, env } = await working();
    const verdict = join(folder(), 'verdict.json');
    const own = { ...env, FORGE_VERDICT_FILE: verdict };
    expect(fire('Stop', cwd, own)).toEqual({ decision: 'block', reason: expect.stringContaining(verdict) });
    expect(fire('Stop', cwd, own, { stop_hook_active: true })).toBeNull();
    expect(fire('Stop', cwd, { ...own, FORGE_PHASE: 'review' })).toBeNull();
    writeFileSync(verdict, '{"verdict": "ready_for_review", "summary": ""}');
    expect(fire('Stop', cwd, own)).toBeNull();
    rmSync(verdict);
    expect(fire('Stop', cwd, env).reason).toContain('complete --verdict-file');
    await within(['complete', 'a', '--failed', '--error-class', 'tests'], { cwd, env });
    expect(fire('Stop', cwd, env)).toBeNull();
  });
});

describe('hooks say nothing', () => {
  const nothing = (cwd: string, env: Record<string, string>) => {
    for (const event of EVENTS) {
      const file_path = join(cwd, 'package.json');
      expect([event, fire(event, cwd, env, { tool_input: { file_path } })]).toEqual([event, null]);
    }
  };

  it('outside of a task, where only the beginning of a session starts a process', async () => {
    const { cwd } = await working();
    const loud = join(folder({ 'forge.sh': '#!/bin/sh\necho called\nexit 2\n' }), 'forge.sh');
    spawnSync('chmod', ['+x', loud]);
    for (const event of EVENTS.slice(1)) expect(fire(event, cwd, { FORGE_CLI: loud })).toBeNull();
  });

  it('hooks say nothing where forge is missing, or what is called so fails', async () => {
    const { cwd, env } = await working();
    nothing(cwd, { ...env, FORGE_CLI: '/nowhere/forge' });
    const { FORGE_CLI: _, ...rest } = env;
    nothing(cwd, { ...rest, PATH: '/nowhere' });
    nothing(cwd, { ...env, FORGE_CLI: '/bin/false' });
  });

  it.each([
    ['the state is gone', (cwd: string) => rmSync(join(cwd, '.forge'), { recursive: true })],
    ['the state of the task is gone', (cwd: string) => rmSync(join(cwd, '.forge/orchestrator'), { recursive: true })],
    [
      'the settings have a mistake',
      (cwd: string) => writeFileSync(join(cwd, '.forge/settings.yaml'), 'agents: {worker: nobody}\n'),
    ],
  ])('of a task where %s', async (_, damage) => {
    const { cwd, env } = await working();
    damage(cwd);
    for (const event of EVENTS.slice(1)) expect(fire(event, cwd, env)).toBeNull();
    fire('SessionStart', cwd, env);
  });

  it('to what is no event that they know', async () => {
    const { cwd, env } = await working();
    for (const event of ['no json', '[]', '{}', '{"hook_event_name": 7}', '{"hook_event_name": "PreCompact"}'])
      expect(await within(['hook', 'claude', '--event', event], { cwd, env })).toEqual({ event: null, answer: null });
    expect(fire('Stop', cwd, env, {}, '')).toBeNull();
  });

  it('hooks say nothing where there is no project', async () => {
    const { cwd } = await working();
    rmSync(join(cwd, 'plans'), { recursive: true });
    rmSync(join(cwd, '.forge'), { recursive: true });
    expect(fire('SessionStart', cwd, { FORGE_CLI: FORGE })).toBeNull();
  });
});
