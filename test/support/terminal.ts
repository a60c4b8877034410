/** A pseudo terminal that runs `forge`, and its screen. */

import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Terminal as Emulator } from '@xterm/headless';
import { environment, FORGE } from './cli.ts';
import { until } from './processes.ts';

const PTY = join(import.meta.dirname, 'terminal.py');

/** Why there can be no terminal here; null if there can be one. */
export const noTerminal: string | null =
  spawnSync('python3', ['-c', 'import fcntl, pty, termios']).status === 0
    ? null
    : 'python3 is missing, which makes the pseudo terminals of these tests';

export interface TerminalOptions {
  cwd: string;
  columns?: number;
  rows?: number;
  env?: Record<string, string>;
}

export class Terminal {
  readonly #child;
  readonly #emulator: Emulator;
  #pid = 0;
  #written = Promise.resolve();
  /** All output, unchanged. */
  raw = '';
  /** How the command ended, once all its output is on the screen. */
  readonly ended: Promise<{ code?: number; signal?: number }>;

  /** `command`: what is started; by default `forge` with `args`. */
  constructor(args: readonly string[], options: TerminalOptions, command = [process.execPath, FORGE]) {
    const { cwd, columns = 80, rows = 24, env = {} } = options;
    this.#emulator = new Emulator({ cols: columns, rows, scrollback: 10_000, allowProposedApi: true });
    this.#child = spawn('python3', [PTY, String(columns), String(rows), ...command, ...args], {
      cwd,
      env: environment({ TERM: 'xterm-256color', ...env }),
      stdio: 'pipe',
    });
    const { stdin, stdout, stderr } = this.#child;
    stdin.on('error', () => {});
    let told = '';
    stderr.setEncoding('utf8').on('data', (text: string) => {
      told += text;
      this.#pid ||= told.includes('\n') ? Number.parseInt(told, 10) : 0;
    });
    stdout.on('data', (bytes: Buffer) => {
      this.raw += bytes.toString('latin1');
      this.#written = new Promise((resolve) => this.#emulator.write(bytes, resolve));
    });
    this.ended = new Promise<string>((resolve, reject) => {
      this.#child.on('error', reject);
      this.#child.on('close', () => this.#written.then(() => resolve(told)));
    }).then((lines) => JSON.parse(lines.trimEnd().split('\n').at(-1) ?? ''));
  }

  /** Of the command. */
  async pid(): Promise<number> {
    return until('the command is started', () => this.#pid);
  }

  /**
   * Everything that can be seen, what has scrolled away included, without empty lines at the end. A line that takes several
   * rows is one line here.
   */
  get text(): string {
    const { active } = this.#emulator.buffer;
    let text = '';
    for (let y = 0; y < active.length; y++) {
      const row = active.getLine(y);
      text += `${row?.isWrapped === true || y === 0 ? '' : '\n'}${row?.translateToString(true) ?? ''}`;
    }
    return text.trimEnd();
  }

  /** Waits until `pattern` can be seen. Fails after a while with what is seen instead. */
  async sees(pattern: RegExp): Promise<void> {
    try {
      await until(`${pattern} is on the screen`, () => pattern.test(this.text));
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.text}`);
    }
  }

  type(text: string): void {
    this.#send({ type: text });
  }

  resize(columns: number, rows: number): void {
    this.#emulator.resize(columns, rows);
    this.#send({ resize: [columns, rows] });
  }

  /** As when the window is closed. */
  close(): void {
    this.#send({ close: true });
  }

  kill(): void {
    if (this.#pid > 0 && this.#child.exitCode === null) {
      try {
        process.kill(this.#pid, 'SIGKILL');
      } catch (error) {
        // It has ended, and its terminal is about to.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    this.#child.kill('SIGKILL');
  }

  #send(request: object): void {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
  }
}
