/** `uninit`: removes what `init` has written and is unchanged. */

import * as z from 'zod/mini';
import { type Addition, withoutAdditions } from '../project/additions.ts';
import { projectToBe } from '../project/find-project.ts';
import { planRemoval, removePlanned } from '../project/init.ts';
import { replaceSharedFile } from '../project/shared-file.ts';
import { command, flag } from './shared/command.ts';

export const uninit = command({
  changes: true,
  notes:
    'Removes only what is still as `init` writes it, and what it added to AGENTS.md, CLAUDE.md and settings of agents. Files\n' +
    'that were changed, and the state of tasks, stay and are named. `forge uninit` is the same.',
  examples: [
    ['uninit --dry-run', 'what would go, and what would stay'],
    ['uninit', 'do it'],
  ],
  input: z.object({ dry_run: flag('Only show what would go') }),
  output: () =>
    z.strictObject({
      project: z.string(),
      /** Files and folders that were removed, as seen from the project's folder; with --dry-run, that would be. */
      removed: z.array(z.string()),
      /** Files from which what is forge's own was taken out, or would be. */
      updated: z.array(z.string()),
      /** What stays although `init`, or what came after it, may have made it. */
      kept: z.array(z.strictObject({ path: z.string(), reason: z.string() })),
    }),
  /**
   * Undoes `init`, with --agents or without: every file is again as it was before. Files that were changed since, and the
   * state of tasks, stay and are named. A repeat finds nothing to undo. Throws IO_ERROR.
   */
  async run(context, { dry_run: dryRun = false }) {
    const paths = projectToBe(context.ctx.cwd, context.dir, context.ctx.env);
    const additions = withoutAdditions(paths.project);
    const changes = additions.flatMap(({ change }) => (change === null ? [] : [change]));
    const nameOf = ({ seen }: Addition) => seen.name;
    const gone = changes.filter(({ text }) => text === null).map(nameOf);
    const planned = planRemoval(paths, gone);
    const stays = ({ seen, text }: Addition) => !replaceSharedFile(paths.project, seen, text);
    const left = dryRun ? [] : [...changes.filter(stays).map(nameOf), ...removePlanned(paths, planned)];
    const isLeft = (path: string) => left.includes(path);
    const removed = [...planned.files.map(({ file }) => file), ...gone, ...planned.folders];
    const updated = changes.filter(({ text }) => text !== null).map(nameOf);
    const kept = [
      ...planned.kept,
      ...left.map((path) => ({ path, reason: 'it has changed just now' })),
      ...additions.flatMap(({ name, reason }) => (reason === null ? [] : [{ path: name, reason }])),
    ];
    return {
      project: paths.project,
      removed: removed.filter((path) => !isLeft(path)),
      updated: updated.filter((path) => !isLeft(path)),
      kept,
    };
  },
});
