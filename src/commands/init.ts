/** `init`: a first plan and settings, to go on from; for agents a section of AGENTS.md. */

import path from 'node:path';
import * as z from 'zod/mini';
import { ForgeError } from '../lib/errors.ts';
import { writeNew } from '../lib/fs/new-file.ts';
import * as agents from '../project/agents-file.ts';
import { projectToBe } from '../project/find-project.ts';
import { initFiles } from '../project/init.ts';
import { openStores } from '../store/open.ts';
import { command, flag } from './shared/command.ts';

const output = () =>
  z.strictObject({
    project: z.string(),
    /** Files that were written, as seen from the project's folder. */
    created: z.array(z.string()),
    /** Files in which forge's own section was written or brought up to date. */
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
    ['init --agents', 'and add a section to AGENTS.md, or bring it up to date'],
  ],
  input: z.object({ agents: flag('Also tell agents in AGENTS.md how to take part') }),
  output,
  /**
   * Writes what is missing of: a plan that runs as it is, settings with every key explained, and the JSON Schemas that
   * editors check both with. Works in the current folder, or in --dir. A second time it changes nothing.
   * Throws SCHEMA_INVALID, IO_ERROR when AGENTS.md can't take the section; nothing is written then.
   */
  async run(context, { agents: forAgents = false }) {
    const paths = projectToBe(context.ctx.cwd, context.dir, context.ctx.env);
    const section = forAgents ? sectionFor(paths.project) : null;
    openStores(paths).store.ensureTree();
    const data: InitData = { project: paths.project, created: [], updated: [], kept: [] };
    for (const { file, text } of initFiles(paths)) {
      const written = writeNew(path.join(paths.project, file), text());
      (written ? data.created : data.kept).push(file);
    }
    if (section !== null) {
      const { seen, text } = section;
      if (text !== seen.text) agents.replaceAgentsFile(seen, text);
      const list = seen.text === null ? data.created : text === seen.text ? data.kept : data.updated;
      list.push(agents.AGENTS_FILE);
    }
    return data;
  },
});

function sectionFor(project: string): { seen: agents.AgentsFile; text: string } {
  const seen = agents.readAgentsFile(project);
  const located = agents.locateSection(seen.text ?? '');
  if (located.kind !== 'unclear') return { seen, text: agents.withSection(seen.text, located) };
  throw new ForgeError('SCHEMA_INVALID', `${seen.path} does not have forge's markers once, in order: ${located.why}`, {
    hint: 'Remove these lines, and what is left of the section between them, by hand. Then repeat the command.',
  });
}
