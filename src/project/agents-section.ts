/**
 * The section of AGENTS.md that tells an agent how to take part: its text, and how it is added and removed without changing
 * another byte. A file is handled as text of one character a byte (latin1), so that any content survives.
 */

export const SECTION_BEGIN = '<!-- forge:begin -->';
export const SECTION_END = '<!-- forge:end -->';

/** ASCII, so that it fits into any encoding but UTF-16. */
const WORDS = `${SECTION_BEGIN}
## Working on tasks with forge

The work in this project is a plan of tasks, which \`forge orchestrate\` gives out, so that many agents can work at once.

**Is \`FORGE_TASK_ID\` set?** Then you were started for that task. Do that one and claim no other; the file that
\`FORGE_PROMPT_FILE\` names has all that you need. Otherwise look what can start, and take a task. TASK, RUN, CLAIM and ATTEMPT
below are the ids that these commands print:

\`\`\`sh
forge orchestrate phases --ready                # what can start now, and what the rest waits for
forge orchestrate claim --next --json           # or: claim TASK; prints task_id, claim_id and run_id
forge orchestrate dispatch TASK --claim CLAIM --run RUN --json    # begin; prints attempt_id and worktree_path
forge orchestrate render-worker-prompt TASK --attempt ATTEMPT     # the task, in full
\`\`\`

Work in the folder \`worktree_path\`, on the branch that is checked out there, and commit; without one, in the project. Every
five minutes or so say that you are alive:

\`\`\`sh
forge orchestrate heartbeat TASK --attempt ATTEMPT
\`\`\`

Then hand in a verdict, such as \`{"verdict": "ready_for_review", "summary": "what you did"}\`. Keep its file, like that of options
below, out of the worktree:

\`\`\`sh
forge orchestrate complete TASK --attempt ATTEMPT --verdict-file VERDICT_FILE
\`\`\`

If it comes to that instead:

\`\`\`sh
# It can't be done:
forge orchestrate complete TASK --attempt ATTEMPT --failed --error-class tests.flaky --message "what went wrong"
# A person must decide. The file: [{"id": "keep", "label": "Keep it"}, {"id": "drop", "label": "Drop it"}]
forge orchestrate question TASK --attempt ATTEMPT --decision-key format --question "Keep the old format?" \\
  --options-file OPTIONS_FILE --json
# You stop before it is done:
forge orchestrate release TASK --claim CLAIM
\`\`\`

- A question that is \`answered\` was decided before: go on with \`option_id\`. One that is \`open\` ends your attempt: stop working.
- Exit code 3: the task is no longer yours. Stop, and change nothing more.
- Exit code 4: nothing that this command could do now. \`forge orchestrate why TASK\` tells what a task waits for.
- Each of these commands may be repeated as it was.
- Never edit anything in \`.forge/orchestrator\`; these commands do.
- More: \`forge orchestrate --help\`, and \`forge orchestrate claim --help\` for any verb.
${SECTION_END}
`;

/** The section with these line ends, including the last line's. */
export function agentsSection(eol: Eol): string {
  return eol === '\n' ? WORDS : WORDS.replaceAll('\n', eol);
}

type Eol = '\n' | '\r\n';

/** Where a file has the section. */
export type Located =
  | { kind: 'none' }
  /** From the first character of its first line to the end of its last line; `own`: it is exactly as forge writes it. */
  | { kind: 'found'; start: number; end: number; eol: Eol; own: boolean }
  /** The markers are not one pair. Lines count from 1. */
  | { kind: 'unclear'; why: string };

/** A marker counts only on a line of its own. */
export function locateSection(text: string): Located {
  const marks = [...text.matchAll(/^<!-- forge:(begin|end) -->[ \t]*(\r?\n|\r?(?![\s\S]))/gm)];
  const [begin, end, more] = marks;
  if (begin === undefined) return { kind: 'none' };
  if (begin[1] !== 'begin' || end === undefined || end[1] !== 'end' || more !== undefined) {
    const lines = marks.map((mark) => `forge:${mark[1]} in line ${text.slice(0, mark.index).split('\n').length}`);
    return { kind: 'unclear', why: lines.join(', ') };
  }
  const eol = begin[2] === '\r\n' ? '\r\n' : '\n';
  const stop = end.index + end[0].length;
  const found = text.slice(begin.index, stop);
  const section = agentsSection(eol);
  const own = found === section || found === section.slice(0, -eol.length);
  return { kind: 'found', start: begin.index, end: stop, eol, own };
}

/**
 * `text` with the section: in its place, or else at the end, after an empty line. A file that is all section has nothing before
 * it, so `withoutSection` can tell a file that did not exist (null) from an empty one.
 */
export function withSection(text: string | null, located: Located): string {
  if (text === null) return agentsSection('\n');
  if (located.kind === 'found') {
    return text.slice(0, located.start) + agentsSection(located.eol) + text.slice(located.end);
  }
  const eol = /^[^\n]*\r\n/.test(text) ? '\r\n' : '\n';
  return text + eol + agentsSection(eol);
}

/** The text before `withSection`; null when there was no file. Text that was added around the section since stays. */
export function withoutSection(text: string, located: Located): string | null {
  if (located.kind !== 'found') return text;
  const before = text.slice(0, located.start);
  const after = text.slice(located.end);
  if (before === '' && after === '') return null;
  return (before.endsWith(located.eol) ? before.slice(0, -located.eol.length) : before) + after;
}
