/**
 * Which command line does a task: its own, that of the settings, or the preset of a coding agent. `spec/PLAN.md` has the table of
 * presets, and says what each lets its agent do.
 */

import { shellWords } from '../../lib/text.ts';
import type { AgentSettings, WorkerName } from '../settings/settings.ts';
import type { PlanTask } from './plan.ts';

export interface Preset {
  /** The program that must be on PATH. */
  program: string;
  /** A command line for /bin/sh, in which `"$@"` stands for the arguments that a task or the settings add. */
  command: string;
  /** The arguments that make it go on with a session, before the id of that. */
  resume: readonly string[];
  /** The same for a review: it reads, looks at what git has, and writes nothing. */
  review: string;
}

/** Variables with the identity for commits, from git's configuration where the environment has none. */
const IDENTITY = ['AUTHOR_NAME', 'AUTHOR_EMAIL', 'COMMITTER_NAME', 'COMMITTER_EMAIL']
  .map((name) => `GIT_${name}="\${GIT_${name}:-$(git config user.${name.split('_')[1]?.toLowerCase()})}"`)
  .join(' ');

/** A request for a permission would end its session, so what is not allowed is denied. */
const OPENCODE_REVIEW = JSON.stringify({
  '*': 'deny',
  ...{ read: 'allow', grep: 'allow', glob: 'allow', list: 'allow', lsp: 'allow' },
  bash: { '*': 'deny', 'git diff *': 'allow', 'git log *': 'allow', 'git show *': 'allow' },
});

/**
 * All get the prompt on stdin: as an argument it could be taken for a flag, and Linux limits its length. Each has the fewest
 * rights with which its unattended agent can edit, run the verification commands, commit and call forge.
 */
export const PRESETS: Readonly<Record<Exclude<WorkerName, 'custom' | 'acp'>, Preset>> = {
  claude: {
    program: 'claude',
    command:
      'claude -p --output-format stream-json --verbose --permission-mode acceptEdits --allowedTools Bash "$@" < "$FORGE_PROMPT_FILE"',
    resume: ['--resume'],
    review:
      'claude -p --output-format stream-json --verbose --permission-mode dontAsk --tools Bash,Read,Grep,Glob ' +
      '--allowedTools Read Grep Glob "Bash(git diff:*)" "Bash(git log:*)" "Bash(git show:*)" "$@" < "$FORGE_PROMPT_FILE"',
  },
  codex: {
    program: 'codex',
    // Its sandbox would keep the agent from calling forge, and in a worktree from committing.
    command:
      'codex exec --json --sandbox workspace-write -c allow_login_shell=false --add-dir "$FORGE_DIR/.forge" ' +
      '--add-dir "$(git rev-parse --path-format=absolute --git-common-dir)" ' +
      '--add-dir "$(git rev-parse --absolute-git-dir)" "$@" - < "$FORGE_PROMPT_FILE"',
    resume: ['resume'],
    review: 'codex exec --json --sandbox read-only -c allow_login_shell=false "$@" - < "$FORGE_PROMPT_FILE"',
  },
  copilot: {
    program: 'copilot',
    command:
      'copilot --output-format json --no-ask-user --allow-tool=shell --allow-tool=write ' +
      '--add-dir "$FORGE_DIR/.forge" "$@" < "$FORGE_PROMPT_FILE"',
    resume: ['--resume'],
    review:
      'copilot --output-format json --no-ask-user --deny-tool=write --allow-tool="shell(git diff)" ' +
      '--allow-tool="shell(git log)" --allow-tool="shell(git show)" "$@" < "$FORGE_PROMPT_FILE"',
  },
  cursor: {
    program: 'cursor-agent',
    command: 'cursor-agent -p --force --trust "$@" < "$FORGE_PROMPT_FILE"',
    resume: ['--resume'],
    // Without --force it changes nothing.
    review: 'cursor-agent -p --trust "$@" < "$FORGE_PROMPT_FILE"',
  },
  gemini: {
    program: 'gemini',
    // It hides git's global configuration from its commands, which could not commit without the identity there.
    command: `${IDENTITY} GEMINI_CLI_TRUST_WORKSPACE=true gemini -o stream-json --approval-mode yolo "$@" < "$FORGE_PROMPT_FILE"`,
    resume: ['--resume'],
    review:
      'GEMINI_CLI_TRUST_WORKSPACE=true gemini -o stream-json --approval-mode default ' +
      '--allowed-tools "run_shell_command(git diff),run_shell_command(git log),run_shell_command(git show)" ' +
      '"$@" < "$FORGE_PROMPT_FILE"',
  },
  opencode: {
    program: 'opencode',
    // A request for a permission would end its session, as if all were well.
    // Its log says why it waits, which it does for as long as a server asks for.
    command: 'opencode run --format json --auto --print-logs --log-level ERROR "$@" < "$FORGE_PROMPT_FILE"',
    resume: ['--session'],
    review: `OPENCODE_PERMISSION='${OPENCODE_REVIEW}' opencode run --format json --print-logs --log-level ERROR "$@" < "$FORGE_PROMPT_FILE"`,
  },
  qwen: {
    program: 'qwen',
    command:
      'qwen -o stream-json --approval-mode auto-edit --allowed-tools run_shell_command "$@" < "$FORGE_PROMPT_FILE"',
    resume: ['--resume'],
    review:
      'qwen -o stream-json --approval-mode default ' +
      '--allowed-tools "run_shell_command(git diff)" "run_shell_command(git log)" "run_shell_command(git show)" ' +
      '"$@" < "$FORGE_PROMPT_FILE"',
  },
};

