import { ForgeError } from '../../src/lib/errors.ts';

/** The ForgeError that `act` throws at once. Fails when it throws none; anything else is a bug and passes through. */
export function thrownBy(act: () => unknown): ForgeError {
  try {
    act();
  } catch (error) {
    if (error instanceof ForgeError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

/** The same of what is refused at once or later. */
export async function refused(act: () => unknown): Promise<ForgeError> {
  const [end] = await Promise.allSettled([(async () => act())()]);
  return thrownBy(() => {
    if (end.status === 'rejected') throw end.reason;
  });
}
