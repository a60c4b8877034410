/** Protected files and write_globs: guardrail-check before a change, and reports after it. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type CliResult, folder, jsonLines, orchestrate, project, within } from '../support/cli.ts';
import { varied } from '../support/faults/knobs.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

const { PATH: _, ...GIT } = GIT_ENV;
const SETTINGS = 'workspace: worktree\nagents: {preflight_globs: ["migrations/**", "*.pem"]}\n';

class Agent {
  readonly at: string;
  readonly repo: Repository;
  /** The project's folder in the worktree. */
  work = '';
  attempt = '';
  env: Record<string, string> = GIT;

  constructor(prefix = '', settings = SETTINGS, task = 'id: build, title: B, write_globs: [src/, "migrations/**"]') {
    const made = project([task], {
      '.forge/settings.yaml': settings,
      'verdict.json': '{"verdict":"ready_for_review","summary":"done"}',
      'options.json': '[{"id": "allow", "label": "Go on"}, {"id": "deny", "label": "Leave it"}]',
    });
    this.at = prefix === '' ? made : path.join(folder(), prefix);
    if (prefix !== '') fs.cpSync(made, this.at, { recursive: true });
    this.repo = new Repository(prefix === '' ? this.at : path.dirname(path.dirname(this.at)));
    this.repo.git('add', '--all');
    this.repo.git('commit', '--quiet', '--message', 'first');
  }

  async json(...args: string[]) {
    const { stdout, stderr } = await this.ask(...args, '--json');
    return JSON.parse(stdout || stderr);
  }

  step(...args: string[]) {
    return within(args, { cwd: this.work || this.at, env: this.env });
  }

  ask(...args: string[]): Promise<CliResult> {
    return orchestrate(args, { cwd: this.work || this.at, env: this.env });
  }

  /** Claims the task and opens its attempt. */
  async begin(): Promise<this> {
    this.env = GIT;
    const { claim_id, run_id } = await this.step('claim', 'build');
    const opened = await this.step('dispatch', 'build', '--claim', claim_id, '--run', run_id);
    this.work = opened.worktree_path;
    this.attempt = opened.attempt_id;
    this.env = { ...GIT, FORGE_TASK_ID: 'build', FORGE_ATTEMPT_ID: this.attempt };
    return this;
  }

  complete(): Promise<CliResult> {
    return this.ask('complete', '--verdict-file', path.join(this.at, 'verdict.json'));
  }

  check(...paths: string[]) {
    return this.json('guardrail-check', ...paths.flatMap((each) => ['--path', each]));
  }

  /** Asks under `key`, has it answered, and begins the next attempt. */
  async decide(key: string, option: string): Promise<void> {
    const options = path.join(this.at, 'options.json');
    const asking = ['question', '--decision-key', key, '--question', 'May I?', '--options-file', options];
    const { question_id } = await this.step(...asking);
    await this.step('answer', question_id, '--option', option);
    await this.begin();
  }

  twin() {
    const file = `.forge/orchestrator/tasks/build/attempts/${this.attempt}/verdict.verified.json`;
    return JSON.parse(fs.readFileSync(path.join(this.at, file), 'utf8'));
  }

  /** The files that the twin has findings about. */
  found(): string[] {
    return this.twin().findings.map((finding: { path: string }) => finding.path);
  }
}

const FILES = { 'src/a.ts': 'a', 'README.md': 'r', 'migrations/1.sql': '1', 'migrations/deep/2.sql': '2' };
const flat = (text: string) => text.replace(/\s+/g, ' ');

