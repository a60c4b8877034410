/** Who reviews: a command of the settings, or a coding agent with fewer rights than a worker has. Pure. */

import { parseJson } from '../../lib/json.ts';
import { firstOf, shellWords } from '../../lib/text.ts';
import type { PlanTask } from '../plan/plan.ts';
import { modelFor, PRESETS, presetOf, type WorkerSettings, withArguments } from '../plan/task-command.ts';
import type { Settings } from '../settings/settings.ts';

export type ReviewSettings = Settings['review'];

/** The command that reviews, and the preset that it is of; null where nothing does. */
export function reviewCommand({ command, worker, model, args }: ReviewSettings): ReviewCommand | null {
  if (command !== null) return { command, agent: null };
  if (worker === null) return null;
  const words = [...(model === null ? [] : ['--model', model]), ...args];
  return { command: withArguments(PRESETS[worker].review, shellWords(words)), agent: worker };
}

export interface ReviewCommand {
  command: string;
  /** Its answer is its last message. Null: a command that writes its answer to a file. */
  agent: keyof typeof PRESETS | null;
}

/** That tasks are reviewed by the agent and the model that have done them, as a sentence; none where that is not so. */
export function reviewWarnings(
  tasks: readonly PlanTask[],
  settings: { agents: WorkerSettings; review: ReviewSettings },
): string[] {
  const { worker, model } = settings.review;
  const same = tasks.filter((task) => {
    if (worker === null || task.run !== null || task.human || presetOf(task, settings.agents) !== worker) return false;
    const own = modelFor(task, settings.agents);
    return own === model || own === null || model === null;
  });
  if (same.length === 0) return [];
  const names = firstOf(same.map(({ id }) => id));
  return [
    `review.worker is ${worker}, which does ${names} as well: the model that has written it may be the one that reviews it`,
  ];
}

/**
 * The review in an agent's last words: JSON alone, in a fence, or with words around it. Null where there is none. What it holds is still to
 * be checked.
 */
export function reviewIn(said: string): string | null {
  const fences = [...said.matchAll(/^ {0,3}(`{3,}|~{3,})[^\n]*\n(.*?)\n {0,3}\1/gms)].map(([, , text = '']) => text);
  const around = said.slice(said.indexOf('{'), said.lastIndexOf('}') + 1);
  return (
    [said, ...fences.reverse(), around]
      .map((text) => text.trim())
      .find((text) => text.startsWith('{') && parseJson(text) !== undefined) ?? null
  );
}
