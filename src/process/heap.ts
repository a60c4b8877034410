/** How far V8 lets the heap of this process grow before it looks for what is not used any more. */

import { setFlagsFromString } from 'node:v8';

/**
 * By half of what was in use, in place of up to three times as much: for a process that works for long and holds little, next to those that
 * it starts. Source: `--heap-growing-percent` of `node --v8-options`.
 */
export function growHeapSlowly(): void {
  setFlagsFromString('--heap-growing-percent=50');
}
