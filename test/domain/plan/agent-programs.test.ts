import { describe, expect, test } from 'vitest';
import { agentsIn, installHint, otherMaker } from '../../../src/domain/plan/agent-programs.ts';
import { PRESETS } from '../../../src/domain/plan/task-command.ts';

describe('agentsIn', () => {
  test.each([
    ['claude -p < "$FORGE_PROMPT_FILE"', ['claude']],
    [`KEY="$(codex; a)" OTHER='x | y' gemini`, ['gemini']],
    ['KEY=1 OTHER= gemini; cd x && exec codex exec', ['gemini', 'codex']],
    ['cat prompt | copilot\nqwen\nqwen', ['copilot', 'qwen']],
    ['echo claude; ./claude; claude-mine; npm run codex', []],
    ['constructor', []],
    ['', []],
    ['/usr/bin/env -i HOME=/x claude -p', ['claude']],
    ['nohup timeout -k 5 30m "codex" exec -', ['codex']],
    ['if true; then ! gemini; fi', ['gemini']],
    ['env claude=1 echo codex', []],
  ])('agentsIn finds in %j the agents that it calls by name', (command, agents) => {
    expect(agentsIn(command)).toEqual(agents);
  });

  test('every preset starts an agent whose maker is known', () => {
    for (const { program, command } of Object.values(PRESETS)) expect(agentsIn(command)).toEqual([program]);
  });
});

test.each([
  ['claude', '@anthropic-ai/claude-code', null],
  ['claude', 'claude', 'Anthropic'],
  ['codex', '@openai/codex', null],
  ['codex', '@openai/codex-linux-x64', null],
  ['codex', 'codex', 'OpenAI'],
  ['codex', '@openai-tools/codex', 'OpenAI'],
  ['gemini', '@google/gemini-cli', null],
  ['gemini', 'gemini-cli', 'Google'],
  ['opencode', 'opencode-ai', null],
  ['opencode', 'opencode', 'OpenCode'],
  ['cursor-agent', 'cursor-agent', 'Cursor'],
  ['my-agent', 'my-agent', null],
])('%s of the package %s is expected from another maker: %s', (program, name, maker) => {
  expect(otherMaker(program, name)).toBe(maker);
});

test.each([
  ['codex', 'Install it: `npm install -g @openai/codex`'],
  ['cursor-agent', 'Install cursor-agent as Cursor says, not from npm'],
  ['my-agent', 'Install my-agent'],
])('the hint to install %s names the package of its maker', (program, hint) => {
  expect(installHint(program)).toBe(hint);
});
