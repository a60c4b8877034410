import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  commandFor,
  PRESETS,
  presetOf,
  shellOf,
  type WorkerChoice,
  type WorkerSettings,
  workerWarnings,
} from '../../../src/domain/plan/task-command.ts';
import { parseSettings } from '../../../src/domain/settings/parse.ts';
import { WORKERS } from '../../../src/domain/settings/settings.ts';
import { commandLine, onePhase } from '../../support/domain/plans.ts';

const NONE: WorkerSettings = { worker: null, worker_command: null, model: null, args: [] };
const AS_SET: WorkerChoice = { worker: null, model: null, args: null };

const CLAIMED = null;
const byCommand = { command: 'x', shell: null, from: 'worker_command' } as const;

test.each<[string, string | null, Partial<WorkerSettings>, ReturnType<typeof commandFor>]>([
  ['its own command', 'make', {}, { command: 'make', shell: ['bash'], from: 'run' }],
  [
    'its own command, whatever the settings say',
    'make',
    { worker: 'claude', worker_command: 'x' },
    { command: 'make', shell: ['bash'], from: 'run' },
  ],
  ['the command of the settings', null, { worker_command: 'x' }, byCommand],
  ["the settings' command in place of a preset", null, { worker: 'codex', worker_command: 'x' }, byCommand],
  ["the settings' command with worker custom", null, { worker: 'custom', worker_command: 'x' }, byCommand],
  ['a preset', null, { worker: 'gemini' }, { command: commandLine('gemini'), shell: null, from: 'gemini' }],
  ['the agent that claims it', null, {}, CLAIMED],
])('a task is done by %s', (_what, run, settings, expected) => {
  expect(commandFor({ ...AS_SET, run, shell: ['bash'] }, { ...NONE, ...settings })).toEqual(expected);
});

test.each<[string, string[] | null, string[]]>([
  ['make', null, ['/bin/sh']],
  ['make\n', null, ['/bin/sh']],
  ['false\necho done', null, ['/bin/sh', '-e']],
  ['false\necho done', ['sh'], ['sh']],
  ['make', ['bash', '-eu'], ['bash', '-eu']],
])(
  "the script %j is run by the plan's shell, else by one that stops at the first line that fails",
  (command, shell, by) => {
    expect(shellOf({ command, shell })).toEqual(by);
  },
);

test('a preset is used only when the task and the settings name no command', () => {
  expect(presetOf(AS_SET, NONE)).toBeNull();
  expect(presetOf(AS_SET, { ...NONE, worker: 'custom', worker_command: 'x' })).toBeNull();
  expect(presetOf(AS_SET, { ...NONE, worker: 'claude', worker_command: 'x' })).toBeNull();
  expect(presetOf(AS_SET, { ...NONE, worker: 'claude', worker_command: null })).toBe('claude');
});

test('worker: acp hands the command of the settings to a client of its own, with model, session and arguments', () => {
  const acp = { ...NONE, worker: 'acp', worker_command: 'X=1 gemini --acp' } as const;
  const lineOf = (settings: WorkerSettings, choice = AS_SET, session: string | null = null) =>
    commandFor({ run: null, shell: null, ...choice }, settings, session);
  expect(lineOf(acp)).toEqual({
    command: `"$FORGE_CLI" __acp -- 'X=1 gemini --acp' < "$FORGE_PROMPT_FILE"`,
    shell: null,
    from: 'acp',
  });
  expect(lineOf({ ...acp, model: 'm', args: ['-v'] }, AS_SET, 's-1')?.command).toBe(
    `"$FORGE_CLI" __acp --model m --resume s-1 -- 'X=1 gemini --acp "$@"' -v < "$FORGE_PROMPT_FILE"`,
  );
  expect(presetOf(AS_SET, acp)).toBeNull();
  // Another worker of the settings has no command of an agent of the protocol.
  expect(lineOf({ ...NONE, worker: 'claude', worker_command: 'x' }, { ...AS_SET, worker: 'acp' })).toBeNull();
  expect(lineOf(acp, { ...AS_SET, worker: 'claude' })?.from).toBe('claude');
});

test('every worker of the settings is a preset, custom or acp', () => {
  expect(['acp', ...Object.keys(PRESETS), 'custom']).toEqual([...WORKERS]);
  for (const worker of Object.keys(PRESETS)) {
    expect(parseSettings(`agents: {worker: ${worker}}`, 'f')).toMatchObject({
      ok: true,
      settings: { agents: { worker } },
    });
  }
});

test('a preset is one line that calls its program with the prompt on stdin', () => {
  for (const { program, command } of Object.values(PRESETS)) {
    expect(command).toMatch(
      new RegExp(`^([A-Z_]+=(\\w+|"[^"]*") )*${program} .* "\\$@"( -)? < "\\$FORGE_PROMPT_FILE"$`),
    );
  }
});

