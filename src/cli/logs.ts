/** `logs` on the command line: the text as it comes. */

import { type LogChunk, logs } from '../commands/logs.ts';
import type { VerbInput } from '../commands/registry.ts';
import { plainText } from '../lib/text.ts';
import type { Cli } from './view.ts';

/** Returns the exit code. */
export async function showLogs({ context, screen }: Cli, input: VerbInput<'logs'>): Promise<number> {
  const stop = new AbortController();
  screen.output.onClosed = () => stop.abort();
  const print = new LogPrinter((text) => screen.output.write('stdout', text), input.stream === undefined);
  const emit = (chunk: LogChunk) => print.chunk(chunk);
  const data = await logs.run({ ...context, emit, signal: stop.signal }, input);
  print.end();
  if (!print.printed) screen.output.line('stderr', `nothing in ${data.files.stdout} or ${data.files.stderr}`);
  return 0;
}

/** Both logs on one screen, each part under its name as `tail` does it. */
export class LogPrinter {
  printed = false;
  readonly #write: (text: string) => void;
  readonly #named: boolean;
  #stream: string | null = null;
  #open = false;

  constructor(write: (text: string) => void, named: boolean) {
    this.#write = write;
    this.#named = named;
  }

  chunk({ stream, text }: LogChunk): void {
    if (this.#named && stream !== this.#stream) {
      this.end();
      this.#write(`${this.printed ? '\n' : ''}==> ${stream} <==\n`);
      this.#stream = stream;
    }
    this.printed = true;
    const plain = plainText(text);
    this.#write(plain);
    if (plain !== '') this.#open = !plain.endsWith('\n');
  }

  /** Ends a line that the worker has not ended. */
  end(): void {
    if (this.#open) this.#write('\n');
    this.#open = false;
  }
}
