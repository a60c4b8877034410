/** `attach`: the questions of a run as they come. */

import * as z from 'zod/mini';
import { runStanding } from '../engine/env.ts';
import { command, runField, SAMPLE } from './shared/command.ts';
import { type QuestionRow, questionRows } from './shared/question-rows.ts';
import { requireRun } from './shared/runs.ts';
import { type CommandContext, openSession } from './shared/session.ts';

/** How often an attached run is looked at, milliseconds. */
const ATTACH_MS = 500;

export interface AttachEvent {
  type: 'question_opened' | 'question_settled';
  question: QuestionRow;
}

export const attach = command({
  changes: false,
  examples: [
    [`attach --run ${SAMPLE.run}`, 'until the run is over, or Ctrl-C'],
    [`attach --run ${SAMPLE.run} --json`, 'an event a line, for a script'],
  ],
  input: z.object({ run: runField('The run to watch') }),
  output: () => z.strictObject({ run_id: z.string(), ended: z.boolean() }),
  /** Emits a run's questions, those that are open first, until the run is over or the signal is aborted. Throws RUN_NOT_FOUND. */
  async run(context: CommandContext<AttachEvent>, { run }) {
    const session = await openSession(context);
    session.lasts();
    const open = new Set<string>();
    /** Ids of what was settled by the last look; null before the first. */
    let settled: Set<string> | null = null;
    for (;;) {
      const manifest = await requireRun(session, run);
      const { run_id } = manifest;
      // Asked before looking: what was asked until the run's end is still told.
      const standing = runStanding(session, manifest);
      const rows = await questionRows(session, { run: run_id });
      for (const question of rows) {
        const { question_id: id, status } = question;
        // It may be asked and settled between two looks.
        if (!open.has(id) && (status === 'open' || (isSettled(question) && settled?.has(id) === false))) {
          open.add(id);
          context.emit?.({ type: 'question_opened', question });
        }
        if (status !== 'open' && open.delete(id)) context.emit?.({ type: 'question_settled', question });
      }
      settled = new Set(rows.filter(isSettled).map((question) => question.question_id));
      if (standing !== 'open') return { run_id, ended: true };
      if (context.signal?.aborted) return { run_id, ended: false };
      await new Promise((resolve) => setTimeout(resolve, ATTACH_MS));
    }
  },
});

function isSettled({ status }: QuestionRow): boolean {
  return status === 'answered' || status === 'expired';
}
