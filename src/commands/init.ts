/** `init`: a first plan and settings, to go on from; and for agents what tells them how to take part. */

import path from 'node:path';
import * as z from 'zod/mini';
import { ForgeError } from '../lib/errors.ts';
import { writeNew } from '../lib/fs/new-file.ts';
import { canBeIn, hooksFor, sectionsFor } from '../project/additions.ts';
import { findProject, projectToBe } from '../project/find-project.ts';
import { agentFiles, initFiles } from '../project/init.ts';
import { replaceSharedFile } from '../project/shared-file.ts';
import { openStores } from '../store/open.ts';
import { command, flag } from './shared/command.ts';

const output = () =>
  z.strictObject({
    project: z.string(),
    /** Files that were written, as seen from the project's folder. */
    created: z.array(z.string()),
    /** Files in which what is forge's own was written or brought up to date. */
    updated: z.array(z.string()),
    /** Files that were there already and were left as they are. */
    kept: z.array(z.string()),
  });
export type InitData = z.infer<ReturnType<typeof output>>;

export const init = command({
  changes: true,
  notes: 'Writes only what is missing, so it may be repeated. `forge init` is the same.',
  examples: [
    ['init', 'in the current folder'],
    ['init --dir ../other', 'in another one'],
    ['init --agents', 'and tell agents in AGENTS.md, CLAUDE.md and a skill how to take part'],
    ['init --agents --hooks', 'and have Claude Code ask forge at fixed points'],
  ],
  input: z.object({
    agents: flag('Also tell agents how to take part: AGENTS.md, CLAUDE.md, and a skill for Claude Code'),
    hooks: flag('Also add hooks that ask forge to the settings of Claude Code'),
  }),
  output,
  /**
   * Writes what is missing of: a plan that runs as it is, settings with every key explained, and the JSON Schemas that
   * editors check both with. Works in the current folder, or in --dir. A second time it changes nothing.
   * Throws SCHEMA_INVALID, IO_ERROR when a file of a person can't take what is added; nothing is written then.
   */
  async run(context, { agents = false, hooks = false }) {
    const paths = projectToBe(context.ctx.cwd, context.dir, context.ctx.env);
    const additionsNow = (warn: (message: string) => void) => [
      ...(agents ? sectionsFor(paths.project, warn) : []),
      ...(hooks ? [hooksFor(paths.project)] : []),
    ];
    const additions = additionsNow(context.warn);
    const skills = agents ? agentFiles().filter(({ file }) => canBeIn(paths.project, file, context.warn)) : [];
    again(() => openStores(paths).store.ensureTree());
    const data: InitData = { project: paths.project, created: [], updated: [], kept: [] };
    for (const { file, text } of [...initFiles(paths), ...skills]) {
      const written = again(() => writeNew(path.join(paths.project, file), text()));
      (written ? data.created : data.kept).push(file);
    }
    for (let { seen, text } of additions) {
      const isPut = () => replaceSharedFile(paths.project, seen, text);
      while (text !== seen.text && !again(isPut)) {
        // Another `init`, or a person, was first: what they have written stays.
        const now = additionsNow(() => {}).find((each) => each.seen.name === seen.name);
        ({ seen, text } = now ?? { seen, text: seen.text });
      }
      const list = seen.text === null ? data.created : text === seen.text ? data.kept : data.updated;
      list.push(seen.name);
    }
    const used = context.dir === undefined ? findProject(context.ctx.cwd, undefined)?.project : paths.project;
    if (used !== undefined && used !== paths.project)
      context.warn(
        `the worktrees of a repository share one project, and commands in this one use ${used}; with --dir they use what is here`,
      );
    return data;
  },
});

/** Most removals of a folder, while a file is made in it, that are no failure. */
const REMOVALS = 10;

/** Does what makes a file and the folders above it again where such a folder goes away meanwhile, as by an `uninit`. Throws IO_ERROR. */
function again<T>(write: () => T): T {
  for (let left = REMOVALS; ; left--) {
    try {
      return write();
    } catch (error) {
      const isGone = error instanceof ForgeError && error.details['errno'] === 'ENOENT';
      if (!isGone || left === 0) throw error;
    }
  }
}
