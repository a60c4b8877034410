import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { changedSince } from '../../src/lib/fs/changed-since.ts';
import { folder } from '../support/cli.ts';

const OLD = new Date('2020-01-01T00:00:00Z');
const FRESH = new Date('2022-01-01T00:00:00Z');
const NOW = Date.parse('2023-01-01T00:00:00Z');
const SINCE = Date.parse('2021-01-01T00:00:00Z');

/** A folder of files and folders that were all last changed in 2020. */
function old(...files: string[]): string {
  const dir = folder();
  for (const file of files) {
    fs.mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    fs.writeFileSync(path.join(dir, file), '');
  }
  for (const name of fs.readdirSync(dir, { recursive: true, encoding: 'utf8' }))
    fs.utimesSync(path.join(dir, name), OLD, OLD);
  return dir;
}

test('a file that was written since is noticed, at any depth', () => {
  const dir = old('a/b/c.txt', 'd.txt');
  expect(changedSince(dir, { sinceMs: SINCE, nowMs: NOW }, [])).toBe(false);
  fs.utimesSync(path.join(dir, 'a/b/c.txt'), FRESH, FRESH);
  expect(changedSince(dir, { sinceMs: SINCE, nowMs: NOW }, [])).toBe(true);
});

test('what is skipped, is behind a symlink or is not there counts as unchanged', () => {
  const dir = old('node_modules/x.js', 'd.txt');
  const other = old('fresh.txt');
  fs.utimesSync(path.join(dir, 'node_modules/x.js'), FRESH, FRESH);
  fs.utimesSync(path.join(other, 'fresh.txt'), FRESH, FRESH);
  fs.symlinkSync(other, path.join(dir, 'link'));
  fs.lutimesSync(path.join(dir, 'link'), OLD, OLD);
  expect(changedSince(dir, { sinceMs: SINCE, nowMs: NOW }, ['node_modules'])).toBe(false);
  expect(changedSince(path.join(dir, 'gone'), { sinceMs: SINCE, nowMs: NOW }, [])).toBe(false);
});

test('a time in the future was set by a tool, and is no change', () => {
  const dir = old('a.txt');
  fs.utimesSync(path.join(dir, 'a.txt'), new Date('2030-01-01T00:00:00Z'), new Date('2030-01-01T00:00:00Z'));
  expect(changedSince(dir, { sinceMs: SINCE, nowMs: NOW }, [])).toBe(false);
});