describe('changed files of an attempt', () => {
  test('changed files of an attempt changes outside of write_globs and of protected files are in the twin and reported', async () => {
    const agent = await new Agent().begin();
    agent.repo.commit(FILES, agent.work);
    const { code, stderr } = await agent.complete();
    expect(code).toBe(0);
    expect(agent.twin()).toMatchObject({
      verdict: 'ready_for_review',
      failure: null,
      outside_globs: ['README.md'],
      outside_globs_count: 1,
      findings: ['migrations/1.sql', 'migrations/deep/2.sql'].map((file) => ({
        severity: 'block',
        path: file,
        line: null,
        message: 'it is protected by migrations/** and was changed without a check or an answered question',
      })),
      findings_count: 2,
    });
    expect(flat(stderr)).toContain('task build: changed outside of its write_globs: README.md');
    expect(flat(stderr)).toContain('task build: migrations/1.sql: it is protected by migrations/**');
    const shown = flat((await agent.ask('show', 'build')).stdout);
    expect(shown).toContain('changed outside of its write_globs: README.md');
    expect(shown).toContain('migrations/deep/2.sql: it is protected by migrations/**');
  });

  test('changed files are compared with globs by their path in the project', async () => {
    const agent = await new Agent('apps/one').begin();
    agent.repo.commit({ 'src/a.ts': 'a', 'migrations/1.sql': '1', '../../src/b.ts': 'b' }, agent.work);
    await agent.complete();
    expect(agent.twin().outside_globs).toEqual(['src/b.ts']);
    expect(agent.found()).toEqual(['apps/one/migrations/1.sql']);
  });

  test('changed files of an attempt changes are not reported without write_globs and protected files', async () => {
    const agent = await new Agent('', 'workspace: worktree\n', 'id: build, title: B').begin();
    agent.repo.commit(FILES, agent.work);
    expect((await agent.complete()).stderr).toBe('');
    expect(agent.twin()).toMatchObject({ outside_globs: null, outside_globs_count: null, findings: [] });
  });

  test('run reports changes outside of write_globs and stops nothing', async () => {
    const author = 'git -c user.name=Ann -c user.email=ann@example.org';
    const run = `touch x.pem && git add x.pem && ${author} commit -qm x`;
    const agent = new Agent('', SETTINGS, `id: build, title: B, write_globs: [src], run: "${run}"`);
    const { code, stdout } = await agent.ask('run', '--json');
    expect(code).toBe(0);
    const events = jsonLines(stdout);
    expect(events.filter(({ type }) => type === 'warning').map(({ message }) => message)).toEqual([
      'task build: x.pem: it is protected by *.pem and was changed without a check or an answered question',
      'task build: changed outside of its write_globs: x.pem',
    ]);
    expect(events.find(({ type }) => type === 'task_finished')).toMatchObject({ state: 'shipped' });
  });
});

