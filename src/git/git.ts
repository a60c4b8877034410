/** Runs git: without a prompt, only in the repository of its folder, and with a time limit. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Context } from '../domain/context.ts';
import type { ProjectPaths } from '../domain/project-paths.ts';
import type { Settings } from '../domain/settings/settings.ts';
import { NO_COMMIT_GRAPH, nulSeparated, withoutGitLocals } from '../domain/task/workspaces.ts';
import { ForgeError } from '../lib/errors.ts';
import { oneLine } from '../lib/text.ts';
import type { Variables } from '../lib/variables.ts';
import { send } from '../process/groups.ts';
import { isPipe, watchForPipe } from './pipes.ts';

/** Time limit of a git command, milliseconds. */
const TIMEOUT_MS = 60_000;

/** Time limit of one that goes through all files of a checkout, milliseconds. */
export const CHECKOUT_TIMEOUT_MS = 600_000;

/** Output limit on either stream, bytes. */
const OUTPUT_MAX_BYTES = 16 * 1024 * 1024;

/** Milliseconds that background processes of a hook may hold stderr open after git has ended. It has only messages. */
const STDERR_WAIT_MS = 500;

/** What is needed to ask git about the project. */
export interface GitEnv {
  ctx: Context;
  paths: ProjectPaths;
  settings: Settings;
}

export interface GitOptions {
  /** The folder that it runs in. */
  cwd: string;
  /** Its environment, without variables that would make it prompt or use another repository. */
  env: Variables;
  /** Milliseconds after which it is killed. Default: a minute. */
  timeoutMs?: number;
  /**
   * It makes or updates a checkout, or merges: then the hooks of the repository run, and what a partial clone lacks is fetched.
   * Default: it starts nothing.
   */
  acts?: boolean;
  /** An index instead of the checkout's. */
  indexFile?: string;
  /** A folder of objects beside those of the repository. */
  objects?: string;
  /** Its stdin. Default: empty. */
  input?: string;
}

/** The options that git runs with in `dir`. */
export function gitIn(env: GitEnv, dir: string = env.paths.project): GitOptions {
  return { cwd: dir, env: env.ctx.env };
}

export interface GitResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Removed for every git command: they change how file names and patterns are read. */
const PATHSPEC_SWITCHES = /^GIT_(LITERAL|GLOB|NOGLOB|ICASE)_PATHSPECS$/;

/** Prompts fail: on the terminal, also of a program that signs, in a window, in an editor. */
const UNASKING = {
  GPG_TTY: undefined,
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: 'true',
  SSH_ASKPASS: 'true',
  SSH_ASKPASS_REQUIRE: 'never',
  GIT_EDITOR: 'true',
  GIT_SEQUENCE_EDITOR: 'true',
  GIT_PAGER: 'cat',
  LC_ALL: 'C',
};

/**
 * Objects are what they are named by, whatever `refs/replace` says; nothing is fetched: a remote's settings name programs, and a clone may
 * bring a repository of its own along; and a look takes no lock that the worker's own git would hit.
 */
const STARTING_NOTHING = { GIT_NO_LAZY_FETCH: '1', GIT_ALLOW_PROTOCOL: '', GIT_OPTIONAL_LOCKS: '0' };

function environment({ env, indexFile, objects, acts }: GitOptions): Record<string, string | undefined> {
  const own = Object.entries(withoutGitLocals(env)).filter(([name]) => !PATHSPEC_SWITCHES.test(name));
  const limits = { GIT_NO_REPLACE_OBJECTS: '1', ...(acts === true ? {} : STARTING_NOTHING) };
  const other = objects === undefined ? undefined : JSON.stringify(objects);
  const places = { GIT_INDEX_FILE: indexFile, GIT_ALTERNATE_OBJECT_DIRECTORIES: other };
  return { ...Object.fromEntries(own), ...UNASKING, ...limits, ...places };
}

/**
 * Settings that count more than those of a repository. A bare one that lies in a folder of the project is not taken for its own; a log
 * starts nothing that checks signatures; the parents and files of a commit are those that it names itself.
 */
