/** What workers have written to their logs. */

import {
  type Adapter,
  type AgentEvent,
  type AgentFailure,
  failureIn,
  stillTrying,
} from '../../domain/agents/events.ts';
import { AgentOutput, saidText } from '../../domain/agents/output.ts';
import type { PlanTask } from '../../domain/plan/plan.ts';
import type { WorkerEnd } from '../../domain/retry/classify.ts';
import type { OutputTail } from '../../domain/run/events.ts';
import { firstFailed } from '../../domain/verify/verification.ts';
import { errorMessage, orNull } from '../../lib/errors.ts';
import { outputText, plainText } from '../../lib/text.ts';
import type { WorkerExit } from '../../process/gated-worker.ts';
import {
  type AttemptArtifacts,
  type AttemptRef,
  checkLog,
  type LogName,
  SETUP_LOG,
  type ShownLog,
  STREAMS,
  type StreamName,
} from '../../store/port.ts';
import { type Env, secretsOf } from '../env.ts';

/** The end of each stream that error rules match and a failure shows, bytes. */
const TAIL_BYTES = 16 * 1024;

/**
 * How often logs are looked at while they are written, and at least, milliseconds: a worker may write a gigabyte in a second, and most write
 * nothing for minutes.
 */
const LOOK_MS = { busy: 25, quiet: 400 };

export const WORKER_LOGS: readonly LogName[] = STREAMS.map((stream) => `${stream}.log` as const);

/** Reads stdout.log as it grows. */
export interface LogFollower {
  /** Reads what has been written since. */
  read(): void;
  /** What is read has been moved: what follows is at the end. */
  skip(): void;
}

/**
 * Keeps the logs of a command within `logs.max_bytes` while it writes them. What this returns is to be called when the command has ended: it cuts
 * them once more, and takes secrets out of them. What fails is a warning, and ends the looks. `task`: as planned; null for one that is not in the
 * plan. `follower`: reads before what it would read is cut. Default: none.
 */
export function keepLogs(
  env: Env,
  attempt: AttemptRef,
  task: PlanTask | null,
  logs: readonly LogName[],
  follower: LogFollower | null = null,
): () => Promise<void> {
  const { artifacts } = env;
  const { max_bytes: maxBytes } = env.settings.logs;
  const secrets = secretsOf(env, task);
  /** By log, the bytes that were cut. */
  const cutBytes = new Map(logs.map((log) => [log, 0]));
  let looking: Promise<void> | null = null;
  /** Null while it does not look by itself. */
  let timer: NodeJS.Timeout | null = null;
  let pauseMs = LOOK_MS.busy;
  /** When each log was written last. */
  let writtenBefore = '';
  if (maxBytes !== null) lookLater();

  function lookLater(): void {
    timer = setTimeout(() => void look().then(() => timer !== null && lookLater()), pauseMs).unref();
  }

  function stopLooking(): void {
    clearTimeout(timer ?? undefined);
    timer = null;
  }

  function look(): Promise<void> {
    looking ??= cut()
      .catch((error) => {
        stopLooking();
        env.warn(errorMessage(error));
      })
      .finally(() => {
        looking = null;
      });
    return looking;
  }

  async function cut(): Promise<void> {
    if (maxBytes === null) return;
    for (const [log, before] of cutBytes) {
      const reader = log === 'stdout.log' ? follower : null;
      const isLong = reader !== null && artifacts.readLog(attempt, log, -1).next > maxBytes;
      if (isLong) reader.read();
      cutBytes.set(log, await artifacts.cutLog(attempt, log, { maxBytes, before, secrets }));
      if (isLong) reader.skip();
    }
    if (timer === null) return;
    const written = logs.map((log) => artifacts.writtenAt(attempt, log)).join();
    pauseMs = written === writtenBefore ? Math.min(2 * pauseMs, LOOK_MS.quiet) : LOOK_MS.busy;
    writtenBefore = written;
  }

  return async () => {
    stopLooking();
    await looking;
    await look();
    follower?.read();
    for (const log of logs)
      await artifacts.maskLog(attempt, log, secrets).catch((error) => env.warn(errorMessage(error)));
    follower?.skip();
  };
}

/** The end of both logs as `outputText`; empty where there are none. `agent`: whose structured output stdout is; null: it is text. */
export function tailOf(artifacts: AttemptArtifacts, attempt: AttemptRef, agent: Adapter | null = null): OutputTail {
  const tail = (stream: StreamName) => outputText(artifacts.readLog(attempt, `${stream}.log`, -TAIL_BYTES).text);
  const stdout =
    agent === null ? tail('stdout') : outputText(saidText(saidLast(artifacts, attempt, agent).filter(isTelling)));
  return { stdout: stdout.slice(-TAIL_BYTES), stderr: tail('stderr') };
}

/** Which session it was and what it has used says nothing of how it ended. */
function isTelling(said: AgentEvent | string): boolean {
  return typeof said === 'string' || (said.type !== 'session' && said.type !== 'usage');
}

/** The end of structured output that tells how the agent has ended, bytes: what tools print stands on one line. */
const AGENT_TAIL_BYTES = 512 * 1024;

