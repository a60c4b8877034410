/** Tasks in a real repository whose workers run in worktrees of their own, with their questions and leftover processes. */

import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { FORGE } from '../cli.ts';
import { GIT_ENV, Repository } from '../repository.ts';
import { LiveForge, type RunEvent } from './forge.ts';
import { endAll, leftoversOf } from './plays.ts';
import { freshPlace } from './project.ts';

/** Longer than a test may take. */
const FOREVER_MS = 3_600_000;

export class GitPlay {
  readonly repository: Repository;
  readonly dir: string;
  /** For marks and complaints; outside of the repository. */
  readonly folder: string;
  readonly #live: LiveForge[] = [];

  /** `place`: where one like it was copied to; left out: begins anew. */
  constructor(place: string = freshPlace()) {
    this.dir = `${place}/repository`;
    this.folder = `${place}/play`;
    fs.mkdirSync(this.folder, { recursive: true });
    fs.writeFileSync(`${this.folder}/options.json`, '[{"id":"keep","label":"Keep"},{"id":"drop","label":"Drop"}]');
    this.repository = new Repository(this.dir);
    // For what workers commit.
    fs.appendFileSync(this.repository.path('.git/config'), '[user]\n\tname = Ann\n\temail = ann@example.org\n');
  }

  git(...args: string[]): string {
    return this.repository.git(...args);
  }

  /** What forge, its git and its workers are given. */
  get env(): Record<string, string> {
    return { ...GIT_ENV, FAULT_PLAY: this.folder, FAULT_NODE: process.execPath, FAULT_FORGE: FORGE };
  }

  forge(...args: string[]): LiveForge {
    return this.forgeWith({}, ...args);
  }

  /** One that is given more variables. */
  forgeWith(env: Record<string, string>, ...args: string[]): LiveForge {
    const live = new LiveForge(this.dir, args, { ...this.env, ...env });
    this.#live.push(live);
    return live;
  }

  /** Runs to the end, however many at once, while what is asked is answered. How each ended. */
  async runAll(
    runs: number,
    unanswered: string | null = null,
  ): Promise<{ run: LiveForge; end: Awaited<LiveForge['ended']> }[]> {
    const live = Array.from({ length: runs }, () => this.forge('run', '--wait', '--max-parallel', '3'));
    await Promise.all(live.map((run) => this.#answerIn(run, unanswered)));
    return Promise.all(live.map(async (run) => ({ run, end: await run.ended })));
  }

  /** Answers whenever a run says that something is asked, until it ends. */
  async #answerIn(run: LiveForge, unanswered: string | null): Promise<void> {
    const seen = new Set<RunEvent>();
    const isNew = (event: RunEvent) =>
      event.type === 'question_opened' && event['task_id'] !== unanswered && !seen.has(event);
    for (;;) {
      const event = await run.event('a question', isNew, FOREVER_MS).catch(() => null);
      if (event === null) return;
      seen.add(event);
      await this.answerAll(unanswered);
    }
  }

  /** Answers every open question with both options at once, the first counts; but not the task `unanswered`. */
  async answerAll(unanswered: string | null = null): Promise<void> {
    const open = await this.#open();
    await Promise.all(
      open
        .filter(({ task_id }) => task_id !== unanswered)
        .flatMap(({ question_id }) =>
          ['keep', 'drop'].map((option) => this.forge('answer', question_id, '--option', option).ended),
        ),
    );
  }

  /** Starts runs with these arguments and kills them at random moments, one and two by turns; `then` sees what each kill has left. */
  async killRuns(
    args: readonly string[],
    { kills, lifeMs, random }: { kills: number; lifeMs: number; random: () => number },
    then: () => Promise<void>,
  ): Promise<void> {
    for (let kill = 0; kill < kills; kill++) {
      const runs = Array.from({ length: 1 + (kill % 2) }, () => this.forge(...args));
      // The moment is the fault; nothing is waited for here.
      await sleep(random() * lifeMs);
      for (const run of runs) run.signal('SIGKILL');
      await Promise.all(runs.map((run) => run.ended));
      await then();
    }
  }

  async #open(): Promise<{ question_id: string; task_id: string }[]> {
    const asked = this.forge('questions', '--open');
    await asked.ended;
    const [answer] = asked.events as unknown as { data: { questions: { question_id: string; task_id: string }[] } }[];
    return answer?.data.questions ?? [];
  }

  has(mark: string): boolean {
    return fs.existsSync(`${this.folder}/${mark}`);
  }

  mark(name: string, text = ''): void {
    fs.writeFileSync(`${this.folder}/${name}`, text);
  }

  /** The lines of a file that the workers write to. */
  lines(name: string): string[] {
    return this.has(name) ? fs.readFileSync(`${this.folder}/${name}`, 'utf8').trimEnd().split('\n') : [];
  }

  /** What workers have complained about; empty when all was well. */
  violations(): string {
    return this.lines('violations').join('\n');
  }

  leftovers(): string[] | null {
    return leftoversOf(this.folder);
  }

  cleanUp(): void {
    endAll(this.#live, this.leftovers());
  }
}