function hardened({ acts }: GitOptions): string[] {
  const settings = [
    'safe.bareRepository=explicit',
    'core.fsmonitor=false',
    'log.showSignature=false',
    NO_COMMIT_GRAPH.join('='),
  ];
  if (acts !== true) settings.push('core.hooksPath=/dev/null');
  return settings.flatMap((setting) => ['-c', setting]);
}

/** The command as a person writes it, shortened to what identifies it. */
function named(args: readonly string[]): string {
  return oneLine(`git ${args.join(' ')}`, 120);
}

/**
 * The bare repository that git would find from `dir` before the one of the checkout around it; null for none. A clone may bring one along.
 * Git refuses it by itself since 2.38 (`safe.bareRepository`). Source: what setup.c of git takes for a repository.
 */
function bareAround(dir: string): string | null {
  for (let at = dir; ; at = path.dirname(at)) {
    if (existsSync(`${at}/.git`)) return null;
    if (['HEAD', 'objects', 'refs'].every((name) => existsSync(`${at}/${name}`))) return at;
    if (at === path.dirname(at)) return null;
  }
}

/** Stops every git that only looks. */
const looks = new Set<() => void>();

/** For work that is to end at once: git may wait for a disk or a pipe that does not answer. */
export function stopLooks(): void {
  for (const stop of looks) stop();
}

/**
 * Runs git with these arguments; any exit code is a result. Throws IO_ERROR when there is no git, and when it is ended by a signal,
 * takes too long or prints too much.
 */
export async function git(args: readonly string[], options: GitOptions): Promise<GitResult> {
  const bare = bareAround(options.cwd);
  if (bare !== null) return { code: 128, stdout: '', stderr: `fatal: cannot use bare repository '${bare}'` };
  const met = pipes.get(options.cwd);
  if (met !== undefined) {
    if (await isPipe(met)) throw waitsFor(met, args);
    pipes.delete(options.cwd);
  }
  return started(args, options);
}

/** Pipes that a git has waited for, by the folder that it ran in. */
const pipes = new Map<string, string>();

function waitsFor(pipe: string, args: readonly string[]): ForgeError {
  return new ForgeError('IO_ERROR', `${named(args)}: git would wait for ${pipe}, a pipe where a file should be`, {
    hint: 'A worker may have put it there. Remove it, put the file back that was there, and repeat the command.',
    details: { pipe },
  });
}

