/** A run's own count of the attempts that were taken from it, whatever the records say. */

/** After how many losses in a row a task is left to others: something else has it, or takes it away each time. */
const MAX_IN_A_ROW = 3;

/** Counts the ends of attempts. Why the run does not go on with a task, once too many in a row were lost; else null. */
export function lossCounter(): (taskId: string, lost: boolean) => string | null {
  const inARow = new Map<string, number>();
  return (taskId, lost) => {
    const losses = lost ? (inARow.get(taskId) ?? 0) + 1 : 0;
    inARow.set(taskId, losses);
    if (losses < MAX_IN_A_ROW) return null;
    return `task ${taskId} is not started again by this run: ${losses} attempts in a row were taken from it before they ended`;
  };
}
