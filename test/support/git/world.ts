/** The project of a `World` in a git repository. */

import type { CommandContext } from '../../../src/commands/shared/session.ts';
import type { World } from '../commands/world.ts';
import { GIT_ENV, Repository } from '../repository.ts';

/** Makes the repository, whose first commit has `files`; what forge keeps in the project is ignored. */
export function repositoryOf(world: World, files: Record<string, string> = { 'code.txt': 'one\n' }): Repository {
  const repo = new Repository(world.project);
  repo.write('.forge/.gitignore', '*\n');
  repo.commit(files);
  return repo;
}

/** A call in the world, with the git of tests. `cwd`: default the project. */
export function gitCall(
  { context, project }: World,
  { env = {}, cwd = project }: { env?: Record<string, string>; cwd?: string } = {},
): CommandContext {
  return { ...context, ctx: { ...context.ctx, env: { ...GIT_ENV, ...env }, cwd } };
}
