/** The paths of a project outside the state tree. */

export interface ProjectPaths {
  /** The project folder. */
  project: string;
  /** `<project>/.forge`. */
  forge: string;
  settings: string;
  log: string;
}

export function pathsOf(project: string): ProjectPaths {
  const forge = `${project}/.forge`;
  return { project, forge, settings: `${forge}/settings.yaml`, log: `${forge}/logs/orchestrate.jsonl` };
}

/** What the first changing command writes to `.forge/.gitignore`. */
export const GITIGNORE = `# What forge keeps here is local to this machine; settings.yaml and plans are yours to commit.
orchestrator/
logs/
worktrees/
schema/
scratch/
`;
