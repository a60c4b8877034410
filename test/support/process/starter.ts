/**
 * Starts gated workers, prints their identities as one line, then obeys lines on stdin: `open <index>`, `abandon <index>`.
 * Every exit is printed as {index, exit}. With `exhaustFiles` it first uses up all its file descriptors.
 */

import { openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { spawnGated, type WorkerOptions } from '../../../src/process/gated-worker.ts';

const input: { workers: WorkerOptions[]; exhaustFiles?: boolean } = JSON.parse(process.argv[2] ?? '');
const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);

createInterface({ input: process.stdin }).on('line', (line) => {
  const [word, index] = line.split(' ');
  const worker = workers[Number(index)];
  if (word === 'open') worker?.open();
  if (word === 'abandon') worker?.abandon();
});

if (input.exhaustFiles === true) {
  try {
    for (;;) openSync('/dev/null', 'r');
  } catch {}
}

const workers = input.workers.map((options) => spawnGated(options));
print(workers.map((worker) => worker.identity));
workers.forEach((worker, index) => {
  worker.exited.then((exit) => print({ index, exit }));
});
