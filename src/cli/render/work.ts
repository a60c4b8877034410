/** The answers of the verbs that an agent, or an operator, works with: what is so now, and what comes next. */

import { findingText } from '../../domain/review/findings.ts';
import { firstOf, oneLine, plainJson, plainText, plural } from '../../lib/text.ts';
import { formatDuration } from '../../lib/time.ts';
import { hang } from '../layout.ts';
import type { RenderContext } from '../render-context.ts';
import type { Renderers } from '../view.ts';
import { inColourOf, nextCommands, timeLeft } from './parts.ts';

export const WORK = {
  claim({ task_id, claim_id, run_id, generation, expires_at }, context) {
    const left = formatDuration(timeLeft(expires_at, context));
    return [
      `Claimed ${context.palette.bold(task_id)} (generation ${generation}). The lease runs for ${left}.`,
      '',
      ...nextCommands([`forge orchestrate dispatch ${task_id} --claim ${claim_id} --run ${run_id}`], context),
      '',
      ...nextCommands([`forge orchestrate release ${task_id} --claim ${claim_id}`], context, 'Or give it back'),
    ].join('\n');
  },

  dispatch({ task_id, attempt_id, attempt_number, worktree_path }, context) {
    const attempt = `${task_id} --attempt ${attempt_id}`;
    const next = (title: string, command: string) => ['', ...nextCommands([command], context, title)];
    return [
      `Attempt ${attempt_number} of ${context.palette.bold(task_id)} is open.`,
      ...(worktree_path === null ? [] : [`Work in ${plainText(worktree_path)}`]),
      ...next('While you work, to keep the lease', `forge orchestrate heartbeat ${attempt}`),
      ...next('When it is done', `forge orchestrate complete ${attempt} --verdict-file verdict.json`),
      ...next('When it failed', `forge orchestrate complete ${attempt} --failed --error-class tests`),
    ].join('\n');
  },

  'ensure-worktree'({ task_id, worktree_path, branch, created }, { palette }) {
    const what = created ? 'has a new worktree' : 'has its worktree';
    return `${palette.bold(task_id)} ${what}, branch ${branch}, in ${plainText(worktree_path)}`;
  },

  heartbeat: ({ task_id, expires_at }, context) =>
    `${context.palette.bold(task_id)} is yours for ${formatDuration(timeLeft(expires_at, context))} more.`,

  event: ({ task_id, type }, { palette }) => `Noted ${oneLine(type)} of ${palette.bold(task_id)}.`,

  'guardrail-check'({ paths }, { palette }) {
    const lines = paths.map(({ path, glob, option_id, decision_key }) => {
      const decided = `${oneLine(option_id ?? '')}, as asked under ${oneLine(decision_key ?? '')}`;
      return `${palette.bold(plainText(path))} ${glob === null ? 'is not protected' : `is protected by ${glob}: ${decided}`}.`;
    });
    return lines.join('\n');
  },

  complete({ task_id, state, next_eligible_at, failure_reason }, context) {
    const reason = failure_reason === null ? '' : ` (${failure_reason})`;
    const lines = [`${isNow(task_id, state, context)}${reason}.`];
    if (state === 'awaiting_respawn') lines.push(againText(next_eligible_at, context));
    if (state === 'failed') lines.push('', ...nextCommands([`forge orchestrate retry ${task_id}`], context));
    return lines.join('\n');
  },

  release: ({ task_id, state }, context) =>
    `${context.palette.bold(task_id)} is given back: ${inColourOf(state, context)}.`,

  cancel({ task_id, state, children }, context) {
    const more =
      children === 0 ? '' : ` So ${children === 1 ? 'is' : 'are'} ${plural(children, 'child', 'children')} of it.`;
    return `${isNow(task_id, state, context)}.${more}`;
  },

  retry({ tasks }, context) {
    const lines = tasks.map(({ task_id, state }) => `${isNow(task_id, state, context)}, and can be tried again.`);
    return lines.length === 0 ? 'No such task has failed.' : lines.join('\n');
  },

  rerun({ tasks, dependents, dry_run }, context) {
    const { bold } = context.palette;
    const word = dry_run ? 'would be begun again' : 'is begun again';
    const lines = tasks.map(({ task_id }) => `${bold(task_id)} ${word} from the start.`);
    if (dependents.length === 0) return lines.join('\n');
    const next = `forge orchestrate rerun ${tasks.map(({ task_id }) => task_id).join(' ')} --with-dependents`;
    // A run does those with `cache` again by itself.
    const are = dependents.length === 1 ? ['was', 'is'] : ['were', 'are'];
    const said = `${firstOf(dependents)} ${are[0]} made of what came of it before, and ${are[1]} not begun again here.`;
    return [...lines, said, '', ...nextCommands([next], context, 'To do that again too')].join('\n');
  },

  done: ({ tasks }, context) =>
    tasks
      .map(({ task_id, state, by_hand, children }) => {
        const are = `${plural(children, 'child', 'children')} of it ${children === 1 ? 'is' : 'are'} cancelled`;
        return `${isNow(task_id, state, context)}${by_hand ? ', by hand' : ''}.${children === 0 ? '' : ` ${are}.`}`;
      })
      .join('\n'),

  forget: ({ tasks }, { palette }) =>
    tasks.length === 0 ? 'Nothing was removed.' : tasks.map((id) => `${palette.bold(id)} is forgotten.`).join('\n'),

  exec({ task_id, state, attempt_number, next_eligible_at, why }, context) {
    const because = why === null ? '' : `: ${oneLine(why)}`;
    const again = state === 'awaiting_respawn' ? ` ${againText(next_eligible_at, context)}` : '';
    return `${isNow(task_id, state, context)} after attempt ${attempt_number}${because}.${again}`;
  },

  review({ task_id, state, findings }, context) {
    const lines = findings.flatMap((finding) => hang(`  ${finding.severity}  `, findingText(finding), context.width));
    const next = state === 'reviewed' ? ['', ...nextCommands([`forge orchestrate ship ${task_id}`], context)] : [];
    const first = `${context.palette.bold(task_id)} passed: it is ${inColourOf(state, context)}.`;
    return [first, ...lines, ...next].join('\n');
  },

  ship({ task_id, state, base, merge_sha }, context) {
    const now = isNow(task_id, state, context);
    if (base === null) return `${now}.`;
    if (merge_sha === null) return `${now}; ${oneLine(base)} has its work already.`;
    return `${now}: merged into ${oneLine(base)} by ${merge_sha.slice(0, 12)}.`;
  },

  hook: ({ answer }) => (answer === null ? '' : plainJson(answer)),

  'render-worker-prompt': ({ prompt }) => prompt.trimEnd(),
} satisfies Partial<Renderers>;

/** `build is shipped` */
function isNow(taskId: string, state: string, context: RenderContext): string {
  return `${context.palette.bold(taskId)} is ${inColourOf(state, context)}`;
}

function againText(nextEligibleAt: string | null, context: RenderContext): string {
  const left = timeLeft(nextEligibleAt, context);
  return left > 0 ? `It may be claimed again in ${formatDuration(left)}.` : 'It may be claimed again now.';
}