function started(args: readonly string[], options: GitOptions): Promise<GitResult> {
  const { spawn } = process.getBuiltinModule('node:child_process');
  return new Promise((resolve, reject) => {
    // A session of its own has no terminal to prompt on, and is killed as a whole, with hooks and filters.
    const child = spawn('git', [...hardened(options), ...args], {
      cwd: options.cwd,
      env: environment(options),
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const refuse = (error: Error) => reject(notStarted(error, args, options.cwd));
    child.on('error', refuse);
    // A git that ends early reads no more; its exit says why.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input);
    // There are no streams when this process had no file descriptor left for them; the error follows.
    if (!child.stdout || !child.stderr) return;
    const streams = { stdout: child.stdout, stderr: child.stderr };
    let killedFor: string | null = null;
    const kill = (why: string) => {
      killedFor ??= why;
      if (child.pid !== undefined) send(-child.pid, 'SIGKILL');
      streams.stdout.destroy();
    };
    const stopLook = () => kill('was stopped');
    if (options.acts !== true) looks.add(stopLook);
    let pipe: string | null = null;
    const stopWatch = watchForPipe(options.cwd, (found) => {
      pipe = found;
      pipes.set(options.cwd, found);
      kill('waits for a pipe');
    });
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const timer = setTimeout(() => kill(`took longer than ${timeoutMs / 1000} s and was stopped`), timeoutMs);
    const tooMuch = () => kill(`printed more than ${OUTPUT_MAX_BYTES} bytes and was stopped`);
    const stdout = gathered(streams.stdout, tooMuch);
    const stderr = gathered(streams.stderr, tooMuch);
    const over = () => {
      clearTimeout(timer);
      stopWatch();
      looks.delete(stopLook);
    };
    child.on('error', over);
    child.on('exit', async (code, signal) => {
      over();
      // Hooks write to stderr only, so git's own stdout is complete when git has ended.
      await stdout.ended;
      await Promise.race([stderr.ended, new Promise((end) => setTimeout(end, STDERR_WAIT_MS).unref())]);
      streams.stderr.destroy();
      if (pipe !== null) return reject(waitsFor(pipe, args));
      const failure = killedFor ?? (code === null ? `was ended by ${signal}` : null);
      if (failure !== null) reject(new ForgeError('IO_ERROR', `${named(args)}: ${failure}`, { hint: SLOW_HINT }));
      else resolve({ code: code ?? 1, stdout: stdout.text(), stderr: stderr.text() });
    });
  });
}

const SLOW_HINT = 'Run the command yourself in the repository to see what it waits for; then repeat this one.';

/** Collects a stream, up to `OUTPUT_MAX_BYTES`. */
function gathered(stream: NodeJS.ReadableStream, tooMuch: () => void): { text(): string; ended: Promise<void> } {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  stream.on('data', (part: Uint8Array) => {
    bytes += part.length;
    if (bytes > OUTPUT_MAX_BYTES) tooMuch();
    else parts.push(part);
  });
  const ended = new Promise<void>((resolve) => stream.on('close', () => resolve()));
  return { text: () => Buffer.concat(parts).toString('utf8'), ended };
}

function notStarted(error: Error, args: readonly string[], cwd: string): ForgeError {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOENT') return new ForgeError('IO_ERROR', `${named(args)}: ${error.message}`, { cause: error });
  // A missing program and a missing folder look the same from here.
  if (!existsSync(cwd))
    return new ForgeError('IO_ERROR', `${named(args)}: there is no folder ${cwd}`, { cause: error });
  return new NoGit('IO_ERROR', 'git is not installed, or not in PATH', {
    hint: 'Install git, or set `workspace: none` in .forge/settings.yaml.',
    cause: error,
  });
}

/** There is no git on this machine, so no folder is in a repository. */
export class NoGit extends ForgeError {}

/** Runs git. Throws IO_ERROR with git's own words unless its exit code is one of `expected`. */
export async function gitOk(
  args: readonly string[],
  options: GitOptions,
  expected: readonly number[] = [0],
): Promise<GitResult> {
  const result = await git(args, options);
  if (expected.includes(result.code)) return result;
  throw gitFailed(named(args), result);
}

/** The text that git prints, without the line end. Throws as `gitOk` does. */
export async function gitText(args: readonly string[], options: GitOptions): Promise<string> {
  return (await gitOk(args, options)).stdout.trimEnd();
}

/** The lines that git prints. Throws as `gitOk` does. */
export async function gitLines(args: readonly string[], options: GitOptions): Promise<string[]> {
  return (await gitOk(args, options)).stdout.split('\n').filter((line) => line !== '');
}

/** The names that git prints with `-z`. Throws as `gitOk` does. */
export async function gitNames(args: readonly string[], options: GitOptions): Promise<string[]> {
  return nulSeparated((await gitOk(args, options)).stdout);
}

/** That `what` failed, with git's own words. */
export function gitFailed(what: string, result: GitResult): ForgeError {
  return new ForgeError('IO_ERROR', `${what}: ${lastWords(result)}`, {
    hint: 'See what git says above. Fix it, then repeat the command.',
    details: { exit_code: result.code },
  });
}

/** The line in which git says why it failed. */
export function lastWords({ code, stderr }: GitResult): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const line = lines.findLast((each) => /^(fatal|error): /.test(each)) ?? lines.at(-1);
  return line === undefined ? `exit code ${code}` : oneLine(line.replace(/^(fatal|error): /, ''), 300);
}
