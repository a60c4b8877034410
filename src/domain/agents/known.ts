/** Which agents' output is understood. What reads it is `output.ts`, which only those load that have some. */

import type { PlanTask } from '../plan/plan.ts';
import { commandSource, type WorkerSettings } from '../plan/task-command.ts';

/** The command by which a person logs in to each, by the name of its preset. */
export const LOGINS = {
  claude: 'claude /login',
  codex: 'codex login',
  copilot: 'copilot login',
  gemini: 'gemini',
  opencode: 'opencode auth login',
  qwen: 'qwen auth',
} as const;

export type PresetAgent = keyof typeof LOGINS;

/** `acp`: one that speaks the Agent Client Protocol, of whichever maker. */
export type Agent = PresetAgent | 'acp';

export function isPresetAgent(name: string | null | undefined): name is PresetAgent {
  return typeof name === 'string' && Object.hasOwn(LOGINS, name);
}

export function isAgent(name: string | null | undefined): name is Agent {
  return name === 'acp' || isPresetAgent(name);
}

/** The agent whose structured output a task's worker writes, when a run starts it; null for any other worker. */
export function agentFor(task: Pick<PlanTask, 'run' | 'worker'>, settings: WorkerSettings): Agent | null {
  const from = commandSource(task, settings);
  return isAgent(from) ? from : null;
}
