// What the scripts share: where things are, and how they are read and written. Tasks start in the project's folder.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

export const shipped = (...names) => path.join(import.meta.dirname, ...names);
export const report = (...names) => path.join('forge-report', ...names);
export const data = (name) => report('data', `${name}.json`);

export const read = (file) => fs.readFileSync(file, 'utf8');
export const readJson = (file) => JSON.parse(read(file));
export const sha256 = (content) => createHash('sha256').update(content).digest('hex');

/** Writes a file as a whole or not at all: a task that is stopped half-way leaves nothing half-written behind. */
export function write(file, content) {
  const text = typeof content === 'string' ? content : `${JSON.stringify(content)}\n`;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(`${file}.tmp`, text);
  fs.renameSync(`${file}.tmp`, file);
}

/** Ends the task: one line for the log, and an exit code that `errors:` in .forge/settings.yaml knows. */
export function fail(exitCode, why) {
  console.error(why);
  process.exit(exitCode);
}

export const HOUR = 3_600_000;
export const minute = (t) => new Date(t).toISOString().slice(0, 16).replace('T', ' ');
export const metres = (value) => `${value < 0 ? '−' : ''}${Math.abs(value).toFixed(2)} m`;
