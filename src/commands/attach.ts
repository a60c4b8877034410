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
    for (;;) {
      const manifest = await requireRun(session, run);
      const { run_id } = manifest;
      // Asked before looking: what was asked until the run's end is still told.
      const standing = runStanding(session, manifest);
      for (const question of await questionRows(session, { run: run_id })) {
        if (question.status === 'open' && !open.has(question.question_id)) {
          open.add(question.question_id);
          context.emit?.({ type: 'question_opened', question });
        } else if (question.status !== 'open' && open.delete(question.question_id)) {
          context.emit?.({ type: 'question_settled', question });
        }
      }
      if (standing !== 'open') return { run_id, ended: true };
      if (context.signal?.aborted) return { run_id, ended: false };
      await new Promise((resolve) => setTimeout(resolve, ATTACH_MS));
    }
  },
});
