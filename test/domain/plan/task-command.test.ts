import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { commandFor, PRESETS, presetOf, shellOf, type WorkerSettings } from '../../../src/domain/plan/task-command.ts';
import { parseSettings } from '../../../src/domain/settings/parse.ts';
import { WORKERS } from '../../../src/domain/settings/settings.ts';

const NONE: WorkerSettings = { worker: null, worker_command: null };

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
  ['a preset', null, { worker: 'gemini' }, { command: PRESETS.gemini.command, shell: null, from: 'gemini' }],
  ['the agent that claims it', null, {}, CLAIMED],
])('a task is done by %s', (_what, run, settings, expected) => {
  expect(commandFor({ run, shell: ['bash'] }, { ...NONE, ...settings })).toEqual(expected);
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
  expect(presetOf(NONE)).toBeNull();
  expect(presetOf({ worker: 'custom', worker_command: 'x' })).toBeNull();
  expect(presetOf({ worker: 'claude', worker_command: 'x' })).toBeNull();
  expect(presetOf({ worker: 'claude', worker_command: null })).toBe('claude');
});

test('every worker of the settings is a preset, or custom', () => {
  expect([...Object.keys(PRESETS), 'custom']).toEqual([...WORKERS]);
  for (const worker of Object.keys(PRESETS)) {
    expect(parseSettings(`agents: {worker: ${worker}}`, 'f')).toMatchObject({
      ok: true,
      settings: { agents: { worker } },
    });
  }
});

test('a preset is one line that calls its program with the prompt on stdin', () => {
  for (const { program, command } of Object.values(PRESETS)) {
    expect(command).toMatch(new RegExp(`^([A-Z_]+=(\\w+|"[^"]*") )*${program} .* < "\\$FORGE_PROMPT_FILE"$`));
  }
});

test('spec/PLAN.md has the command line of every preset, and no other', () => {
  const page = readFileSync(new URL('../../../spec/PLAN.md', import.meta.url), 'utf8');
  const section = page.split('\n### Workers\n')[1]?.split('\n### ')[0] ?? '';
  const [, ...rows] = [...section.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, name, text]) => [name, text]);
  const presets = Object.entries(PRESETS).map(([name, { command }]) => [name, `\`${command}\``]);
  expect(rows).toEqual([...presets, ['custom', 'what `worker_command` says']]);
});
