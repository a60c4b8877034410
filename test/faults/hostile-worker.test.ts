/** What a worker writes into the folder of its own attempt decides nothing about its work. */

import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { varied } from '../support/faults/knobs.ts';
import { finishing, WORK } from '../support/finishing.ts';

/** `$D` is the folder of the attempt, `$H` the commit of the work. */
const INTO = `${WORK}; D=$(dirname "$FORGE_VERDICT_FILE"); H=$(git rev-parse HEAD)`;

/** A twin that says that everything has passed. */
const FORGED =
  '{\\"version\\":1,\\"attempt_id\\":\\"$FORGE_ATTEMPT_ID\\",\\"verdict\\":\\"ready_for_review\\",\\"verified_at\\":\\"2026-01-01T00:00:00.000Z\\",\\"failure\\":null,\\"commands\\":[],\\"head\\":\\"$H\\",\\"target_sha\\":\\"$H\\"}';

const task = (run: string) => `id: build, title: Build, run: '${run.replaceAll("'", "''")}', retry: {max_attempts: 1}`;

describe('a worker that writes what forge writes', () => {
  test.each(
    varied(
      [
        ['a verified twin', `echo "${FORGED}" > $D/verdict.verified.json`],
        [
          'a verdict with its twin',
          `echo '{"verdict":"ready_for_review","summary":""}' > $FORGE_VERDICT_FILE; echo "${FORGED}" > $D/verdict.verified.json`,
        ],
        ['junk as the twin', 'echo junk > $D/verdict.verified.json'],
        ['a folder as the twin', 'mkdir $D/verdict.verified.json'],
      ],
      2,
    ),
  )('is verified all the same when it leaves %s', async (_, forge) => {
    const {
      repo,
      state,
      forge: run,
    } = finishing([task(`${INTO}; ${forge}`)], 'verify: {commands: ["echo ran >> $FORGE_DIR/.forge/ran; false"]}');
    expect((await run('run')).code).toBe(1);
    expect(fs.readFileSync(repo.path('.forge/ran'), 'utf8')).toBe('ran\n');
    expect((await state('build')).state).toBe('failed');
  });

  test('a worker that writes what forge writes is merged into the branch that it was begun for, whatever its manifest says', async () => {
    const { repo, forge } = finishing(
      [task(`${INTO}; sed -i s/main/production/ $D/manifest.json`)],
      'verify: {commands: ["true"]}\nship: {policy: merge}',
    );
    repo.git('branch', 'production');
    expect((await forge('run')).code).toBe(0);
    expect(repo.git('ls-tree', '--name-only', 'main')).toContain('build.txt');
    expect(repo.git('ls-tree', '--name-only', 'production')).not.toContain('build.txt');
  });

  test('a worker that writes what forge writes is verified in its own worktree, whatever its manifest says', async () => {
    const { state, forge } = finishing(
      [task(`${INTO}; sed -i "s/\\"worktree_path\\".*/\\"worktree_path\\": null,/" $D/manifest.json`)],
      'verify: {commands: ["test -e build.txt"]}',
    );
    expect((await forge('run')).code).toBe(0);
    expect((await state('build')).state).toBe('shipped');
  });
});

test('a verdict behind a symlink is none', async () => {
  const { state, forge } = finishing(
    [
      task(
        `${INTO}; echo '{"verdict":"ready_for_review","summary":""}' > $D/other.json; ln -s other.json "$FORGE_VERDICT_FILE"`,
      ),
    ],
    'verify: {commands: ["true"]}',
  );
  expect((await forge('run')).code).toBe(1);
  expect((await state('build'))['last_error']).toMatchObject({ class: 'verdict.invalid' });
});

describe('a worker that prints what a pattern of the settings could be stuck in', () => {
  test('a worker that prints what a pattern of the settings could be stuck in is classified at once, and the next task goes on', async () => {
    const { state, forge } = finishing(
      [
        'id: a, title: A, run: "printf %030000d; exit 1", retry: {max_attempts: 1}',
        'id: b, title: B, run: "printf 00y; exit 1", retry: {max_attempts: 1}',
      ],
      "errors: [{class: rate_limit, output: '(0+0+)+y'}]",
    );
    expect((await forge('run')).code).toBe(1);
    expect((await state('a'))['last_error']).toMatchObject({ class: 'exit.1' });
    expect((await state('b'))['last_error']).toMatchObject({ class: 'rate_limit' });
  });
});

describe('a commit that was verified', () => {
  const reviewed = async (settings = '') => {
    const made = finishing(
      [task(INTO)],
      `verify: {commands: ["true"]}\nreview: {command: ./review.sh}\nship: {policy: merge}${settings}`,
    );
    made.answers('no review yet');
    await made.forge('run');
    const { current_attempt_id: attempt } = await made.state('build');
    const folder = `.forge/orchestrator/tasks/build/attempts/${attempt}`;
    return { ...made, folder: (name: string) => made.repo.path(folder, name) };
  };

  test.each(varied(['verdict.verified.json', 'manifest.json']))(
    'stays the one that is merged when %s is unreadable',
    async (file) => {
      const { repo, folder, answers, forge, at } = await reviewed();
      fs.writeFileSync(folder(file), 'junk');
      fs.writeFileSync(`${at}/.forge/worktrees/build/evil.txt`, 'evil');
      repo.in(`${at}/.forge/worktrees/build`, 'add', '--all');
      repo.in(`${at}/.forge/worktrees/build`, 'commit', '--quiet', '--message', 'evil');
      answers({ verdict: 'pass', findings: [] });
      await forge('run');
      expect(repo.git('ls-tree', '--name-only', 'main')).not.toContain('evil.txt');
    },
  );
});
