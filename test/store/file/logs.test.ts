/** Append-only logs, the journal, and the logs that workers write. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { crc32 } from '../../../src/lib/checksum.ts';
import { appendLines, readLines } from '../../../src/lib/fs/json-lines.ts';
import { advised } from '../../../src/lib/fs/locks.ts';
import { lastLinesAt, readFrom } from '../../../src/lib/fs/read.ts';
import { isoTime } from '../../../src/lib/time.ts';
import type { TaskEvent } from '../../../src/store/events.ts';
import { journalIn } from '../../../src/store/journal.ts';
import fc from '../../support/properties.ts';
import { emptyFolder, id, refusal, T0, Tree } from '../../support/store/tree.ts';

describe('log lines', () => {
  const file = () => path.join(emptyFolder(), 'log.jsonl');

  test('log lines are read as they were appended, whatever their content', () => {
    const entry = fc.dictionary(
      fc.string({ maxLength: 5 }).filter((key) => key !== 'sum' && key !== '__proto__'),
      fc.jsonValue({ maxDepth: 2 }),
      { minKeys: 1, maxKeys: 4 },
    );
    const folder = emptyFolder();
    let n = 0;
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 4 }), (entries) => {
        const log = path.join(folder, `${++n}.jsonl`);
        fs.writeFileSync(log, '');
        for (const value of entries) appendLines(log, [value]);
        expect(readLines(fs.readFileSync(log, 'utf8'))).toEqual(JSON.parse(JSON.stringify(entries)));
      }),
      { numRuns: 100 },
    );
  });

  test('a torn log line is the only one that is lost', () => {
    const log = file();
    for (const n of [1, 2]) appendLines(log, [{ n, text: 'a line of some length' }]);
    const whole = fs.readFileSync(log, 'utf8');
    const second = whole.lastIndexOf('\n');
    for (let length = second; length < whole.length; length++) {
      fs.writeFileSync(log, whole.slice(0, length));
      appendLines(log, [{ n: 3 }]);
      expect(readLines(fs.readFileSync(log, 'utf8')).map(({ n }) => n)).toEqual([1, 3]);
    }
  });

  test.each([
    ['empty', ''],
    ['of a person', 'I was here'],
    ['without a seal', '{"n":9}'],
    ['whose seal is of something else', '{"n":9,"sum":"00000000"}'],
    ['that was edited', `{"n":8${sealOf('{"n":9')}`],
    ['that is not JSON under a seal that holds', `nonsense${sealOf('nonsense')}`],
    ['that is a list under a seal that holds', `[1${sealOf('[1')}`],
  ])('a log line %s is skipped', (_what, line) => {
    const log = file();
    appendLines(log, [{ n: 1 }]);
    fs.appendFileSync(log, `\n${line}`);
    appendLines(log, [{ n: 2 }]);
    expect(readLines(fs.readFileSync(log, 'utf8'))).toEqual([{ n: 1 }, { n: 2 }]);
  });

  test('each log line is written by one system call', () => {
    const log = file();
    const writes: number[] = [];
    const original = fs.writeSync;
    fs.writeSync = ((...args: Parameters<typeof fs.writeSync>) => {
      const written = original(...args);
      writes.push(written);
      return written;
    }) as typeof fs.writeSync;
    try {
      appendLines(log, [{ text: 'x'.repeat(10_000) }]);
    } finally {
      fs.writeSync = original;
    }
    expect(writes).toEqual([fs.statSync(log).size]);
  });
});

function sealOf(open: string): string {
  return `,"sum":"${crc32(open)}"}`;
}

describe('journal', () => {
  const odd: TaskEvent = { type: 'warning', task_id: 'build', message: 'odd' };
  const setUp = (maxBytes = 1_000_000) => {
    const tree = new Tree();
    let now = T0;
    const journal = journalIn(tree.layout, () => now++, maxBytes);
    return { tree, journal, logs: path.dirname(tree.layout.log), log: tree.layout.log };
  };
  const lines = (log: string) => readLines(fs.readFileSync(log, 'utf8'));

  test('the journal writes each entry with its time', async () => {
    const { tree, journal, log } = setUp();
    fs.mkdirSync(tree.layout.forge);
    await journal([odd, { ...odd, task_id: 'test' }]);
    expect(lines(log)).toEqual([
      { ts: isoTime(T0), ...odd },
      { ts: isoTime(T0 + 1), ...odd, task_id: 'test' },
    ]);
    expect(fs.statSync(log).mode & 0o777).toBe(0o600);
    expect(fs.statSync(path.dirname(log)).mode & 0o777).toBe(0o700);
  });

  test('the journal does not turn a folder into a project', async () => {
    const { tree, journal } = setUp();
    await journal([odd]);
    expect(tree.names(tree.layout.project)).toEqual([]);
  });

  test('the journal has a line for a transition and for what gc did, and none for what other logs hold', async () => {
    const { tree, journal, log } = setUp();
    fs.mkdirSync(tree.layout.forge);
    const by = { run_id: id(1), claim_id: id(2), generation: 1 };
    const moved = {
      type: 'transition',
      task_id: 'build',
      move: 'claim',
      from: 'unclaimed',
      to: 'claimed',
      ...by,
    } as const;
    const row = { type: 'gc', task_id: 'build', row: 2, action: 'mark_abandoned', reason: 'it is stale' } as const;
    const entry = { event: 'acquired', ...by } as const;
    await journal([{ type: 'claim', task_id: 'build', entry }, moved, { ...row, released: null }]);
    const written = [moved, row].map((line, n) => JSON.stringify({ ts: isoTime(T0 + n), ...line }));
    expect(lines(log).map((line) => JSON.stringify(line))).toEqual(written);
  });

  test('the journal creates nothing when there is nothing to write', async () => {
    const { tree, journal } = setUp();
    fs.mkdirSync(tree.layout.forge);
    await journal([]);
    expect(tree.names(tree.layout.forge)).toEqual([]);
  });

  test('the journal rotates a full file and loses no line', async () => {
    const { tree, journal, logs } = setUp(400);
    fs.mkdirSync(tree.layout.forge);
    for (let n = 0; n < 12; n++) await journal([{ ...odd, task_id: `t${n}` }]);
    const files = tree.names(logs).filter((name) => name.endsWith('.jsonl'));
    expect(files.length).toBeGreaterThan(2);
    expect(files).toContain('orchestrate.jsonl');
    const kept = files.flatMap((name) => lines(path.join(logs, name)).map(({ task_id }) => task_id));
    expect(new Set(kept).size).toBe(12);
    for (const name of files) expect(fs.statSync(path.join(logs, name)).size).toBeLessThan(700);
  });

  test('the journal keeps the five newest rotated files and removes only its own', async () => {
    const { tree, journal, logs } = setUp(1);
    fs.mkdirSync(tree.layout.forge);
    tree.write(path.join(logs, 'notes.txt'), 'mine');
    for (let n = 0; n < 12; n++) await journal([{ ...odd, task_id: `t${n}` }]);
    const rotated = tree.names(logs).filter((name) => /^orchestrate\..+\.jsonl$/.test(name));
    expect(rotated).toHaveLength(5);
    expect(rotated.flatMap((name) => lines(path.join(logs, name)).map(({ task_id }) => task_id))).toEqual([
      't6',
      't7',
      't8',
      't9',
      't10',
    ]);
    expect(tree.read(path.join(logs, 'notes.txt'))).toBe('mine');
  });

  test('a journal that cannot be written is not an error', async () => {
    const { tree, journal, log } = setUp();
    fs.mkdirSync(log, { recursive: true });
    await journal([odd]);
    expect(tree.names(log)).toEqual([]);
    fs.rmSync(path.dirname(log), { recursive: true });
    tree.write(path.dirname(log), 'a file');
    await journal([odd]);
    expect(tree.read(path.dirname(log))).toBe('a file');
  });
});

describe('advisory lock', () => {
  test('work under an advisory lock runs, and the lock is released', async () => {
    const file = path.join(emptyFolder(), 'log');
    fs.writeFileSync(file, '');
    let done = 0;
    await advised(file, () => done++);
    await advised(file, () => done++);
    expect(done).toBe(2);
    expect(fs.existsSync(`${file}.lock`)).toBe(false);
  });

  test('work under an advisory lock that is held runs after a bounded wait', async () => {
    const file = path.join(emptyFolder(), 'log');
    fs.writeFileSync(file, '');
    fs.mkdirSync(`${file}.lock`);
    let done = 0;
    await advised(file, () => done++);
    expect(done).toBe(1);
    expect(fs.existsSync(`${file}.lock`)).toBe(true);
  });
});

describe('worker logs', () => {
  test('worker logs are created once, private, and written through their file descriptors', async () => {
    const { artifacts } = new Tree();
    const attempt = { taskId: 'build', attemptId: id(11) };
    const logs = artifacts.openLogs(attempt);
    fs.writeSync(logs.stdout, 'out');
    fs.writeSync(logs.stderr, 'err');
    logs.close();
    expect(artifacts.readLog(attempt, 'stdout.log', 0)).toEqual({ text: 'out', next: 3 });
    expect(artifacts.readLog(attempt, 'stderr.log', 0)).toEqual({ text: 'err', next: 3 });
    expect(fs.statSync(artifacts.logPath(attempt, 'stdout.log')).mode & 0o777).toBe(0o600);
    expect(() => fs.writeSync(logs.stdout, 'x')).toThrow('EBADF');
    expect(await refusal(() => artifacts.openLogs(attempt))).toBe('IO_ERROR');
    artifacts.discard(attempt);
    expect(fs.existsSync(artifacts.folder(attempt))).toBe(false);
    artifacts.discard(attempt);
  });

  const written = (content: string | Buffer) => {
    const file = path.join(emptyFolder(), 'stdout.log');
    fs.writeFileSync(file, content);
    return file;
  };

  test('worker logs are read from the end of the last read', () => {
    const file = written('first\n');
    const { next } = readFrom(file, 0);
    expect(readFrom(file, next)).toEqual({ text: '', next });
    fs.appendFileSync(file, 'second\n');
    expect(readFrom(file, next)).toEqual({ text: 'second\n', next: 13 });
  });

  test('worker logs are read in pieces of 64 KiB', () => {
    const file = written('x'.repeat(70_000));
    const first = readFrom(file, 0);
    expect(first).toMatchObject({ next: 65_536 });
    expect(readFrom(file, first.next)).toEqual({ text: 'x'.repeat(70_000 - 65_536), next: 70_000 });
  });

  test('worker logs can be read from their end', () => {
    expect(readFrom(written('0123456789'), -4)).toEqual({ text: '6789', next: 10 });
    expect(readFrom(written('01'), -4)).toEqual({ text: '01', next: 2 });
  });

  test('worker logs return only complete characters', () => {
    const text = 'a\u00e9\u20ac\u{1f600}z\u{10ffff}';
    const bytes = Buffer.from(text, 'utf8');
    for (let cut = 0; cut <= bytes.length; cut++) {
      const file = written(bytes.subarray(0, cut));
      const first = readFrom(file, 0);
      expect(first.text).not.toContain('\ufffd');
      fs.writeFileSync(file, bytes);
      const second = readFrom(file, first.next);
      expect(first.text + second.text).toBe(text);
    }
  });

  test.each([
    ['', 3, ''],
    ['one\n', 3, 'one\n'],
    ['one\ntwo\nthree\n', 2, 'two\nthree\n'],
    ['one\ntwo\nthree', 2, 'two\nthree'],
    ['one\ntwo\n\n', 1, '\n'],
    ['\n\n\n', 2, '\n\n'],
    ['one\ntwo', 0, ''],
    ['one\n', 0, ''],
    [`${'x'.repeat(200_000)}\n${'y'.repeat(70_000)}\n`, 1, `${'y'.repeat(70_000)}\n`],
    [`one\n${'y\n'.repeat(70_000)}`, 69_999, 'y\n'.repeat(69_999)],
  ])('the last lines of a worker log are found (%#)', (content, count, expected) => {
    const file = written(content);
    expect(content.slice(lastLinesAt(file, count))).toBe(expected);
  });

  test('binary worker logs are read to their end', () => {
    const file = written(Buffer.from([0xff, 0xfe, 0x80, 0x80, 0x80, 0x80, 0x00]));
    expect(readFrom(file, 0).next).toBe(7);
  });

  test('a worker log that has got shorter is read on from its new end', () => {
    const file = written('0123456789');
    fs.truncateSync(file, 2);
    expect(readFrom(file, 10)).toEqual({ text: '', next: 2 });
    fs.appendFileSync(file, 'x');
    expect(readFrom(file, 2)).toEqual({ text: 'x', next: 3 });
  });

  test.each<[what: string, make: (file: string) => void]>([
    ['nothing', () => {}],
    ['a folder', (file) => fs.mkdirSync(file)],
    ['a symlink', (file) => fs.symlinkSync('/etc/hostname', file)],
    ['a pipe without a writer', (file) => execFileSync('mkfifo', [file])],
  ])('a worker log replaced by %s reads as empty', (_what, make) => {
    const file = path.join(emptyFolder(), 'stdout.log');
    make(file);
    expect(readFrom(file, 0)).toEqual({ text: '', next: 0 });
    expect(readFrom(file, -100)).toEqual({ text: '', next: 0 });
    expect(readFrom(file, 7)).toEqual({ text: '', next: 7 });
  });
});
