/**
 * Runs the commands that verify a task, review it and verify its merge. Each has its own process group, which the record
 * names before the command begins, so that the next owner can stop it.
 */

import type { PlanTask } from '../../domain/plan/plan.ts';
import { type Script, shellOf } from '../../domain/plan/task-command.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import type { WorkerIdentity } from '../../domain/task/identity.ts';
import type { VerifyCommand } from '../../domain/verify/commands.ts';
import { type CheckResult, hasFailed } from '../../domain/verify/verification.ts';
import { setupFailure } from '../../domain/verify/worktree-setup.ts';
import { errorMessage } from '../../lib/errors.ts';
import { outputText } from '../../lib/text.ts';
import { type GatedWorker, spawnGated, type WorkerExit } from '../../process/gated-worker.ts';
import type { Interrupts } from '../../process/interrupts.ts';
import { type LimitName, settingLimit } from '../../project/limits.ts';
import { workdirOf } from '../../project/workdir.ts';
import { checkLog, type LogName, SETUP_LOG } from '../../store/port.ts';
import type { Env } from '../env.ts';
import { timerOf } from '../timer.ts';
import { type CommandFacts, commandEnvironment } from './environment.ts';
import { keepLogs } from './output.ts';
import { identityOf, stopOrphan } from './takeover.ts';

/** How much of the end of a command's output is kept, bytes. */
const TAIL_BYTES = 4000;

/** Whom the commands are run for. */
export interface CommandsFor {
  taskId: string;
  /** As planned; null for one that is not in the plan. */
  task: PlanTask | null;
  attemptId: string;
  claimId: string;
}

export interface CommandRequest {
  script: Script;
  /** Absolute path. */
  cwd: string;
  /** Variables besides those of the task and the claim. */
  facts: Omit<CommandFacts, 'taskId' | 'claimId'>;
  /** File descriptors; they stay open here. `logs`: those of the attempt that they lead to. */
  output: { stdout: number; stderr: number };
  logs: readonly LogName[];
  timeoutMs: number;
  /** Writes down who is about to begin; when it throws, nothing begins. Null: nothing could be started. */
  note(worker: WorkerIdentity | null): Promise<void>;
}

export type CommandEnd = WorkerExit & {
  timedOut: boolean;
  /** Milliseconds. */
  durationMs: number;
};

/** One command at a time. */
export class Commands {
  readonly env: Env;
  readonly whom: CommandsFor;
  #stopped = false;
  #halt: (graceMs: number) => void = () => {};

  constructor(env: Env, whom: CommandsFor) {
    env.lasts();
    this.env = env;
    this.whom = whom;
  }

  /** Whether it was stopped. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Ends what runs, with this grace in milliseconds, and lets nothing more begin. */
  stop(graceMs: number): void {
    this.#stopped = true;
    this.#halt(graceMs);
  }

  /** Stops at interrupts, until the returned function is called. */
  heed(interrupts: Interrupts): () => void {
    return interrupts.listen(() => this.stop(interrupts.level > 1 ? 0 : this.env.settings.agents.kill_grace_ms));
  }

  /** Runs one command to its end. Null when it was stopped before. Throws what `note` throws. */
  async run(request: CommandRequest): Promise<CommandEnd | null> {
    if (this.#stopped) return null;
    const endLogs = keepLogs(this.env, this.whom, this.whom.task, request.logs);
    try {
      return await this.#run(request);
    } finally {
      await endLogs();
    }
  }

  async #run(request: CommandRequest): Promise<CommandEnd | null> {
    const startedMs = this.env.ctx.monotonicMs();
    const { script, cwd, facts, output } = request;
    const env = commandEnvironment(this.env, this.whom.task, { ...this.whom, ...facts });
    const worker = spawnGated({
      shell: script.command,
      by: shellOf(script),
      cwd,
      env,
      stdio: { stdin: 'empty', ...output },
    });
    const identity = identityOf(this.env, worker, this.whom);
    try {
      await request.note(identity);
    } catch (error) {
      worker.abandon();
      throw error;
    }
    worker.open();
    const timedOut = identity === null ? false : await this.#attend(worker, identity, request.timeoutMs);
    const exit = await worker.exited;
    return this.#stopped ? null : { ...exit, timedOut, durationMs: this.env.ctx.monotonicMs() - startedMs };
  }

