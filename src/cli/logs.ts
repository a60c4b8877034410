/** `logs` on the command line: the text as it comes. */

import { type LogChunk, type LogsOptions, logs } from '../commands/logs.ts';
import { plainText } from '../lib/text.ts';
import type { Answer, Desk } from './spec.ts';

export async function showLogs({ call, screen }: Desk, options: LogsOptions): Promise<Answer | number> {
  if (screen.json) {
    const text = { stdout: '', stderr: '' };
    const data = await logs(call, options, (chunk) => {
      text[chunk.stream] += chunk.text;
    });
    return { data: { ...data, ...text }, human: () => '' };
  }
  const stop = new AbortController();
  screen.output.onClosed = () => stop.abort();
  const print = new LogPrinter((text) => screen.output.write('stdout', text), options.stream === undefined);
  const data = await logs(call, options, (chunk) => print.chunk(chunk), stop.signal);
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
