/** Checks of `doctor` on git: what worktrees, commits and merges need. */

import { branchFor, inTheWayText } from '../../domain/task/workspaces.ts';
import { LFS_HINT, lfsFault } from '../../git/filters.ts';
import {
  baseOf,
  copySources,
  FALLBACK_IDENTITY,
  listWorktrees,
  noIdentity,
  repositoryOf,
  takenNames,
} from '../../git/repository.ts';
import { signingTrouble } from '../../git/signing.ts';
import { submodulesOf } from '../../git/submodules.ts';
import { nameBelow, worktreesFolder } from '../../git/worktree-files.ts';
import { diskUse } from '../../lib/fs/folders.ts';
import { whileDoing } from '../../lib/fs/io-errors.ts';
import { sizeText } from '../../lib/size.ts';
import { firstOf, oneLine, plural } from '../../lib/text.ts';
import { type Check, type Facts, type Finding, fail, ok, warn } from './checks.ts';

/** Worktrees can be had. */
async function workspaces(facts: Facts): Promise<Finding> {
  const { root, commonDir } = await repositoryOf(facts);
  const { branch, sha } = await baseOf(facts);
  return ok(`worktrees are made of ${root ?? commonDir}, from ${branch ?? sha.slice(0, 12)}`);
}

/** Git can make the branches of tasks. */
async function branches(facts: Facts): Promise<Finding> {
  const { settings, plan } = facts;
  const ids = plan?.tasks.map(({ id }) => id) ?? [];
  const wanted = (ids.length === 0 ? ['task'] : ids).map((id) => branchFor(settings, id));
  const taken = await takenNames(facts, wanted);
  const [first] = taken;
  if (first === undefined) return ok(`the branches of tasks are ${settings.agents.branch_prefix}/<task>`);
  const { message, hint } = inTheWayText(first, `${settings.agents.branch_prefix}/<task>`);
  return fail(taken.length === 1 ? message : `${message}; and so are ${oneLine(taken.slice(1).join(', '), 200)}`, hint);
}

/** Most entries of worktrees that are looked at to say how much room they take. */
const ENTRIES_SEEN = 200_000;

/** Room that worktrees of shipped tasks may take without a warning, bytes. */
const ROOM_TO_WARN_OF = 1e9;

/** Worktrees of shipped tasks, and the room that they take. */
async function finishedWorktrees(facts: Facts): Promise<Finding> {
  const root = worktreesFolder(facts);
  const { tasks: reads } = await facts.snapshot();
  const shipped = new Set(reads.flatMap(({ task_id, record }) => (record?.state.state === 'shipped' ? [task_id] : [])));
  const places = (await listWorktrees(facts)).map(({ path }) => path);
  const finished = places.filter((place) => root !== null && shipped.has(nameBelow(root, place) ?? ''));
  if (finished.length === 0) return ok('there are no worktrees of shipped tasks');
  const room = whileDoing(`looking at ${root}`, () => finished.map((place) => diskUse(place, ENTRIES_SEEN)));
  const bytes = room.reduce((sum, each) => sum + each.bytes, 0);
  const least = room.every(({ all }) => all) ? '' : 'at least ';
  const found = `shipped tasks have ${plural(finished.length, 'worktree')}, which take ${least}${sizeText(bytes)}`;
  if (facts.settings.worktrees.keep_ms !== null) return ok(`${found}; a run removes them when their time is over`);
  if (bytes < ROOM_TO_WARN_OF) return ok(`${found}; \`forge orchestrate gc --shipped\` removes them`);
  return warn(found, 'Remove them with `forge orchestrate gc --shipped`, or set `worktrees: {keep: 3d}`.');
}

/** Files that git has stored by LFS are there in worktrees. */
async function filters(facts: Facts): Promise<Finding | null> {
  const fault = await lfsFault(facts);
  return fault && (fault.fails ? fail : warn)(fault.message, LFS_HINT);
}

/** What worktrees get copies of is not committed with everything else. */
async function copies(facts: Facts): Promise<Finding> {
  const open = await copySources(facts, await repositoryOf(facts), { ignored: false });
  if (open.length === 0) return ok('git ignores what worktrees get copies of');
  return warn(
    `${oneLine(firstOf(open, 3), 200)}: copied into worktrees and not ignored by git, so a worker that commits everything commits it, and fails`,
    'Add it to .gitignore, commit it, or leave it out of agents.worktree_copy.',
  );
}

/** What is reviewed can be merged; asked only where the settings want that. */
async function merges(facts: Facts): Promise<Finding | null> {
  const { settings, paths } = facts;
  if (settings.ship.policy !== 'merge') return null;
  if (settings.workspace === 'none') {
    return warn(
      'with workspace: none tasks have no branch to merge, and what they did is shipped where it stands',
      'Set workspace: worktree in .forge/settings.yaml.',
    );
  }
  const { branch } = await baseOf(facts);
  if (branch === null) {
    const fix = 'Check out the branch that tasks are merged into, or name it in ship.base.';
    return fail(`${paths.project} is on no branch to merge into`, fix);
  }
  const place = (await listWorktrees(facts)).find((each) => each.branch === branch)?.path;
  const follows = place === undefined ? 'it is checked out nowhere' : `the files in ${place} follow`;
  return ok(`what is reviewed is merged into ${branch}; ${follows}`);
}

/** A worker can commit. */
async function identity(facts: Facts): Promise<Finding> {
  const why = await noIdentity(facts);
  if (why === null) return ok('git has a name and an address for commits');
  return warn(
    `git has no name or no address for commits (${why}), so a worker's \`git commit\` fails, and merges are made by ${FALLBACK_IDENTITY}`,
    'git config --global user.name "YOUR NAME"; git config --global user.email YOU@EXAMPLE.ORG',
  );
}

/** Commits that git signs can be signed where there is no terminal. Null where it signs none. */
async function signing(facts: Facts): Promise<Finding | null> {
  const fault = await signingTrouble(facts);
  if (fault === undefined) return null;
  if (fault === null) return ok('git signs commits, and has what it needs');
  return (fault.fails ? fail : warn)(fault.message, fault.fix);
}

/** Submodules of worktrees are filled from the main checkout. Null where there are none. */
async function submodules(facts: Facts): Promise<Finding | null> {
  const found = await submodulesOf(facts);
  if (found === null) return null;
  const { all, empty } = found;
  if (empty.length === 0) return ok(`${plural(all, 'submodule is', 'submodules are')} there for worktrees`);
  const names = oneLine(empty.join(', '), 200);
  return warn(
    `empty submodules (${names}) are as empty in worktrees, so what needs their files fails there`,
    'git submodule update --init --recursive',
  );
}

/** All but `merges` are asked only where the settings want worktrees. */
export function gitChecks({ settings }: Facts): [name: string, check: Check][] {
  if (settings.workspace !== 'worktree') return [['merges', merges]];
  return Object.entries({
    workspaces,
    branches,
    worktrees: finishedWorktrees,
    filters,
    submodules,
    copies,
    identity,
    signing,
    merges,
  });
}
