/** Projects whose workers check that they work alone (`worker.sh`), and their complaints. */

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { auditTask, expectOlderViews } from './audit.ts';
import { LiveForge } from './forge.ts';
import { endAll, leftoversOf } from './plays.ts';
import { makeProject, planOf } from './project.ts';

const WORKER = path.join(path.dirname(fileURLToPath(import.meta.url)), 'worker.sh');

export interface PlayTask {
  id: string;
  kind?: 'plain' | 'stubborn' | 'parent' | 'flaky' | 'polite' | 'deaf';
  after?: readonly string[];
  /** Works until this gate is opened. */
  gate?: string;
  /** Seconds of work, when there is no gate. */
  work?: number;
  /** Its result is checked until this gate is opened. */
  checkGate?: string;
  /** An agent works on it, and no `run`. */
  byHand?: boolean;
}

export class Play {
  /** The script of the workers. */
  static readonly worker = WORKER;
  /** What the workers of the project in `dir` need in their environment, as arguments of env(1). */
  static environment(dir: string): string[] {
    return [`FAULT_PLAY=${dir}/play`];
  }

  readonly dir: string;
  readonly tasks: readonly PlayTask[];
  readonly #folder: string;
  readonly #live: LiveForge[] = [];

  /** `agents`: lines of settings below `agents:`. */
  constructor(tasks: readonly PlayTask[], agents: Record<string, number>) {
    this.tasks = tasks;
    const lines = Object.entries(agents).map(([name, value]) => `  ${name}: ${value}`);
    this.dir = makeProject({
      'plans/phases.yaml': planOf(tasks.map((task) => ({ id: task.id, more: lineOf(task) }))),
      '.forge/settings.yaml': `${['agents:', ...lines].join('\n')}\n`,
      'play/locks/README': 'Which process works on which task.\n',
    });
    this.#folder = `${this.dir}/play`;
  }

  /** Starts a command whose workers play here. */
  forge(...args: string[]): LiveForge {
    const live = new LiveForge(this.dir, args, { FAULT_PLAY: this.#folder });
    this.#live.push(live);
    return live;
  }

  open(gate: string): void {
    fs.writeFileSync(`${this.#folder}/gate-${gate}`, '');
  }

  has(mark: string): boolean {
    return fs.existsSync(`${this.#folder}/${mark}`);
  }

  /** The workers that were let through their gates, in order. */
  started(): { task: string; attempt: string; number: number; generation: number; pid: number }[] {
    const file = `${this.#folder}/started`;
    // A worker may be in the middle of its line, and an empty file is none.
    const lines = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
    return lines.map((line) => {
      const [task = '', attempt = '', number, generation, pid] = line.split(' ');
      return { task, attempt, number: Number(number), generation: Number(generation), pid: Number(pid) };
    });
  }

  /** The process groups of the checks that were let run, in order. */
  checks(): number[] {
    const file = `${this.#folder}/checks`;
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n').map(Number) : [];
  }

  /** What workers have complained about; empty when all was well. */
  violations(): string {
    return this.has('violations') ? fs.readFileSync(`${this.#folder}/violations`, 'utf8') : '';
  }

  /** Fails unless every task was done in its order by one worker at a time, and each was credited to an attempt that ended well. */
  expectAllDone(): void {
    expect(this.violations()).toBe('');
    for (const { id } of this.tasks) {
      const { record } = auditTask(this.dir, id);
      if (record === null) throw new Error(`task ${id} has no record`);
      const { state, memo, lease } = record;
      expect({ id, state: state.state, lease }).toEqual({ id, state: 'shipped', lease: null });
      expect(memo.completion?.attempt_id, `task ${id} is shipped by its last attempt`).toBe(state.current_attempt_id);
      expect(this.has(`finished-${state.current_attempt_id}`), `the attempt that shipped ${id} was done`).toBe(true);
      // A process killed right after its commit leaves views behind; readers use the record.
      expectOlderViews(this.dir, id, record);
    }
    const started = this.started();
    const once = (key: (start: (typeof started)[number]) => string) =>
      expect(new Set(started.map(key)).size).toBe(started.length);
    once(({ attempt }) => attempt);
    once(({ task, number }) => `${task} ${number}`);
    once(({ task, generation }) => `${task} ${generation}`);
  }

  leftovers(): string[] | null {
    return leftoversOf(this.#folder);
  }

  cleanUp(): void {
    endAll(this.#live, this.leftovers());
  }
}

function lineOf(task: PlayTask): string {
  const { kind = 'plain', after = [], gate = '', work = 0, checkGate, byHand = false } = task;
  const env = { FAULT_KIND: kind, FAULT_AFTER: after.join(' '), FAULT_GATE: gate, FAULT_WORK: String(work) };
  return [
    `depends_on: ${JSON.stringify(after)}`,
    `env: ${JSON.stringify(env)}`,
    ...(byHand ? [] : [`run: ${JSON.stringify(`exec sh ${WORKER}`)}`]),
    ...(checkGate === undefined ? [] : [`verify: ${JSON.stringify([checkOf(checkGate)])}`]),
  ].join(', ');
}

function checkOf(gate: string): string {
  return `echo $FORGE_COMMAND_PID >> $FAULT_PLAY/checks; until test -e $FAULT_PLAY/gate-${gate}; do sleep 0.1; done`;
}
