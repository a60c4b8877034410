/** The longest delay of a timer, 24.8 days: above it setTimeout fires at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** As it was when this was loaded: tests of a program may stop its clocks. */
const { setImmediate: immediate } = globalThis;

/** Lets the program go on with what it was just given. */
export const turn = (): Promise<void> => new Promise((resolve) => immediate(resolve));

/** Calls `over` in `ms`, or never for null. */
export function timerOf(ms: number | null, over: () => void): NodeJS.Timeout | undefined {
  return ms === null ? undefined : setTimeout(over, Math.min(Math.max(0, ms), TIMER_MAX_MS));
}

/** Resolves in `ms`. Throws why `lost` was aborted. */
export function pause(ms: number, lost: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const give = () => {
      clearTimeout(timer);
      reject(lost.reason);
    };
    const timer = timerOf(ms, () => {
      lost.removeEventListener('abort', give);
      resolve();
    });
    if (lost.aborted) give();
    else lost.addEventListener('abort', give, { once: true });
  });
}
