/** `uninit`: removes what `init` has written and is unchanged. */

import * as z from 'zod/mini';
import { ForgeError } from '../lib/errors.ts';
import * as agents from '../project/agents-file.ts';
import { projectToBe } from '../project/find-project.ts';
import { planRemoval, removePlanned } from '../project/init.ts';
import { command, flag } from './shared/command.ts';

export const uninit = command({
  changes: true,
  notes:
    'Removes only what is still as `init` writes it, and the section of AGENTS.md. Files that were changed, and the state of\n' +
    'tasks, stay and are named. `forge uninit` is the same.',
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
      /** Files from which forge's own section was taken out, or would be. */
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
    const section = sectionOf(paths.project);
    const planned = planRemoval(paths);
    if (!dryRun && section !== null && 'seen' in section) agents.replaceAgentsFile(section.seen, section.text);
    const left = dryRun ? [] : removePlanned(paths, planned);
    const removed = [...planned.files.map(({ file }) => file), ...planned.folders].filter(
      (path) => !left.includes(path),
    );
    const kept = [...planned.kept, ...left.map((path) => ({ path, reason: 'it has changed just now' }))];
    const updated: string[] = [];
    if (section !== null) {
      if ('reason' in section) kept.push({ path: agents.AGENTS_FILE, reason: section.reason });
      else (section.text === null ? removed : updated).push(agents.AGENTS_FILE);
    }
    return { project: paths.project, removed, updated, kept };
  },
});

/** The file without its section, or why that has to stay; null when there is none. */
function sectionOf(project: string): { seen: agents.AgentsFile; text: string | null } | { reason: string } | null {
  let seen: agents.AgentsFile;
  try {
    seen = agents.readAgentsFile(project);
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    return { reason: error.message };
  }
  const located = agents.locateSection(seen.text ?? '');
  if (seen.text === null || located.kind === 'none') return null;
  if (located.kind === 'unclear') return { reason: `its markers are not there once, in order: ${located.why}` };
  if (!located.own) {
    return { reason: 'its section is not as init writes it; `forge init --agents` writes it anew, then it can go' };
  }
  const text = agents.withoutSection(seen.text, located);
  // What a symlink leads to was there before.
  return { seen, text: text === null && seen.linked ? '' : text };
}
