/** Commands at once, each slowed down at some of its system calls, so that they meet in orders that a quiet machine never has. */

import { type Answer, commandLine } from './forge.ts';
import { seeded } from './knobs.ts';
import { type Ran, run } from './strace.ts';

/** The calls that are slowed down, one kind a command. Those that this machine does not have are left out by the "?". */
const KINDS = [
  ['openat'],
  ['link', 'linkat'],
  ['rename', 'renameat', 'renameat2'],
  ['unlink', 'unlinkat', 'rmdir'],
  ['mkdir', 'mkdirat'],
  ['fsync', 'fdatasync'],
  ['getdents64'],
  ['statx', 'newfstatat'],
  ['read', 'pread64'],
  ['write', 'pwrite64'],
] as const;

/** strace's way to slow down the calls of one kind: from the nth on each kth. */
function delay(random: () => number): string {
  const some = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  const kind = KINDS[some(0, KINDS.length - 1)] ?? KINDS[0];
  // Node itself opens and reads before it runs anything of forge.
  const isNodes = kind[0] === 'openat' || kind[0] === 'read' || kind[0] === 'statx';
  const first = isNodes ? some(10, 60) : some(1, 6);
  const step = some(1, isNodes ? 9 : 3);
  const names = kind.map((name) => `?${name}`).join(',');
  return `inject=${names}:delay_enter=${some(2, 60) * 1000}:when=${first}+${step}`;
}

export interface Slowed {
  args: readonly string[];
  /** As strace has it, for messages. */
  delay: string;
  ran: Ran;
  answer: Answer | null;
}

/** Runs all commands at once, each with `env` alone or with that of the tests, and returns how each ended. The same seed chooses the same delays. */
export function atOnce(
  {
    dir,
    lines: commands,
    env,
  }: { dir: string; lines: readonly (readonly string[])[]; env: Record<string, string> | undefined },
  seed: number,
): Promise<Slowed[]> {
  const random = seeded(seed);
  const delays = commands.map(() => delay(random));
  return Promise.all(
    commands.map(async (args, at) => {
      const slowed = delays[at] ?? '';
      const names = /inject=([^:]*)/.exec(slowed)?.[1] ?? '';
      const variables = Object.entries(env ?? {}).map(([name, value]) => `${name}=${value}`);
      const line = [...(env === undefined ? [] : ['env', '-i', ...variables]), ...commandLine(dir, args)];
      const ran = await run([
        'strace',
        '-f',
        '-qq',
        '--seccomp-bpf',
        '-o',
        '/dev/null',
        '-e',
        `trace=${names}`,
        '-e',
        slowed,
        '--',
        ...line,
      ]);
      return { args, delay: slowed, ran, answer: lastAnswer(ran.stdout) };
    }),
  );
}

/** A `run` prints a line an event; the last one says how it has ended. */
function lastAnswer(stdout: string): Answer | null {
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (line === '') return null;
  const said = JSON.parse(line);
  return 'ok' in said ? said : { ok: true, data: said };
}
