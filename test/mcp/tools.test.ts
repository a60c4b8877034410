/** What the tools of `forge mcp` are made of, and what a client gets to know of them. */

import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/commands/registry.ts';
import { inputOf } from '../../src/mcp/call.ts';
import { loadTools, type Tool } from '../../src/mcp/tools.ts';

const tools = await loadTools({});
const byName = new Map(tools.map((tool) => [tool.name, tool]));
const toolNamed = (name: string) => byName.get(name) as Tool;
const propertiesOf = (name: string) => Object.keys(toolNamed(name).schema.input['properties'] as object);

describe('the tools', () => {
  it('the tools are every verb but those that block, write a project or are for a shell', () => {
    const left = Object.keys(COMMANDS).filter((verb) => tools.every((tool) => tool.verb !== verb));
    expect(left).toEqual([
      '',
      'init',
      'run',
      'exec',
      'step',
      'wait',
      'wait-until',
      'wait-for',
      'repeat',
      'mcp',
      'hook',
      'attach',
      'uninit',
      'completion',
    ]);
    expect([...byName.keys()]).toEqual([
      ...['run_start', 'run_end', 'status', 'phases', 'ready', 'why', 'show', 'logs', 'render_worker_prompt'],
      ...[
        'steps',
        'run_list',
        'doctor',
        'graph',
        'add',
        'edit',
        'drop',
        'claim',
        'dispatch',
        'ensure_worktree',
        'heartbeat',
        'event',
        'guardrail_check',
      ],
      ...[
        'context',
        'fan_out',
        'join',
        'complete',
        'release',
        'review',
        'ship',
        'inbox',
        'question',
        'answer',
        'questions',
        'signal',
        'cancel',
        'retry',
        'rerun',
        'done',
      ],
      ...['forget', 'gc_dry_run', 'gc'],
    ]);
  });

  it('the tools are read-only exactly where their command changes nothing, and gc shows what it would do', () => {
    const readOnly = tools.filter(({ effects }) => effects.readOnlyHint);
    expect(readOnly.map(({ name }) => name)).toEqual(
      tools.filter(({ name, command }) => !command.changes || name === 'gc_dry_run').map(({ name }) => name),
    );
  });

  it('say which of them take something away, and which reach outside', () => {
    const those = (hint: 'destructiveHint' | 'openWorldHint') =>
      tools.filter(({ effects }) => effects[hint]).map(({ name }) => name);
    expect(those('destructiveHint')).toEqual(['drop', 'ship', 'cancel', 'forget', 'gc']);
    expect(those('openWorldHint')).toEqual(['review', 'ship', 'gc']);
  });

  it.each(tools.map(({ name, schema }) => [name, schema] as const))('%s has object schemas', (_, { input, output }) => {
    expect([input.type, output.type]).toEqual(['object', 'object']);
    const described = Object.values(input['properties'] as Record<string, { description?: string }>);
    expect(described.filter(({ description }) => !description)).toEqual([]);
  });

  it('take the content of files instead of their names', () => {
    expect(propertiesOf('complete')).toContain('verdict');
    expect(propertiesOf('complete')).not.toContain('verdict_file');
    expect(propertiesOf('review')).toEqual(['task', 'run', 'review']);
    expect(toolNamed('question').schema.input['required']).toContain('options');
    expect(propertiesOf('question')).not.toContain('options_file');
  });

  it('the tools have nothing that only a terminal has a use for, or that would block', () => {
    expect(propertiesOf('status')).toEqual(['run']);
    expect(propertiesOf('logs')).not.toContain('follow');
    expect(propertiesOf('gc')).not.toContain('plan');
    expect(tools.map(({ description }) => description).join()).not.toContain('stdin');
  });
});

describe('arguments of a tool', () => {
  it.each([
    ['heartbeat', {}, 'heartbeat needs task', /FORGE_TASK_ID/],
    ['heartbeat', { task: 'a', attempt_id: 'x' }, 'heartbeat has no argument "attempt_id"', /Did you mean attempt\?/],
    ['why', { taks: 'a' }, 'why has no argument "taks"', /Did you mean task\?/],
    ['status', { watch: true }, 'status has no argument "watch"', /It takes run/],
    ['why', { task: 7 }, 'task: expected text, found the number 7', /schema of why/],
    ['logs', { task: 'a', tail: -1 }, 'tail: expected 0 or more, found the number -1', /schema/],
    ['gc', { row: [99] }, 'row[0]: expected 14 or less, found the number 99', /schema/],
    ['question', { task: 'a', attempt: 'x', decision_key: 'k', question: 'q' }, 'question needs options', /^/],
  ])('%s with %j is refused', (name, given, message, hint) => {
    const act = () => inputOf(toolNamed(name), given, {});
    expect(act).toThrow(expect.objectContaining({ code: 'INVALID_ARGS', message }));
    expect(act).toThrow(expect.objectContaining({ hint: expect.stringMatching(hint) }));
  });

  it.each([
    ['of the environment stand in for what is left out', 'heartbeat', {}, { task: 'own', attempt: 'A' }],
    ['win over the environment', 'heartbeat', { attempt: 'B' }, { task: 'own', attempt: 'B' }],
    ['of another task do not get the own attempt', 'logs', { task: 'b' }, { task: 'b', tail: 200 }],
    ['leave the own task out where the next one is asked for', 'claim', { next: true }, { next: true }],
  ])('%s', (_, name, given, expected) => {
    const env = { FORGE_TASK_ID: 'own', FORGE_ATTEMPT_ID: 'A' };
    expect(inputOf(toolNamed(name), given, env)).toEqual(expected);
  });

  it('need not be given where the environment has them, and the schema names what stands there', async () => {
    const own = await loadTools({ FORGE_TASK_ID: 'own', FORGE_ATTEMPT_ID: 'A', FORGE_CLAIM_ID: '' });
    const { input } = own.find(({ name }) => name === 'heartbeat')?.schema ?? {};
    expect(input).toMatchObject({ properties: { task: { description: 'Id of a task (default: own)' } } });
    expect(input).not.toHaveProperty('required');
    expect(own.find(({ name }) => name === 'release')?.schema.input['required']).toEqual(['claim']);
  });
});