function saidLast(artifacts: AttemptArtifacts, attempt: AttemptRef, agent: Adapter): (AgentEvent | string)[] {
  const output = new AgentOutput(agent);
  const said: (AgentEvent | string)[] = [];
  for (let at = -AGENT_TAIL_BYTES; ; ) {
    const { text, next } = artifacts.readLog(attempt, 'stdout.log', at);
    // A line that began before is cut.
    const isCut = at < 0 && next > AGENT_TAIL_BYTES;
    if (text === '') return [...said, ...output.end()];
    said.push(...output.read(isCut ? text.slice(text.indexOf('\n') + 1) : text));
    at = next;
  }
}

/**
 * What the agent says that it has given up over, or where forge has stopped it, what it still tried again over; null where there is nothing,
 * and for a worker whose output is not understood.
 */
export function agentFailure(
  artifacts: AttemptArtifacts,
  attempt: AttemptRef,
  agent: Adapter | null,
  { exitCode, stopped }: { exitCode: number | null; stopped: boolean },
): AgentFailure | null {
  if (agent === null) return null;
  const events = saidLast(artifacts, attempt, agent).filter((each) => typeof each !== 'string');
  if (events.length === 0) {
    // One that ends before its session has begun says why on stderr.
    const { text } = artifacts.readLog(attempt, 'stderr.log', -TAIL_BYTES);
    events.push(
      ...outputText(text)
        .split('\n')
        .flatMap((line) => agent.plain?.(line.trim()) ?? []),
    );
  }
  if (stopped) return stillTrying(events);
  return failureIn(events, (exitCode !== null && agent.exits?.[exitCode]) || null);
}

/** What the agent has said since it last did something. `agent` null: its output is text. */
export function lastWords(artifacts: AttemptArtifacts, attempt: AttemptRef, agent: Adapter | null): string {
  if (agent === null) return tailOf(artifacts, attempt).stdout;
  const events = saidLast(artifacts, attempt, agent).filter((each) => typeof each !== 'string');
  const since = events.findLastIndex(({ type }) => type === 'tool_call' || type === 'tool_result');
  const said = events.slice(since + 1).filter((event) => event.type === 'message');
  return said.map(({ text, partial }) => (partial ? text : `${text}\n`)).join('');
}

/** The end of what has prepared its checkout. */
export function setupTail({ artifacts }: Pick<Env, 'artifacts'>, attempt: AttemptRef): OutputTail {
  const { text } = artifacts.readLog(attempt, SETUP_LOG, -TAIL_BYTES);
  return { stdout: plainText(outputText(text)), stderr: '', log: SETUP_LOG };
}

/** The end of a command, for the settings' rules. `limit`: the timeout at which it was stopped; else null. */
export function endOf(
  { settings }: Pick<Env, 'settings'>,
  { code: exitCode, signal, spawnError, tooLong }: WorkerExit,
  limit: string | null,
  tail: OutputTail,
  { said = null, stalled = false }: { said?: AgentFailure | null; stalled?: boolean } = {},
): WorkerEnd {
  const outputTail = [tail.stderr, tail.stdout];
  return {
    exitCode,
    signal,
    spawnError,
    tooLong: tooLong === true,
    timedOut: limit !== null,
    stalled,
    limit,
    outputTail,
    said: said?.error ?? null,
    rules: settings.errors,
  };
}

/** Reads an attempt's logs, each time on from where it stopped before. */
export class LogReader<S extends ShownLog = StreamName> {
  readonly #artifacts: AttemptArtifacts;
  readonly #attempt: AttemptRef;
  readonly #streams: readonly S[];
  readonly #offsets = new Map<S, number>();
  readonly #agent: AgentOutput | null;

  /** `agent`: stdout is its structured output, and is told in words. Default: it is given as it was written. */
  constructor(artifacts: AttemptArtifacts, attempt: AttemptRef, streams: readonly S[], agent: Adapter | null = null) {
    this.#artifacts = artifacts;
    this.#attempt = attempt;
    this.#streams = streams;
    this.#agent = agent && new AgentOutput(agent);
  }

  /** Goes on from the last `lines` of each log; returns whether that leaves anything out. */
  skipTo(lines: number): boolean {
    for (const stream of this.#streams)
      this.#offsets.set(stream, this.#artifacts.tailOffset(this.#attempt, `${stream}.log`, lines));
    return [...this.#offsets.values()].some((offset) => offset > 0);
  }

  /** What has been written since, one stream after the other; whole characters, of at most 64 KiB at once. */
  *chunks(): Generator<{ stream: S; text: string }> {
    for (const stream of this.#streams) {
      for (;;) {
        const { text, next } = this.#artifacts.readLog(this.#attempt, `${stream}.log`, this.#offsets.get(stream) ?? 0);
        this.#offsets.set(stream, next);
        if (text === '') break;
        const told = stream === 'stdout' && this.#agent !== null ? saidText(this.#agent.read(text)) : text;
        if (told !== '') yield { stream, text: told };
      }
    }
  }
}

/** What the first check of an attempt that failed has written. */
export async function checkTail(env: Env, { taskId, attemptId }: AttemptRef): Promise<OutputTail> {
  const twin = await orNull(() => env.store.readDocument('verified', taskId, attemptId));
  const failed = firstFailed(twin?.commands ?? []);
  if (twin === null || failed === undefined) return { stdout: '', stderr: '' };
  const log = checkLog(twin.commands.indexOf(failed) + 1, failed.name);
  return { stdout: plainText(failed.output_tail), stderr: '', log };
}