export type WorkerSettings = Pick<AgentSettings, 'worker' | 'worker_command' | 'model' | 'args'>;

/** What a task says of its worker; null: as the settings say. */
export type WorkerChoice = Pick<PlanTask, 'worker' | 'model' | 'args'>;

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
  from: 'run' | 'worker_command' | 'acp' | keyof typeof PRESETS;
}

/**
 * The command that a runner starts for a task; null: the task waits for an agent to claim it. `session`: of the preset's agent, which goes
 * on with it; null: it begins a new one.
 */
export function commandFor(
  task: Pick<PlanTask, 'run' | 'shell'> & WorkerChoice,
  settings: WorkerSettings,
  session: string | null = null,
): TaskCommand | null {
  if (task.run !== null) return { command: task.run, shell: task.shell, from: 'run' };
  return workerCommand(task, settings, session);
}

/** Where the command of a task comes from; null: it has none, and waits for an agent to claim it. */
export function commandSource(
  task: Pick<PlanTask, 'run' | 'worker'>,
  settings: WorkerSettings,
): TaskCommand['from'] | null {
  return task.run === null ? workerOf(task, settings) : 'run';
}

/** The command of a worker that the settings, or `choice` in their place, name; null for none. */
export function workerCommand(
  choice: WorkerChoice,
  settings: WorkerSettings,
  session: string | null = null,
): TaskCommand | null {
  const from = workerOf(choice, settings);
  if (from === null) return null;
  const added = argumentsFor(choice, settings);
  if (from === 'worker_command') {
    const command = settings.worker_command ?? '';
    return { command: added.length === 0 ? command : `set -- ${shellWords(added)}; ${command}`, shell: null, from };
  }
  if (from === 'acp') return { command: acpCommand(choice, settings, session), shell: null, from };
  const { command, resume } = PRESETS[from];
  const words = shellWords([...added, ...(session === null ? [] : [...resume, session])]);
  return { command: withArguments(command, words), shell: null, from };
}

/** `worker_command` is then the agent, which a client of forge's own starts and talks to. */
function acpCommand(choice: WorkerChoice, settings: WorkerSettings, session: string | null): string {
  const model = modelFor(choice, settings);
  const words = shellWords([
    ...(model === null ? [] : ['--model', model]),
    ...(session === null ? [] : ['--resume', session]),
    '--',
    // It takes its arguments where it names them, else at its end.
    ...agentWords(settings.worker_command ?? '', choice.args ?? settings.args),
  ]);
  return `"$FORGE_CLI" __acp ${words} < "$FORGE_PROMPT_FILE"`;
}

