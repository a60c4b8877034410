/**
 * Which command line does a task: its own, that of the settings, or the preset for a coding agent that the settings name.
 * `spec/PLAN.md` has the table of presets, and says what each lets its agent do.
 */

import type { AgentSettings, WorkerName } from '../settings/settings.ts';

export interface Preset {
  /** What has to be on PATH. */
  program: string;
  /** For `/bin/sh -c`, like any `run:`. */
  command: string;
}

/**
 * All are handed the prompt on stdin: as an argument it could be taken for a flag, and Linux bounds the length of one. Each
 * has the fewest rights with which its agent can edit, run the checks, commit and call forge while nobody is there to ask.
 */
export const PRESETS: Readonly<Record<Exclude<WorkerName, 'custom'>, Preset>> = {
  claude: {
    program: 'claude',
    command: 'claude -p --permission-mode acceptEdits --allowedTools Bash < "$FORGE_PROMPT_FILE"',
  },
  codex: {
    program: 'codex',
    // Its sandbox would keep the agent from calling forge, and in a worktree from committing.
    command:
      'codex exec --sandbox workspace-write --add-dir "$FORGE_DIR/.forge" ' +
      '--add-dir "$(git rev-parse --path-format=absolute --git-common-dir)" - < "$FORGE_PROMPT_FILE"',
  },
  cursor: {
    program: 'cursor-agent',
    command: 'cursor-agent -p --force --trust < "$FORGE_PROMPT_FILE"',
  },
  gemini: {
    program: 'gemini',
    command: 'GEMINI_CLI_TRUST_WORKSPACE=true gemini --approval-mode yolo < "$FORGE_PROMPT_FILE"',
  },
};

/** What the settings say of who does tasks without a command of their own. */
export type WorkerSettings = Pick<AgentSettings, 'worker' | 'worker_command'>;

export interface TaskCommand {
  /** For `/bin/sh -c`. */
  command: string;
  /** Where it was found: in the task, in the settings, or the name of a preset. */
  from: 'run' | 'worker_command' | keyof typeof PRESETS;
}

/** The one place that says what a runner starts for a task; null: it waits for an agent to claim it. */
export function commandFor(task: { run: string | null }, settings: WorkerSettings): TaskCommand | null {
  if (task.run !== null) return { command: task.run, from: 'run' };
  if (settings.worker_command !== null) return { command: settings.worker_command, from: 'worker_command' };
  const name = presetOf(settings);
  return name && { command: PRESETS[name].command, from: name };
}

/** Where a person finds a command line that is not the task's own. */
export function settingOf(from: Exclude<TaskCommand['from'], 'run'>): string {
  return from === 'worker_command' ? 'agents.worker_command' : `agents.worker: ${from}`;
}

/** The preset that is in force; null when none is chosen, or `worker_command` stands over it. */
export function presetOf({ worker, worker_command }: WorkerSettings): keyof typeof PRESETS | null {
  return worker === null || worker === 'custom' || worker_command !== null ? null : worker;
}
