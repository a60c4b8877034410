/** Says that a file of forge itself is not there any more. Where it is found nothing else of forge can be relied on, so this is told by its code alone. */

const GONE = 'FORGE_GONE';
export const START_AGAIN = 'Start the command again.';

export function goneError(filename: string): Error {
  const message = `${filename}, a file of forge itself, is gone: forge was replaced or removed while it ran`;
  return Object.assign(new Error(message), { code: GONE });
}

export function isGone(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === GONE;
}