function agentWords(command: string, args: readonly string[]): string[] {
  return [args.length > 0 && !command.includes('"$@"') ? `${command} "$@"` : command, ...args];
}

/** `words`: of a shell; '' for none. */
export function withArguments(command: string, words: string): string {
  return command.replace(' "$@"', () => (words === '' ? '' : ` ${words}`));
}

/** `worker_command` stands in place of the worker that the settings name, and of no other. */
function workerOf(
  { worker }: Pick<WorkerChoice, 'worker'>,
  settings: WorkerSettings,
): Exclude<TaskCommand['from'], 'run'> | null {
  const name = worker ?? settings.worker;
  // Only beside `acp` the settings name the agent's command.
  if (name === 'acp') return settings.worker === 'acp' && settings.worker_command !== null ? 'acp' : null;
  if (settings.worker_command !== null && (name === null || name === 'custom' || name === settings.worker))
    return 'worker_command';
  return name === 'custom' ? null : name;
}

/** Those of the settings are for the worker of the settings. */
function argumentsFor({ worker, model, args }: WorkerChoice, settings: WorkerSettings): string[] {
  const wanted = modelFor({ worker, model }, settings);
  const own = worker === null || worker === settings.worker ? settings.args : [];
  return [...(wanted === null ? [] : ['--model', wanted]), ...(args ?? own)];
}

/** The model of a task's worker; null: what the agent itself is set to. */
export function modelFor(
  { worker, model }: Pick<WorkerChoice, 'worker' | 'model'>,
  settings: WorkerSettings,
): string | null {
  return model ?? (worker === null || worker === settings.worker ? settings.model : null);
}

/** The preset that does a task; null for a task with a command line. */
export function presetOf(choice: Pick<WorkerChoice, 'worker'>, settings: WorkerSettings): keyof typeof PRESETS | null {
  const from = workerOf(choice, settings);
  return from === 'worker_command' || from === 'acp' ? null : from;
}

/** What a person types to go on with the session of an agent; null for none, and for an agent without a preset. */
export function resumeText(session: { agent: string; session_id: string; cwd: string } | null): string | null {
  if (session === null || !Object.hasOwn(PRESETS, session.agent)) return null;
  const { program, resume } = PRESETS[session.agent as keyof typeof PRESETS];
  return `cd ${shellWords([session.cwd])} && ${shellWords([program, ...resume, session.session_id])}`;
}

/** What a worker's command makes of what the plan says of its worker, where that is nothing; each as a sentence. */
export function workerWarnings(tasks: readonly PlanTask[], settings: WorkerSettings): string[] {
  const { worker_command } = settings;
  const takesNone = worker_command !== null && !/\$[@*1{]/.test(worker_command);
  return tasks
    .filter(({ run, human }) => run === null && !human)
    .flatMap((task) => {
      if (task.worker === 'custom' && worker_command === null)
        return [
          `task ${task.id} has worker: custom, and the settings have no agents.worker_command: it waits for an agent`,
        ];
      if (task.worker === 'acp' && workerOf(task, settings) === null)
        return [`task ${task.id} has worker: acp, and the settings have not agents.worker: acp: it waits for an agent`];
      const isLost =
        takesNone && workerOf(task, settings) === 'worker_command' && argumentsFor(task, settings).length > 0;
      return isLost
        ? [
            `task ${task.id}: its model or args have no effect: agents.worker_command takes none (write "$@" where they go)`,
          ]
        : [];
    });
}

/** The setting that a command line comes from, when it is not the task's own. */
export function settingOf(from: Exclude<TaskCommand['from'], 'run'>): string {
  return from === 'worker_command' ? 'agents.worker_command' : `worker: ${from}`;
}
