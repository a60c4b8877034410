/** A run's own count of the attempts that were taken from it, whatever the records say. */

/** After how many losses in a row a task is left to others: something else has it, or takes it away each time. */
const MAX_IN_A_ROW = 3;

export class Losses {
  readonly #inARow = new Map<string, number>();

  /** Counts the end of an attempt. Why the run does not go on with the task, once too many in a row were lost; else null. */
  count(taskId: string, lost: boolean): string | null {
    const losses = lost ? (this.#inARow.get(taskId) ?? 0) + 1 : 0;
    this.#inARow.set(taskId, losses);
    if (losses < MAX_IN_A_ROW) return null;
    return `task ${taskId} is not started again by this run: ${losses} attempts in a row were taken from it before they ended`;
  }
}
