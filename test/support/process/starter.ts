/**
 * Starts gated workers, prints their identities as one line, then obeys lines on stdin: `open <index>`, `abandon <index>`.
 * Every exit is printed as {index, exit}. With `exhaustFiles` it first uses up all its file descriptors. Their output goes
 * nowhere. With `lanes` each has a lane of its own.
 */

import { openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { spawnGated, type WorkerOptions } from '../../../src/process/gated-worker.ts';
import { Lane } from '../../../src/process/lane.ts';

const input: { workers: WorkerOptions[]; exhaustFiles?: boolean; lanes?: boolean } = JSON.parse(process.argv[2] ?? '');
const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);

const nowhere = openSync('/dev/null', 'a');

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

const stdio = { stdin: 'empty', stdout: nowhere, stderr: nowhere } as const;

const workers = await Promise.all(
  input.workers.map((worker) => {
    const options = { ...worker, stdio };
    return input.lanes === true ? new Lane({}).start(options) : spawnGated(options);
  }),
);
print(workers.map((worker) => worker?.identity));
workers.forEach((worker, index) => {
  worker?.exited.then((exit) => print({ index, exit }));
});
