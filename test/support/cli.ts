/** The real command, started as a user starts it, in a folder of its own. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as z from 'zod/mini';
import { withoutForge } from './processes.ts';

export const FORGE = join(import.meta.dirname, '../../bin/forge.cjs');

/** How the script of a worker calls forge. */
export const F = '"$FORGE_CLI" orchestrate';

export interface CliOptions {
  cwd: string;
  /** Added to the environment, which has no FORGE_* and no colour switches. */
  env?: Record<string, string>;
  input?: string;
}

export interface CliResult {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  /** The only line of stdout, parsed. Fails when there are more. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers of many shapes.
  json(): any;
}

export interface StartedCli {
  process: ChildProcess;
  /** What it has printed so far. */
  stdout(): string;
  ended: Promise<CliResult>;
}

/** Starts `forge` with `args`; it may be signalled while it runs. */
export function startCli(args: readonly string[], { cwd, env = {}, input }: CliOptions): StartedCli {
  const child = spawn(process.execPath, [FORGE, ...args], { cwd, env: environment(env), stdio: 'pipe' });
  const out: Record<'stdout' | 'stderr', string> = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      out[name] += text;
    });
  }
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const result = { code, signal, ...out, json: () => onlyLine(out) };
      checkAnswer(args, result).then(() => resolve(result), reject);
    });
  });
  return { process: child, stdout: () => out.stdout, ended };
}

/** Runs `forge` with `args` to its end. */
export function cli(args: readonly string[], options: CliOptions): Promise<CliResult> {
  return startCli(args, options).ended;
}

/** `cli` with `orchestrate` in front. */
export function orchestrate(args: readonly string[], options: CliOptions): Promise<CliResult> {
  return cli(['orchestrate', ...args], options);
}

/** What a verb answers to the command with --json. */
export async function answerOf(cwd: string, ...args: string[]): Promise<ReturnType<CliResult['json']>> {
  return (await orchestrate([...args, '--json'], { cwd })).json().data;
}

/** What a verb answers, given within this process: for steps of a test that are not about the command. Throws its error. */
export async function within(
  args: readonly string[],
  { cwd, env = {} }: CliOptions,
): Promise<ReturnType<CliResult['json']>> {
  const [{ parseArgv }, { systemContext }] = await Promise.all([
    import('../../src/cli/program.ts'),
    import('../../src/process/system-context.ts'),
  ]);
  const all = environment(env);
  const request = await parseArgv(['orchestrate', ...args], all);
  if (request.kind !== 'verb') throw new Error(`no verb: ${args.join(' ')}`);
  const context = { ctx: { ...systemContext(), env: all, cwd }, dir: request.dir, warn: () => {} };
  const data = JSON.parse(JSON.stringify(await request.command.run(context, request.input as never)));
  await checkData(args, data);
  return data;
}

/** `within` of a verb that only looks: equal to what the command prints with --json, for a tenth of the time. */
export function dataOf(cwd: string, ...args: string[]): ReturnType<typeof within> {
  return within(args, { cwd });
}

function onlyLine({ stdout, stderr }: { stdout: string; stderr: string }): unknown {
  const lines = stdout.split('\n');
  if (lines.length !== 2 || lines[1] !== '')
    throw new Error(`expected one line on stdout: ${stdout}\nstderr: ${stderr}`);
  return JSON.parse(lines[0] ?? '');
}

async function checkAnswer(args: readonly string[], { stdout, json }: CliResult): Promise<void> {
  // A verb that goes on over time prints an event a line.
  if (!stdout.startsWith('{"ok":true,"data":') || stdout.indexOf('\n') !== stdout.length - 1) return;
  if (!args.includes('--help')) await checkData(args, json().data);
}

/** The data of an answer must be what the command's schema says, and no more. */
async function checkData(args: readonly string[], data: unknown): Promise<void> {
  const [{ findVerb }, { loadCommand }] = await Promise.all([
    import('../../src/cli/find-verb.ts'),
    import('../../src/commands/registry.ts'),
  ]);
  const { verb } = findVerb(args);
  if (verb === null) throw new Error(`an answer without a verb: ${args.join(' ')}`);
  const { error } = z.safeParse((await loadCommand(verb)).output(), data);
  if (error !== undefined)
    throw new Error(`the answer of ${verb} is not of its schema: ${z.prettifyError(error)}\n${JSON.stringify(data)}`);
}

/** This process's environment without variables that change the output of forge. */
export function environment(more: Record<string, string> = {}): Record<string, string | undefined> {
  const { NO_COLOR: _, FORCE_COLOR: __, CI: ___, ...rest } = withoutForge(process.env);
  return { ...rest, ...more };
}

/** Runs lines of shell in which `forge` is the command. Returns the output of the last one. */
export function shell(
  lines: string,
  { cwd, env = {} }: Pick<CliOptions, 'cwd' | 'env'>,
): { stdout: string; stderr: string } {
  const { stdout, stderr } = spawnSync('/bin/sh', ['-c', `forge() { "$NODE" "$FORGE_BIN" "$@"; }\n${lines}`], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: environment({ ...env, NODE: process.execPath, FORGE_BIN: FORGE }),
  });
  return { stdout, stderr };
}

/** A folder with these files. */
export function folder(files: Record<string, string> = {}): string {
  // Resolved, because forge prints real paths.
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'forge-cli-')));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

/** `folder` with a plan of these tasks, given as YAML flow mappings without braces: `id: a, title: A, run: "true"`. */
export function project(tasks: readonly string[], files: Record<string, string> = {}): string {
  const lines = tasks.map((task) => `      - { ${task} }\n`).join('');
  const plan = `project: test\nphases:\n  - id: phase-1\n    name: One\n    tasks:\n${lines}`;
  return folder({ 'plans/phases.yaml': plan, ...files });
}

/** What each line says, of output with a JSON value on each. */
export function jsonLines(text: string): ReturnType<typeof JSON.parse>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** The lines of a file, by default of that in which the workers of a test note what they do. */
export function linesIn(cwd: string, file = 'ledger'): string[] {
  return readFileSync(join(cwd, file), 'utf8').trimEnd().split('\n');
}
