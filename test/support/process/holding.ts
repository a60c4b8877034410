/** Prints whether a process may hold a lock, for tests that ask as another user. */

import { holdingOf } from '../../../src/process/holders.ts';

const { lock, folders } = JSON.parse(process.argv.at(-1) ?? '');
console.log(holdingOf(lock, folders));
