/** Removes a branch or a worktree as gc does, in a process that can be killed. Told how in its first argument; prints the result. */

import { systemContext } from '../../../src/host/context.ts';
import { pruneBranch, removeWorktree } from '../../../src/runner/gc-git.ts';
import { openSession } from '../../../src/verbs/session.ts';

const { project, env, branch, worktree } = JSON.parse(process.argv[2] ?? '') as {
  project: string;
  env: Record<string, string>;
  branch?: Parameters<typeof pruneBranch>[1];
  worktree?: Parameters<typeof removeWorktree>[1];
};
const session = openSession({ ctx: { ...systemContext(), env, cwd: project }, warn: () => {} });
if (branch !== undefined) console.log(JSON.stringify(await pruneBranch(session, branch)));
if (worktree !== undefined) console.log(JSON.stringify(await removeWorktree(session, worktree)));
process.exit(0);
