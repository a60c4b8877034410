/**
 * Which command line does a task: its own, that of the settings, or the settings' preset for a coding agent. `spec/PLAN.md` has
 * the table of presets, and says what each lets its agent do.
 */

import type { AgentSettings, WorkerName } from '../settings/settings.ts';

export interface Preset {
  /** The program that must be on PATH. */
  program: string;
  /** A command line for /bin/sh. */
  command: string;
}

/** Variables with the identity for commits, from git's configuration where the environment has none. */
const IDENTITY = ['AUTHOR_NAME', 'AUTHOR_EMAIL', 'COMMITTER_NAME', 'COMMITTER_EMAIL']
  .map((name) => `GIT_${name}="\${GIT_${name}:-$(git config user.${name.split('_')[1]?.toLowerCase()})}"`)
  .join(' ');

/**
 * All get the prompt on stdin: as an argument it could be taken for a flag, and Linux limits its length. Each has the fewest
 * rights with which its unattended agent can edit, run the verification commands, commit and call forge.
 */
export const PRESETS: Readonly<Record<Exclude<WorkerName, 'custom'>, Preset>> = {
  claude: {
    program: 'claude',
    command:
      'claude -p --output-format stream-json --verbose --permission-mode acceptEdits --allowedTools Bash < "$FORGE_PROMPT_FILE"',
  },
  codex: {
    program: 'codex',
    // Its sandbox would keep the agent from calling forge, and in a worktree from committing.
    command:
      'codex exec --json --sandbox workspace-write -c allow_login_shell=false --add-dir "$FORGE_DIR/.forge" ' +
      '--add-dir "$(git rev-parse --path-format=absolute --git-common-dir)" ' +
      '--add-dir "$(git rev-parse --absolute-git-dir)" - < "$FORGE_PROMPT_FILE"',
  },
  copilot: {
    program: 'copilot',
    command:
      'copilot --output-format json --no-ask-user --allow-tool=shell --allow-tool=write ' +
      '--add-dir "$FORGE_DIR/.forge" < "$FORGE_PROMPT_FILE"',
  },
  cursor: {
    program: 'cursor-agent',
    command: 'cursor-agent -p --force --trust < "$FORGE_PROMPT_FILE"',
  },
  gemini: {
    program: 'gemini',
    // It hides git's global configuration from its commands, which could not commit without the identity there.
    command: `${IDENTITY} GEMINI_CLI_TRUST_WORKSPACE=true gemini -o stream-json --approval-mode yolo < "$FORGE_PROMPT_FILE"`,
  },
  opencode: {
    program: 'opencode',
    // A request for a permission would end its session, as if all were well.
    command: 'opencode run --format json --auto < "$FORGE_PROMPT_FILE"',
  },
  qwen: {
    program: 'qwen',
    command: 'qwen -o stream-json --approval-mode auto-edit --allowed-tools run_shell_command < "$FORGE_PROMPT_FILE"',
  },
};

export type WorkerSettings = Pick<AgentSettings, 'worker' | 'worker_command'>;

/** A command line or a script, and the shell that the plan wants for it; null: the default. */
export interface Script {
  command: string;
  shell: readonly string[] | null;
}

/**
 * The shell that runs a script, with its options. A script of several lines ends at the first line that fails, as people expect of it;
 * where the plan names a shell, its options count alone.
 */
export function shellOf({ command, shell }: Script): readonly string[] {
  return shell ?? (hasLines(command) ? ['/bin/sh', '-e'] : ['/bin/sh']);
}

/** Whether a command is a script of several lines. */
export function hasLines(command: string): boolean {
  return command.trim().includes('\n');
}

export interface TaskCommand extends Script {
  /** Its source: the task, the settings, or the name of a preset. */
  from: 'run' | 'worker_command' | keyof typeof PRESETS;
}

/** The command that a runner starts for a task; null: the task waits for an agent to claim it. */
export function commandFor(
  task: { run: string | null; shell: readonly string[] | null },
  settings: WorkerSettings,
): TaskCommand | null {
  if (task.run !== null) return { command: task.run, shell: task.shell, from: 'run' };
  if (settings.worker_command !== null)
    return { command: settings.worker_command, shell: null, from: 'worker_command' };
  const name = presetOf(settings);
  return name && { command: PRESETS[name].command, shell: null, from: name };
}

/** The setting that a command line comes from, when it is not the task's own. */
export function settingOf(from: Exclude<TaskCommand['from'], 'run'>): string {
  return from === 'worker_command' ? 'agents.worker_command' : `agents.worker: ${from}`;
}

/** The preset in force; null when none is set, or `worker_command` overrides it. */
export function presetOf({ worker, worker_command }: WorkerSettings): keyof typeof PRESETS | null {
  return worker === null || worker === 'custom' || worker_command !== null ? null : worker;
}
