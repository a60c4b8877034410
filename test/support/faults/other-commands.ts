/** The changing commands that no owner of a task makes, under faults: the project that each starts on. */

import fs from 'node:fs';
import path from 'node:path';
import { complete } from '../../../src/commands/complete.ts';
import { question } from '../../../src/commands/question.ts';
import type { VerbName } from '../../../src/commands/registry.ts';
import { runStart } from '../../../src/commands/run-start.ts';
import { GUARDRAIL_KEY } from '../../../src/domain/verify/guardrails.ts';
import { Repository } from '../repository.ts';
import { ask, callOn, PROJECT } from './forge.ts';
import { makeProject } from './project.ts';
import { OTHER, project, SETTINGS, TASK, worked } from './scenarios.ts';
import { withJournal } from './step-scenarios.ts';

export interface OtherCommand {
  verb: VerbName;
  /** Makes the project; returns the command line that works on it and on copies of it. */
  prepare(): Promise<{ dir: string; args: string[] }>;
  /** It starts processes, so only steady calls can be aimed at. Default: false. */
  steady?: boolean;
}

const PROTECTED = `${SETTINGS}agents: { preflight_globs: ["migrations/**"] }\n`;
/** Files of a person that init adds to. */
const CLAUDE = { 'README.md': 'x\n', 'CLAUDE.md': '# Rules\n', '.claude/settings.json': '{"model": "opus"}\n' };

/** An attempt whose question, whether a protected file may be changed, was answered: yes. */
async function cleared(dir: string): Promise<string> {
  const options_file = `${dir}/options.json`;
  const attempt = await worked(dir, { beats: 0 });
  const asked = { task: TASK, attempt, decision_key: `${GUARDRAIL_KEY}migrations/1.sql`, question: '?', options_file };
  const { question_id } = await question.run(callOn(dir), asked);
  await ask(dir, 'answer', question_id ?? '', '--option', 'allow');
  return worked(dir, { beats: 0, claim: OTHER });
}

export const OTHER_COMMANDS: readonly OtherCommand[] = [
  {
    verb: 'event',
    async prepare() {
      const dir = project();
      const attempt = await worked(dir, { beats: 0 });
      return { dir, args: ['event', TASK, '--attempt', attempt, '--type', 'note', '--data', '{"half":true}'] };
    },
  },
  {
    verb: 'ensure-worktree',
    steady: true,
    async prepare() {
      const dir = project({ '.forge/settings.yaml': SETTINGS, '.forge/.gitignore': '*\n' });
      new Repository(dir).commit({ 'a.txt': 'a' });
      return { dir, args: ['ensure-worktree', TASK] };
    },
  },
  {
    verb: 'add',
    async prepare() {
      return { dir: project(), args: ['add', 'More of it'] };
    },
  },
  {
    verb: 'edit',
    async prepare() {
      return { dir: project(), args: ['edit', TASK, '--set', 'title=Another'] };
    },
  },
  {
    verb: 'drop',
    async prepare() {
      return { dir: project(), args: ['drop', TASK] };
    },
  },
  {
    verb: 'steps',
    async prepare() {
      const dir = project();
      await withJournal(dir);
      return { dir, args: ['steps', TASK, '--reset', 'done'] };
    },
  },
  {
    verb: 'run start',
    async prepare() {
      return { dir: project(), args: ['run', 'start', '--name', 'night'] };
    },
  },
  {
    verb: 'run end',
    async prepare() {
      const dir = project();
      const { run_id } = await runStart.run(callOn(dir), {});
      return { dir, args: ['run', 'end', '--run', run_id] };
    },
  },
  {
    verb: 'init',
    async prepare() {
      return { dir: makeProject(CLAUDE), args: ['init', '--agents', '--hooks'] };
    },
  },
  {
    verb: 'uninit',
    async prepare() {
      const dir = makeProject(CLAUDE);
      await ask(dir, 'init', '--agents', '--hooks');
      return { dir, args: ['uninit'] };
    },
  },
  {
    verb: 'hook',
    async prepare() {
      const dir = project({ '.forge/settings.yaml': PROTECTED });
      const attempt = await worked(dir, { beats: 0 });
      const tool_input = { file_path: `${PROJECT}/migrations/1.sql` };
      const event = JSON.stringify({ hook_event_name: 'PreToolUse', tool_input });
      return { dir, args: ['hook', 'claude', '--task', TASK, '--attempt', attempt, '--event', event] };
    },
  },
  {
    verb: 'guardrail-check',
    async prepare() {
      const dir = project({
        '.forge/settings.yaml': PROTECTED,
        'options.json': '[{"id": "allow", "label": "Go on"}, {"id": "deny", "label": "Leave it"}]',
      });
      const attempt = await cleared(dir);
      return { dir, args: ['guardrail-check', TASK, '--attempt', attempt, '--path', `${PROJECT}/migrations/1.sql`] };
    },
  },
  {
    verb: 'rerun',
    async prepare() {
      return { dir: await shipped(), args: ['rerun', TASK] };
    },
  },
  {
    verb: 'done',
    async prepare() {
      return { dir: project(), args: ['done', TASK, '--note', 'elsewhere'] };
    },
  },
  {
    verb: 'forget',
    async prepare() {
      const dir = await shipped();
      const plan = path.join(dir, 'plans/phases.yaml');
      fs.writeFileSync(plan, fs.readFileSync(plan, 'utf8').replace(`id: ${TASK},`, 'id: other,'));
      return { dir, args: ['forget', TASK] };
    },
  },
];

async function shipped(): Promise<string> {
  const dir = project();
  const attempt = await worked(dir, { beats: 1 });
  const verdict_file = path.join(dir, 'verdict.json');
  fs.writeFileSync(verdict_file, '{"verdict": "ready_for_review", "summary": "done"}');
  await complete.run(callOn(dir), { task: TASK, attempt, verdict_file });
  return dir;
}
