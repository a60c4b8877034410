/** The answers of the verbs that an agent, or an operator, works with: what is so now, and what comes next. */

import type { DispatchData } from '../../commands/dispatch.ts';
import type { EnsureWorktreeData } from '../../commands/ensure-worktree.ts';
import type { EventData } from '../../commands/event.ts';
import type { ExecData } from '../../commands/exec.ts';
import type { GuardrailData } from '../../commands/guardrail-check.ts';
import type { CompleteResult } from '../../domain/task/complete-attempt.ts';
import type { ClaimResult, HeartbeatResult, MoveResult } from '../../domain/task/operations.ts';
import { oneLine, plainText } from '../../lib/text.ts';
import { formatDuration, fromIso } from '../../lib/time.ts';
import type { Look } from '../look.ts';
import { nextCommands } from './next.ts';
import { inColourOf } from './states.ts';

function name(taskId: string, { palette }: Look): string {
  return palette.bold(taskId);
}

export function renderClaim({ task_id, claim_id, run_id, generation, expires_at }: ClaimResult, look: Look): string {
  const { nowMs } = look;
  const left = formatDuration(fromIso(expires_at) - nowMs);
  return [
    `Claimed ${name(task_id, look)} (generation ${generation}). The lease runs for ${left}.`,
    '',
    ...nextCommands([`forge orchestrate dispatch ${task_id} --claim ${claim_id} --run ${run_id}`], look),
    '',
    ...nextCommands([`forge orchestrate release ${task_id} --claim ${claim_id}`], look, 'Or give it back'),
  ].join('\n');
}

export function renderDispatch(
  { task_id, attempt_id, attempt_number, worktree_path }: DispatchData,
  look: Look,
): string {
  const attempt = `${task_id} --attempt ${attempt_id}`;
  return [
    `Attempt ${attempt_number} of ${name(task_id, look)} is open.`,
    ...(worktree_path === null ? [] : [`Work in ${plainText(worktree_path)}`]),
    '',
    ...nextCommands([`forge orchestrate heartbeat ${attempt}`], look, 'While you work, to keep the lease'),
    '',
    ...nextCommands([`forge orchestrate complete ${attempt} --verdict-file verdict.json`], look, 'When it is done'),
    '',
    ...nextCommands([`forge orchestrate complete ${attempt} --failed --error-class tests`], look, 'When it failed'),
  ].join('\n');
}

export function renderEnsureWorktree(
  { task_id, worktree_path, branch, created }: EnsureWorktreeData,
  look: Look,
): string {
  const what = created ? 'has a new worktree' : 'has its worktree';
  return `${name(task_id, look)} ${what}, branch ${branch}, in ${plainText(worktree_path)}`;
}

export function renderHeartbeat({ task_id, expires_at }: HeartbeatResult, look: Look): string {
  return `${name(task_id, look)} is yours for ${formatDuration(fromIso(expires_at) - look.nowMs)} more.`;
}

export function renderEvent({ task_id, type }: EventData, look: Look): string {
  return `Noted ${oneLine(type)} of ${name(task_id, look)}.`;
}

export function renderGuardrails({ paths }: GuardrailData, { palette }: Look): string {
  return paths
    .map(({ path, glob, option_id, decision_key }) => {
      const decided = `${oneLine(option_id ?? '')}, as asked under ${oneLine(decision_key ?? '')}`;
      return `${palette.bold(plainText(path))} ${glob === null ? 'is not protected' : `is protected by ${glob}: ${decided}`}.`;
    })
    .join('\n');
}

export function renderComplete(
  { task_id, state, next_eligible_at, failure_reason }: CompleteResult,
  look: Look,
): string {
  const lines = [`${name(task_id, look)} is ${inColourOf(state, state, look)}${reasonText(failure_reason)}.`];
  if (state === 'awaiting_respawn') lines.push(againText(next_eligible_at, look));
  if (state === 'failed') lines.push('', ...nextCommands([`forge orchestrate retry ${task_id}`], look));
  return lines.join('\n');
}

function reasonText(reason: string | null): string {
  return reason === null ? '' : ` (${reason})`;
}

function againText(nextEligibleAt: string | null, { nowMs }: Look): string {
  const left = nextEligibleAt === null ? 0 : fromIso(nextEligibleAt) - nowMs;
  return left > 0 ? `It may be claimed again in ${formatDuration(left)}.` : 'It may be claimed again now.';
}

export function renderRelease({ task_id, state }: MoveResult, look: Look): string {
  return `${name(task_id, look)} is given back: ${inColourOf(state, state, look)}.`;
}

export function renderCancel({ task_id, state }: MoveResult, look: Look): string {
  return `${name(task_id, look)} is ${inColourOf(state, state, look)}.`;
}

export function renderRetry({ task_id, state }: MoveResult, look: Look): string {
  return `${name(task_id, look)} is ${inColourOf(state, state, look)} and may be claimed.`;
}

export function renderExec({ task_id, state, attempt_number, next_eligible_at, why }: ExecData, look: Look): string {
  const because = why === null ? '' : `: ${oneLine(why)}`;
  const again = state === 'awaiting_respawn' ? ` ${againText(next_eligible_at, look)}` : '';
  return `${name(task_id, look)} is ${inColourOf(state, state, look)} after attempt ${attempt_number}${because}.${again}`;
}
