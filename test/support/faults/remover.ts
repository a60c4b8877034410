/** Removes a branch or a worktree as gc does, in a process that can be killed. Its first argument says how; prints the result. */

import { openSession } from '../../../src/commands/shared/session.ts';
import { pruneBranch, removeWorktree } from '../../../src/git/gc-look.ts';
import { systemContext } from '../../../src/process/system-context.ts';

const { project, env, branch, worktree } = JSON.parse(process.argv[2] ?? '') as {
  project: string;
  env: Record<string, string>;
  branch?: Parameters<typeof pruneBranch>[1];
  worktree?: Parameters<typeof removeWorktree>[1];
};
const session = await openSession({ ctx: { ...systemContext(), env, cwd: project }, warn: () => {} });
if (branch !== undefined) console.log(JSON.stringify(await pruneBranch(session, branch)));
if (worktree !== undefined) console.log(JSON.stringify(await removeWorktree(session, worktree)));
process.exit(0);