  /** Waits for the command's end, and stops what is left of it, also when its time is up. True when it was. */
  async #attend(worker: GatedWorker, identity: WorkerIdentity, timeoutMs: number): Promise<boolean> {
    const { kill_grace_ms } = this.env.settings.agents;
    const kill = new AbortController();
    let timedOut = false;
    let stopping: Promise<unknown> | null = null;
    const end = (graceMs: number) => {
      if (graceMs === 0) kill.abort();
      const options = { graceMs, signal: kill.signal };
      stopping ??= stopOrphan(this.env, this.whom.taskId, identity, options).catch((error: unknown) => {
        this.env.warn(errorMessage(error));
      });
    };
    this.#halt = end;
    const timer = timerOf(timeoutMs, () => {
      timedOut = true;
      end(kill_grace_ms);
    });
    try {
      if (this.#stopped) end(0);
      await worker.exited;
      clearTimeout(timer);
      // What it left in the background ends with it.
      end(kill_grace_ms);
      await stopping;
      return timedOut;
    } finally {
      clearTimeout(timer);
      this.#halt = () => {};
    }
  }
}

export interface CheckRequest extends Pick<CommandRequest, 'cwd' | 'facts' | 'timeoutMs' | 'note'> {
  command: VerifyCommand;
  /** Which check of the attempt it is, from 1. */
  index: number;
}

/** Runs one command that checks a result. Null when it was stopped before its end. Throws what `note` throws, IO_ERROR. */
export async function runCheck(commands: Commands, request: CheckRequest): Promise<CheckResult | null> {
  if (commands.stopped) return null;
  const { command, index, cwd: workspace, ...rest } = request;
  const { path: cwd, fault } = workdirOf(workspace, command.cwd);
  if (fault !== null) return unstarted(command, fault);
  const name = checkLog(index, command.name);
  const log = commands.env.artifacts.openLog(commands.whom, name);
  let end: CommandEnd | null;
  try {
    end = await commands.run({
      ...rest,
      cwd,
      script: command,
      output: { stdout: log.fd, stderr: log.fd },
      logs: [name],
    });
  } finally {
    log.close();
  }
  return end && resultOf(commands, end, command, { log: name, from: 0, limit: 'verify' });
}

/** A check that has failed since it has no place to run. */
function unstarted({ name, command }: VerifyCommand, fault: string): CheckResult {
  return { name, command, exit_code: null, signal: null, timed_out: false, duration_ms: 0, output_tail: fault };
}

/** `log`: what it has written stands there from byte `from` on. */
async function resultOf(
  { env, whom }: Commands,
  end: CommandEnd,
  { name, command }: Pick<VerifyCommand, 'name' | 'command'>,
  { log, from, limit }: { log: LogName; from: number; limit: LimitName },
): Promise<CheckResult> {
  const read = (start: number) => env.artifacts.readLog(whom, log, start);
  const size = read(-1).next;
  return {
    name,
    command,
    exit_code: end.code,
    signal: end.signal,
    timed_out: end.timedOut,
    ...(end.timedOut ? { limit: await settingLimit(env, limit) } : {}),
    duration_ms: end.durationMs,
    output_tail: end.spawnError ?? outputText(read(Math.max(from, size - TAIL_BYTES)).text),
  };
}

export interface SetupRequest extends Pick<CommandRequest, 'cwd' | 'facts' | 'note'> {
  /** Called when a command begins. */
  onCommand?: ((command: string) => void) | undefined;
}

/** Prepares a checkout by `agents.setup`: the outcome of the first command that fails, else `done`. Null when it was stopped. Throws as `runCheck`. */
export async function runSetup(
  commands: Commands,
  { onCommand, note, ...rest }: SetupRequest,
): Promise<ClassifiedError | 'done' | null> {
  if (commands.stopped) return null;
  const { artifacts, settings } = commands.env;
  const log = artifacts.openLog(commands.whom, SETUP_LOG);
  try {
    for (const command of settings.agents.setup) {
      const from = artifacts.readLog(commands.whom, SETUP_LOG, -1).next;
      const end = await commands.run({
        ...rest,
        script: { command, shell: null },
        output: { stdout: log.fd, stderr: log.fd },
        logs: [SETUP_LOG],
        timeoutMs: settings.agents.setup_timeout_ms,
        note: async (worker) => {
          await note(worker);
          onCommand?.(command);
        },
      });
      if (end === null) return null;
      const check = await resultOf(commands, end, { name: 'setup', command }, { log: SETUP_LOG, from, limit: 'setup' });
      if (hasFailed(check)) return setupFailure(check);
    }
    return 'done';
  } finally {
    log.close();
  }
}
