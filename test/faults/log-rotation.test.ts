/**
 * The advisory lock (proper-lockfile) makes it rare that two processes rotate the log at the same moment. Here
 * they do, because the lock cannot be taken, and no line is lost.
 */

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { appendLines, readLines } from '../../src/lib/fs/json-lines.ts';
import { layoutOf } from '../../src/store/file/tree.ts';
import { journalIn } from '../../src/store/journal.ts';
import { bundle } from '../support/bundle.ts';
import { answerIn, commandLine } from '../support/faults/forge.ts';
import { sized } from '../support/faults/knobs.ts';
import { copyProject, makeProject, planOf } from '../support/faults/project.ts';
import { cleanRun, faultyRun, noStrace } from '../support/faults/strace.ts';
import { startHelper } from '../support/processes.ts';

const MAX_BYTES = 2000;
const WRITERS = 4;
const ROTATIONS = sized(7, 20, 200);

/** The log and its rotated files. */
function logs(dir: string): string[] {
  const folder = `${dir}/.forge/logs`;
  return fs
    .readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => `${folder}/${name}`);
}

function messages(dir: string): string[] {
  const records = logs(dir).flatMap((file) => readLines(fs.readFileSync(file, 'utf8')));
  return records.map(({ message }) => String(message)).sort();
}

/** Fills the log to just beyond its size. Returns its messages. */
function fill(dir: string, round: number): string[] {
  const { log } = layoutOf(dir);
  const filled: string[] = [];
  fs.mkdirSync(path.dirname(log), { recursive: true });
  while ((fs.lstatSync(log, { throwIfNoEntry: false })?.size ?? 0) <= MAX_BYTES) {
    filled.push(`filled-${round}-${filled.length}`);
    appendLines(log, [{ type: 'warning', message: filled.at(-1) }]);
  }
  return filled;
}

/** Holds the lock until the test ends. */
function holdLock(dir: string): void {
  const lock = `${layoutOf(dir).log}.lock`;
  fs.mkdirSync(lock, { recursive: true });
  const touch = setInterval(() => fs.utimesSync(lock, new Date(), new Date()), 500);
  onTestFinished(() => clearInterval(touch));
}

test(`${WRITERS} processes that rotate the log at once without the lock lose no line`, {
  timeout: 300_000,
}, async () => {
  const dir = makeProject({ '.forge/settings.yaml': '' });
  fill(dir, -1);
  holdLock(dir);
  const logger = await bundle(path.join(path.dirname(fileURLToPath(import.meta.url)), '../support/faults/logger.ts'));
  const writers = Array.from({ length: WRITERS }, (_, at) =>
    startHelper(logger, { dir, name: `w${at}`, maxBytes: MAX_BYTES }),
  );
  onTestFinished(() => {
    for (const writer of writers) writer.kill('SIGKILL');
  });
  for (const writer of writers) expect(await writer.next()).toBe('ready');
  for (let round = 0; round < ROTATIONS; round++) {
    // Only so many rotated logs are kept, so every round begins with none.
    for (const file of logs(dir)) fs.rmSync(file);
    const expected = fill(dir, round);
    for (const writer of writers) writer.send('go');
    for (const writer of writers) expected.push(String(await writer.next()));
    expect(messages(dir), `round ${round}`).toEqual(expected.sort());
    expect(logs(dir).length, 'it was rotated').toBeGreaterThan(1);
  }
});

test('two rotations of the log in one millisecond keep both files', async () => {
  const dir = makeProject({ '.forge/settings.yaml': '' });
  const journal = journalIn(layoutOf(dir), () => 0, MAX_BYTES);
  const expected = [...fill(dir, 1)];
  await journal([{ type: 'warning', task_id: 'a', message: 'one' }]);
  expected.push('one', ...fill(dir, 2));
  await journal([{ type: 'warning', task_id: 'a', message: 'two' }]);
  expect(messages(dir)).toEqual([...expected, 'two'].sort());
  expect(logs(dir)).toHaveLength(3);
});

const missing = noStrace();

test.skipIf(missing !== null)(
  `a process whose log another one has just rotated still writes its line${missing === null ? '' : ` (skipped: ${missing})`}`,
  async () => {
    const dir = makeProject({
      'plans/phases.yaml': planOf([{ id: 'a' }]),
      '.forge/settings.yaml': `agents: { log_rotate_max_bytes: ${MAX_BYTES} }\n`,
    });
    fill(dir, 0);
    const clean = copyProject(dir);
    const command = (copy: string) => commandLine(copy, ['claim', 'a']);
    const { calls } = await cleanRun(command(clean), clean);
    const rotation = calls.find((call) => call.name.startsWith('rename') && call.shape.includes('/logs/'));
    if (rotation === undefined) throw new Error('the log was not rotated');
    // ENOENT: another process has renamed the log first.
    const { ran, dir: copy } = await faultyRun(() => copyProject(dir), command, rotation, 'ENOENT');
    expect(answerIn(ran.stdout)).toMatchObject({ ok: true });
    const moves = logs(copy).flatMap((file) => readLines(fs.readFileSync(file, 'utf8')));
    expect(moves).toContainEqual(expect.objectContaining({ type: 'transition', task_id: 'a', to: 'claimed' }));
  },
);