describe('guardrail-check', () => {
  test('guardrail-check accepts unprotected files and records nothing', async () => {
    const agent = await new Agent().begin();
    expect(await agent.check('src/a.ts', 'x/y.pem')).toEqual({
      ok: true,
      data: {
        task_id: 'build',
        attempt_id: agent.attempt,
        paths: ['src/a.ts', 'x/y.pem'].map((each) => ({
          path: each,
          protected: false,
          glob: null,
          cleared: true,
          option_id: null,
          decision_key: null,
        })),
      },
    });
    expect((await agent.ask('guardrail-check', '--path', 'src')).stdout).toBe('src is not protected.\n');
    agent.repo.commit(FILES, agent.work);
    await agent.complete();
    expect(agent.found()).toEqual(['migrations/1.sql', 'migrations/deep/2.sql']);
  });

  test('guardrail-check refuses a protected file, says how to ask, and records the check', async () => {
    const agent = await new Agent().begin();
    const answer = await agent.check('src/a.ts', 'migrations/1.sql');
    expect(answer).toMatchObject({
      ok: false,
      error: {
        code: 'PATH_PROTECTED',
        message: 'protected, and it was not decided that it may be changed: migrations/1.sql (by migrations/**)',
        retriable: true,
      },
      data: {
        paths: [
          { path: 'src/a.ts', protected: false, cleared: true },
          {
            path: 'migrations/1.sql',
            protected: true,
            glob: 'migrations/**',
            cleared: false,
            option_id: null,
            decision_key: 'guardrail:migrations/1.sql',
          },
        ],
      },
    });
    expect(answer.error.hint).toContain('question --decision-key "guardrail:migrations/1.sql"');
    expect((await agent.ask('guardrail-check', '--path', 'migrations/1.sql')).code).toBe(4);
    agent.repo.commit(FILES, agent.work);
    await agent.complete();
    expect(agent.found()).toEqual(['migrations/deep/2.sql']);
  });

  test.each(
    varied(
      [
        ['the file', 'guardrail:migrations/1.sql', ['migrations/deep/2.sql']],
        ['something else', 'format', ['migrations/1.sql', 'migrations/deep/2.sql']],
        ['a folder that it is in', 'guardrail:migrations', []],
        ['the glob that protects it', 'guardrail:migrations/**', []],
      ],
      2,
    ),
  )('guardrail-check follows a decision on %s', async (_what, key, left) => {
    const agent = await new Agent().begin();
    await agent.decide(key, 'allow');
    const cleared = !left.includes('migrations/1.sql');
    const row = cleared
      ? { cleared, option_id: 'allow', decision_key: key }
      : { cleared, option_id: null, decision_key: 'guardrail:migrations/1.sql' };
    // Without its attempt nothing is noted, so what is left is what the decision leaves.
    agent.env = { ...GIT, FORGE_TASK_ID: 'build' };
    expect(await agent.check('migrations/1.sql')).toMatchObject({
      ok: cleared,
      data: { attempt_id: null, paths: [row] },
    });
    agent.env = { ...agent.env, FORGE_ATTEMPT_ID: agent.attempt };
    agent.repo.commit(FILES, agent.work);
    await agent.complete();
    expect(agent.found()).toEqual(left);
  });

  test('guardrail-check refuses a denied file in every attempt', async () => {
    const agent = await new Agent().begin();
    await agent.check('migrations/1.sql');
    await agent.decide('guardrail:migrations/1.sql', 'deny');
    const answer = await agent.check('migrations/1.sql');
    expect(answer.error).toMatchObject({
      code: 'PATH_PROTECTED',
      message: 'it was decided that this may not be changed: migrations/1.sql (by migrations/**)',
      hint: 'Leave migrations/1.sql as it is, or find another way.',
    });
    agent.repo.commit({ 'migrations/1.sql': '1' }, agent.work);
    await agent.complete();
    expect(agent.twin().findings).toMatchObject([
      {
        path: 'migrations/1.sql',
        message: 'it is protected by migrations/** and was changed although it was denied (guardrail:migrations/1.sql)',
      },
    ]);
  });

  test('guardrail-check counts checks of an earlier attempt', async () => {
    const agent = await new Agent().begin();
    // Not there yet, and written as a folder.
    expect((await agent.check('migrations/')).data.paths).toMatchObject([{ path: 'migrations', protected: true }]);
    await agent.step('complete', '--failed', '--error-class', 'tests');
    await agent.step('retry', 'build');
    await agent.begin();
    agent.repo.commit(FILES, agent.work);
    await agent.complete();
    expect(agent.found()).toEqual([]);
  });

  test('guardrail-check accepts paths from the current folder, absolute, and through symlinks', async () => {
    const agent = await new Agent('apps/one').begin();
    agent.repo.commit({ 'src/a.ts': 'a', 'migrations/1.sql': '1' }, agent.work);
    fs.symlinkSync('../migrations', path.join(agent.work, 'src/link'));
    fs.symlinkSync('../migrations/not-yet', path.join(agent.work, 'src/early'));
    fs.symlinkSync('loop', path.join(agent.work, 'src/loop'));
    const paths = async (cwd: string, ...names: string[]) => {
      const args = ['guardrail-check', ...names.flatMap((name) => ['--path', name]), '--json'];
      const { stdout } = await orchestrate(args, { cwd, env: { ...agent.env, FORGE_DIR: agent.at } });
      return JSON.parse(stdout).data.paths.map((row: { path: string }) => row.path);
    };
    const src = path.join(agent.work, 'src');
    expect(await paths(src, 'a.ts', 'new/b.ts', '../migrations/2.sql', 'link/2.sql')).toEqual([
      'src/a.ts',
      'src/new/b.ts',
      'migrations/2.sql',
      'migrations/2.sql',
    ]);
    // Where a symlink leads to is what would be made there; one that leads to itself leads nowhere else.
    expect(await paths(src, 'early/3.sql', 'loop/x')).toEqual(['migrations/not-yet/3.sql', 'src/loop/x']);
    // From the main checkout, and by a path that leads into the worktree, with and without an attempt.
    expect(await paths(agent.at, 'src', path.join(src, 'a.ts'))).toEqual(['src', 'src/a.ts']);
    agent.env = GIT;
    expect(await paths(src, 'a.ts')).toEqual(['src/a.ts']);
  });

  test.each(
    varied(
      [
        ['outside of the project', '../x', 'it is not a file below the project'],
        ['the project itself', '.', 'it is not a file below the project'],
        ['far away', '/etc/passwd', 'it is not a file below the project'],
        ['nothing', ' ', 'it is empty'],
        ['too long', 'a/'.repeat(600), 'it is too long'],
      ],
      2,
    ),
  )('guardrail-check refuses a path that is %s', async (_what, name, why) => {
    const { error } = await new Agent().json('guardrail-check', '--path', name);
    expect(error).toMatchObject({ code: 'INVALID_ARGS' });
    expect(error.message).toContain(why);
  });

  test('guardrail-check refuses a missing path, an unknown task, and an attempt that is over', async () => {
    const agent = new Agent();
    expect((await agent.json('guardrail-check')).error.code).toBe('INVALID_ARGS');
    expect((await agent.json('guardrail-check', 'biuld', '--path', 'a')).error.code).toBe('TASK_NOT_FOUND');
    expect((await agent.json('guardrail-check', 'build', '--path', 'a')).ok).toBe(true);
    await agent.begin();
    await agent.complete();
    expect((await agent.check('migrations/1.sql')).error.code).toBe('LEASE_STOLEN');
  });
});

test('the prompt tells a worker what is protected and how to ask', async () => {
  const agent = new Agent();
  const { prompt } = (await agent.json('render-worker-prompt', 'build')).data;
  expect(prompt).toContain('Do not change these without asking: `migrations/**`, `*.pem`.');
  expect(prompt).toContain('orchestrate guardrail-check build --attempt ATTEMPT --path PATH');
  const other = new Agent('', 'workspace: worktree\n');
  expect((await other.json('render-worker-prompt', 'build')).data.prompt).not.toContain('guardrail');
});
