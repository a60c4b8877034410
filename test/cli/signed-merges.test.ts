/** `commit.gpgsign`: merges by forge are signed as git's settings want it, or not made. */

import fs from 'node:fs';
import { expect, test } from 'vitest';
import { type Finishing, finishing } from '../support/finishing.ts';

/** A worker whose own commits are not signed. */
const work = (id: string) =>
  `id: ${id}, title: T, run: 'echo > ${id}.txt; git add -A; git -c commit.gpgsign=false -c user.name=w -c user.email=w@x commit -qm ${id}'`;

/** What git takes for gpg: it says on its status pipe that it has signed. */
const SIGNER = 'cat > /dev/null; echo "[GNUPG:] SIG_CREATED x" >&2; echo "-----BEGIN PGP SIGNATURE-----"';

/** A project in which git signs commits by a script. */
function signing(signer: string, settings: string, tasks = [work('a')]): Finishing {
  const play = finishing(tasks, settings, { 'signer.sh': `#!/bin/sh\n${signer}\n` });
  fs.chmodSync(play.repo.path('signer.sh'), 0o755);
  play.repo.git('config', 'commit.gpgsign', 'true');
  play.repo.git('config', 'gpg.program', play.repo.path('signer.sh'));
  return play;
}

const isSigned = ({ repo }: Finishing, commit: string) =>
  repo.git('cat-file', 'commit', commit).includes('gpgsig -----BEGIN PGP SIGNATURE-----');

test('where git signs commits a merge is signed, and so is the merge of dependencies that a task starts from', async () => {
  const tasks = [work('a'), work('b'), `${work('c')}, depends_on: [a, b]`];
  const play = signing(SIGNER, 'ship: {policy: none}', tasks);
  expect((await play.forge('run', '--json')).code).toBe(0);
  const start = play.repo.git('log', '--merges', '--format=%H', 'forge/c');
  expect(isSigned(play, start)).toBe(true);
  const merged = signing(SIGNER, 'ship: {policy: merge}');
  expect((await merged.forge('run', '--json')).code).toBe(0);
  expect(isSigned(merged, 'main')).toBe(true);
});

test.each([
  [
    'fails',
    'echo "error: no key" >&2; exit 2',
    /could not sign a merge \(commit\.gpgsign\): .*gpg failed to sign the data/,
  ],
  ['takes git with it', 'kill -KILL $PPID', /could not sign a merge \(commit\.gpgsign\): .*was ended by SIGKILL/],
])('no merge is made when what signs %s, until the settings leave merges unsigned', async (_, signer, message) => {
  const settings = 'ship: {policy: merge}\nretry: {max_attempts: 1}';
  const play = signing(signer, settings);
  const before = play.repo.git('rev-parse', 'main');
  expect((await play.forge('run', '--json')).code).toBe(4);
  expect(play.repo.git('rev-parse', 'main')).toBe(before);
  expect(await play.state('a')).toMatchObject({ state: 'merge_pending' });
  expect((await play.forge('ship', 'a', '--json')).json().error).toMatchObject({
    code: 'NOT_READY',
    message: expect.stringMatching(message),
    hint: expect.stringContaining('ship: {sign: never}'),
  });
  play.repo.write('.forge/settings.yaml', 'workspace: worktree\nship: {policy: merge, sign: never}\n');
  await play.data('ship', 'a');
  expect(play.repo.git('log', '-1', '--format=%s', 'main')).toBe("Merge branch 'forge/a' into main");
  expect(isSigned(play, 'main')).toBe(false);
});
