/** What agents have done and said over the Agent Client Protocol, as forge's client recorded it. */

import { describe, expect, test } from 'vitest';
import { failureIn } from '../../../src/domain/agents/events.ts';
import { adapterOf, saidText } from '../../../src/domain/agents/output.ts';
import { recordedEvents } from '../../support/domain/agent-events.ts';

const acp = adapterOf('acp');
if (acp === null) throw new Error('there is no adapter for acp');

const eventsOf = (name: string) => recordedEvents(acp, name);

describe('the Agent Client Protocol', () => {
  test.each([
    ['claude', /^used 6000 tokens, and wrote 240$/m],
    ['gemini', /^used 3600 tokens, and wrote 240$/m],
    ['opencode', /^used 1200 tokens, and wrote 80$/m],
    ['qwen', /^used 3600 tokens, and wrote 240$/m],
    ['copilot', /^used 3600 tokens, and wrote 240$/m],
  ])('%s does a task, told in words', (agent, used) => {
    const events = eventsOf(`acp-${agent}-ok.jsonl`);
    expect(failureIn(events)).toBeNull();
    const told = saidText(events);
    expect(told).toMatch(/^session \S+/);
    expect(told.match(/^· runs .*$/gm)).toEqual([
      expect.stringMatching(/^· runs echo "hello from \$FORGE_TASK_ID" > hello\.txt && git add/),
      expect.stringMatching(/^· runs printf .* && forge orchestrate complete/),
    ]);
    expect(told).toContain('hello.txt is written and committed.\n');
    expect(told).toMatch(used);
    expect(told).not.toContain('failed');
  });

  test.each([
    ['acp-gemini-401.jsonl', 'auth', 'invalid x-api-key'],
    ['acp-opencode-401.jsonl', 'auth', 'invalid x-api-key'],
    ['acp-qwen-401.jsonl', 'auth', '401 invalid x-api-key'],
    ['acp-copilot-401.jsonl', 'auth', expect.stringMatching(/^Authentication failed with provider/)],
    ['acp-opencode-429.jsonl', 'rate_limit', 'This request would exceed your rate limit.'],
    ['acp-copilot-429.jsonl', 'rate_limit', expect.stringMatching(/^Failed to get response .* 429/)],
    ['acp-opencode-overflow.jsonl', 'context', expect.stringMatching(/^Session too large to compact/)],
    ['acp-copilot-overflow.jsonl', 'context', expect.stringMatching(/^The provider rejected the prompt/)],
    ['acp-qwen-connection-lost.jsonl', 'network', 'Connection error.'],
    ['acp-copilot-connection-lost.jsonl', 'network', expect.stringMatching(/^Failed to get response/)],
  ])('%s is a failure of class %s', (name, cause, message) => {
    expect(failureIn(eventsOf(name))).toEqual({ error: { class: cause, message }, until: null });
  });

  test('a plan that is used up says until when', () => {
    expect(failureIn(eventsOf('acp-claude-usage.jsonl'))).toEqual({
      error: { class: 'rate_limit', message: expect.stringMatching(/Claude AI usage limit reached$/) },
      until: 1_900_000_000_000,
    });
  });

  test.each([
    [{ code: 429, message: 'Slow down' }, 'rate_limit'],
    [{ code: 503, message: 'Later' }, 'overloaded'],
    [{ code: 500, message: 'model: no-such-model' }, 'crash'],
    [{ code: -32603, message: 'Internal error', data: 'not an object' }, 'crash'],
    [{ code: -32603, message: '{"error":', data: null }, 'crash'],
    [{ code: -32000, message: '' }, 'auth'],
    [{}, 'crash'],
  ])('the answer %j is a failure of class %s', (answer, cause) => {
    expect(failureIn(acp.events({ type: 'error', step: 'session/prompt', ...answer }))?.error.class).toBe(cause);
  });

  test.each([
    [{ kind: 'read', title: 'Read', locations: [{ path: 'a.ts', line: 3 }] }, 'reads a.ts'],
    [{ kind: 'edit', title: 'Edit a.ts', rawInput: { old: 'x' } }, 'edits Edit a.ts'],
    [{ kind: 'edit', title: '', locations: [] }, 'edits a file'],
    [{ kind: 'fetch', title: 'https://example.org' }, 'fetches https://example.org'],
    [{ kind: 'execute', title: 'npm test' }, 'runs npm test'],
    [{ kind: 'other', title: 'todo', rawInput: { query: 'x' } }, 'uses todo: x'],
    [{ kind: 7, title: null, rawInput: 'text', locations: 'none' }, 'uses a tool'],
  ])('the call %j is told in words', (call, words) => {
    expect(acp.events({ type: 'tool_call', ...call })).toEqual([{ type: 'tool_call', text: words }]);
  });
});
