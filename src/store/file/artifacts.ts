/** The files of an attempt that are no records: prompts, drafts, its logs and those of its checks. */

import fs from 'node:fs';
import { whileDoing } from '../../lib/fs/io-errors.ts';
import { readCapped, readFrom } from '../../lib/fs/read.ts';
import type { AttemptArtifacts, AttemptRef, Draft, LogName, OpenLog, WorkerLogs } from '../port.ts';
import type { StateTree } from './tree.ts';

export class FileArtifacts implements AttemptArtifacts {
  readonly #tree: StateTree;

  constructor(tree: StateTree) {
    this.#tree = tree;
  }

  folder({ taskId, attemptId }: AttemptRef): string {
    return this.#tree.layout.attempt(taskId, attemptId);
  }

  logPath(attempt: AttemptRef, log: LogName): string {
    return `${this.folder(attempt)}/logs/${log}`;
  }

  draftPath(attempt: AttemptRef, draft: Draft): string {
    return `${this.folder(attempt)}/${draft}.draft.json`;
  }

  openLogs(attempt: AttemptRef): WorkerLogs {
    const dir = `${this.#ensure(attempt)}/logs`;
    const open = (log: LogName) => fs.openSync(`${dir}/${log}`, 'ax', 0o600);
    return whileDoing(`making the logs in ${dir}`, () => {
      fs.mkdirSync(dir, { mode: 0o700 });
      const [stdout, stderr] = [open('stdout.log'), open('stderr.log')];
      return { stdout, stderr, close: () => [stdout, stderr].forEach((fd) => void fs.closeSync(fd)) };
    });
  }

  openLog(attempt: AttemptRef, log: LogName): OpenLog {
    const file = this.logPath(attempt, log);
    return whileDoing(`opening ${file}`, () => {
      fs.mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true, mode: 0o700 });
      fs.rmSync(file, { force: true });
      const fd = fs.openSync(file, 'ax', 0o600);
      return { fd, close: () => fs.closeSync(fd) };
    });
  }

  readLog(attempt: AttemptRef, log: LogName, offset: number): { text: string; next: number } {
    return readFrom(this.logPath(attempt, log), offset);
  }

  writePrompt(attempt: AttemptRef, text: string): string {
    const file = `${this.#ensure(attempt)}/prompt.md`;
    whileDoing(`writing ${file}`, () => fs.writeFileSync(file, text, { flag: 'wx', mode: 0o600 }));
    return file;
  }

  readDraft(attempt: AttemptRef, draft: Draft, maxBytes: number): string {
    return readCapped(this.draftPath(attempt, draft), maxBytes);
  }

  discard(attempt: AttemptRef): void {
    try {
      fs.rmSync(this.folder(attempt), { recursive: true, force: true });
    } catch {
      // An attempt that nothing refers to did not happen, also where its files stay.
    }
  }

  #ensure({ taskId, attemptId }: AttemptRef): string {
    return this.#tree.ensureAttempt(taskId, attemptId);
  }
}