test('spec/PLAN.md has the command line of every preset, and no other', () => {
  const page = readFileSync(new URL('../../../spec/PLAN.md', import.meta.url), 'utf8');
  const section = page.split('\n### Workers\n')[1]?.split('\n### ')[0] ?? '';
  const [, ...rows] = [...section.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, name, text]) => [name, text]);
  const presets = Object.keys(PRESETS).map((name) => [name, `\`${commandLine(name as keyof typeof PRESETS)}\``]);
  const settings = { ...NONE, worker: 'acp', worker_command: 'WORKER_COMMAND' } as const;
  const acp = commandFor({ ...AS_SET, run: null, shell: null }, settings)?.command;
  expect(rows).toEqual([...presets, ['acp', `\`${acp}\``], ['custom', 'what `worker_command` says']]);
});

test('spec/PLAN.md has the command line of every reviewer, and no other', () => {
  const page = readFileSync(new URL('../../../spec/PLAN.md', import.meta.url), 'utf8');
  const section = page.split('\n### Reviewers\n')[1]?.split('\n### ')[0] ?? '';
  const rows = [...section.matchAll(/^\| `(\w+)` \| `(.*)` \|$/gm)].map(([, name, text]) => [name, text]);
  expect(rows).toEqual(Object.entries(PRESETS).map(([name, { review }]) => [name, review.replace(' "$@"', '')]));
});

const CLAUDE: WorkerSettings = { ...NONE, worker: 'claude', model: 'opus', args: ['--max-turns', '50'] };
const CUSTOM: WorkerSettings = { ...CLAUDE, worker_command: 'agent "$@" < "$FORGE_PROMPT_FILE"' };

test.each<[what: string, choice: Partial<WorkerChoice>, settings: WorkerSettings, words: string]>([
  ['those of the settings', {}, CLAUDE, '--model opus --max-turns 50'],
  ['its own model, and the arguments of the settings', { model: 'haiku' }, CLAUDE, '--model haiku --max-turns 50'],
  ['its own arguments', { args: ['--add-dir', "it's here"] }, CLAUDE, "--model opus --add-dir 'it'\\''s here'"],
  ['no arguments', { args: [] }, CLAUDE, '--model opus'],
  ['those of the settings for the same worker', { worker: 'claude' }, CLAUDE, '--model opus --max-turns 50'],
  ['none of the settings for another worker', { worker: 'qwen' }, CLAUDE, ''],
  ['its own for another worker', { worker: 'qwen', model: '$& $(id)' }, CLAUDE, "--model '$& $(id)'"],
])('a task is done with %s', (_what, choice, settings, words) => {
  const task = { ...AS_SET, ...choice, run: null, shell: null };
  const name = task.worker ?? 'claude';
  const preset = commandLine(name as 'claude' | 'qwen');
  const expected = words === '' ? preset : preset.replace(' < ', () => ` ${words} < `);
  expect(commandFor(task, settings)).toEqual({ command: expected, shell: null, from: name });
});

test.each<[what: string, choice: Partial<WorkerChoice>, command: string, from: string]>([
  [
    'the worker of the settings',
    { worker: 'claude' },
    `set -- --model opus --max-turns 50; ${CUSTOM.worker_command}`,
    'worker_command',
  ],
  ['custom', { worker: 'custom', args: ['a b'] }, `set -- 'a b'; ${CUSTOM.worker_command}`, 'worker_command'],
  ['another worker', { worker: 'codex' }, commandLine('codex'), 'codex'],
])('worker_command stands in place of %s only where it is named', (_what, choice, command, from) => {
  const task = { ...AS_SET, ...choice, run: null, shell: null };
  expect(commandFor(task, CUSTOM)).toEqual({ command, shell: null, from });
});

test('an agent goes on with a session where its program takes the id of one', () => {
  const line = (worker: keyof typeof PRESETS) =>
    commandFor({ ...AS_SET, worker, run: null, shell: null }, NONE, 'S-1')?.command;
  expect(line('claude')).toContain(' --resume S-1 < "$FORGE_PROMPT_FILE"');
  expect(line('codex')).toContain(' resume S-1 - < "$FORGE_PROMPT_FILE"');
  expect(line('opencode')).toContain(' --session S-1 < "$FORGE_PROMPT_FILE"');
});

test('what a plan says of a worker that has no effect is warned of', () => {
  const { tasks } = onePhase(
    { id: 'a', worker: 'custom' },
    { id: 'b', model: 'opus' },
    { id: 'c', worker: 'codex', model: 'gpt' },
    { id: 'd', run: 'make' },
  );
  expect(workerWarnings(tasks, CUSTOM)).toEqual([]);
  expect(workerWarnings(tasks, NONE)).toEqual([
    'task a has worker: custom, and the settings have no agents.worker_command: it waits for an agent',
  ]);
  const takesNone = { ...NONE, worker_command: 'agent < "$FORGE_PROMPT_FILE"' };
  expect(workerWarnings(tasks, takesNone)).toEqual([
    'task b: its model or args have no effect: agents.worker_command takes none (write "$@" where they go)',
  ]);
});
