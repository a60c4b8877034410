/** A project in a repository whose tasks are reviewed, merged, or both. */

import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type CliResult, folder, orchestrate, project, type StartedCli, startCli, within } from './cli.ts';
import { copyProject, dropProject } from './faults/project.ts';
import { GIT_ENV, Repository } from './repository.ts';

const { PATH: _, ...env } = GIT_ENV;

/** Adds a file of its own and commits it. */
export const WORK =
  'echo done > $FORGE_TASK_ID.txt; git add -A; git -c user.name=w -c user.email=w@x commit -qm $FORGE_TASK_ID';

/** A reviewer that writes its input to `told` and answers with `answer.json` of the project. */
const REVIEWER = `#!/bin/sh
{ pwd; echo "$FORGE_PHASE $FORGE_TASK_ID $FORGE_REVIEW_BASE $FORGE_REVIEW_HEAD"; } > "$FORGE_DIR/.forge/told"
cat "$FORGE_PROMPT_FILE" > "$FORGE_DIR/.forge/prompt"
cat "$FORGE_DIR/.forge/answer.json" > "$FORGE_REVIEW_FILE"
`;

export interface Finishing {
  repo: Repository;
  at: string;
  forge(...args: string[]): Promise<CliResult>;
  start(...args: string[]): StartedCli;
  /** `data` of a verb that must succeed. */
  data(...args: string[]): ReturnType<CliResult['json']>;
  /** What the reviewer answers from now on. */
  answers(review: object | string): void;
  /** A file below `.forge` that the reviewer wrote. */
  read(name: string): string;
  state(task: string): Promise<{ state: string; [field: string]: unknown }>;
}

/** Tasks as YAML flow mappings without braces. `settings` stands below `workspace: worktree`. */
export function finishing(tasks: readonly string[], settings: string, files: Record<string, string> = {}): Finishing {
  const at = project(tasks, {
    '.forge/settings.yaml': `workspace: worktree\n${settings}\n`,
    '.forge/.gitignore': '*\n!settings.yaml\n',
    'review.sh': REVIEWER,
    ...files,
  });
  fs.chmodSync(path.join(at, 'review.sh'), 0o755);
  const repo = new Repository(at);
  repo.git('add', '--all');
  repo.git('commit', '--quiet', '--message', 'first');
  const forge = (...args: string[]) => orchestrate(args, { cwd: at, env });
  const data = async (...args: string[]) => {
    const result = await forge(...args, '--json');
    if (result.code !== 0) throw new Error(`${args.join(' ')}: ${result.stdout}${result.stderr}`);
    return result.json().data;
  };
  const made = {
    repo,
    at,
    forge,
    start: (...args: string[]) => startCli(['orchestrate', ...args], { cwd: at, env }),
    data,
    answers: (review: object | string) =>
      fs.writeFileSync(repo.path('.forge/answer.json'), typeof review === 'string' ? review : JSON.stringify(review)),
    read: (name: string) => fs.readFileSync(repo.path('.forge', name), 'utf8'),
    state: async (task: string) => (await within(['show', task], { cwd: at, env })).state,
  };
  made.answers({ verdict: 'pass' });
  return made;
}

const kept = new Map<string, { play: Finishing; copy: string }>();

/**
 * What `make` makes, once a test file for each `name`. Later calls put it back as it was, in the same place, since git and
 * forge name paths. So only one test at a time can have it.
 */
export async function again(name: string, make: () => Promise<Finishing>): Promise<Finishing> {
  // Each test file has a temporary folder of its own.
  const key = `${tmpdir()} ${name}`;
  const known = kept.get(key);
  if (known === undefined) {
    const play = await make();
    kept.set(key, { play, copy: copyProject(play.at, folder()) });
    return play;
  }
  dropProject(known.play.at);
  copyProject(known.copy, known.play.at);
  return known.play;
}
