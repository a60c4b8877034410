/** Ctrl-C and similar signals: once to stop in order, twice to stop at once. */

import { constants, readFileSync, readlinkSync } from 'node:fs';

export interface Interrupts {
  /** 0: go on. 1: stop, and give back the tasks in hand. 2: stop at once. */
  readonly level: number;
  /** Calls back at once if there was an interrupt, and at every further one until the returned function is called. */
  listen(callback: () => void): () => void;
}

/** For work that nothing interrupts. */
export const UNINTERRUPTED: Interrupts & { stop(): void } = {
  level: 0,
  listen: () => () => {},
  stop: () => {},
};

/** Interrupts that the caller raises, or `outer` does. `stop` ends the subscription to `outer`. */
export class RaisedInterrupts implements Interrupts {
  level = 0;
  readonly #callbacks = new Set<() => void>();
  readonly stop: () => void;

  constructor(outer: Interrupts = UNINTERRUPTED) {
    this.stop = outer.listen(() => this.raise(outer.level));
  }

  listen(callback: () => void): () => void {
    this.#callbacks.add(callback);
    if (this.level > 0) callback();
    return () => void this.#callbacks.delete(callback);
  }

  /** To `level`, and never back. */
  raise(level: number): void {
    this.level = Math.max(this.level, Math.min(2, level));
    for (const callback of this.#callbacks) callback();
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Whether a closed terminal is to be ignored: by nohup(1), or by a shell (`trap '' HUP`). Node forgets that SIGHUP was ignored when it
 * starts, so it is told by what some shells note of the command that they start, by the stdin that nohup gives in place of a terminal
 * (a /dev/null that can only be written), and by the parent.
 */
function ignoresHangup(): boolean {
  if (/(?:^|\/)nohup$/.test(process.env['_'] ?? '')) return true;
  try {
    const stdin = /^flags:\s*0([0-7]+)$/m.exec(readFileSync('/proc/self/fdinfo/0', 'latin1'))?.[1] ?? '0';
    if (
      readlinkSync('/proc/self/fd/0') === '/dev/null' &&
      (Number.parseInt(stdin, 8) & O_ACCMODE) === constants.O_WRONLY
    )
      return true;
    const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${process.ppid}/status`, 'latin1'))?.[1];
    return ignored !== undefined && (BigInt(`0x${ignored}`) & 1n) === 1n;
  } catch {
    return false;
  }
}

/** Bits of the flags of an open file that say whether it is read or written. Source: open(2). */
const O_ACCMODE = 3;

/**
 * Listens to this process's signals. `stop` ends that and restores the default effect of signals. `leavesKeys`: a command has the same
 * terminal, gets SIGINT as well when Ctrl-C is pressed, and decides by itself; asked at every SIGINT. Default: never.
 */
export function listenToSignals({ leavesKeys = (): boolean => false } = {}): RaisedInterrupts {
  const interrupts = new RaisedInterrupts();
  // Asked at once: the parent may be gone with the terminal.
  const deaf = ignoresHangup();
  const raise = (signal: string) => {
    if (signal === 'SIGHUP' && deaf) return;
    if (signal === 'SIGINT' && leavesKeys()) return;
    // A closed terminal is one interrupt, however many signals and errors report it: of the shell, the system, a failed write.
    if (signal !== 'SIGHUP' || interrupts.level === 0) interrupts.raise(interrupts.level + 1);
  };
  for (const signal of SIGNALS) process.on(signal, raise);
  const stop = () => {
    for (const signal of SIGNALS) process.off(signal, raise);
  };
  return Object.assign(interrupts, { stop });
}
