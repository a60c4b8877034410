/** Memory for pure functions of a text. */

/**
 * Texts that are remembered. Schedules are short: what was not asked for lately will not be asked for again. So few are
 * found quicker by comparing than by hashing them, as texts of this kind differ early.
 */
const LIMIT = 24;

export interface Memory<T> {
  /** The answer for a text; one that was given lately is not worked out again. It is frozen. */
  answer(text: string): T;
  /** Takes note of an answer that is known from elsewhere. */
  know(text: string, value: T): void;
}

export function remembered<T>(workOut: (text: string) => T): Memory<T> {
  const texts: string[] = new Array(LIMIT).fill('');
  const values: T[] = new Array(LIMIT);
  let oldest = 0;
  const know = (text: string, value: T) => {
    texts[oldest] = text;
    values[oldest] = frozen(value);
    oldest = (oldest + 1) % LIMIT;
  };
  const answer = (text: string) => {
    const at = texts.indexOf(text);
    if (at >= 0 && text !== '') return values[at] as T;
    const value = workOut(text);
    know(text, value);
    return value;
  };
  return { answer, know };
}

/** A change to a shared answer would be a change to another process's memory: it fails at once. */
function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const key in value) frozen(value[key]);
  return Object.freeze(value);
}
