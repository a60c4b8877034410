/** Ctrl-C and similar signals: once to stop in order, twice to stop at once. */

export interface Interrupts {
  /** 0: go on. 1: stop, and give back the tasks in hand. 2: stop at once. */
  readonly level: number;
  /** Calls back at every further interrupt until the returned function is called. */
  listen(callback: () => void): () => void;
}

/** For work that nothing interrupts. */
export const UNINTERRUPTED: Interrupts & { stop(): void } = { level: 0, listen: () => () => {}, stop: () => {} };

/** Interrupts that can also be raised by the caller. `stop` ends the subscription to `outer`. */
export function raisable(outer: Interrupts): Interrupts & { raise(): void; stop(): void } {
  const callbacks = new Set<() => void>();
  let raised = 0;
  const call = () => {
    for (const callback of callbacks) callback();
  };
  const stop = outer.listen(call);
  return {
    get level() {
      return Math.max(outer.level, raised);
    },
    listen(callback) {
      callbacks.add(callback);
      return () => void callbacks.delete(callback);
    },
    raise() {
      raised = 1;
      call();
    },
    stop,
  };
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Listens to this process's signals. `stop` ends that and restores the default effect of signals. */
export function listenToSignals(): Interrupts & { stop(): void } {
  const callbacks = new Set<() => void>();
  const interrupts = {
    level: 0,
    listen: (callback: () => void) => {
      callbacks.add(callback);
      return () => void callbacks.delete(callback);
    },
    stop: () => {
      for (const signal of SIGNALS) process.off(signal, raise);
    },
  };
  const raise = (signal: string) => {
    // A closed terminal is one interrupt, however many signals and errors report it: of the shell, the system, a failed write.
    if (signal === 'SIGHUP' && interrupts.level > 0) return;
    interrupts.level = Math.min(2, interrupts.level + 1);
    for (const callback of callbacks) callback();
  };
  for (const signal of SIGNALS) process.on(signal, raise);
  return interrupts;
}
