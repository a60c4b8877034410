/** Where everything in a state tree is. Ids are checked before they become part of a path. */

import { type ProjectPaths, pathsOf } from '../../domain/project-paths.ts';
import { requireAttemptId, requireTaskId, requireUuid } from '../../lib/ids.ts';

export interface Layout extends ProjectPaths {
  orchestrator: string;
  tasks: string;
  runs: string;
  /** The location of each question by its id. Derived; see `question-index.ts`. */
  questionIndex: string;
  task(taskId: string): string;
  attempt(taskId: string, attemptId: string): string;
  run(runId: string): string;
}

export function layoutOf(project: string): Layout {
  const paths = pathsOf(project);
  const orchestrator = `${paths.forge}/orchestrator`;
  const tasks = `${orchestrator}/tasks`;
  const runs = `${orchestrator}/runs`;
  const task = (taskId: string) => `${tasks}/${requireTaskId(taskId)}`;
  return {
    ...paths,
    orchestrator,
    tasks,
    runs,
    questionIndex: `${orchestrator}/index/questions.json`,
    task,
    attempt: (taskId, attemptId) => `${task(taskId)}/attempts/${requireAttemptId(attemptId)}`,
    run: (runId) => `${runs}/${requireUuid(runId, 'run')}`,
  };
}
