/** The files that a run leaves for CI: JUnit XML, and a summary in Markdown. */

import path from 'node:path';
import { isOverByPlan, type Plan, type PlanTask } from '../../domain/plan/plan.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import { RunReporter } from '../../domain/run/report.ts';
import { fatesOf } from '../../domain/schedule/fates.ts';
import { errorMessage, invalidArgs } from '../../lib/errors.ts';
import { isoTime } from '../../lib/time.ts';
import { PLAN_PLACES } from '../../project/find-project.ts';
import { isThere, readUserFile, requireWritable, writeUserFile } from '../../project/user-files.ts';
import { readAll } from './reads.ts';
import type { Session } from './session.ts';

/** Of a summary that is added to, bytes: GitHub takes less. */
const SUMMARY_MAX_BYTES = 16 * 1024 * 1024;

/** Paths, as the user wrote them. */
export interface ReportFiles {
  junit?: string | undefined;
  summary?: string | undefined;
}

export interface RunReports {
  add(event: RunEvent): void;
  /** `plan`: as it is at the end; `selected`: which of its tasks the run was to do. Never throws: what can't be written is a warning. */
  write(plan: Plan, selected: ReadonlySet<string>): Promise<void>;
}

/** Throws INVALID_ARGS for a file that can't be written, before anything is started. */
export function reportsFor(session: Session, { junit, summary }: ReportFiles): RunReports {
  const files = { junit: placeFor(session, '--junit', junit), summary: placeFor(session, '--summary', summary) };
  if (files.junit !== null && files.junit === files.summary)
    throw invalidArgs(`--junit and --summary both name ${junit}`, 'Name two files.');
  const reporter = new RunReporter();
  const [startedMs, since] = [session.now(), session.ctx.monotonicMs()];
  return {
    add: (event) => reporter.add(event),
    async write(plan, selected) {
      try {
        const { reads } = await readAll(session);
        const recordOf = (taskId: string) => reads.get(taskId)?.record ?? null;
        const { skipOf } = fatesOf({ plan, recordOf });
        const overText = (task: PlanTask) => {
          if (isOverByPlan(task)) return `the plan says that it is ${task.status}`;
          const skip = skipOf(task.id);
          return skip === null ? '' : `it is skipped: ${skip.why}`;
        };
        const report = reporter.report(
          {
            project: plan.project,
            started_at: isoTime(startedMs),
            duration_ms: session.ctx.monotonicMs() - since,
          },
          plan.tasks.filter(({ id }) => selected.has(id)).map((task) => ({ ...task, over: overText(task) })),
          (taskId) => recordOf(taskId)?.state.state ?? null,
        );
        if (files.junit !== null) {
          const { junitXml } = await import('../../domain/run/junit.ts');
          writeUserFile(files.junit, '--junit', junitXml(report));
        }
        if (files.summary !== null) {
          const { summaryMarkdown } = await import('../../domain/run/summary.ts');
          writeSummary(session, files.summary, summaryMarkdown(report));
        }
      } catch (error) {
        session.warn(`a report of the run is missing: ${errorMessage(error)}`);
      }
    },
  };
}

function placeFor({ ctx, paths, settings }: Session, flag: string, file: string | undefined): string | null {
  if (file === undefined) return null;
  if (file === '') throw invalidArgs(`${flag}: it names no file`, 'Name a file that can be written.');
  const place = path.resolve(ctx.cwd, file);
  const plans = settings.plan === null ? PLAN_PLACES : [settings.plan];
  if ([...plans.map((name) => path.resolve(paths.project, name)), paths.settings].includes(place))
    throw invalidArgs(`${flag} ${file}: the report would replace it`, 'Name a file of its own.');
  requireWritable(place, `${flag} ${file}`);
  return place;
}

/** The file that GitHub gives to a step is shared by all of its commands. */
function writeSummary({ ctx }: Session, file: string, text: string): void {
  const shared = ctx.env['GITHUB_STEP_SUMMARY'];
  const isShared = shared !== undefined && shared !== '' && path.resolve(ctx.cwd, shared) === file;
  const before = isShared && isThere(file) ? readUserFile(file, '--summary', SUMMARY_MAX_BYTES) : '';
  writeUserFile(file, '--summary', before + text);
}
